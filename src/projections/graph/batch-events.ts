/**
 * Several changes in one event, between objects and bytes. graph.proto is the contract.
 *
 * One event and not one for each item: it has one LSN, so it is decided as a whole, a view has all of it or nothing, and a checkpoint never
 * falls between its items.
 */

import type { StoreErrorCode } from "../../errors.js";
import type { GraphEventData } from "./graph-event-codec.js";
import { GraphEventFields } from "./graph-event-fields.js";
import { BATCH_TYPE, GRAPH_EVENT_KINDS, type GraphEventKind } from "./graph-event-kind.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import { MALFORMED, WIRE_BYTES, WireReader, type WireWriter } from "./wire.js";

/** One change of a batch: what would be an event by itself. */
export interface GraphBatchItem {
  /** Of a node or an edge: `"varve.v1.NodeCreated"` and so on. */
  readonly type: string;
  readonly data: GraphEventData;
}

/** `data` of `varve.v1.GraphBatch`. */
export interface GraphBatchData {
  /** In the order in which they count: of two that say something about the same point, the later one. */
  readonly items: readonly GraphBatchItem[];
}

/** How many items a batch has at most: it is judged in one turn of the event loop. */
export const BATCH_ITEMS_MAX = 10_000;

const ITEMS_TAG = (1 << 3) | WIRE_BYTES;
const KINDS: readonly GraphEventKind[] = [...GRAPH_EVENT_KINDS.values()];

export function writeBatch(
  writer: WireWriter,
  data: unknown,
  encodeItem: (type: string, data: unknown) => Uint8Array,
): void {
  const record = checkRecord(BATCH_TYPE, data);
  checkKnownKeys(BATCH_TYPE, record, ["items"]);
  const { items } = record;
  if (!Array.isArray(items)) throw new TypeError("items must be an array");
  if (items.length === 0 || items.length > BATCH_ITEMS_MAX)
    throw new TypeError(`a batch has 1 to ${BATCH_ITEMS_MAX} items, not ${items.length}`);
  for (const item of items as readonly unknown[]) {
    const each = checkRecord("an item of the batch", item);
    checkKnownKeys("an item of the batch", each, ["type", "data"]);
    const { type } = each;
    const number = KINDS.findIndex((kind) => kind.type === type) + 1;
    if (number === 0) throw new TypeError(`an item of a batch is a change of a node or an edge, not ${String(type)}`);
    writer.byte(ITEMS_TAG);
    const message = writer.beginMessage();
    writer.byte((number << 3) | WIRE_BYTES);
    writer.blob(encodeItem(type as string, each["data"]));
    writer.endMessage(message);
  }
}

/** An item taken apart in place. */
export interface BatchItemFields {
  readonly kind: GraphEventKind;
  readonly fields: GraphEventFields;
}

/** The items, or why the bytes are no batch. An item that is not known cannot be stepped over: a batch is all or nothing. */
export function readBatch(bytes: Uint8Array, start: number, end: number): BatchItemFields[] | StoreErrorCode {
  const items: BatchItemFields[] = [];
  for (const { kind, from, to } of itemsOf(bytes, start, end)) {
    if (kind === null) return "ERR_EVENTS_SCHEMA";
    if (items.length === BATCH_ITEMS_MAX) return "ERR_GRAPH_BATCH_LIMIT";
    const fields = new GraphEventFields();
    const code = fields.read(kind, bytes, from, to);
    if (code !== null) return code;
    items.push({ kind, fields });
  }
  return items.length === 0 ? "ERR_EVENTS_SCHEMA" : items;
}

/** The event's data, or why the bytes are none. */
export function decodeBatch(
  bytes: Uint8Array,
  decodeItem: (type: string, bytes: Uint8Array) => unknown,
): GraphBatchData | StoreErrorCode {
  const items: GraphBatchItem[] = [];
  for (const { kind, from, to } of itemsOf(bytes, 0, bytes.length)) {
    if (kind === null) return "ERR_EVENTS_SCHEMA";
    if (items.length === BATCH_ITEMS_MAX) return "ERR_GRAPH_BATCH_LIMIT";
    items.push({ type: kind.type, data: decodeItem(kind.type, bytes.subarray(from, to)) as GraphEventData });
  }
  return items.length === 0 ? "ERR_EVENTS_SCHEMA" : { items };
}

interface ItemBytes {
  /** Null: the bytes are no batch that this version knows. */
  readonly kind: GraphEventKind | null;
  readonly from: number;
  readonly to: number;
}

const UNKNOWN: ItemBytes = { kind: null, from: 0, to: 0 };

function* itemsOf(bytes: Uint8Array, start: number, end: number): Generator<ItemBytes, void, undefined> {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag !== ITEMS_TAG) {
      if (tag >= 8 && reader.skip(tag & 7)) continue;
      yield UNKNOWN;
      return;
    }
    const length = reader.length();
    const item = new WireReader();
    item.open(bytes, reader.at, reader.at + Math.max(length, 0));
    const itemTag = length === MALFORMED ? MALFORMED : item.varint();
    const itemLength = itemTag === MALFORMED ? MALFORMED : item.length();
    const kind = itemTag > 0 && (itemTag & 7) === WIRE_BYTES ? KINDS[(itemTag >>> 3) - 1] : undefined;
    // Exactly one change: what stands beside it would be left out silently.
    if (kind === undefined || itemLength === MALFORMED || item.at + itemLength !== item.end) {
      yield UNKNOWN;
      return;
    }
    yield { kind, from: item.at, to: item.end };
    reader.at += length;
  }
}

/**
 * The graph's events in rows.
 *
 * - A row is 8 doubles and 6 Int32s, each kind in one array, and `bytes` has the records themselves, of which a row says where its label and its
 *   properties lie. Arrays of columns were refused: a row is read once, and whole.
 * - Of an event that means nothing to the graph there are the LSN and the time. What a row cannot say is a record (`RECORD`): events about the graph
 *   as a whole, upserts, what is malformed or not canonical, and what has a subject.
 */

import { assert } from "../../assert.js";
import { type RecordCursor, SUBJECT_FORGOTTEN } from "../../events/index.js";
import type { EventRows, RowMemory, RowsFactory, RowsFilling } from "../event-rows.js";
import { GLOBAL_TYPES } from "./global-change.js";
import { GraphEventFields } from "./graph-event-fields.js";
import { FIELD_KEY, GRAPH_EVENT_KINDS, type GraphEventKind, hasField } from "./graph-event-kind.js";

/** So many that a look at the clock costs little, and so few that they stay in the processor's cache until they are applied. */
const ROWS_MAX = 2048;
const BYTES_MAX = 256 * 1024;

// A row's doubles.
export const ROW_LSN = 0;
export const ROW_RECORDED_AT = 1;
export const ROW_ID = 2;
export const ROW_SOURCE = 3;
export const ROW_TARGET = 4;
export const ROW_VALID_FROM = 5;
export const ROW_VALID_TO = 6;
export const ROW_EXPECTED_VERSION = 7;
export const ROW_DOUBLES = 8;
// A row's ints. Of a record the label's are where it lies.
export const ROW_KIND = 0;
export const ROW_FLAGS = 1;
export const ROW_LABEL_START = 2;
export const ROW_LABEL_END = 3;
export const ROW_PROPERTIES_START = 4;
export const ROW_PROPERTIES_END = 5;
export const ROW_INTS = 6;

const BYTE_LENGTH = ROWS_MAX * (ROW_DOUBLES * 8 + ROW_INTS * 4) + BYTES_MAX;

export const FLAG_VALID_FROM = 1;
export const FLAG_VALID_TO = 2;
export const FLAG_DETACH = 4;

/** In the place of a kind. */
const NOTHING = -1;
const RECORD = -2;

const KINDS: readonly GraphEventKind[] = [...GRAPH_EVENT_KINDS.values()];
export const NODE_CREATED: number = KINDS.findIndex(({ type }) => type === "varve.v1.NodeCreated");
export const EDGE_CREATED: number = KINDS.findIndex(({ type }) => type === "varve.v1.EdgeCreated");

/** What events of a type are in a row. */
function codeOf(type: string): number {
  if (GLOBAL_TYPES.has(type) || type === SUBJECT_FORGOTTEN) return RECORD;
  const code = KINDS.findIndex((kind) => kind.type === type);
  if (code < 0) return NOTHING;
  return hasField(KINDS[code] as GraphEventKind, FIELD_KEY) ? RECORD : code;
}

export class GraphRows implements EventRows {
  readonly doubles: Float64Array;
  readonly ints: Int32Array;
  bytes: Buffer;
  length = 0;
  applying = 0;
  #bytesUsed = 0;
  readonly #fields = new GraphEventFields();
  #lastType = "";
  #lastCode: number = NOTHING;

  /** In memory of its own, or of somebody else's. */
  constructor({ buffer, byteOffset }: RowMemory = { buffer: new ArrayBuffer(BYTE_LENGTH), byteOffset: 0 }) {
    this.doubles = new Float64Array(buffer, byteOffset, ROWS_MAX * ROW_DOUBLES);
    this.ints = new Int32Array(buffer, byteOffset + this.doubles.byteLength, ROWS_MAX * ROW_INTS);
    const start = byteOffset + this.doubles.byteLength + this.ints.byteLength;
    this.bytes = Buffer.from(buffer, start, BYTES_MAX);
  }

  /** Null: it means nothing to the graph. */
  kindAt(row: number): GraphEventKind | null {
    return KINDS[this.ints[row * ROW_INTS + ROW_KIND] as number] ?? null;
  }

  lsnAt(row: number): number {
    return this.doubles[row * ROW_DOUBLES + ROW_LSN] as number;
  }

  recordedAtOf(row: number): number {
    return this.doubles[row * ROW_DOUBLES + ROW_RECORDED_AT] as number;
  }

  typeAt(row: number): string {
    return this.kindAt(row)?.type ?? "";
  }

  isRecord(row: number): boolean {
    return this.ints[row * ROW_INTS + ROW_KIND] === RECORD;
  }

  recordAt(row: number): { readonly bytes: Buffer; readonly start: number; readonly end: number } {
    const at = row * ROW_INTS;
    const start = this.ints[at + ROW_LABEL_START] as number;
    return { bytes: this.bytes, start, end: this.ints[at + ROW_LABEL_END] as number };
  }

  resume(length: number): void {
    this.length = length;
    this.applying = 0;
  }

  clear(): void {
    this.length = 0;
    this.applying = 0;
    this.#bytesUsed = 0;
  }

  /** The event of a row, valid until the next one is asked for. */
  fieldsOf(row: number): GraphEventFields {
    const { doubles, ints } = this;
    const double = row * ROW_DOUBLES;
    const int = row * ROW_INTS;
    const flags = ints[int + ROW_FLAGS] as number;
    const fields = this.#fields;
    fields.start(this.bytes);
    fields.malformed = null;
    fields.id = doubles[double + ROW_ID] as number;
    fields.source = doubles[double + ROW_SOURCE] as number;
    fields.target = doubles[double + ROW_TARGET] as number;
    fields.hasValidFrom = (flags & FLAG_VALID_FROM) !== 0;
    fields.hasValidTo = (flags & FLAG_VALID_TO) !== 0;
    fields.given.from = doubles[double + ROW_VALID_FROM] as number;
    fields.given.to = doubles[double + ROW_VALID_TO] as number;
    fields.detach = (flags & FLAG_DETACH) !== 0;
    fields.expectedVersion = doubles[double + ROW_EXPECTED_VERSION] as number;
    fields.labelStart = ints[int + ROW_LABEL_START] as number;
    fields.labelEnd = ints[int + ROW_LABEL_END] as number;
    fields.propertiesStart = ints[int + ROW_PROPERTIES_START] as number;
    fields.propertiesEnd = ints[int + ROW_PROPERTIES_END] as number;
    return fields;
  }

  /** Room for a record that is larger than what there is. */
  enlarge(byteLength: number): void {
    assert(this.length === 0, "rows that are enlarged are empty");
    if (byteLength > this.bytes.length) this.bytes = Buffer.alloc(byteLength);
  }

  fill(records: RecordCursor): RowsFilling {
    const first = records.nextStart;
    const copied = Math.min(records.bytes.length - first, this.bytes.length - this.#bytesUsed);
    records.bytes.copy(this.bytes, this.#bytesUsed, first, first + copied);
    const shift = this.#bytesUsed - first;
    const end = first + copied;
    let filling: RowsFilling = "done";
    for (let next = records.nextEnd; next !== null; next = records.nextEnd) {
      if (next > end || this.length === ROWS_MAX) {
        filling = this.length === 0 ? "too-large" : "full";
        break;
      }
      records.advance();
      this.#add(records, shift);
    }
    this.#bytesUsed = records.nextStart + shift;
    return filling;
  }

  #codeOf(type: string): number {
    if (type === this.#lastType) return this.#lastCode;
    this.#lastType = type;
    this.#lastCode = codeOf(type);
    return this.#lastCode;
  }

  /** `shift`: how far behind its place in the frame a record's place here is. */
  #add(records: RecordCursor, shift: number): void {
    const { doubles, ints } = this;
    const double = this.length * ROW_DOUBLES;
    const int = this.length * ROW_INTS;
    this.length += 1;
    doubles[double + ROW_LSN] = records.lsn;
    doubles[double + ROW_RECORDED_AT] = records.recordedAt;
    const code = records.isSealed ? RECORD : this.#codeOf(records.type);
    ints[int + ROW_KIND] = code;
    if (code === NOTHING) return;
    if (code === RECORD || !this.#addFields(KINDS[code] as GraphEventKind, records, shift)) {
      ints[int + ROW_KIND] = RECORD;
      ints[int + ROW_LABEL_START] = records.start + shift;
      ints[int + ROW_LABEL_END] = records.end + shift;
    }
  }

  #addFields(kind: GraphEventKind, { bytes, payloadStart, payloadEnd }: RecordCursor, shift: number): boolean {
    const fields = this.#fields;
    const { doubles, ints } = this;
    const malformed = fields.read(kind, bytes, payloadStart, payloadEnd);
    if (malformed !== null || fields.properties !== bytes) return false;
    const double = (this.length - 1) * ROW_DOUBLES;
    doubles[double + ROW_ID] = fields.id;
    doubles[double + ROW_SOURCE] = fields.source;
    doubles[double + ROW_TARGET] = fields.target;
    doubles[double + ROW_VALID_FROM] = fields.given.bounds[0] as number;
    doubles[double + ROW_VALID_TO] = fields.given.bounds[1] as number;
    doubles[double + ROW_EXPECTED_VERSION] = fields.expectedVersion;
    const int = (this.length - 1) * ROW_INTS;
    const flags = (fields.hasValidFrom ? FLAG_VALID_FROM : 0) | (fields.hasValidTo ? FLAG_VALID_TO : 0);
    ints[int + ROW_FLAGS] = flags | (fields.detach ? FLAG_DETACH : 0);
    ints[int + ROW_LABEL_START] = fields.labelStart + shift;
    ints[int + ROW_LABEL_END] = fields.labelEnd + shift;
    ints[int + ROW_PROPERTIES_START] = fields.propertiesStart + shift;
    ints[int + ROW_PROPERTIES_END] = fields.propertiesEnd + shift;
    return true;
  }
}

/** Rows for the graph, in this thread or in two. */
export const GRAPH_ROWS: RowsFactory<GraphRows> = {
  byteLength: BYTE_LENGTH,
  thread: new URL("./graph-rows-thread.js", import.meta.url),
  rows: (memory?: RowMemory): GraphRows => new GraphRows(memory),
};

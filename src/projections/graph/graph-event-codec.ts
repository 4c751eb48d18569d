/** The graph's events as objects: what users append and read as `data`. graph.proto is the contract. */

import { StoreError } from "../../errors.js";
import { decodeBatch, type GraphBatchData, writeBatch } from "./batch-events.js";
import { type GraphConstraint, readConstraint, writeConstraint } from "./constraint-events.js";
import {
  ANY_VERSION,
  GraphEventFields,
  RECORDED_BEFORE_TAG,
  readPurge,
  readReservation,
} from "./graph-event-fields.js";
import {
  BATCH_TYPE,
  CONSTRAINT_ADDED_TYPE,
  CONSTRAINT_REMOVED_TYPE,
  type EntityKind,
  FIELD_DETACH,
  FIELD_EXPECTED_VERSION,
  FIELD_ID,
  FIELD_KEY,
  FIELD_LABEL,
  FIELD_PROPERTIES,
  FIELD_SOURCE,
  FIELD_TARGET,
  FIELD_VALID_FROM,
  FIELD_VALID_TO,
  GRAPH_EVENT_KINDS,
  type GraphEventKind,
  hasField,
  IDS_RESERVED_TYPE,
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  VECTORS_DEFINED_TYPE,
  VECTORS_REMOVED_TYPE,
} from "./graph-event-kind.js";
import { checkId, checkKnownKeys, checkLabel, checkPeriod, checkRecord, checkTime } from "./graph-input.js";
import { decodeProperties, type Properties, writeProperties } from "./property.js";
import {
  readSnapshotNamed,
  readSnapshotRemoved,
  type SnapshotNamedData,
  type SnapshotRemovedData,
  writeSnapshotNamed,
  writeSnapshotRemoved,
} from "./snapshot-events.js";
import { decodeText } from "./text.js";
import type { VectorsDefinedData, VectorsReference } from "./vector-definition.js";
import {
  isVectorsType,
  readVectorsDefined,
  readVectorsRemoved,
  writeVectorsDefined,
  writeVectorsRemoved,
} from "./vector-events.js";
import { WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireWriter } from "./wire.js";

/** `data` of every `varve.v1.Node…` and `varve.v1.Edge…` event; each type has those fields of it that graph.proto says. */
export interface GraphEventData {
  readonly id: number;
  readonly label?: string;
  readonly properties?: Properties;
  /** µs; absent: the event's own recordedAt. */
  readonly validFrom?: number;
  /** µs; absent: an open end. */
  readonly validTo?: number;
  readonly source?: number;
  readonly target?: number;
  readonly detach?: boolean;
  /** The LSN of the last event that changed the entity, 0 for one that never was; refused where it is another. Absent: whatever it is. */
  readonly expectedVersion?: number;
  /** Of `varve.v1.NodeUpserted`: the property that the node is found by. */
  readonly key?: string;
}

/** `data` of `varve.v1.GraphIdsReserved`. */
export interface IdsReservedData {
  readonly kind: EntityKind;
  readonly through: number;
}

/** `data` of `varve.v1.GraphPurged`. */
export interface GraphPurgedData {
  /** µs since 1970. */
  readonly recordedBefore: number;
}

/** `data` of any type of graph.proto. */
export type AnyGraphData =
  | GraphEventData
  | IdsReservedData
  | GraphPurgedData
  | SnapshotNamedData
  | SnapshotRemovedData
  | GraphBatchData
  | GraphConstraint
  | VectorsDefinedData
  | VectorsReference;

export interface GraphEventCodec {
  encode(data: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** The codecs of all types of graph.proto, for the event store's registry. */
export const graphEventCodecs: ReadonlyMap<string, GraphEventCodec> = new Map(
  [
    ...GRAPH_EVENT_KINDS.keys(),
    IDS_RESERVED_TYPE,
    PURGED_TYPE,
    SNAPSHOT_NAMED_TYPE,
    SNAPSHOT_REMOVED_TYPE,
    BATCH_TYPE,
    CONSTRAINT_ADDED_TYPE,
    CONSTRAINT_REMOVED_TYPE,
    VECTORS_DEFINED_TYPE,
    VECTORS_REMOVED_TYPE,
  ].map((type) => [
    type,
    {
      encode: (data: unknown) => encodeGraphEvent(type, data),
      decode: (bytes: Uint8Array) => decodeGraphEvent(type, bytes),
    },
  ]),
);

// A property's getter may encode another event meanwhile, so the writer is taken while it is in use.
let idleWriter: WireWriter | null = null;

/**
 * Encodes one graph event.
 *
 * Throws `TypeError` for an unknown type, an unknown key or a value of the wrong type; `StoreError` with
 * ERR_GRAPH_INVALID_PROPERTY or ERR_GRAPH_INVALID_PERIOD for data that the graph does not take.
 */
export function encodeGraphEvent(type: string, data: unknown): Uint8Array {
  const writer = idleWriter ?? new WireWriter();
  idleWriter = null;
  try {
    writer.clear();
    if (type === IDS_RESERVED_TYPE) writeReservation(writer, data);
    else if (type === PURGED_TYPE) writePurge(writer, data);
    else if (type === SNAPSHOT_NAMED_TYPE) writeSnapshotNamed(writer, data);
    else if (type === SNAPSHOT_REMOVED_TYPE) writeSnapshotRemoved(writer, data);
    else if (type === BATCH_TYPE) writeBatch(writer, data, encodeGraphEvent);
    else if (type === CONSTRAINT_ADDED_TYPE || type === CONSTRAINT_REMOVED_TYPE) writeConstraint(writer, data);
    else if (type === VECTORS_DEFINED_TYPE) writeVectorsDefined(writer, data);
    else if (type === VECTORS_REMOVED_TYPE) writeVectorsRemoved(writer, data);
    else writeEvent(writer, kindOf(type), data);
    return writer.finish();
  } finally {
    idleWriter = writer;
  }
}

/** Decodes one graph event; throws ERR_EVENTS_SCHEMA, or the code of what is wrong with its period or properties. */
export function decodeGraphEvent(type: string, bytes: Uint8Array): AnyGraphData {
  if (type === SNAPSHOT_NAMED_TYPE || type === SNAPSHOT_REMOVED_TYPE) {
    const read = type === SNAPSHOT_NAMED_TYPE ? readSnapshotNamed : readSnapshotRemoved;
    const data = read(bytes, 0, bytes.length);
    if (typeof data === "string") throw malformed(data, type);
    return data;
  }
  if (type === BATCH_TYPE || type === CONSTRAINT_ADDED_TYPE || type === CONSTRAINT_REMOVED_TYPE) {
    const data =
      type === BATCH_TYPE
        ? decodeBatch(bytes, (each, item) => decodeGraphEvent(each, item))
        : readConstraint(bytes, 0, bytes.length);
    if (typeof data === "string") throw malformed(data, type);
    return data;
  }
  if (isVectorsType(type)) {
    const read = type === VECTORS_DEFINED_TYPE ? readVectorsDefined : readVectorsRemoved;
    const data = read(bytes, 0, bytes.length);
    if (typeof data === "string") throw malformed(data, type);
    return data;
  }
  if (type === PURGED_TYPE) {
    const recordedBefore = readPurge(bytes, 0, bytes.length);
    if (typeof recordedBefore !== "number") throw malformed(recordedBefore, type);
    return { recordedBefore };
  }
  if (type === IDS_RESERVED_TYPE) {
    const reservation = readReservation(bytes, 0, bytes.length);
    if (reservation === null) throw malformed("ERR_EVENTS_SCHEMA", type);
    return reservation;
  }
  const kind = kindOf(type);
  const fields = new GraphEventFields();
  const code = fields.read(kind, bytes, 0, bytes.length);
  if (code !== null) throw malformed(code, type);
  return {
    id: fields.id,
    ...(hasField(kind, FIELD_LABEL) && { label: decodeText(bytes, fields.labelStart, fields.labelEnd) }),
    ...(hasField(kind, FIELD_PROPERTIES) && {
      properties: decodeProperties(fields.properties, fields.propertiesStart, fields.propertiesEnd),
    }),
    ...(fields.hasValidFrom && { validFrom: fields.given.from }),
    ...(fields.hasValidTo && { validTo: fields.given.to }),
    ...(hasField(kind, FIELD_DETACH) && { detach: fields.detach }),
    ...(hasField(kind, FIELD_SOURCE) && { source: fields.source, target: fields.target }),
    ...(fields.expectedVersion !== ANY_VERSION && { expectedVersion: fields.expectedVersion }),
    ...(hasField(kind, FIELD_KEY) && { key: decodeText(bytes, fields.keyStart, fields.keyEnd) }),
  };
}

function writeEvent(writer: WireWriter, kind: GraphEventKind, data: unknown): void {
  const record = checkRecord(kind.type, data);
  checkKnownKeys(kind.type, record, keysOf(kind));
  writeTag(writer, FIELD_ID, WIRE_VARINT);
  writer.varint(checkId("id", record["id"]));
  if (hasField(kind, FIELD_LABEL)) {
    writeTag(writer, FIELD_LABEL, WIRE_BYTES);
    writer.text(checkLabel(record["label"]));
  }
  if (record["properties"] !== undefined) writeProperties(writer, record["properties"]);
  const { validFrom, validTo } = checkPeriod(record["validFrom"], record["validTo"]);
  writeTime(writer, FIELD_VALID_FROM, validFrom);
  writeTime(writer, FIELD_VALID_TO, validTo);
  const detach = record["detach"] ?? false;
  if (typeof detach !== "boolean") throw new TypeError("detach must be a boolean");
  if (detach) {
    writeTag(writer, FIELD_DETACH, WIRE_VARINT);
    writer.byte(1);
  }
  if (hasField(kind, FIELD_SOURCE)) {
    writeTag(writer, FIELD_SOURCE, WIRE_VARINT);
    writer.varint(checkId("source", record["source"]));
    writeTag(writer, FIELD_TARGET, WIRE_VARINT);
    writer.varint(checkId("target", record["target"]));
  }
  if (record["expectedVersion"] !== undefined) {
    writeTag(writer, FIELD_EXPECTED_VERSION, WIRE_VARINT);
    writer.varint(checkVersion(record["expectedVersion"]));
  }
  if (hasField(kind, FIELD_KEY)) writeKey(writer, record["key"], record["properties"]);
}

/** An LSN, or 0. */
function checkVersion(value: unknown): number {
  return value === 0 ? 0 : checkId("expectedVersion", value);
}

function writeKey(writer: WireWriter, key: unknown, properties: unknown): void {
  if (typeof key !== "string" || key === "") throw new TypeError("key must be a non-empty string");
  const record = checkRecord("properties", properties);
  const value = Object.hasOwn(record, key) ? record[key] : null;
  if (value === null || value === undefined) {
    const message = `the property ${JSON.stringify(key)}, which the node is found by, has no value`;
    throw new StoreError("ERR_GRAPH_INVALID_PROPERTY", message, { key });
  }
  writeTag(writer, FIELD_KEY, WIRE_BYTES);
  writer.text(key);
}

function writeReservation(writer: WireWriter, data: unknown): void {
  const record = checkRecord(IDS_RESERVED_TYPE, data);
  checkKnownKeys(IDS_RESERVED_TYPE, record, ["kind", "through"]);
  const kind = record["kind"];
  if (kind !== "node" && kind !== "edge") throw new TypeError('kind must be "node" or "edge"');
  const through = checkId("through", record["through"]);
  if (kind === "edge") {
    writeTag(writer, 1, WIRE_VARINT);
    writer.byte(1);
  }
  writeTag(writer, 2, WIRE_VARINT);
  writer.varint(through);
}

function writePurge(writer: WireWriter, data: unknown): void {
  const record = checkRecord(PURGED_TYPE, data);
  checkKnownKeys(PURGED_TYPE, record, ["recordedBefore"]);
  const recordedBefore = checkTime("recordedBefore", record["recordedBefore"]);
  writer.byte(RECORDED_BEFORE_TAG);
  writer.fixed64(recordedBefore);
}

function writeTime(writer: WireWriter, field: number, time: number | undefined): void {
  if (time === undefined) return;
  writeTag(writer, field, WIRE_FIXED64);
  writer.fixed64(time);
}

function writeTag(writer: WireWriter, field: number, wireType: number): void {
  writer.byte((field << 3) | wireType);
}

const KEYS_BY_FIELD: ReadonlyMap<number, string> = new Map([
  [FIELD_ID, "id"],
  [FIELD_LABEL, "label"],
  [FIELD_PROPERTIES, "properties"],
  [FIELD_VALID_FROM, "validFrom"],
  [FIELD_VALID_TO, "validTo"],
  [FIELD_DETACH, "detach"],
  [FIELD_SOURCE, "source"],
  [FIELD_TARGET, "target"],
  [FIELD_EXPECTED_VERSION, "expectedVersion"],
  [FIELD_KEY, "key"],
]);

const keysByKind = new Map(
  Array.from(GRAPH_EVENT_KINDS.values(), (kind) => [
    kind,
    Array.from(KEYS_BY_FIELD).flatMap(([field, key]) => (hasField(kind, field) ? [key] : [])),
  ]),
);

function keysOf(kind: GraphEventKind): readonly string[] {
  return keysByKind.get(kind) ?? [];
}

function kindOf(type: string): GraphEventKind {
  const kind = GRAPH_EVENT_KINDS.get(type);
  if (kind === undefined) throw new TypeError(`${type} is no graph event`);
  return kind;
}

function malformed(code: ConstructorParameters<typeof StoreError>[0], type: string): StoreError {
  return new StoreError(code, `the bytes are no ${type}`, { type });
}

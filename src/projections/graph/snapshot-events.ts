/** The events that give a point of the graph a name and take it away, between objects and bytes. graph.proto is the contract. */

import { Buffer } from "node:buffer";
import type { StoreErrorCode } from "../../errors.js";
import { SNAPSHOT_NAMED_TYPE, SNAPSHOT_REMOVED_TYPE } from "./graph-event-kind.js";
import { checkId, checkKnownKeys, checkRecord, checkTime } from "./graph-input.js";
import { isText, isWellFormed } from "./property.js";
import { decodeText } from "./text.js";
import { MALFORMED, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireReader, type WireWriter } from "./wire.js";

/** `data` of `varve.v1.GraphSnapshotNamed`: a point and its name. */
export interface SnapshotNamedData {
  readonly name: string;
  /** µs since 1970. */
  readonly validAt: number;
  /** The point's place on the recorded axis. */
  readonly lsn: number;
}

/** `data` of `varve.v1.GraphSnapshotRemoved`. */
export interface SnapshotRemovedData {
  readonly name: string;
}

const NAME_TAG = (1 << 3) | WIRE_BYTES;
const VALID_AT_TAG = (2 << 3) | WIRE_FIXED64;
const LSN_TAG = (3 << 3) | WIRE_VARINT;

export const SNAPSHOT_NAME_BYTES_MAX = 256;

/** Throws TypeError for what is no name. */
export function checkSnapshotName(name: unknown): string {
  if (typeof name !== "string" || name === "" || !isWellFormed(name)) {
    throw new TypeError("name must be a non-empty string of well-formed text");
  }
  if (Buffer.byteLength(name) > SNAPSHOT_NAME_BYTES_MAX) {
    throw new TypeError(`name must be at most ${SNAPSHOT_NAME_BYTES_MAX} bytes of UTF-8`);
  }
  return name;
}

export function writeSnapshotNamed(writer: WireWriter, data: unknown): void {
  const record = checkRecord(SNAPSHOT_NAMED_TYPE, data);
  checkKnownKeys(SNAPSHOT_NAMED_TYPE, record, ["name", "validAt", "lsn"]);
  writer.byte(NAME_TAG);
  writer.text(checkSnapshotName(record["name"]));
  writer.byte(VALID_AT_TAG);
  writer.fixed64(checkTime("validAt", record["validAt"]));
  const { lsn } = record;
  // Before the first event is a point as well, and 0 is how proto3 leaves a field out.
  if (lsn === 0) return;
  writer.byte(LSN_TAG);
  writer.varint(checkId("lsn", lsn));
}

export function writeSnapshotRemoved(writer: WireWriter, data: unknown): void {
  const record = checkRecord(SNAPSHOT_REMOVED_TYPE, data);
  checkKnownKeys(SNAPSHOT_REMOVED_TYPE, record, ["name"]);
  writer.byte(NAME_TAG);
  writer.text(checkSnapshotName(record["name"]));
}

/** The event's data, or why the bytes are none. Fields that are not known are stepped over. */
export function readSnapshotNamed(bytes: Uint8Array, start: number, end: number): SnapshotNamedData | StoreErrorCode {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  const validAt = new Float64Array([Number.NaN]);
  let name: string | null = null;
  let lsn = 0;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === NAME_TAG) name = nameOf(reader);
    else if (tag === LSN_TAG) lsn = reader.varint();
    else if (tag === VALID_AT_TAG ? !reader.fixed64(validAt, 0) : tag < 8 || !reader.skip(tag & 7)) lsn = MALFORMED;
    if (lsn === MALFORMED || (tag === NAME_TAG && name === null)) return "ERR_EVENTS_SCHEMA";
  }
  const [time = Number.NaN] = validAt;
  if (name === null || Number.isNaN(time)) return "ERR_EVENTS_SCHEMA";
  return Number.isSafeInteger(time) ? { name, validAt: time, lsn } : "ERR_GRAPH_INVALID_PERIOD";
}

/** As `readSnapshotNamed`. */
export function readSnapshotRemoved(
  bytes: Uint8Array,
  start: number,
  end: number,
): SnapshotRemovedData | StoreErrorCode {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let name: string | null = null;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === NAME_TAG) {
      name = nameOf(reader);
      if (name === null) return "ERR_EVENTS_SCHEMA";
    } else if (tag < 8 || !reader.skip(tag & 7)) return "ERR_EVENTS_SCHEMA";
  }
  return name === null ? "ERR_EVENTS_SCHEMA" : { name };
}

function nameOf(reader: WireReader): string | null {
  const length = reader.length();
  if (length === MALFORMED || length === 0 || length > SNAPSHOT_NAME_BYTES_MAX) return null;
  reader.at += length;
  const start = reader.at - length;
  return isText(reader.bytes, start, reader.at) ? decodeText(reader.bytes, start, reader.at) : null;
}

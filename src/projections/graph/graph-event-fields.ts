/**
 * A graph event taken apart in place.
 *
 * One object of this class is filled again and again: replaying millions of events makes no object per event. Labels and
 * properties stay bytes of the event. What `read` accepts is sound: whoever uses the fields need not check them again.
 */

import type { StoreErrorCode } from "../../errors.js";
import { canonicalProperties } from "./canonical-property.js";
import {
  FIELD_DETACH,
  FIELD_EXPECTED_VERSION,
  FIELD_ID,
  FIELD_KEY,
  FIELD_LABEL,
  FIELD_SOURCE,
  FIELD_TARGET,
  FIELD_VALID_FROM,
  FIELD_VALID_TO,
  type GraphEventKind,
  hasField,
} from "./graph-event-kind.js";
import { Period } from "./period.js";
import { isCanonicalProperty, isText, NULL_TAG, PROPERTY_TAG } from "./property.js";
import { PropertyCursor } from "./property-cursor.js";
import { MALFORMED, NO_BYTES, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireReader } from "./wire.js";

const ID_TAG = (FIELD_ID << 3) | WIRE_VARINT;
const LABEL_TAG = (FIELD_LABEL << 3) | WIRE_BYTES;
const VALID_FROM_TAG = (FIELD_VALID_FROM << 3) | WIRE_FIXED64;
const VALID_TO_TAG = (FIELD_VALID_TO << 3) | WIRE_FIXED64;
const DETACH_TAG = (FIELD_DETACH << 3) | WIRE_VARINT;
const SOURCE_TAG = (FIELD_SOURCE << 3) | WIRE_VARINT;
const TARGET_TAG = (FIELD_TARGET << 3) | WIRE_VARINT;
const EXPECTED_VERSION_TAG = (FIELD_EXPECTED_VERSION << 3) | WIRE_VARINT;
const UPSERT_KEY_TAG = (FIELD_KEY << 3) | WIRE_BYTES;
/** The field with the greatest number. */
const LAST_TAG = UPSERT_KEY_TAG;
/** Of `GraphPurged`. */
export const RECORDED_BEFORE_TAG: number = (1 << 3) | WIRE_FIXED64;

/** In the place of an expected version: the event does not say which it expects. */
export const ANY_VERSION = -1;

const keyed = new PropertyCursor();

export class GraphEventFields {
  /** Set by whoever reads ahead: the event these are the fields of, what `read` answered, and slots known already, or 0. */
  lsn = 0;
  malformed: StoreErrorCode | null = null;
  slot = 0;
  sourceSlot = 0;
  targetSlot = 0;
  id = 0;
  source = 0;
  target = 0;
  hasValidFrom = false;
  hasValidTo = false;
  detach = false;
  /** What the entity's version must be, or `ANY_VERSION`. */
  expectedVersion: number = ANY_VERSION;
  /** The valid period with its defaults, once `settlePeriod` was called; an open end is Infinity. */
  readonly period: Period = new Period();
  /** What the event itself says, where `hasValidFrom` and `hasValidTo`. */
  readonly given: Period = new Period();
  /** The label is `bytes[labelStart, labelEnd)`. */
  bytes: Uint8Array = NO_BYTES;
  labelStart = 0;
  labelEnd = 0;
  /** Of an upsert, the property that the node is found by: `bytes[keyStart, keyEnd)`. */
  keyStart = 0;
  keyEnd = 0;
  /** Canonical properties: `properties[propertiesStart, propertiesEnd)`, mostly a part of `bytes`. */
  properties: Uint8Array = this.bytes;
  propertiesStart = 0;
  propertiesEnd = 0;
  readonly #reader = new WireReader();
  // Whether the properties lie side by side in the one form that is stored, so that they can be copied as they are.
  #copyable = true;

  /** Takes the message `bytes[start, end)` apart. Answers why it cannot be an event of this kind, or null. */
  read(kind: GraphEventKind, bytes: Uint8Array, start: number, end: number): StoreErrorCode | null {
    this.start(bytes);
    const reader = this.#reader;
    reader.open(bytes, start, end);
    while (reader.at < end) {
      const at = reader.at;
      // Every tag of the schema is one byte; one that goes on has a field number of the future.
      const tag = bytes[at] as number;
      if (tag > LAST_TAG || (kind.fields & (1 << (tag >>> 3))) === 0) {
        if (!skipField(reader)) return "ERR_EVENTS_SCHEMA";
        continue;
      }
      reader.at = at + 1;
      const wireType = tag & 7;
      if (wireType === WIRE_VARINT) {
        if (!this.#setNumber(tag, reader.varint())) return "ERR_EVENTS_SCHEMA";
      } else if (wireType === WIRE_BYTES) {
        const length = reader.length();
        if (length === MALFORMED) return "ERR_EVENTS_SCHEMA";
        const body = reader.at;
        reader.at = body + length;
        if (tag === PROPERTY_TAG) this.#setProperty(bytes, at, body, body + length);
        else if (tag === UPSERT_KEY_TAG) {
          this.keyStart = body;
          this.keyEnd = body + length;
        } else if (tag !== LABEL_TAG || !this.#setLabel(bytes, body, body + length)) return "ERR_EVENTS_SCHEMA";
      } else if (!this.#setTime(tag, reader)) return "ERR_EVENTS_SCHEMA";
    }
    if (!this.#copyable) {
      const canonical = canonicalProperties(bytes, start, end);
      if (canonical === null) return "ERR_GRAPH_INVALID_PROPERTY";
      this.properties = canonical;
      this.propertiesStart = 0;
      this.propertiesEnd = canonical.length;
    }
    return this.#refusal(kind);
  }

  /** Fills in what the event left out: from its own recordedAt on, without end; a retraction is of the whole axis. */
  settlePeriod(kind: GraphEventKind, recordedAt: number): void {
    if (kind.operation === "retract") {
      this.period.from = Number.NEGATIVE_INFINITY;
      this.period.to = Number.POSITIVE_INFINITY;
    } else {
      this.period.from = this.hasValidFrom ? this.given.from : recordedAt;
      this.period.to = this.hasValidTo ? this.given.to : Number.POSITIVE_INFINITY;
    }
  }

  /** Of an upsert: a cursor on the property that the node is found by, valid until the next call; null where it has no value. */
  keyValue(): PropertyCursor | null {
    keyed.open(this.properties, this.propertiesStart, this.propertiesEnd);
    const isThere = this.keyStart < this.keyEnd && keyed.find(this.bytes, this.keyStart, this.keyEnd);
    return isThere && keyed.bytes[keyed.valueStart] !== NULL_TAG ? keyed : null;
  }

  /** Those of an event that says nothing yet. */
  start(bytes: Uint8Array): void {
    this.lsn = 0;
    this.slot = 0;
    this.sourceSlot = 0;
    this.targetSlot = 0;
    this.id = 0;
    this.source = 0;
    this.target = 0;
    this.hasValidFrom = false;
    this.hasValidTo = false;
    this.detach = false;
    this.expectedVersion = ANY_VERSION;
    this.bytes = bytes;
    this.labelStart = 0;
    this.labelEnd = 0;
    this.keyStart = 0;
    this.keyEnd = 0;
    this.properties = bytes;
    this.propertiesStart = 0;
    this.propertiesEnd = 0;
    this.#copyable = true;
  }

  #setNumber(tag: number, value: number): boolean {
    if (value === MALFORMED) return false;
    if (tag === ID_TAG) this.id = value;
    else if (tag === SOURCE_TAG) this.source = value;
    else if (tag === TARGET_TAG) this.target = value;
    else if (tag === DETACH_TAG) this.detach = value !== 0;
    else if (tag === EXPECTED_VERSION_TAG) this.expectedVersion = value;
    else return false;
    return true;
  }

  #setTime(tag: number, reader: WireReader): boolean {
    if (tag === VALID_FROM_TAG) {
      this.hasValidFrom = true;
      return reader.fixed64(this.given.bounds, 0);
    }
    this.hasValidTo = true;
    return tag === VALID_TO_TAG && reader.fixed64(this.given.bounds, 1);
  }

  #setLabel(bytes: Uint8Array, start: number, end: number): boolean {
    this.labelStart = start;
    this.labelEnd = end;
    return isText(bytes, start, end);
  }

  #setProperty(bytes: Uint8Array, tagAt: number, body: number, end: number): void {
    if (this.propertiesEnd === 0) this.propertiesStart = tagAt;
    else if (this.propertiesEnd !== tagAt) this.#copyable = false;
    this.propertiesEnd = end;
    // A length of several bytes whose last is zero could have been shorter.
    if (body - tagAt > 2 && bytes[body - 1] === 0) this.#copyable = false;
    if (!isCanonicalProperty(bytes, body, end)) this.#copyable = false;
  }

  #refusal(kind: GraphEventKind): StoreErrorCode | null {
    if (this.id < 1) return "ERR_EVENTS_SCHEMA";
    if (hasField(kind, FIELD_LABEL) && this.labelStart === this.labelEnd) return "ERR_EVENTS_SCHEMA";
    if (hasField(kind, FIELD_SOURCE) && (this.source < 1 || this.target < 1)) return "ERR_EVENTS_SCHEMA";
    if (hasField(kind, FIELD_KEY) && this.keyValue() === null) return "ERR_GRAPH_INVALID_PROPERTY";
    if (this.hasValidFrom && !Number.isSafeInteger(this.given.from)) return "ERR_GRAPH_INVALID_PERIOD";
    if (this.hasValidTo && !Number.isSafeInteger(this.given.to)) return "ERR_GRAPH_INVALID_PERIOD";
    if (this.hasValidFrom && this.hasValidTo && this.given.from >= this.given.to) return "ERR_GRAPH_INVALID_PERIOD";
    return null;
  }
}

/** Steps over a field of the future. */
function skipField(reader: WireReader): boolean {
  const tag = reader.varint();
  return tag >= 8 && reader.skip(tag & 7);
}

/** The horizon that a `GraphPurged` sets, µs since 1970, or why the bytes are none. */
export function readPurge(bytes: Uint8Array, start: number, end: number): number | StoreErrorCode {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  const found = new Float64Array([Number.NaN]);
  while (reader.at < end) {
    const tag = reader.varint();
    const isRead = tag === RECORDED_BEFORE_TAG ? reader.fixed64(found, 0) : tag >= 8 && reader.skip(tag & 7);
    if (!isRead) return "ERR_EVENTS_SCHEMA";
  }
  const [recordedBefore = Number.NaN] = found;
  if (Number.isNaN(recordedBefore)) return "ERR_EVENTS_SCHEMA";
  return Number.isSafeInteger(recordedBefore) ? recordedBefore : "ERR_GRAPH_INVALID_PERIOD";
}

/** Takes a `GraphIdsReserved` apart; null when it is none. */
export function readReservation(
  bytes: Uint8Array,
  start: number,
  end: number,
): { kind: "node" | "edge"; through: number } | null {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let kind = 0;
  let through = 0;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === ID_TAG) kind = reader.varint();
    else if (tag === 2 << 3) through = reader.varint();
    else if (tag < 8 || !reader.skip(tag & 7)) return null;
  }
  if ((kind !== 0 && kind !== 1) || through < 1) return null;
  return { kind: kind === 0 ? "node" : "edge", through };
}

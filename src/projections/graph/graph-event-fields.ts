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
  FIELD_ID,
  FIELD_LABEL,
  FIELD_SOURCE,
  FIELD_TARGET,
  FIELD_VALID_FROM,
  FIELD_VALID_TO,
  type GraphEventKind,
  hasField,
} from "./graph-event-kind.js";
import { isCanonicalProperty, isText, PROPERTY_TAG } from "./property.js";
import { Period } from "./timelines.js";
import { MALFORMED, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireReader } from "./wire.js";

const ID_TAG = (FIELD_ID << 3) | WIRE_VARINT;
const LABEL_TAG = (FIELD_LABEL << 3) | WIRE_BYTES;
const VALID_FROM_TAG = (FIELD_VALID_FROM << 3) | WIRE_FIXED64;
const VALID_TO_TAG = (FIELD_VALID_TO << 3) | WIRE_FIXED64;
const DETACH_TAG = (FIELD_DETACH << 3) | WIRE_VARINT;
const SOURCE_TAG = (FIELD_SOURCE << 3) | WIRE_VARINT;
const TARGET_TAG = (FIELD_TARGET << 3) | WIRE_VARINT;

export class GraphEventFields {
  id = 0;
  source = 0;
  target = 0;
  hasValidFrom = false;
  validFrom = 0;
  hasValidTo = false;
  validTo = 0;
  detach = false;
  /** The valid period with its defaults, once `settlePeriod` was called; an open end is Infinity. */
  readonly period: Period = new Period();
  /** The label is `bytes[labelStart, labelEnd)`. */
  bytes: Uint8Array = new Uint8Array(0);
  labelStart = 0;
  labelEnd = 0;
  /** Canonical properties: `properties[propertiesStart, propertiesEnd)`, mostly a part of `bytes`. */
  properties: Uint8Array = this.bytes;
  propertiesStart = 0;
  propertiesEnd = 0;
  readonly #reader = new WireReader();
  // Whether the properties lie side by side in the one form that is stored, so that they can be copied as they are.
  #copyable = true;

  /** Takes the message `bytes[start, end)` apart. Answers why it cannot be an event of this kind, or null. */
  read(kind: GraphEventKind, bytes: Uint8Array, start: number, end: number): StoreErrorCode | null {
    this.#clear(bytes);
    this.#reader.open(bytes, start, end);
    for (let at = start; at < end; ) {
      at = this.#readField(kind, bytes, at);
      if (at === MALFORMED) return "ERR_EVENTS_SCHEMA";
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
      this.period.from = this.hasValidFrom ? this.validFrom : recordedAt;
      this.period.to = this.hasValidTo ? this.validTo : Number.POSITIVE_INFINITY;
    }
  }

  #clear(bytes: Uint8Array): void {
    this.id = 0;
    this.source = 0;
    this.target = 0;
    this.hasValidFrom = false;
    this.hasValidTo = false;
    this.detach = false;
    this.bytes = bytes;
    this.labelStart = 0;
    this.labelEnd = 0;
    this.properties = bytes;
    this.propertiesStart = 0;
    this.propertiesEnd = 0;
    this.#copyable = true;
  }

  /** Reads the field at a place and gives the place after it, or MALFORMED. */
  #readField(kind: GraphEventKind, bytes: Uint8Array, at: number): number {
    // Every tag of the schema is one byte; one that goes on has a field number of the future.
    const tag = bytes[at] as number;
    if (tag > TARGET_TAG || (kind.fields & (1 << (tag >>> 3))) === 0) return this.#skip(at);
    const reader = this.#reader;
    reader.at = at + 1;
    switch (tag) {
      case PROPERTY_TAG:
        return this.#readProperty(reader, at);
      case LABEL_TAG:
        return this.#readLabel(reader);
      case VALID_FROM_TAG:
        this.hasValidFrom = true;
        this.validFrom = reader.fixed64();
        return Number.isNaN(this.validFrom) ? MALFORMED : reader.at;
      case VALID_TO_TAG:
        this.hasValidTo = true;
        this.validTo = reader.fixed64();
        return Number.isNaN(this.validTo) ? MALFORMED : reader.at;
      case ID_TAG:
      case SOURCE_TAG:
      case TARGET_TAG:
      case DETACH_TAG:
        return this.#readNumber(reader, tag);
      default:
        // A known field with another wire type than the schema's.
        return MALFORMED;
    }
  }

  #skip(at: number): number {
    const reader = this.#reader;
    reader.at = at;
    const tag = reader.varint();
    return tag >= 8 && reader.skip(tag & 7) ? reader.at : MALFORMED;
  }

  #readNumber(reader: WireReader, tag: number): number {
    const value = reader.varint();
    if (tag === ID_TAG) this.id = value;
    else if (tag === SOURCE_TAG) this.source = value;
    else if (tag === TARGET_TAG) this.target = value;
    else this.detach = value !== 0;
    return value === MALFORMED ? MALFORMED : reader.at;
  }

  #readLabel(reader: WireReader): number {
    const length = reader.length();
    if (length === MALFORMED) return MALFORMED;
    this.labelStart = reader.at;
    this.labelEnd = reader.at + length;
    return isText(reader.bytes, this.labelStart, this.labelEnd) ? this.labelEnd : MALFORMED;
  }

  #readProperty(reader: WireReader, tagAt: number): number {
    const length = reader.length();
    if (length === MALFORMED) return MALFORMED;
    const body = reader.at;
    const end = body + length;
    if (this.propertiesEnd === 0) this.propertiesStart = tagAt;
    else if (this.propertiesEnd !== tagAt) this.#copyable = false;
    this.propertiesEnd = end;
    // A length of several bytes whose last is zero could have been shorter.
    if (body - tagAt > 2 && reader.bytes[body - 1] === 0) this.#copyable = false;
    if (!isCanonicalProperty(reader.bytes, body, end)) this.#copyable = false;
    return end;
  }

  #refusal(kind: GraphEventKind): StoreErrorCode | null {
    if (this.id < 1) return "ERR_EVENTS_SCHEMA";
    if (hasField(kind, FIELD_LABEL) && this.labelStart === this.labelEnd) return "ERR_EVENTS_SCHEMA";
    if (hasField(kind, FIELD_SOURCE) && (this.source < 1 || this.target < 1)) return "ERR_EVENTS_SCHEMA";
    if (this.hasValidFrom && !Number.isSafeInteger(this.validFrom)) return "ERR_GRAPH_INVALID_PERIOD";
    if (this.hasValidTo && !Number.isSafeInteger(this.validTo)) return "ERR_GRAPH_INVALID_PERIOD";
    if (this.hasValidFrom && this.hasValidTo && this.validFrom >= this.validTo) return "ERR_GRAPH_INVALID_PERIOD";
    return null;
  }
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

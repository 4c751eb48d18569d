/** The events that add a constraint to the graph and remove it, between objects and bytes. graph.proto is the contract. */

import { Buffer } from "node:buffer";
import type { StoreErrorCode } from "../../errors.js";
import { checkChoice, checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import { isText, isWellFormed } from "./property.js";
import { decodeText } from "./text.js";
import { MALFORMED, WIRE_BYTES, WIRE_VARINT, WireReader, type WireWriter } from "./wire.js";

/**
 * What must hold of the nodes with a label, at every valid time:
 *
 * - `"required"`: the property is there, and not null;
 * - `"unique"`: no two nodes have the same value of it. Null and no value at all are no values.
 */
export interface GraphConstraint {
  readonly kind: "unique" | "required";
  readonly label: string;
  readonly property: string;
}

const KINDS = ["unique", "required"] as const;
const KIND_TAG = (1 << 3) | WIRE_VARINT;
const LABEL_TAG = (2 << 3) | WIRE_BYTES;
const PROPERTY_NAME_TAG = (3 << 3) | WIRE_BYTES;

/** Of a constraint's label, and of its property's name. */
export const CONSTRAINT_NAME_BYTES_MAX = 1024;

/** Throws TypeError for what is none. */
export function checkConstraint(value: unknown): GraphConstraint {
  const record = checkRecord("the constraint", value);
  checkKnownKeys("the constraint", record, ["kind", "label", "property"]);
  const kind = checkChoice("kind", record["kind"], KINDS);
  const label = checkLabel(record["label"]);
  const { property } = record;
  if (typeof property !== "string" || property === "" || !isWellFormed(property)) {
    throw new TypeError("property must be a non-empty string of well-formed text");
  }
  for (const [name, text] of [
    ["label", label],
    ["property", property],
  ] as const) {
    if (Buffer.byteLength(text) > CONSTRAINT_NAME_BYTES_MAX)
      throw new TypeError(`${name} must be at most ${CONSTRAINT_NAME_BYTES_MAX} bytes of UTF-8`);
  }
  return { kind, label, property };
}

export function writeConstraint(writer: WireWriter, data: unknown): void {
  const { kind, label, property } = checkConstraint(data);
  if (kind === "required") {
    writer.byte(KIND_TAG);
    writer.byte(KINDS.indexOf(kind));
  }
  writer.byte(LABEL_TAG);
  writer.text(label);
  writer.byte(PROPERTY_NAME_TAG);
  writer.text(property);
}

/** The event's data, or why the bytes are none. Fields that are not known are stepped over. */
export function readConstraint(bytes: Uint8Array, start: number, end: number): GraphConstraint | StoreErrorCode {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let number = 0;
  let label: string | null = null;
  let property: string | null = null;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === KIND_TAG) number = reader.varint();
    else if (tag === LABEL_TAG || tag === PROPERTY_NAME_TAG) {
      const text = textOf(reader);
      if (text === null) return "ERR_EVENTS_SCHEMA";
      if (tag === LABEL_TAG) label = text;
      else property = text;
    } else if (tag < 8 || !reader.skip(tag & 7)) return "ERR_EVENTS_SCHEMA";
  }
  const kind = KINDS[number];
  return kind === undefined || label === null || property === null ? "ERR_EVENTS_SCHEMA" : { kind, label, property };
}

function textOf(reader: WireReader): string | null {
  const length = reader.length();
  if (length === MALFORMED || length === 0 || length > CONSTRAINT_NAME_BYTES_MAX) return null;
  const start = reader.at;
  reader.at += length;
  return isText(reader.bytes, start, reader.at) ? decodeText(reader.bytes, start, reader.at) : null;
}

/** Rewrites properties of another encoder's making into the one form of property.ts. Not on the hot path. */

import {
  BLOB_TAG,
  FLAG_TAG,
  INTEGER_TAG,
  isText,
  KEY_TAG,
  NULL_TAG,
  NUMBER_TAG,
  PROPERTY_TAG,
  type PropertyValue,
  TEXT_TAG,
  VALUE_TAG,
  VECTOR_TAG,
  writeProperty,
} from "./property.js";
import { decodeText } from "./text.js";
import { isVector, readVector } from "./vector-bytes.js";
import { copyOf, MALFORMED, WireReader, WireWriter } from "./wire.js";

/** The event's properties as canonical bytes, or null when they are malformed. The event's own fields parse already. */
export function canonicalProperties(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
  const writer = new WireWriter();
  const reader = new WireReader();
  reader.open(bytes, start, end);
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag !== PROPERTY_TAG) {
      if (!reader.skip(tag & 7)) return null;
      continue;
    }
    const length = reader.length();
    if (length === MALFORMED || !rewriteProperty(writer, bytes, reader.at, reader.at + length)) return null;
    reader.at += length;
  }
  return writer.finish();
}

function rewriteProperty(writer: WireWriter, bytes: Uint8Array, start: number, end: number): boolean {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let key = "";
  let value: PropertyValue = null;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === KEY_TAG) {
      const text = readText(reader);
      if (text === null) return false;
      key = text;
    } else if (tag === VALUE_TAG) {
      const length = reader.length();
      if (length === MALFORMED) return false;
      const decoded = readAnyValue(bytes, reader.at, reader.at + length);
      if (decoded === undefined) return false;
      value = decoded;
      reader.at += length;
    } else if (tag === MALFORMED || !reader.skip(tag & 7)) return false;
  }
  writeProperty(writer, key, value);
  return true;
}

/** The last field of the oneof wins, as protobuf has it; none at all is null; undefined means malformed. */
function readAnyValue(bytes: Uint8Array, start: number, end: number): PropertyValue | undefined {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let value: PropertyValue | undefined = null;
  while (reader.at < end && value !== undefined) {
    const tag = reader.varint();
    if (tag === NULL_TAG) value = reader.varint() === MALFORMED ? undefined : null;
    else if (tag === FLAG_TAG) value = flagOf(reader.varint());
    else if (tag === INTEGER_TAG) value = reader.signed() ?? undefined;
    else if (tag === NUMBER_TAG) value = reader.double() ?? undefined;
    else if (tag === TEXT_TAG) value = readText(reader) ?? undefined;
    else if (tag === BLOB_TAG) value = readBlob(reader);
    else if (tag === VECTOR_TAG) value = readFloats(reader);
    else if (tag === MALFORMED || !reader.skip(tag & 7)) value = undefined;
  }
  return value;
}

function flagOf(value: number): boolean | undefined {
  return value === MALFORMED ? undefined : value !== 0;
}

function readText(reader: WireReader): string | null {
  const length = reader.length();
  if (length === MALFORMED || !isText(reader.bytes, reader.at, reader.at + length)) return null;
  reader.at += length;
  return decodeText(reader.bytes, reader.at - length, reader.at);
}

function readBlob(reader: WireReader): Uint8Array | undefined {
  const length = reader.length();
  if (length === MALFORMED) return undefined;
  reader.at += length;
  return copyOf(reader.bytes, reader.at - length, reader.at);
}

function readFloats(reader: WireReader): Float32Array | undefined {
  const length = reader.length();
  if (length === MALFORMED || !isVector(reader.bytes, reader.at, reader.at + length)) return undefined;
  reader.at += length;
  return readVector(reader.bytes, reader.at - length, reader.at);
}

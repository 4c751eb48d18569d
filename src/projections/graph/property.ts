/**
 * Properties between JavaScript and bytes.
 *
 * A property is stored as the graph.proto field `repeated Property properties = 3`, tag and length included, in exactly one
 * way, so that equal properties are equal bytes:
 *
 *     1a <length> 0a <length> key 12 <length> value
 *     value:  08 01 null · 12 <length> text · 19 <8 bytes> number · 20 <zigzag> integer · 28 00|01 flag · 32 <length> blob
 *             3a <length> vector: one or more finite binary32 of 4 bytes, little-endian
 *
 * with the shortest lengths, and every number that is a safe integer (−0 is none) as `integer`. `isCanonicalProperty` finds
 * what some other encoder wrote differently; canonical-property.ts rewrites that.
 */

import { isUtf8 } from "node:buffer";
import { StoreError } from "../../errors.js";
import { keyName } from "./key-names.js";
import { PropertyCursor } from "./property-cursor.js";
import { decodeText } from "./text.js";
import { isVector, readVector, vectorBytes, vectorFault } from "./vector-bytes.js";
import {
  copyOf,
  doubleAt,
  MALFORMED,
  WireReader as Reader,
  varintBytes,
  type WireReader,
  type WireWriter,
} from "./wire.js";

/** What a property can hold. A `Uint8Array` and a `Float32Array`, which is a vector of finite numbers, are copied in and out. */
export type PropertyValue = null | string | number | boolean | Uint8Array | Float32Array;

/** Properties by key, which inherit nothing, so that a key `__proto__` is a key. */
export type Properties = Record<string, PropertyValue>;

export const PROPERTY_TAG = 0x1a;
export const KEY_TAG = 0x0a;
export const VALUE_TAG = 0x12;
export const NULL_TAG = 0x08;
export const TEXT_TAG = 0x12;
export const NUMBER_TAG = 0x19;
export const INTEGER_TAG = 0x20;
export const FLAG_TAG = 0x28;
export const BLOB_TAG = 0x32;
export const VECTOR_TAG = 0x3a;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Text without lone surrogates: the others cannot be written as UTF-8 and read back. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** Writes `{ key: value, … }`; throws ERR_GRAPH_INVALID_PROPERTY for what cannot be stored. */
export function writeProperties(writer: WireWriter, properties: unknown): void {
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
    throw new TypeError("properties must be an object of keys and values");
  }
  for (const key of Object.keys(properties)) {
    const value: unknown = (properties as Readonly<Record<string, unknown>>)[key];
    if (!isWellFormed(key)) throw invalid(key, "its key holds a lone surrogate");
    writeProperty(writer, key, value);
  }
}

export function writeProperty(writer: WireWriter, key: string, value: unknown): void {
  writer.byte(PROPERTY_TAG);
  const property = writer.beginMessage();
  writer.byte(KEY_TAG);
  writer.text(key);
  writer.byte(VALUE_TAG);
  const message = writer.beginMessage();
  writeValue(writer, key, value);
  writer.endMessage(message);
  writer.endMessage(property);
}

function writeValue(writer: WireWriter, key: string, value: unknown): void {
  if (value === null) {
    writer.byte(NULL_TAG);
    writer.byte(1);
  } else if (typeof value === "string") {
    if (!isWellFormed(value)) throw invalid(key, "its text holds a lone surrogate");
    writer.byte(TEXT_TAG);
    writer.text(value);
  } else if (isIntegerProperty(value)) {
    writer.byte(INTEGER_TAG);
    writer.signed(value);
  } else if (typeof value === "number") {
    writer.byte(NUMBER_TAG);
    writer.double(value);
  } else if (typeof value === "boolean") {
    writer.byte(FLAG_TAG);
    writer.byte(value ? 1 : 0);
  } else if (value instanceof Uint8Array) {
    writer.byte(BLOB_TAG);
    writer.blob(value);
  } else if (value instanceof Float32Array) {
    const fault = vectorFault(value);
    if (fault !== null) throw invalid(key, fault);
    writer.byte(VECTOR_TAG);
    writer.blob(vectorBytes(value));
  } else {
    throw invalid(key, "a property is null, a string, a number, a boolean, a Uint8Array or a Float32Array");
  }
}

function isIntegerProperty(value: unknown): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

function invalid(key: string, why: string): StoreError {
  return new StoreError("ERR_GRAPH_INVALID_PROPERTY", `property ${JSON.stringify(key)} cannot be stored: ${why}`, {
    key,
  });
}

/** True when `bytes[start, end)`, what follows a property's tag and length, is a property written the one way above. */
export function isCanonicalProperty(bytes: Uint8Array, start: number, end: number): boolean {
  if (start >= end || bytes[start] !== KEY_TAG) return false;
  const key = lengthAt(bytes, start + 1, end);
  if (key === MALFORMED) return false;
  const keyStart = start + 1 + varintBytes(key);
  const valueTag = keyStart + key;
  if (valueTag >= end || bytes[valueTag] !== VALUE_TAG || !isText(bytes, keyStart, valueTag)) return false;
  const value = lengthAt(bytes, valueTag + 1, end);
  const valueStart = valueTag + 1 + varintBytes(value);
  return value > 0 && valueStart + value === end && isCanonicalValue(bytes, valueStart, end);
}

function isCanonicalValue(bytes: Uint8Array, start: number, end: number): boolean {
  const body = start + 1;
  switch (bytes[start]) {
    case NULL_TAG:
      return end - body === 1 && bytes[body] === 1;
    case FLAG_TAG:
      return end - body === 1 && (bytes[body] as number) <= 1;
    case NUMBER_TAG:
      return end - body === 8 && isCanonicalNumber(doubleAt(bytes, body));
    case INTEGER_TAG:
      return isCanonicalInteger(bytes, body, end);
    case TEXT_TAG: {
      const length = lengthAt(bytes, body, end);
      const text = body + varintBytes(length);
      return length !== MALFORMED && text + length === end && isText(bytes, text, end);
    }
    case BLOB_TAG: {
      const length = lengthAt(bytes, body, end);
      return length !== MALFORMED && body + varintBytes(length) + length === end;
    }
    case VECTOR_TAG: {
      const length = lengthAt(bytes, body, end);
      const vector = body + varintBytes(length);
      return length !== MALFORMED && vector + length === end && isVector(bytes, vector, end);
    }
    default:
      return false;
  }
}

// NaN has many bit patterns; rewriting it always is simpler than comparing, and it is rare.
function isCanonicalNumber(value: number): boolean {
  return !Number.isNaN(value) && !isIntegerProperty(value);
}

const integers = new Reader();

function isCanonicalInteger(bytes: Uint8Array, start: number, end: number): boolean {
  const shortest = end - start === 1 || bytes[end - 1] !== 0;
  integers.open(bytes, start, end);
  return shortest && integers.signed() !== null && integers.at === end;
}

/** A shortest length whose bytes are all there, or MALFORMED. */
function lengthAt(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return MALFORMED;
  const first = bytes[at] as number;
  if (first < 0x80) return at + 1 + first <= end ? first : MALFORMED;
  integers.open(bytes, at, end);
  const length = integers.length();
  return length !== MALFORMED && integers.at - at === varintBytes(length) ? length : MALFORMED;
}

/** True for UTF-8. Plain ASCII, nearly all there is, costs a look at each byte and no call. */
export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    if ((bytes[at] as number) >= 0x80) return isUtf8(bytes.subarray(at, end));
  }
  return true;
}

const cursor = new PropertyCursor();
const values = new Reader();

/**
 * What properties are made of: an object that inherits nothing. Not `Object.create(null)`, which the engine keeps as a hash table from the
 * start (measured: 250 ns more for two properties); an object with an empty prototype is as plain, and gets a shape.
 */
class Bag {}
Object.setPrototypeOf(Bag.prototype, null);
Reflect.deleteProperty(Bag.prototype, "constructor");

/** Decodes canonical properties. A key that stands twice has its last value. */
export function decodeProperties(bytes: Uint8Array, start: number, end: number): Properties {
  const properties = new Bag() as Properties;
  if (start === end) return properties;
  cursor.open(bytes, start, end);
  while (cursor.advance()) {
    values.open(bytes, cursor.valueStart, cursor.next);
    properties[keyName(bytes, cursor.keyStart, cursor.keyEnd)] = readValue(values);
  }
  return properties;
}

function readValue(reader: WireReader): PropertyValue {
  const tag = reader.bytes[reader.at++];
  switch (tag) {
    case TEXT_TAG:
      return textOf(reader);
    case INTEGER_TAG:
      return reader.signed();
    case NUMBER_TAG:
      return reader.double();
    case FLAG_TAG:
      return reader.varint() === 1;
    case BLOB_TAG: {
      const length = reader.length();
      reader.at += length;
      return copyOf(reader.bytes, reader.at - length, reader.at);
    }
    case VECTOR_TAG: {
      const length = reader.length();
      reader.at += length;
      return readVector(reader.bytes, reader.at - length, reader.at);
    }
    default:
      reader.varint();
      return null;
  }
}

function textOf(reader: WireReader): string {
  const length = reader.length();
  reader.at += length;
  return decodeText(reader.bytes, reader.at - length, reader.at);
}

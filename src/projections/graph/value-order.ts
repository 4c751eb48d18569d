/**
 * The order of property values:
 *
 *     null < false < true < numbers by value (−0 is 0) < NaN < text by code point < bytes
 *
 * Integers and doubles are one kind, and a time is a number of µs. Text goes by its UTF-8 bytes, without any language's collation: that is the same
 * on every machine and for ever. Nothing is decoded to compare, and the first six bytes of a text are compared as one number.
 */

import { BLOB_TAG, FLAG_TAG, INTEGER_TAG, NUMBER_TAG, type PropertyValue, TEXT_TAG } from "./property.js";
import { NO_BYTES, WireReader } from "./wire.js";

/** The kinds of values, in their order. */
export const VALUE_KINDS = ["null", "boolean", "number", "NaN", "text", "bytes"] as const;
export const NUMBER_KIND = 2;
export const TEXT_KIND = 4;
const [NULL_KIND, FLAG_KIND, NAN_KIND, BLOB_KIND] = [0, 1, 3, 5];
/** So many bytes are a safe integer. */
export const HEAD_BYTES = 6;

const reader = new WireReader();

export class OrderedValue {
  /** An index of `VALUE_KINDS`. */
  kind: number = NULL_KIND;
  /** What is compared first: the number itself; of text and bytes, the first six as one number, as if zeros followed. */
  key = 0;
  /** Of text and bytes, `bytes[start, end)`; of all others nothing. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;

  /** Takes the canonical value `bytes[start, end)` (property.ts), without a copy of it. */
  read(bytes: Uint8Array, start: number, end: number): this {
    const tag = bytes[start];
    reader.open(bytes, start + 1, end);
    if (tag === TEXT_TAG || tag === BLOB_TAG) {
      reader.length();
      return this.#run(tag === TEXT_TAG ? TEXT_KIND : BLOB_KIND, bytes, reader.at, end);
    }
    // `as`: canonical values parse.
    if (tag === INTEGER_TAG) return this.#plain(NUMBER_KIND, reader.signed() as number);
    if (tag === NUMBER_TAG) return this.#number(reader.double() as number);
    return tag === FLAG_TAG ? this.#plain(FLAG_KIND, bytes[start + 1] as number) : this.#plain(NULL_KIND, 0);
  }

  /** Takes a value as a caller has it. */
  take(value: PropertyValue): this {
    if (typeof value === "number") return this.#number(value);
    if (typeof value === "string") {
      const bytes = Buffer.from(value);
      return this.#run(TEXT_KIND, bytes, 0, bytes.length);
    }
    if (value instanceof Uint8Array) return this.#run(BLOB_KIND, value.slice(), 0, value.length);
    return value === null ? this.#plain(NULL_KIND, 0) : this.#plain(FLAG_KIND, Number(value));
  }

  /** Below 0 when this comes before the other, above 0 when behind, 0 when they are one in this order. */
  compare(other: OrderedValue): number {
    if (this.kind !== other.kind) return this.kind - other.kind;
    if (this.key !== other.key) return this.key < other.key ? -1 : 1;
    return compareRuns(this.bytes, this.start, this.end, other.bytes, other.start, other.end);
  }

  #number(value: number): this {
    // 0 + −0 is 0.
    return Number.isNaN(value) ? this.#plain(NAN_KIND, 0) : this.#plain(NUMBER_KIND, 0 + value);
  }

  #plain(kind: number, key: number): this {
    this.kind = kind;
    this.key = key;
    this.bytes = NO_BYTES;
    this.start = 0;
    this.end = 0;
    return this;
  }

  #run(kind: number, bytes: Uint8Array, start: number, end: number): this {
    let key = 0;
    for (let at = start; at < start + HEAD_BYTES; at += 1) key = key * 0x100 + (at < end ? (bytes[at] as number) : 0);
    this.kind = kind;
    this.key = key;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    return this;
  }
}

/** Two runs of bytes; what the other begins with comes first. */
export function compareRuns(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const length = Math.min(aEnd - aStart, bEnd - bStart);
  for (let at = 0; at < length; at += 1) {
    const difference = (a[aStart + at] as number) - (b[bStart + at] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

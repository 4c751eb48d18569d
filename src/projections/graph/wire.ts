/**
 * The protobuf wire format, as much of it as the graph's events need: a cursor that reads and one that writes.
 *
 * - Reading never leaves `[at, end)` and always moves forward, so hostile bytes end in `MALFORMED`, not in a loop.
 * - Numbers are JavaScript's: a varint above 2^53 − 1 is `MALFORMED`, for nothing in the schema may be larger.
 */

/** What a reading method answers when the bytes are no such thing. No value of the schema is negative on the wire. */
export const MALFORMED = -1;

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

const TWO_32 = 2 ** 32;
const VARINT_BYTES_MAX = 10;

const doubleOf = new Float64Array(1);
const bytesOfDouble = new Uint8Array(doubleOf.buffer);

/** What readers stand on before they are opened; one for all, for an array costs more than the reader. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

export class WireReader {
  bytes: Uint8Array = NO_BYTES;
  at = 0;
  end = 0;

  open(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** An unsigned integer of at most 2^53 − 1. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28 && this.at < this.end; shift += 7) {
      const byte = this.bytes[this.at++] as number;
      if (byte < 0x80) return value | (byte << shift);
      value |= (byte & 0x7f) << shift;
    }
    return this.#longVarint(value);
  }

  /** A zigzag integer within ±(2^53 − 1), or null. */
  signed(): number | null {
    if (this.at >= this.end) return null;
    // The lowest bit is the sign. It is taken off before the rest is summed, because the whole may need 54 bits.
    const first = this.bytes[this.at++] as number;
    let magnitude = (first & 0x7f) >>> 1;
    let more = first >= 0x80;
    for (let scale = 64; more; scale *= 128) {
      if (this.at >= this.end || scale > Number.MAX_SAFE_INTEGER) return null;
      const byte = this.bytes[this.at++] as number;
      magnitude += (byte & 0x7f) * scale;
      more = byte >= 0x80;
    }
    const value = (first & 1) === 0 ? magnitude : -magnitude - 1;
    return Number.isSafeInteger(value) ? value : null;
  }

  /** Puts a signed 64-bit integer into `target`; outside the safe range it is not exact, as `Number.isSafeInteger` tells. */
  fixed64(target: Float64Array, index: number): boolean {
    const { bytes, at } = this;
    if (at + 8 > this.end) return false;
    this.at = at + 8;
    target[index] = int32At(bytes, at + 4) * TWO_32 + (int32At(bytes, at) >>> 0);
    return true;
  }

  double(): number | null {
    if (this.at + 8 > this.end) return null;
    const value = doubleAt(this.bytes, this.at);
    this.at += 8;
    return value;
  }

  /** The length of what follows, when all of it is there. */
  length(): number {
    const first = this.at < this.end ? (this.bytes[this.at] as number) : 0x80;
    if (first < 0x80 && first < this.end - this.at) {
      this.at += 1;
      return first;
    }
    const length = this.varint();
    return length > this.end - this.at ? MALFORMED : length;
  }

  /** Steps over a field this version does not know. Groups are refused: proto3 has none. */
  skip(wireType: number): boolean {
    let size = MALFORMED;
    if (wireType === WIRE_VARINT) return this.#skipVarint();
    if (wireType === WIRE_FIXED64) size = 8;
    else if (wireType === WIRE_FIXED32) size = 4;
    else if (wireType === WIRE_BYTES) size = this.length();
    if (size === MALFORMED || size > this.end - this.at) return false;
    this.at += size;
    return true;
  }

  // The bits from the 28th on: too many for integer arithmetic.
  #longVarint(low: number): number {
    let value = low;
    let scale = 2 ** 28;
    for (let count = 4; count < VARINT_BYTES_MAX && this.at < this.end; count += 1) {
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : MALFORMED;
      scale *= 128;
    }
    return MALFORMED;
  }

  #skipVarint(): boolean {
    for (let count = 0; count < VARINT_BYTES_MAX && this.at < this.end; count += 1) {
      if ((this.bytes[this.at++] as number) < 0x80) return true;
    }
    return false;
  }
}

export class WireWriter {
  #bytes: Uint8Array = new Uint8Array(256);
  #view: Buffer = Buffer.from(this.#bytes.buffer);
  #at = 0;

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#at;
  }

  clear(): void {
    this.#at = 0;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  /** An unsigned safe integer. */
  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** A safe integer, zigzag. */
  signed(value: number): void {
    const magnitude = value < 0 ? -value - 1 : value;
    const rest = Math.floor(magnitude / 64);
    this.byte(((magnitude % 64) << 1) | (value < 0 ? 1 : 0) | (rest > 0 ? 0x80 : 0));
    if (rest > 0) this.varint(rest);
  }

  /** A safe integer, eight bytes, little-endian. */
  fixed64(value: number): void {
    this.#reserve(8);
    this.#at = this.#view.writeInt32LE(Math.floor(value / TWO_32), this.#view.writeUInt32LE(value >>> 0, this.#at));
  }

  double(value: number): void {
    doubleOf[0] = value;
    this.raw(bytesOfDouble, 0, 8);
  }

  /** Well-formed text with its length before it. */
  text(value: string): void {
    const lengthAt = this.beginMessage();
    this.#reserve(value.length * 3);
    let at = this.#at;
    for (let index = 0; index < value.length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit >= 0x80) {
        at = this.#at + this.#view.write(value, this.#at, "utf8");
        break;
      }
      this.#bytes[at++] = unit;
    }
    this.#at = at;
    this.endMessage(lengthAt);
  }

  blob(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value, 0, value.length);
  }

  raw(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    // Short runs are the rule, and a call to `set` with a subarray costs more than copying them.
    if (end - start > 32) this.#bytes.set(source.subarray(start, end), this.#at);
    else
      for (let index = start; index < end; index += 1) this.#bytes[this.#at + index - start] = source[index] as number;
    this.#at += end - start;
  }

  /** Opens something whose length comes before it; give the answer to `endMessage`. */
  beginMessage(): number {
    this.byte(0);
    return this.#at;
  }

  endMessage(start: number): void {
    const length = this.#at - start;
    const extra = varintBytes(length) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#bytes.copyWithin(start + extra, start, start + length);
    }
    // Not by `varint`: from here it might make room, and keep only what lies before the message.
    let at = start - 1;
    let rest = length;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[at++] = (rest % 128) | 0x80;
    this.#bytes[at] = rest;
    this.#at += extra;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return copyOf(this.#bytes, 0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + count));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = Buffer.from(larger.buffer);
  }
}

/** How many bytes a varint of this value takes when it is as short as it can be. */
export function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) count += 1;
  return count;
}

/** A copy that shares nothing; `slice` of a Buffer would. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  // As in `raw`.
  if (end - start > 64) copy.set(bytes.subarray(start, end));
  else for (let index = start; index < end; index += 1) copy[index - start] = bytes[index] as number;
  return copy;
}

export function doubleAt(bytes: Uint8Array, at: number): number {
  for (let index = 0; index < 8; index += 1) bytesOfDouble[index] = bytes[at + index] as number;
  return doubleOf[0] as number;
}

function int32At(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

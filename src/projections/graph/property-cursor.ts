/** Steps through canonical properties (property.ts) without decoding them. */

import { NO_BYTES, WireReader } from "./wire.js";

const long = new WireReader();

export class PropertyCursor {
  bytes: Uint8Array = NO_BYTES;
  /** Where the property in hand begins, its tag included; it ends at `next`. */
  start = 0;
  next = 0;
  keyStart = 0;
  keyEnd = 0;
  /** The value ends at `next`. */
  valueStart = 0;
  #end = 0;

  open(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.next = start;
    this.#end = end;
  }

  /** Takes the next property in hand; false when there is none. */
  advance(): boolean {
    if (this.next >= this.#end) return false;
    this.start = this.next;
    const body = this.#skipLength(this.start + 1);
    this.next = body + this.#lengthAt(this.start + 1);
    this.keyStart = this.#skipLength(body + 1);
    this.keyEnd = this.keyStart + this.#lengthAt(body + 1);
    this.valueStart = this.#skipLength(this.keyEnd + 1);
    return true;
  }

  /** Takes the last property of this key in hand; false when there is none. */
  find(key: Uint8Array, keyStart: number, keyEnd: number): boolean {
    let found = -1;
    while (this.advance()) {
      if (this.keyEnd - this.keyStart !== keyEnd - keyStart) continue;
      if (sameBytesAt(this.bytes, this.keyStart, key, keyStart, keyEnd - keyStart)) found = this.start;
    }
    if (found < 0) return false;
    this.next = found;
    return this.advance();
  }

  #lengthAt(at: number): number {
    const first = this.bytes[at] as number;
    return first < 0x80 ? first : this.#longLength(at);
  }

  #skipLength(at: number): number {
    if ((this.bytes[at] as number) < 0x80) return at + 1;
    this.#longLength(at);
    return long.at;
  }

  #longLength(at: number): number {
    long.open(this.bytes, at, this.#end);
    return long.varint();
  }
}

/** True when `length` bytes are equal from these two places on. */
export function sameBytesAt(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let index = 0; index < length; index += 1) {
    if (a[aStart + index] !== b[bStart + index]) return false;
  }
  return true;
}

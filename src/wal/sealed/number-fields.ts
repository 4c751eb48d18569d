/** Numbers of 64 bits in little-endian fields, and varints, all as safe integers. */

const TWO_TO_32 = 0x1_0000_0000;

export function writeU64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value % TWO_TO_32, at);
  target.writeUInt32LE(Math.floor(value / TWO_TO_32), at + 4);
}

/** NaN for what a safe integer cannot hold, which then equals nothing. */
export function readU64(source: Buffer, at: number): number {
  const value = source.readUInt32LE(at + 4) * TWO_TO_32 + source.readUInt32LE(at);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

export function writeI64(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_TO_32);
  target.writeInt32LE(high, at + 4);
  target.writeUInt32LE(value - high * TWO_TO_32, at);
}

export function readI64(source: Buffer, at: number): number {
  const value = source.readInt32LE(at + 4) * TWO_TO_32 + source.readUInt32LE(at);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Writes a varint and returns the offset behind it. `value` is a safe integer ≥ 0. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  for (; rest >= TWO_TO_32; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) | 0x80;
  for (rest >>>= 0; rest > 127; rest >>>= 7) target[at++] = (rest & 127) | 0x80;
  target[at++] = rest;
  return at;
}

export function varintBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  if (value < 2_097_152) return 3;
  let count = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) count++;
  return count;
}

/** Reads varints one after the other; `at` is where the next one begins. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.at = at;
  }

  /** NaN where the bytes end, or where a safe integer does. */
  next(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49 && this.at < this.#end; scale *= 128) {
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return Number.isSafeInteger(value) ? value : Number.NaN;
    }
    return Number.NaN;
  }
}

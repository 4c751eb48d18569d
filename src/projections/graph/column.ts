/** A growing column of Int32s. It grows as `Records` do: by doubling up to one chunk, then by chunks that never move. */

import { largeMemory } from "../../events/index.js";

// 4 MiB, which huge pages can stand behind.
const CHUNK_SHIFT = 20;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK_ROWS - 1;
const FIRST_ROWS = 16;

export class Int32Column {
  readonly #chunks: Int32Array[] = [new Int32Array(FIRST_ROWS)];
  #capacity = FIRST_ROWS;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The row must be below `length`. */
  get(row: number): number {
    // `as`: within `length` by the caller's duty, so never undefined.
    return (this.#chunks[row >>> CHUNK_SHIFT] as Int32Array)[row & CHUNK_MASK] as number;
  }

  set(row: number, value: number): void {
    (this.#chunks[row >>> CHUNK_SHIFT] as Int32Array)[row & CHUNK_MASK] = value;
  }

  push(value: number): void {
    const row = this.#length;
    if (row === this.#capacity) this.#grow();
    this.#length = row + 1;
    this.set(row, value);
  }

  /** The rows as the machine holds them, in order: views, valid until the column grows. */
  *bytes(): Generator<Uint8Array, void, undefined> {
    for (const [index, chunk] of this.#chunks.entries()) {
      const rows = Math.min(CHUNK_ROWS, this.#length - index * CHUNK_ROWS);
      if (rows > 0) yield new Uint8Array(chunk.buffer, chunk.byteOffset, rows * chunk.BYTES_PER_ELEMENT);
    }
  }

  get rowBytes(): number {
    return Int32Array.BYTES_PER_ELEMENT;
  }

  /** Makes the column that long and gives the same views, to be filled. */
  restore(length: number): Iterable<Uint8Array> {
    while (this.#capacity < length) this.#grow();
    this.#length = length;
    return this.bytes();
  }

  #grow(): void {
    const [young] = this.#chunks;
    if (this.#capacity < CHUNK_ROWS && young !== undefined) {
      this.#capacity *= 2;
      this.#chunks[0] = ints(this.#capacity);
      this.#chunks[0].set(young);
      return;
    }
    this.#capacity += CHUNK_ROWS;
    this.#chunks.push(ints(CHUNK_ROWS));
  }
}

function ints(count: number): Int32Array {
  const { buffer, byteOffset } = largeMemory(count * Int32Array.BYTES_PER_ELEMENT);
  return new Int32Array(buffer, byteOffset, count);
}

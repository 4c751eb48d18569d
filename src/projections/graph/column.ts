/** A growing column of Int32s. It grows as `Records` do: by doubling up to one chunk, then by chunks that never move. */

import { largeMemory } from "../../events/index.js";
import { blockSizes, markedPages, PAGE_ROWS, PAGE_SHIFT, pageCount, type SavedTable } from "./saved-table.js";

// 4 MiB, which huge pages can stand behind.
const CHUNK_SHIFT = 20;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK_ROWS - 1;
const FIRST_ROWS = 16;

export class Int32Column implements SavedTable {
  readonly #chunks: Int32Array[] = [new Int32Array(FIRST_ROWS)];
  #capacity = FIRST_ROWS;
  #length = 0;
  #savedRows = 0;
  #marks = new Uint8Array(0);

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
    if (row < this.#savedRows) this.#marks[row >>> PAGE_SHIFT] = 1;
  }

  push(value: number): void {
    const row = this.#length;
    if (row === this.#capacity) this.#grow();
    this.#length = row + 1;
    this.set(row, value);
  }

  /** The rows from `from` on as the machine holds them, in order: views, valid until the column grows. */
  *bytes(from = 0): Generator<Uint8Array, void, undefined> {
    const { rowBytes } = this;
    for (let index = from >>> CHUNK_SHIFT; index < this.#chunks.length; index += 1) {
      const { buffer, byteOffset } = this.#chunks[index] as Int32Array;
      const first = Math.max(0, from - index * CHUNK_ROWS);
      const rows = Math.min(CHUNK_ROWS, this.#length - index * CHUNK_ROWS) - first;
      if (rows > 0) yield new Uint8Array(buffer, byteOffset + first * rowBytes, rows * rowBytes);
    }
  }

  get savedRows(): number {
    return this.#savedRows;
  }

  changedPages(): Uint32Array {
    return markedPages(this.#marks);
  }

  /** A page of saved rows, as a view. */
  page(page: number): Uint8Array {
    const row = page * PAGE_ROWS;
    const { buffer, byteOffset } = this.#chunks[row >>> CHUNK_SHIFT] as Int32Array;
    const rows = Math.min(PAGE_ROWS, this.#savedRows - row);
    return new Uint8Array(buffer, byteOffset + (row & CHUNK_MASK) * this.rowBytes, rows * this.rowBytes);
  }

  saved(): void {
    this.#savedRows = this.#length;
    this.#marks = new Uint8Array(pageCount(this.#length));
  }

  get rowBytes(): number {
    return Int32Array.BYTES_PER_ELEMENT;
  }

  /** Makes the column that long and gives the same views, to be filled. */
  restore(length: number, from = 0): Iterable<Uint8Array> {
    if (length >= CHUNK_ROWS) this.#growWhole(Math.floor(length / CHUNK_ROWS));
    while (this.#capacity < length) this.#grow();
    this.#length = length;
    return this.bytes(from);
  }

  /** As `Records` does. */
  #growWhole(chunkCount: number): void {
    const young = this.#capacity < CHUNK_ROWS ? this.#chunks.pop() : undefined;
    const chunkBytes = CHUNK_ROWS * Int32Array.BYTES_PER_ELEMENT;
    for (const count of blockSizes(chunkCount - this.#chunks.length, chunkBytes)) {
      const { buffer, byteOffset } = largeMemory(count * chunkBytes, true);
      for (let index = 0; index < count; index += 1)
        this.#chunks.push(new Int32Array(buffer, byteOffset + index * chunkBytes, CHUNK_ROWS));
    }
    this.#capacity = this.#chunks.length * CHUNK_ROWS;
    if (young !== undefined) this.#chunks[0]?.set(young);
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

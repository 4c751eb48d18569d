/**
 * Growing tables of fixed-size records in typed arrays.
 *
 * - A record is a few doubles and Int32s side by side, so that what is read together costs one cache miss; measured: with a
 *   column per field, half of the time of applying 1 M nodes and 3 M edges went into misses.
 * - A table starts small and doubles up to one chunk; from then on it grows by whole chunks that never move. So a large table
 *   is never copied, growing never holds it twice, and at most one chunk lies unused.
 * - Row 0 exists from the start, is all zeros and stands for "none".
 * - What was changed since the last save is known by pages of eight rows: a mark for each page of the rows that were saved.
 * - `double(row, at)` counts in units of 8 bytes from the record's start, `int(row, at)` in units of 4. Nothing checks that a
 *   row is below `length`, for they are the inner loop of everything.
 */

import { largeMemory } from "../../events/index.js";
import { blockSizes, markedPages, PAGE_ROWS, PAGE_SHIFT, pageCount, type SavedTable } from "./saved-table.js";

// Chunks of several MiB, which huge pages can stand behind.
const CHUNK_SHIFT = 16;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK_ROWS - 1;
const FIRST_ROWS = 16;
const DOUBLE_BYTES = 8;
/** So much of a table is added to it at once, and at most so many chunks. */
const GROWTH_SHARE = 4;
const CHUNKS_AT_ONCE_MAX = 8;

export class Records implements SavedTable {
  readonly #rowDoubles: number;
  readonly #doubles: Float64Array[] = [];
  readonly #ints: Int32Array[] = [];
  #capacity = 0;
  #length = 0;
  #savedRows = 0;
  #marks = new Uint8Array(0);
  /** Zeros, for the next chunks. */
  #spare: Uint8Array = new Uint8Array(0);

  /** `rowBytes` is a multiple of 8. */
  constructor(rowBytes: number) {
    this.#rowDoubles = rowBytes / DOUBLE_BYTES;
    this.#grow();
    this.add();
  }

  /** The number of rows, row 0 included. */
  get length(): number {
    return this.#length;
  }

  /** Appends a record of zeros and gives its row. */
  add(): number {
    const row = this.#length;
    if (row === this.#capacity) this.#grow();
    this.#length = row + 1;
    return row;
  }

  // `as`: within `length` by the caller's duty, so never undefined.

  double(row: number, at: number): number {
    return (this.#doubles[row >>> CHUNK_SHIFT] as Float64Array)[(row & CHUNK_MASK) * this.#rowDoubles + at] as number;
  }

  setDouble(row: number, at: number, value: number): void {
    (this.#doubles[row >>> CHUNK_SHIFT] as Float64Array)[(row & CHUNK_MASK) * this.#rowDoubles + at] = value;
    if (row < this.#savedRows) this.#marks[row >>> PAGE_SHIFT] = 1;
  }

  int(row: number, at: number): number {
    return (this.#ints[row >>> CHUNK_SHIFT] as Int32Array)[(row & CHUNK_MASK) * this.#rowDoubles * 2 + at] as number;
  }

  setInt(row: number, at: number, value: number): void {
    (this.#ints[row >>> CHUNK_SHIFT] as Int32Array)[(row & CHUNK_MASK) * this.#rowDoubles * 2 + at] = value;
    if (row < this.#savedRows) this.#marks[row >>> PAGE_SHIFT] = 1;
  }

  // Several fields of one row: its chunk and its place in there are found once. As calls of their own for each field, the inner
  // loops outgrow what the compiler inlines.

  /** The chunk with a row's doubles; the row begins at `offset`. */
  doubles(row: number): Float64Array {
    return this.#doubles[row >>> CHUNK_SHIFT] as Float64Array;
  }

  /** The chunk with a row's ints; the row begins at twice `offset`. */
  ints(row: number): Int32Array {
    return this.#ints[row >>> CHUNK_SHIFT] as Int32Array;
  }

  offset(row: number): number {
    return (row & CHUNK_MASK) * this.#rowDoubles;
  }

  /** Must be called where a row is written through `doubles` or `ints` and may have been saved before. */
  note(row: number): void {
    if (row < this.#savedRows) this.#marks[row >>> PAGE_SHIFT] = 1;
  }

  /** The rows from `from` on as the machine holds them, in order: views, valid until the table grows. */
  *bytes(from = 0): Generator<Uint8Array, void, undefined> {
    const { rowBytes } = this;
    for (let index = from >>> CHUNK_SHIFT; index < this.#doubles.length; index += 1) {
      const { buffer, byteOffset } = this.#doubles[index] as Float64Array;
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
    const { buffer, byteOffset } = this.doubles(row);
    const rows = Math.min(PAGE_ROWS, this.#savedRows - row);
    return new Uint8Array(buffer, byteOffset + (row & CHUNK_MASK) * this.rowBytes, rows * this.rowBytes);
  }

  saved(): void {
    this.#savedRows = this.#length;
    this.#marks = new Uint8Array(pageCount(this.#length));
  }

  get rowBytes(): number {
    return this.#rowDoubles * DOUBLE_BYTES;
  }

  /** Makes the table that long and gives the same views, to be filled. */
  restore(length: number, from = 0): Iterable<Uint8Array> {
    if (length >= CHUNK_ROWS) this.#growWhole(Math.floor(length / CHUNK_ROWS));
    while (this.#capacity < length) this.#grow();
    this.#length = length;
    return this.bytes(from);
  }

  /**
   * Has that many chunks or more, of which those that are added are overwritten before they are read. They lie side by side in one piece of memory: many
   * pieces of 4 MiB each would have the collector look at everything several times while they come, and are half of small pages.
   */
  #growWhole(chunkCount: number): void {
    const young = this.#capacity < CHUNK_ROWS ? this.#doubles.pop() : undefined;
    if (young !== undefined) this.#ints.pop();
    const chunkDoubles = CHUNK_ROWS * this.#rowDoubles;
    const chunkBytes = chunkDoubles * DOUBLE_BYTES;
    for (const count of blockSizes(chunkCount - this.#doubles.length, chunkBytes)) {
      const { buffer, byteOffset } = largeMemory(count * chunkBytes, true);
      for (let index = 0; index < count; index += 1) {
        this.#doubles.push(new Float64Array(buffer, byteOffset + index * chunkBytes, chunkDoubles));
        this.#ints.push(new Int32Array(buffer, byteOffset + index * chunkBytes, chunkDoubles * 2));
      }
    }
    this.#capacity = this.#doubles.length * CHUNK_ROWS;
    if (young !== undefined) this.#doubles[0]?.set(young);
  }

  #grow(): void {
    const young = this.#doubles[0];
    const rows = this.#capacity < CHUNK_ROWS ? Math.max(this.#capacity * 2, FIRST_ROWS) : CHUNK_ROWS;
    const memory = this.#memoryFor(rows * this.rowBytes);
    const doubles = new Float64Array(memory.buffer, memory.byteOffset, rows * this.#rowDoubles);
    if (this.#capacity < CHUNK_ROWS && young !== undefined) {
      doubles.set(young);
      this.#doubles.length = 0;
      this.#ints.length = 0;
      this.#capacity = 0;
    }
    this.#doubles.push(doubles);
    this.#ints.push(new Int32Array(memory.buffer, memory.byteOffset, doubles.length * 2));
    this.#capacity += rows;
  }

  /**
   * Chunks of a table that has many come side by side out of one piece of memory: of a piece of 4 MiB that begins anywhere, huge pages stand behind
   * the half.
   */
  #memoryFor(byteLength: number): Uint8Array {
    if (this.#spare.length < byteLength) {
      const chunkCount = Math.min(CHUNKS_AT_ONCE_MAX, Math.floor(this.#doubles.length / GROWTH_SHARE));
      if (chunkCount < 2) return largeMemory(byteLength);
      this.#spare = largeMemory(chunkCount * byteLength);
    }
    const memory = this.#spare.subarray(0, byteLength);
    this.#spare = this.#spare.subarray(byteLength);
    return memory;
  }
}

/**
 * A page of history: superseded versions of nodes, or of edges, as they lie in a history file.
 *
 *     0   4  kind: 0 nodes, 1 edges
 *     4   4  rows
 *     8   8  the number of the first row, f64; the others follow it
 *    16  48 for each row
 *             0  8  valid from, µs since 1970, f64
 *             8  8  valid to, f64, Infinity for an open end
 *            16  8  the LSN that asserted it, f64
 *            24  4  content: negative, −1 − label, without properties; else where its record begins in the page, in words of 4 bytes
 *            28  4  the row before of the same entity, 0: none
 *            32  8  the LSN that took it away, f64
 *            40  4  the entity's slot
 *            44  4  0
 *     then the records of contents, as content-arena.ts has them, each once
 *
 * Numbers are as the machine holds them: only the checkpoint beside it, which says the same of itself, leads to such a file.
 */

import type { ContentArena } from "./content-arena.js";
import { Records } from "./records.js";
import { CLOSED_BYTES, CONTENT, NEXT, UNTIL } from "./timelines.js";

const HEADER_BYTES = 16;
const ROW_BYTES = 48;
const SLOT = 10;
/** A page is read to come to one of its rows: so many, or so many bytes, are not worth splitting. */
const PAGE_ROWS_MAX = 256;
const PAGE_CONTENT_BYTES = 64 * 1024;
const DOUBLE_BYTES = 8;

/** What a history file's index says of a page. */
export interface PageFacts {
  /** 0 nodes, 1 edges. */
  readonly kind: number;
  readonly firstRow: number;
  readonly rows: number;
  /** The LSN that took away the last of them. */
  readonly untilLsn: number;
  readonly byteLength: number;
}

/** A page in memory. */
export class HistoryPage {
  /** Row n of the page is row n + 1 in here. */
  readonly rows: Records = new Records(ROW_BYTES);
  readonly bytes: Uint8Array;

  /** The numbers in it are lower by `shift` now. */
  constructor(bytes: Uint8Array, { kind, firstRow, rows }: PageFacts, shift: number) {
    // A copy, for numbers have to lie on boundaries of their size.
    const head = new Uint8Array(bytes.subarray(0, HEADER_BYTES)).buffer;
    const isIt =
      bytes.length >= HEADER_BYTES + rows * ROW_BYTES &&
      new Int32Array(head, 0, 2).join() === [kind, rows].join() &&
      new Float64Array(head, 8, 1)[0] === firstRow;
    if (!isIt) throw new Error("a page is another one");
    this.bytes = bytes;
    let at = bytes.byteOffset + HEADER_BYTES;
    for (const part of this.rows.restore(rows + 1, 1)) {
      part.set(new Uint8Array(bytes.buffer, at, part.length));
      at += part.length;
    }
    for (let row = 1; shift > 0 && row <= rows; row += 1)
      this.rows.setInt(row, NEXT, Math.max(0, this.rows.int(row, NEXT) - shift));
  }

  /** What it takes in memory. */
  get byteLength(): number {
    return this.bytes.length + this.rows.length * ROW_BYTES;
  }

  slot(index: number): number {
    return this.rows.int(index, SLOT);
  }
}

/** Gathers rows to a page. */
export class PageBuilder {
  readonly #kind: number;
  readonly #firstRow: number;
  readonly #rows = new Records(ROW_BYTES);
  readonly #contents: Uint8Array[] = [];
  /** Where contents that were given went. */
  readonly #places = new Map<number, number>();
  #contentBytes = 0;

  constructor(kind: number, firstRow: number) {
    this.#kind = kind;
    this.#firstRow = firstRow;
  }

  get isFull(): boolean {
    return this.#rows.length > PAGE_ROWS_MAX || this.#contentBytes >= PAGE_CONTENT_BYTES;
  }

  /** Adds the row that follows the last one. `content` is what the arena knows it by. */
  add(table: Records, index: number, slot: number, contents: ContentArena, content: number): void {
    const row = this.#rows.add();
    for (let at = 0; at * DOUBLE_BYTES < CLOSED_BYTES; at += 1) this.#rows.setDouble(row, at, table.double(index, at));
    this.#rows.setInt(row, CONTENT, this.#placeOf(contents, content));
    this.#rows.setInt(row, NEXT, table.int(index, NEXT));
    this.#rows.setInt(row, SLOT, slot);
  }

  finish(): { readonly bytes: Uint8Array; readonly facts: PageFacts } {
    const rows = this.#rows.length - 1;
    const contentsAt = HEADER_BYTES + rows * ROW_BYTES;
    const bytes = new Uint8Array(contentsAt + this.#contentBytes);
    new Int32Array(bytes.buffer, 0, 2).set([this.#kind, rows]);
    new Float64Array(bytes.buffer, 8, 1).set([this.#firstRow]);
    for (let row = 1; row <= rows; row += 1) {
      const content = this.#rows.int(row, CONTENT);
      if (content >= 0) this.#rows.setInt(row, CONTENT, content + contentsAt / 4);
    }
    let at = HEADER_BYTES;
    for (const part of this.#rows.bytes(1)) {
      bytes.set(part, at);
      at += part.length;
    }
    for (const record of this.#contents) {
      bytes.set(record, at);
      at += record.length;
    }
    const untilLsn = this.#rows.double(rows, UNTIL);
    return { bytes, facts: { kind: this.#kind, firstRow: this.#firstRow, rows, untilLsn, byteLength: bytes.length } };
  }

  /** In words, from where the contents begin; negative where there are no properties. */
  #placeOf(contents: ContentArena, content: number): number {
    const known = this.#places.get(content);
    if (known !== undefined) return known;
    const record = contents.recordOf(content);
    const place = record === null ? -1 - contents.label : this.#contentBytes / 4;
    if (record !== null) {
      this.#contents.push(record);
      this.#contentBytes += record.length;
    }
    this.#places.set(content, place);
    return place;
  }
}

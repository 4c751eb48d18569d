/**
 * The closed rectangles of all nodes, or of all edges, that were moved to files: rows 1 to `count` of timelines.ts, in pages that are read when
 * somebody comes to them. Nothing here is asked for what is in force.
 */

import type { GraphHistoryFiles, PlacedPage } from "./history-files.js";
import type { Records } from "./records.js";
import { CONTENT, UNTIL } from "./timelines.js";

export class MovedRows {
  /** How many rows were moved, and not purged since. */
  count = 0;
  /** The LSN that took away the last of them: as of this one or later none of them is asked for. */
  throughLsn = 0;
  readonly kind: number;
  readonly #files: GraphHistoryFiles;
  /** Ascending, without a gap. */
  #pages: readonly PlacedPage[] = [];
  #last: PlacedPage | null = null;

  constructor(files: GraphHistoryFiles, kind: number) {
    this.#files = files;
    this.kind = kind;
  }

  /** The pages there are now, of rows 1 to `count`. */
  place(pages: readonly PlacedPage[], count: number): void {
    this.#pages = pages;
    this.#last = null;
    this.count = count;
    this.throughLsn = pages.at(-1)?.facts.untilLsn ?? 0;
  }

  /** Forgets the first rows: the others are so much lower afterwards. */
  drop(rows: number): void {
    if (rows > 0) this.#files.drop(this.kind, rows);
  }

  /** The table that has a row, and where: the two are asked one after the other. Throws ERR_GRAPH_HISTORY. */
  tableOf(row: number): Records {
    return this.#files.read(this.#pageOf(row)).rows;
  }

  indexOf(row: number): number {
    return row - this.#pageOf(row).firstRow + 1;
  }

  /** What the arena knows the properties of a row by. */
  contentOf(row: number): number {
    return this.#files.contentOf(this.kind, row);
  }

  /** The bytes of the page that has a row, and where its content's record begins. */
  recordOf(row: number): { readonly bytes: Uint8Array; readonly start: number } {
    const page = this.#pageOf(row);
    const { bytes, rows } = this.#files.read(page);
    return { bytes, start: rows.int(row - page.firstRow + 1, CONTENT) * 4 };
  }

  /** The entity that a row is of. */
  slotOf(row: number): number {
    const page = this.#pageOf(row);
    return this.#files.read(page).slot(row - page.firstRow + 1);
  }

  /** The last row that was closed up to an LSN, or 0. */
  lastAtMost(lsn: number): number {
    const page = this.#pages.find(({ facts }) => facts.untilLsn > lsn);
    if (page === undefined) return this.count;
    const { rows } = this.#files.read(page);
    let index = rows.length - 1;
    while (index > 0 && rows.double(index, UNTIL) > lsn) index -= 1;
    return Math.max(0, page.firstRow + index - 1);
  }

  /** Visits the rows that were closed after an LSN, from the first on. */
  eachAfter(lsn: number, visit: (table: Records, index: number, slot: number, row: number) => void): void {
    if (this.count === 0 || lsn >= this.throughLsn) return;
    for (const placed of this.#pages) {
      if (placed.facts.untilLsn <= lsn) continue;
      const page = this.#files.read(placed);
      for (let index = 1; index < page.rows.length; index += 1) {
        const row = placed.firstRow + index - 1;
        if (row > 0 && page.rows.double(index, UNTIL) > lsn) visit(page.rows, index, page.slot(index), row);
      }
    }
  }

  #pageOf(row: number): PlacedPage {
    const last = this.#last;
    if (last !== null && row >= last.firstRow && row < last.firstRow + last.facts.rows) return last;
    let low = 0;
    let high = this.#pages.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#pages[middle] as PlacedPage).firstRow <= row) low = middle;
      else high = middle - 1;
    }
    this.#last = this.#pages[low] as PlacedPage; // `as`: rows 1 to `count` are in pages
    return this.#last;
  }
}

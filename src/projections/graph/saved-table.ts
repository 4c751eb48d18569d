/** What tables have in common that are saved whole at times, and in between by what has changed. */

/** A page is eight rows: a change of one row, the rule in a graph, costs little more than itself. */
export const PAGE_SHIFT = 3;
export const PAGE_ROWS: number = 1 << PAGE_SHIFT;

export interface SavedTable {
  readonly length: number;
  readonly rowBytes: number;
  /** How many rows the last save had, 0: none. */
  readonly savedRows: number;
  /** The rows from `from` on as the machine holds them, in order: views, valid until the table grows. */
  bytes(from?: number): Iterable<Uint8Array>;
  /** Makes the table that long and gives the same views, to be filled. */
  restore(length: number, from?: number): Iterable<Uint8Array>;
  /** The pages of saved rows in which something was written since, ascending. */
  changedPages(): Uint32Array;
  /** A view of a page of saved rows; the last one may be shorter. */
  page(page: number): Uint8Array;
  /** Says that a save of the table as it is now lies on disk. */
  saved(): void;
}

export function pageCount(rows: number): number {
  return Math.ceil(rows / PAGE_ROWS);
}

/** The places of what is not 0. */
export function markedPages(marks: Uint8Array): Uint32Array {
  let count = 0;
  for (let page = marks.indexOf(1); page !== -1; page = marks.indexOf(1, page + 1)) count += 1;
  const pages = new Uint32Array(count);
  count = 0;
  for (let page = marks.indexOf(1); page !== -1; page = marks.indexOf(1, page + 1)) pages[count++] = page;
  return pages;
}

/** Below what one array buffer can have. */
export const BLOCK_BYTES_MAX: number = 2 ** 30;

/** How many chunks to take memory for at once, until it is for all of them. */
export function* blockSizes(chunkCount: number, chunkBytes: number): Generator<number, void, undefined> {
  const most = Math.floor(BLOCK_BYTES_MAX / chunkBytes);
  for (let left = chunkCount; left > 0; left -= most) yield Math.min(left, most);
}

/**
 * What of a graph's history was moved to files: which files there are, which of their pages have which rows, and the pages in memory.
 *
 * - Rows are numbered as timelines.ts does, nodes and edges by themselves. A purge makes all numbers lower: a file keeps those it was written
 *   with, and by how much they are lower now (`shift`) is known here and listed in the checkpoint.
 * - A page is read when a question comes to it, by a blocking read, for the graph answers within one turn of the event loop. Pages that were read
 *   lie in memory up to PAGES_BYTES_MAX, and those longest unused go first.
 * - The log is the truth. What cannot be read makes the question that needs it fail, with ERR_GRAPH_HISTORY, and has the graph rebuilt.
 */

import { isStoreError, StoreError } from "../../errors.js";
import type { ContentArena } from "./content-arena.js";
import { HistoryPage, type PageFacts } from "./history-page.js";
import { MovedRows } from "./moved-rows.js";

/** Of pages in memory, the one in hand besides. */
const PAGES_BYTES_MAX = 16 * 2 ** 20;
/** References to contents in files lie below those to labels alone, so far that no label comes near. */
export const HISTORY_CONTENT: number = -(2 ** 24);
/** As many as such references can tell apart. */
export const MOVED_ROWS_MAX: number = 2 ** 30 - 2 ** 24;

/** A file, or what stands for one. */
export interface HistorySource {
  /** By which a checkpoint names it. */
  readonly id: string;
  readonly pages: readonly PageFacts[];
  readonly byteLength: number;
  /** Throws what reading throws, and for bytes that are not what was written. */
  read(page: number): Uint8Array;
  close(): void;
}

/** A page, by the numbers that its rows have now. */
export interface PlacedPage {
  readonly source: HistorySource;
  readonly number: number;
  readonly facts: PageFacts;
  /** Below 1: the rows up to 0 were purged. */
  readonly firstRow: number;
  readonly shift: number;
}

/** What a checkpoint says of the files that it needs. Pairs are of nodes and of edges. */
export interface HistoryListing {
  readonly files: readonly { readonly id: string; readonly pages: number; readonly shift: readonly number[] }[];
  readonly rows: readonly number[];
}

/** Opens a file of so many pages. Throws when there is none that is whole. */
export type OpenHistory = (id: string, pages: number) => HistorySource;

interface ListedFile {
  readonly source: HistorySource;
  readonly shift: readonly [node: number, edge: number];
}

export class GraphHistoryFiles {
  readonly nodes: MovedRows = new MovedRows(this, 0);
  readonly edges: MovedRows = new MovedRows(this, 1);
  /** Something could not be read: what was built of history since may lack it. */
  isLost = false;
  /** A purge could not read what it needed: this state is not to be saved. */
  isUncertain = false;
  /** Called once, with why. */
  onDamage: (error: StoreError) => void = () => undefined;
  #files: readonly ListedFile[] = [];
  readonly #cache = new Map<PlacedPage, HistoryPage>();
  #cachedBytes = 0;
  #lastPlaced: PlacedPage | null = null;
  #lastPage: HistoryPage | null = null;

  get sources(): readonly HistorySource[] {
    return this.#files.map(({ source }) => source);
  }

  /** How many rows that are there yet each file has. */
  get rowCounts(): readonly number[] {
    return this.#files.map(({ source }) => source.pages.reduce((sum, { rows }) => sum + rows, 0));
  }

  /** A purge took rows that still lie in a file. */
  get hasPurgedRows(): boolean {
    return this.#files.some(({ source, shift }) =>
      source.pages.some((page) => page.firstRow <= (shift[page.kind] ?? 0)),
    );
  }

  /** The first row of each kind that a file has, and 1 + `count` where none from there on has any. */
  firstRowsFrom(file: number): { readonly node: number; readonly edge: number } {
    const sources = this.sources.slice(file);
    const first = ({ kind, count }: MovedRows): number => {
      const pages = this.#placedOf(kind).filter(({ source }) => sources.includes(source));
      return Math.max(1, pages[0]?.firstRow ?? count + 1);
    };
    return { node: first(this.nodes), edge: first(this.edges) };
  }

  /** Puts a file in the place of those from `from` on; it ends with these rows. */
  replace(from: number, source: HistorySource, rows: readonly [node: number, edge: number]): void {
    for (const absorbed of this.sources.slice(from)) absorbed.close();
    this.#files = [...this.#files.slice(0, from), { source, shift: [0, 0] }];
    this.#place(rows);
  }

  /** The first rows of a kind were purged. */
  drop(kind: number, rows: number): void {
    const shifted = this.#files.map(({ source, shift: [node, edge] }) => {
      const shift = [node + (kind === 0 ? rows : 0), edge + (kind === 1 ? rows : 0)] as const;
      return { source, shift };
    });
    const isLeft = ({ source, shift }: ListedFile): boolean =>
      source.pages.some((page) => page.firstRow + page.rows - 1 > (shift[page.kind] ?? 0));
    for (const file of shifted) if (!isLeft(file)) file.source.close();
    this.#files = shifted.filter(isLeft);
    const left = [this.nodes.count - (kind === 0 ? rows : 0), this.edges.count - (kind === 1 ? rows : 0)] as const;
    this.#place(left);
  }

  listing(): HistoryListing {
    const files = this.#files.map(({ source, shift }) => ({ id: source.id, pages: source.pages.length, shift }));
    return { files, rows: [this.nodes.count, this.edges.count] };
  }

  /** Opens what a checkpoint lists. Throws when something of it is not there. */
  restore({ files, rows: [node = 0, edge = 0] }: HistoryListing, open: OpenHistory): void {
    const opened: ListedFile[] = [];
    try {
      for (const { id, pages, shift } of files)
        opened.push({ source: open(id, pages), shift: [shift[0] ?? 0, shift[1] ?? 0] });
      this.#files = opened;
      for (const [kind, count] of [node, edge].entries()) {
        const placed = this.#placedOf(kind);
        const areInARow = placed.every(({ firstRow }, at) => {
          const before = placed[at - 1];
          return before === undefined ? firstRow <= 1 : firstRow === before.firstRow + before.facts.rows;
        });
        const last = placed.at(-1);
        const end = last === undefined ? 0 : last.firstRow + last.facts.rows - 1;
        if (!areInARow || end !== count) throw new Error("the files do not have the rows that the checkpoint needs");
      }
    } catch (error) {
      this.#files = [];
      for (const { source } of opened) source.close();
      throw error;
    }
    this.#place([node, edge]);
  }

  read(placed: PlacedPage): HistoryPage {
    if (placed === this.#lastPlaced) return this.#lastPage as HistoryPage;
    let page = this.#cache.get(placed);
    if (page === undefined) {
      page = this.#load(placed);
      this.#cachedBytes += page.byteLength;
      for (const [oldest, { byteLength }] of this.#cache) {
        if (this.#cachedBytes <= PAGES_BYTES_MAX) break;
        this.#cache.delete(oldest);
        this.#cachedBytes -= byteLength;
      }
    } else this.#cache.delete(placed);
    this.#cache.set(placed, page);
    this.#lastPlaced = placed;
    this.#lastPage = page;
    return page;
  }

  contentOf(kind: number, row: number): number {
    return HISTORY_CONTENT - (row * 2 + kind);
  }

  /** Points the arena at what a reference of `contentOf` stands for. */
  open(contents: ContentArena, reference: number): void {
    const key = HISTORY_CONTENT - reference;
    const { bytes, start } = ((key & 1) === 0 ? this.nodes : this.edges).recordOf(key >>> 1);
    contents.openRecord(bytes, start);
  }

  #placedOf(kind: number): PlacedPage[] {
    const placed = this.#files.flatMap(({ source, shift: shifts }) =>
      source.pages.map((facts, number) => {
        const shift = shifts[facts.kind] ?? 0;
        return { source, number, facts, firstRow: facts.firstRow - shift, shift };
      }),
    );
    return placed.filter(({ facts, firstRow }) => facts.kind === kind && firstRow + facts.rows > 1);
  }

  #place([node, edge]: readonly [node: number, edge: number]): void {
    this.#cache.clear();
    this.#cachedBytes = 0;
    this.#lastPlaced = null;
    this.#lastPage = null;
    this.nodes.place(this.#placedOf(0), node);
    this.edges.place(this.#placedOf(1), edge);
  }

  #load({ source, number, facts, shift }: PlacedPage): HistoryPage {
    try {
      return new HistoryPage(source.read(number), facts, shift);
    } catch (cause) {
      if (isStoreError(cause, "ERR_STORE_CLOSED")) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the graph's history in file ${source.id} cannot be read: ${reason}`;
      const error = new StoreError("ERR_GRAPH_HISTORY", message, { file: source.id, page: number }, { cause });
      if (!this.isLost) queueMicrotask(() => this.onDamage(error));
      this.isLost = true;
      throw error;
    }
  }
}

/**
 * The graph's checkpoint, format version 5. Versions 1 to 4 knew no purges, no named snapshots, no constraints, vectors and saved ids, and no history
 * in files: they are not read, the graph is built anew.
 *
 *     "VARVEGRF"              8 bytes
 *     byte order mark         u32 0x01020304 as the writing machine holds it; a reader of the other order refuses
 *     header length           u32
 *     header                  that many bytes of UTF-8 JSON, see `Header`
 *     tables                  in the order of `allTablesOf`, each as many rows as the header says, as the machine holds them,
 *                             one after the other without padding; records.ts and its users have their layouts
 *     arena                   the used bytes of its chunks, as many as the header says
 *
 * Nothing follows. The header's `history` lists the files beside it that have what was moved out of memory (history-file.ts): without one of them it is
 * not read either. There is no checksum in here: the file around it has one. Equal states give equal bytes. Writing copies nothing, and reading
 * goes straight into the tables' memory and makes no object per entity.
 *
 * What has changed since such a checkpoint, or since changes that were saved after it, has the same form, with these differences:
 *
 *     "VARVEGRC"              instead of the first 8 bytes
 *     header                  with `since`: the lengths that the changes are of, and how many pages of eight rows changed in each table
 *     of each table           the numbers of those pages, u32 each, ascending; the pages, of which the last of the table may be shorter;
 *                             then the rows that were added
 *     arena                   what was added to each chunk, and the chunks that were added
 *
 * They hold for a graph of exactly those lengths, and everything in the header but `since` replaces what was. After a purge there are no changes
 * but the whole.
 *
 * Neither is mapped into memory: a file on a disk that fails, or that another process cuts, would end this process by a signal that nobody can
 * catch, and a page would be read before its checksum was compared. And pages of 4 KiB cost twice the time of huge ones in every read.
 */

import { StoreError } from "../../errors.js";
import type { BytesLeft, Filling, StateChanges, StateLoad } from "../state-pieces.js";
import { Int32Column } from "./column.js";
import { checkConstraint, sameConstraint } from "./constraint-events.js";
import type { AddedConstraint } from "./constraint-list.js";
import { GraphTables } from "./graph-tables.js";
import type { HistoryListing, OpenHistory } from "./history-files.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { Rejection } from "./rejection-list.js";
import { PAGE_ROWS, pageCount, type SavedTable } from "./saved-table.js";
import { type DefinedVectors, isDefinedVectors } from "./vector-definition.js";

const FORMAT_VERSION = 5;
const MAGIC = "VARVEGRF";
const CHANGES_MAGIC = "VARVEGRC";
const ORDER_MARK = 0x01020304;
const PREAMBLE_BYTES = 16;
/** Pages that changed are gathered to pieces of at most this size. */
const GATHERED_BYTES = 2 ** 20;
const NO_CHANGES: readonly number[] = [];

interface Header {
  readonly version: number;
  readonly lsn: number;
  /** Null before the first event. */
  readonly time: number | null;
  readonly rejectedCount: number;
  readonly rejections: readonly Rejection[];
  /** Labels by number. */
  readonly labels: readonly string[];
  /** How many of the labels nodes bear: they have a posting list. */
  readonly labelled: number;
  /** The first free live row of the nodes' and of the edges' timelines. */
  readonly free: { readonly node: number; readonly edge: number };
  /** Of the last purge; `before` is null where there was none. */
  readonly purged: { readonly before: number | null; readonly lsn: number; readonly removedCount: number };
  /** In the order in which they were named. */
  readonly snapshots: readonly NamedSnapshot[];
  /** In the order in which they were added. */
  readonly constraints: readonly AddedConstraint[];
  /** In the order in which they were defined. */
  readonly vectors: readonly DefinedVectors[];
  /** What is needed of history in files. */
  readonly history: HistoryListing;
  readonly rows: readonly number[];
  readonly arena: { readonly filling: number; readonly sizes: readonly number[] };
  /** How many ids of nodes and of edges are in the hash tables of their indexes. */
  readonly hashed: { readonly node: number; readonly edge: number };
  /** Of changes only. */
  readonly since?: {
    readonly rows: readonly number[];
    readonly sizes: readonly number[];
    /** Pages per table. */
    readonly changed: readonly number[];
  };
}

export function* encodeTables(tables: GraphTables): Generator<Uint8Array, void, undefined> {
  yield* headPieces(MAGIC, headerOf(tables));
  for (const table of allTablesOf(tables)) yield* table.bytes();
  yield* tables.contents.used();
}

/** What was written to since the last `saved`; null: only the whole can be saved. */
export function encodeChanges(tables: GraphTables): StateChanges | null {
  const { contents } = tables;
  const all = allTablesOf(tables);
  const sizes = contents.savedSizes;
  if (sizes === null || tables.nodes.records.savedRows === 0) return null;
  const changed = all.map((table) => table.changedPages());
  const since = { rows: all.map(({ savedRows }) => savedRows), sizes, changed: changed.map(({ length }) => length) };
  const header: Header = { ...headerOf(tables), since };
  const head = headPieces(CHANGES_MAGIC, header);
  const byteLength = head.reduce((sum, { length }) => sum + length, 0) + bytesClaimed(tables, header);
  return { byteLength, pieces: changePieces(tables, head, changed) };
}

function* changePieces(
  tables: GraphTables,
  head: readonly Uint8Array[],
  changed: readonly Uint32Array[],
): Generator<Uint8Array, void, undefined> {
  yield* head;
  const gathered = new Uint8Array(GATHERED_BYTES);
  for (const [index, table] of allTablesOf(tables).entries()) {
    const pages = changed[index] as Uint32Array;
    if (pages.length > 0) yield bytesOf(pages);
    for (const group of groupsOf(table, pages)) {
      let used = 0;
      for (const page of group) {
        const bytes = table.page(page);
        gathered.set(bytes, used);
        used += bytes.length;
      }
      yield gathered.subarray(0, used);
    }
    yield* table.bytes(table.savedRows);
  }
  yield* tables.contents.added();
}

/** Says that the tables as they are lie on disk. */
export function markSaved(tables: GraphTables): void {
  for (const table of allTablesOf(tables)) table.saved();
  tables.contents.saved();
}

/** Throws ERR_PROJECTION_CHECKPOINT when the chunks are no checkpoint of this version, or not the whole of one. */
export function decodeTables(chunks: Iterable<Uint8Array>, openHistory?: OpenHistory): GraphTables {
  const source = new ChunkSource(chunks);
  const load = new TablesLoad(openHistory);
  for (const target of load.whole(() => source.bytesLeft)) if (target !== null) source.fill(target);
  if (source.bytesLeft > 0) throw unusable("something follows it");
  return load.finish();
}

/** A checkpoint and what was saved after it on their way into memory. Throws ERR_PROJECTION_CHECKPOINT for what is none. */
export class TablesLoad implements StateLoad<GraphTables> {
  readonly #tables = new GraphTables();
  readonly #openHistory: OpenHistory | null;
  #header: Header | null = null;

  /** Without `openHistory` none that needs files is read. */
  constructor(openHistory: OpenHistory | null = null) {
    this.#openHistory = openHistory;
  }

  *whole(bytesLeft: BytesLeft): Filling {
    const header = yield* readHeader(MAGIC, bytesLeft);
    const tables = this.#tables;
    addLabelled(tables, header);
    if (!(bytesClaimed(tables, header) <= bytesLeft())) throw unusable("it has not the bytes that its header says");
    for (const [index, table] of allTablesOf(tables).entries()) yield* table.restore(header.rows[index] as number);
    yield* tables.contents.restore(header.arena.sizes, header.arena.filling);
    yield null;
    markSaved(tables);
    this.#header = header;
  }

  *changes(bytesLeft: BytesLeft): Filling {
    const header = yield* readHeader(CHANGES_MAGIC, bytesLeft);
    const tables = this.#tables;
    addLabelled(tables, header);
    if (!follows(tables, header)) throw unusable("its changes are of another graph");
    if (!(bytesClaimed(tables, header) <= bytesLeft())) throw unusable("it has not the bytes that its header says");
    const gathered: { readonly table: SavedTable; readonly pages: Uint32Array; readonly bytes: Uint8Array }[] = [];
    for (const [index, table] of allTablesOf(tables).entries()) {
      const pages = new Uint32Array(header.since?.changed[index] as number);
      if (pages.length > 0) {
        yield bytesOf(pages);
        yield null;
        if (!areAscending(pages, pageCount(table.length))) throw unusable("it changes pages that there are not");
      }
      for (const group of groupsOf(table, pages)) {
        const bytes = new Uint8Array(group.length * PAGE_ROWS * table.rowBytes - missingBytes(table, group));
        gathered.push({ table, pages: group, bytes });
        yield bytes;
      }
      yield* table.restore(header.rows[index] as number, table.length);
    }
    yield* tables.contents.restore(header.arena.sizes, header.arena.filling);
    yield null;
    // Only now: a table that grows moves its first rows.
    for (const { table, pages, bytes } of gathered) putPages(table, pages, bytes);
    markSaved(tables);
    this.#header = header;
  }

  finish(): GraphTables {
    const tables = this.#tables;
    const header = this.#header;
    if (header === null) throw unusable("there is none");
    restoreSmallParts(tables, header);
    restoreHistory(tables, header.history, this.#openHistory);
    tables.clock.resume(header.lsn, header.time ?? Number.NEGATIVE_INFINITY);
    tables.nodes.ids.resume(header.hashed.node);
    tables.edges.ids.resume(header.hashed.edge);
    return tables;
  }
}

/** Whether changes are of a graph as it is. */
function follows(tables: GraphTables, { rows, arena, since }: Header): boolean {
  const all = allTablesOf(tables);
  const { sizes } = tables.contents;
  return (
    since !== undefined &&
    since.rows.length === all.length &&
    since.changed.length === all.length &&
    rows.length === all.length &&
    all.every(({ length }, index) => since.rows[index] === length && (rows[index] as number) >= length) &&
    all.every(({ length }, index) => (since.changed[index] as number) <= pageCount(length)) &&
    since.sizes.length === sizes.length &&
    arena.sizes.length >= sizes.length &&
    sizes.every((size, index) => since.sizes[index] === size && (arena.sizes[index] as number) >= size)
  );
}

function areAscending(pages: Uint32Array, count: number): boolean {
  return pages.every((page, index) => page < count && (index === 0 || page > (pages[index - 1] as number)));
}

/** Pages of one table in as many groups as there are pieces. */
function* groupsOf(table: SavedTable, pages: Uint32Array): Generator<Uint32Array, void, undefined> {
  const most = Math.floor(GATHERED_BYTES / (PAGE_ROWS * table.rowBytes));
  for (let first = 0; first < pages.length; first += most) yield pages.subarray(first, first + most);
}

/** By how much a group of pages is shorter for having the table's last page, before rows are added. */
function missingBytes(table: SavedTable, group: Uint32Array): number {
  const end = ((group.at(-1) ?? 0) + 1) * PAGE_ROWS;
  return Math.max(0, end - table.savedRows) * table.rowBytes;
}

function putPages(table: SavedTable, pages: Uint32Array, bytes: Uint8Array): void {
  let at = 0;
  for (const page of pages) {
    const target = table.page(page);
    target.set(bytes.subarray(at, at + target.length));
    at += target.length;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function headPieces(magic: string, header: Header): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(header));
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  preamble.write(magic, "latin1");
  new Uint32Array(preamble.buffer, preamble.byteOffset + magic.length, 2).set([ORDER_MARK, text.length]);
  return [preamble, text];
}

/** The labels' columns come last, for there may be more of them in what follows. */
export function allTablesOf({ nodes, edges, clock, movedLabels, labelled }: GraphTables): readonly SavedTable[] {
  const entities = [nodes.records, ...nodes.timelines.tables, edges.records, ...edges.timelines.tables];
  return [...entities, clock.anchors, nodes.ids.dense, edges.ids.dense, movedLabels.records, ...labelled];
}

function headerOf(tables: GraphTables): Header {
  const { nodes, edges, clock, labels, contents, rejections, purged } = tables;
  return {
    version: FORMAT_VERSION,
    lsn: clock.lsn,
    time: Number.isFinite(clock.time) ? clock.time : null,
    rejectedCount: rejections.count,
    rejections: rejections.list(),
    labels: labels.names,
    labelled: tables.labelled.length,
    free: { node: nodes.timelines.free, edge: edges.timelines.free },
    purged: { before: purged.before, lsn: purged.lsn, removedCount: purged.removedCount },
    snapshots: tables.snapshots.list(),
    constraints: tables.constraints.list(),
    vectors: tables.vectors.definitions.list(),
    history: tables.history.listing(),
    rows: allTablesOf(tables).map((table) => table.length),
    arena: { filling: contents.filling, sizes: contents.sizes },
    hashed: { node: nodes.ids.hashedCount, edge: edges.ids.hashedCount },
  };
}

function* readHeader(magic: string, bytesLeft: BytesLeft): Generator<Uint8Array | null, Header, undefined> {
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  yield preamble;
  yield null;
  const words = new Uint32Array(preamble.buffer, preamble.byteOffset + magic.length, 2);
  if (preamble.toString("latin1", 0, magic.length) !== magic) throw unusable("it does not begin as one");
  if (words[0] !== ORDER_MARK) throw unusable("it was written by a machine of the other byte order");
  const length = words[1] as number;
  if (length > bytesLeft()) throw unusable("it ends too early");
  const bytes = Buffer.alloc(length);
  yield bytes;
  yield null;
  let header: Header;
  try {
    header = JSON.parse(bytes.toString()) as Header;
  } catch (cause) {
    throw unusable("its header is not readable", cause);
  }
  if (typeof header !== "object" || header === null) throw unusable("its header is none");
  if (header.version !== FORMAT_VERSION)
    throw unusable(`its format version is ${header.version}, not ${FORMAT_VERSION}`);
  if (!isHeader(header)) throw unusable("its header is not what it should be");
  return header;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function areCounts(values: unknown): boolean {
  return Array.isArray(values) && values.every(isCount);
}

/** The file around it has a checksum: this is for one that lies, so that nothing is allocated for it. */
function isHeader(header: Header): boolean {
  const { lsn, time, rejectedCount, rejections, labels, labelled, free, purged, snapshots, rows, arena } = header;
  const { constraints, vectors, history, hashed, since } = header;
  return (
    isCount(lsn) &&
    (time === null || Number.isFinite(time)) &&
    isCount(rejectedCount) &&
    Array.isArray(rejections) &&
    rejections.every((rejection) => isCount(rejection?.lsn)) &&
    Array.isArray(labels) &&
    labels.every((label) => typeof label === "string") &&
    isCount(labelled) &&
    labelled <= labels.length &&
    isCount(free?.node) &&
    isCount(free?.edge) &&
    (purged?.before === null || Number.isSafeInteger(purged?.before)) &&
    isCount(purged.lsn) &&
    isCount(purged.removedCount) &&
    Array.isArray(snapshots) &&
    snapshots.every(isSnapshot) &&
    Array.isArray(constraints) &&
    constraints.every(isConstraint) &&
    Array.isArray(vectors) &&
    vectors.every(isDefinedVectors) &&
    isHistory(history) &&
    areCounts(rows) &&
    Number.isSafeInteger(arena?.filling) &&
    areCounts(arena.sizes) &&
    isCount(hashed?.node) &&
    isCount(hashed.edge) &&
    (since === undefined || (areCounts(since?.rows) && areCounts(since.sizes) && areCounts(since.changed)))
  );
}

function isHistory(value: HistoryListing | null | undefined): boolean {
  if (!Array.isArray(value?.files) || !areCounts(value.rows)) return false;
  return value.files.every(
    (file: HistoryListing["files"][number] | null) =>
      typeof file?.id === "string" && isCount(file.pages) && areCounts(file.shift),
  );
}

function isSnapshot(value: NamedSnapshot | null | undefined): boolean {
  if (typeof value?.name !== "string") return false;
  return Number.isSafeInteger(value.validAt) && isCount(value.lsn) && isCount(value.namedBy);
}

function isConstraint(value: AddedConstraint | null | undefined): boolean {
  if (value === null || value === undefined || !isCount(value.addedBy)) return false;
  const { addedBy, ...constraint } = value;
  try {
    return sameConstraint(checkConstraint(constraint), constraint);
  } catch {
    return false;
  }
}

/** Of what follows the header, at least: a table's last page may be shorter. NaN where the header does not know every table. */
function bytesClaimed(tables: GraphTables, { rows, arena, since }: Header): number {
  const all = allTablesOf(tables);
  if (all.length !== rows.length) return Number.NaN;
  const pages = since?.changed ?? NO_CHANGES;
  let sum = 0;
  for (const [index, { rowBytes }] of all.entries()) {
    const added = (rows[index] as number) - (since?.rows[index] ?? 0);
    const changed = pages[index] ?? 0;
    const changedRows = Math.max(0, changed * PAGE_ROWS - (PAGE_ROWS - 1));
    sum += (added + changedRows) * rowBytes + changed * Uint32Array.BYTES_PER_ELEMENT;
  }
  for (const [index, size] of arena.sizes.entries()) sum += size - (since?.sizes[index] ?? 0);
  return sum;
}

function addLabelled({ labelled }: GraphTables, header: Header): void {
  while (labelled.length < header.labelled) labelled.push(new Int32Column());
}

function restoreSmallParts(tables: GraphTables, header: Header): void {
  tables.rejections.restore(header.rejections, header.rejectedCount);
  for (const label of header.labels) {
    const bytes = Buffer.from(label);
    tables.labels.intern(bytes, 0, bytes.length);
  }
  for (const snapshot of header.snapshots) tables.snapshots.add(snapshot);
  for (const constraint of header.constraints) tables.constraints.add(constraint);
  for (const defined of header.vectors) tables.vectors.definitions.add(defined);
  const { purged } = tables;
  purged.before = header.purged.before;
  purged.lsn = header.purged.lsn;
  purged.removedCount = header.purged.removedCount;
  tables.nodes.timelines.free = header.free.node;
  tables.edges.timelines.free = header.free.edge;
}

function restoreHistory({ history }: GraphTables, listing: HistoryListing, open: OpenHistory | null): void {
  try {
    history.restore(listing, (id, pages) => {
      if (open === null) throw new Error("it is read without its files");
      return open(id, pages);
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unusable(`the history that it needs is not there: ${reason}`, cause);
  }
}

/** Bytes that come in pieces, handed out in others. */
class ChunkSource {
  readonly #chunks: Iterator<Uint8Array>;
  readonly #byteLength: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #takenBytes = 0;

  constructor(chunks: Iterable<Uint8Array>) {
    const all = Array.from(chunks);
    this.#chunks = all[Symbol.iterator]();
    this.#byteLength = all.reduce((sum, { length }) => sum + length, 0);
  }

  get bytesLeft(): number {
    return this.#byteLength - this.#takenBytes;
  }

  fill(target: Uint8Array): void {
    for (let filled = 0; filled < target.length; ) {
      if (this.atEnd()) throw unusable("it ends too early");
      const part = this.#chunk.subarray(this.#at, this.#at + target.length - filled);
      target.set(part, filled);
      this.#at += part.length;
      this.#takenBytes += part.length;
      filled += part.length;
    }
  }

  atEnd(): boolean {
    while (this.#at === this.#chunk.length) {
      const next = this.#chunks.next();
      if (next.done === true) return true;
      this.#chunk = next.value;
      this.#at = 0;
    }
    return false;
  }
}

function unusable(why: string, cause?: unknown): StoreError {
  return new StoreError("ERR_PROJECTION_CHECKPOINT", `this is no checkpoint of the graph: ${why}`, {}, { cause });
}

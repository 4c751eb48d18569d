/**
 * The graph's checkpoint, format version 4. Version 1 knew no purges, version 2 no named snapshots and version 3 no vectors: they are not read, the
 * graph is built anew.
 *
 *     "VARVEGRF"              8 bytes
 *     byte order mark         u32 0x01020304 as the writing machine holds it; a reader of the other order refuses
 *     header length           u32
 *     header                  that many bytes of UTF-8 JSON, see `Header`
 *     tables                  in the order of `tablesOf`, each as many rows as the header says, as the machine holds them,
 *                             one after the other without padding; records.ts and its users have their layouts
 *     arena                   the used bytes of its chunks, as many as the header says
 *
 * Nothing follows. There is no checksum in here: the file around it has one. What can be rebuilt quickly (the id index) is
 * left out. Equal states give equal bytes. Writing copies nothing and reading makes no object per entity, so both cost
 * about what copying the memory costs.
 */

import { StoreError } from "../../errors.js";
import { Int32Column } from "./column.js";
import { GraphTables } from "./graph-tables.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { Records } from "./records.js";
import type { Rejection } from "./rejection-list.js";
import { type DefinedVectors, isDefinedVectors } from "./vector-definition.js";

const FORMAT_VERSION = 4;
const MAGIC = "VARVEGRF";
const ORDER_MARK = 0x01020304;
const PREAMBLE_BYTES = 16;

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
  /** In the order in which they were defined. */
  readonly vectors: readonly DefinedVectors[];
  readonly rows: readonly number[];
  readonly arena: { readonly filling: number; readonly sizes: readonly number[] };
}

export function* encodeTables(tables: GraphTables): Generator<Uint8Array, void, undefined> {
  const header = Buffer.from(JSON.stringify(headerOf(tables)));
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  preamble.write(MAGIC, "latin1");
  new Uint32Array(preamble.buffer, preamble.byteOffset + MAGIC.length, 2).set([ORDER_MARK, header.length]);
  yield preamble;
  yield header;
  for (const table of tablesOf(tables)) yield* table.bytes();
  yield* tables.contents.used();
}

/** Throws ERR_PROJECTION_CHECKPOINT when the chunks are no checkpoint of this version, or not the whole of one. */
export function decodeTables(chunks: Iterable<Uint8Array>): GraphTables {
  const source = new ChunkSource(chunks);
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  source.fill(preamble);
  const words = new Uint32Array(preamble.buffer, preamble.byteOffset + MAGIC.length, 2);
  if (preamble.toString("latin1", 0, MAGIC.length) !== MAGIC) throw unusable("it does not begin as one");
  if (words[0] !== ORDER_MARK) throw unusable("it was written by a machine of the other byte order");
  const header = readHeader(source, words[1] as number);
  const tables = new GraphTables();
  restoreSmallParts(tables, header);
  if (bytesClaimed(tables, header) !== source.bytesLeft) throw unusable("it has not the bytes that its header says");
  for (const [index, table] of tablesOf(tables).entries()) {
    for (const bytes of table.restore(header.rows[index] as number)) source.fill(bytes);
  }
  for (const bytes of tables.contents.restore(header.arena.sizes, header.arena.filling)) source.fill(bytes);
  if (!source.atEnd()) throw unusable("something follows it");
  tables.clock.resume(header.lsn, header.time ?? Number.NEGATIVE_INFINITY);
  for (const { ids, records } of [tables.nodes, tables.edges]) {
    for (let slot = 1; slot < records.length; slot += 1) ids.insert(slot);
  }
  return tables;
}

function tablesOf({ nodes, edges, clock, labelled }: GraphTables): readonly (Records | Int32Column)[] {
  const entities = [nodes.records, ...nodes.timelines.tables, edges.records, ...edges.timelines.tables];
  return [...entities, clock.anchors, ...labelled];
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
    vectors: tables.vectors.definitions.list(),
    rows: tablesOf(tables).map((table) => table.length),
    arena: { filling: contents.filling, sizes: Array.from(contents.used(), (chunk) => chunk.length) },
  };
}

function readHeader(source: ChunkSource, length: number): Header {
  const bytes = source.take(length);
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

/** The file around it has a checksum: this is for one that lies, so that nothing is allocated for it. */
function isHeader(header: Header): boolean {
  const { lsn, time, rejectedCount, rejections, labels, labelled, free, purged, snapshots, vectors, rows, arena } =
    header;
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
    Array.isArray(vectors) &&
    vectors.every(isDefinedVectors) &&
    Array.isArray(rows) &&
    rows.every(isCount) &&
    Number.isSafeInteger(arena?.filling) &&
    Array.isArray(arena.sizes) &&
    arena.sizes.every(isCount)
  );
}

function isSnapshot(value: NamedSnapshot | null | undefined): boolean {
  if (typeof value?.name !== "string") return false;
  return Number.isSafeInteger(value.validAt) && isCount(value.lsn) && isCount(value.namedBy);
}

/** NaN where the header does not know every table. */
function bytesClaimed(tables: GraphTables, { rows, arena }: Header): number {
  const all = tablesOf(tables);
  if (all.length !== rows.length) return Number.NaN;
  const inTables = all.reduce((sum, table, index) => sum + (rows[index] as number) * table.rowBytes, 0);
  return arena.sizes.reduce((sum, size) => sum + size, inTables);
}

function restoreSmallParts(tables: GraphTables, header: Header): void {
  tables.rejections.restore(header.rejections, header.rejectedCount);
  for (const label of header.labels) {
    const bytes = Buffer.from(label);
    tables.labels.intern(bytes, 0, bytes.length);
  }
  for (let label = 0; label < header.labelled; label += 1) tables.labelled.push(new Int32Column());
  for (const snapshot of header.snapshots) tables.snapshots.add(snapshot);
  for (const defined of header.vectors) tables.vectors.definitions.add(defined);
  const { purged } = tables;
  purged.before = header.purged.before;
  purged.lsn = header.purged.lsn;
  purged.removedCount = header.purged.removedCount;
  tables.nodes.timelines.free = header.free.node;
  tables.edges.timelines.free = header.free.edge;
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

  /** As `fill`, for a length that is not to be trusted: nothing larger than what arrives is allocated. */
  take(length: number): Buffer {
    const parts: Uint8Array[] = [];
    for (let taken = 0; taken < length; ) {
      if (this.atEnd()) throw unusable("it ends too early");
      const part = this.#chunk.subarray(this.#at, this.#at + length - taken);
      parts.push(part.slice());
      this.#at += part.length;
      this.#takenBytes += part.length;
      taken += part.length;
    }
    return Buffer.concat(parts);
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

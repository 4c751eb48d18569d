/**
 * Makes sealed segments of runs that come in LSN order.
 *
 * A segment is written under a temporary name, synced, read back and checked to its last byte, and only then gets its name. Making the names
 * durable (a sync of the directory) and listing the segments in the manifest is the caller's part; until then nobody reads them. Whatever
 * fails leaves files that no manifest lists, which the next run removes (`removeUnlisted`).
 */

import { rename, unlink } from "node:fs/promises";
import { assert } from "../../assert.js";
import { StoreError } from "../../errors.js";
import { type BlockIo, type BufferPool, DirectFile } from "../../ffi/index.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import type { KeyOf } from "../record-key.js";
import { SinkBuffers } from "./file-sink.js";
import { HashChain } from "./hash-chain.js";
import { LsnPages } from "./lsn-pages.js";
import type { NameHasher } from "./name-hash.js";
import { noteRecords } from "./record-keys.js";
import { entryOf, type SealedEntry } from "./sealed-entry.js";
import type { Compression, SealedRun } from "./sealed-format.js";
import { sealedPath, temporaryPath } from "./sealed-name.js";
import { type BuilderMemory, SegmentBuilder } from "./segment-builder.js";
import { SegmentCipher } from "./segment-cipher.js";
import { walkSegment } from "./segment-walk.js";
import { StreamTable } from "./stream-table.js";

const MEBIBYTE = 1024 * 1024;
export const SEALED_SEGMENT_BYTES_DEFAULT: number = 256 * MEBIBYTE;
export const SEALED_BLOCK_BYTES_DEFAULT: number = 16 * 1024;
/** Of memory for a segment's indexes. */
const INDEX_BYTES_MAX_DEFAULT: number = 96 * MEBIBYTE;
const TWO_TO_32 = 0x1_0000_0000;

/** Where the sealed log ends. */
export interface ChainPoint {
  readonly lsn: number;
  readonly hash: string;
}

export interface SealedWriterOptions {
  readonly io: BlockIo;
  /** Lends buffers for reading back. */
  readonly pool: BufferPool;
  /** The directory of sealed segments, which exists. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  /** Of the first segment; the next ones follow. No file has such a number. */
  readonly firstNumber: number;
  /** The last LSN before the first run, and the hash chain's value there (`CHAIN_START` for LSN 0). */
  readonly after: ChainPoint;
  readonly keyOf: KeyOf;
  /** By which the segments are encrypted; without, they are not. */
  readonly keys?: StoreKeys | null;
  /** A segment ends when its blocks have about so many bytes. Default 256 MiB. */
  readonly segmentBytes?: number;
  /** Default `"none"`. */
  readonly compression?: Compression;
  /** A block ends when it has so many plain bytes. Default 16 KiB. */
  readonly blockBytes?: number;
  /** A segment also ends when its indexes take so much memory. Default 96 MiB. */
  readonly indexBytesMax?: number;
  /** For tests that need collisions. */
  readonly hasher?: NameHasher;
}

/** A record that was removed, and the stream that must not be forgotten: its name is `bytes[nameStart, nameEnd)`. */
export interface RemovedRecord {
  readonly bytes: Buffer;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly version: number;
  readonly lsn: number;
}

const NONE_REMOVED: readonly RemovedRecord[] = [];

interface OpenSegment {
  readonly builder: SegmentBuilder;
  readonly file: DirectFile;
  readonly number: number;
  readonly firstLsn: number;
}

function noteRemoved(table: StreamTable, removed: readonly RemovedRecord[], firstLsn: number): void {
  for (const { bytes, nameStart, nameEnd, version, lsn } of removed) {
    if (table.remove(bytes, nameStart, nameEnd, version, lsn - firstLsn)) continue;
    const message = `LSN ${lsn} was removed from the middle of its stream`;
    throw new StoreError("ERR_WAL_CORRUPT", message, { lsn });
  }
}

export class SealedWriter {
  readonly #options: SealedWriterOptions;
  readonly #chain: HashChain;
  readonly #memory: BuilderMemory;
  readonly #entries: SealedEntry[] = [];
  #segment: OpenSegment | null = null;
  #nextNumber: number;
  #nextLsn: number;
  #status: "open" | "ended" = "open";

  constructor(options: SealedWriterOptions) {
    this.#options = options;
    this.#chain = new HashChain(Buffer.from(options.after.hash, "hex"), options.keys ?? null);
    this.#memory = { buffers: new SinkBuffers(), table: new StreamTable(options.hasher), lsnPages: new LsnPages() };
    this.#nextNumber = options.firstNumber;
    this.#nextLsn = options.after.lsn + 1;
  }

  /** The LSN that the next run begins with. */
  get nextLsn(): number {
    return this.#nextLsn;
  }

  /**
   * Takes the next run. The promise, if there is one, must be awaited before the next call; after a failure there is only `abandon`.
   * `removed` are records of it that are not there any more, in order.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when the run does not follow, or its records do not; `ERR_IO_FAILED` when writing fails.
   */
  add(run: SealedRun, removed: readonly RemovedRecord[] = NONE_REMOVED): Promise<void> | null {
    assert(this.#status === "open", "run added to an open writer");
    const { firstLsn, recordCount } = run.header;
    if (firstLsn !== this.#nextLsn || recordCount === 0) {
      const message = `the log is damaged: LSN ${this.#nextLsn} is missing, a frame begins with ${firstLsn}`;
      throw new StoreError("ERR_WAL_CORRUPT", message, { lsn: this.#nextLsn, found: firstLsn });
    }
    this.#nextLsn += recordCount;
    const segment = this.#segment;
    const isWithinFrame = this.#chain.isOpen;
    if (segment === null || (!isWithinFrame && this.#isFull(segment, run))) return this.#addToNext(run, removed);
    return this.#addTo(segment, run, removed);
  }

  #addTo(segment: OpenSegment, run: SealedRun, removed: readonly RemovedRecord[]): Promise<void> | null {
    // First: what is left of a stream comes after what was removed.
    if (removed.length > 0) noteRemoved(this.#memory.table, removed, segment.firstLsn);
    const removedCount = noteRecords(this.#memory.table, run, segment.firstLsn, this.#options.keyOf);
    return segment.builder.add(run, removedCount);
  }

  #isFull(segment: OpenSegment, run: SealedRun): boolean {
    const { segmentBytes = SEALED_SEGMENT_BYTES_DEFAULT, indexBytesMax = INDEX_BYTES_MAX_DEFAULT } = this.#options;
    return (
      segment.builder.byteLength + run.body.length > segmentBytes ||
      this.#memory.table.byteLength > indexBytesMax ||
      run.header.firstLsn + run.header.recordCount - segment.firstLsn > TWO_TO_32
    );
  }

  async #addToNext(run: SealedRun, removed: readonly RemovedRecord[]): Promise<void> {
    await this.#endSegment();
    await this.#addTo(await this.#startSegment(run.header.firstLsn), run, removed);
  }

  async #startSegment(firstLsn: number): Promise<OpenSegment> {
    const { io, directory, storeId, keys = null } = this.#options;
    const { compression = "none", blockBytes = SEALED_BLOCK_BYTES_DEFAULT } = this.#options;
    const number = this.#nextNumber++;
    const file = await DirectFile.create(io, temporaryPath(directory, number));
    const cipher = keys === null ? null : SegmentCipher.create(keys, storeId, number);
    const plan = { storeId, number, firstLsn, compression, blockBytes, cipher };
    const segment = { builder: new SegmentBuilder(file, plan, this.#memory, this.#chain), file, number, firstLsn };
    this.#segment = segment;
    await segment.builder.start();
    return segment;
  }

  async #endSegment(): Promise<void> {
    const segment = this.#segment;
    if (segment === null) return;
    const { file, number, builder } = segment;
    await builder.finish();
    await file.dataSync();
    const { pool, storeId, directory, keys = null } = this.#options;
    const trailer = await walkSegment({ file, pool, storeId, keys, number, knownHash: this.#chain.value });
    await file.close();
    this.#segment = null;
    await rename(file.path, sealedPath(directory, number));
    this.#entries.push(entryOf(trailer));
  }

  /** Ends the last segment, and returns all in LSN order. */
  async finish(): Promise<readonly SealedEntry[]> {
    assert(!this.#chain.isOpen, "the last run ends its frame");
    await this.#endSegment();
    this.#status = "ended";
    this.#memory.buffers.unmap();
    return this.#entries;
  }

  /** Gives up what is not finished; afterwards nothing is in flight. Does nothing after `finish`. */
  async abandon(): Promise<void> {
    if (this.#status === "ended") return;
    this.#status = "ended";
    const segment = this.#segment;
    this.#segment = null;
    if (segment !== null) {
      await segment.builder.drain();
      await segment.file.close().catch(() => {}); // What failed is known already.
      await unlink(segment.file.path).catch(() => {}); // Nobody lists it: the next run removes it.
    }
    this.#memory.buffers.unmap();
  }
}

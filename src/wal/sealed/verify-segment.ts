/** Verifies a sealed segment to its last byte, its stream index against its records included. */

import { type BlockIo, BufferPool, DirectFile } from "../../ffi/index.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { KeyOf } from "../record-key.js";
import type { HashChain } from "./hash-chain.js";
import { floorIndex } from "./lsn-pages.js";
import { filterBytes, mayContain } from "./name-filter.js";
import { hashName, type NameHash, type NameHasher } from "./name-hash.js";
import { NO_PAGE, PAGE_HEADER_BYTES, type PageHeader } from "./page.js";
import { noteRecords } from "./record-keys.js";
import { sealedDamage } from "./sealed-damage.js";
import { PAGE_BYTES, type SealedRun } from "./sealed-format.js";
import { partsOf, type SealedTrailer } from "./sealed-trailer.js";
import { walkSegment } from "./segment-walk.js";
import { decodeEntry, entryHash, entryName, entryRanges, postingsPerPage, type StreamEntry } from "./stream-page.js";
import { bucketOf } from "./stream-pages.js";
import { StreamTable } from "./stream-table.js";

const POOL_BUFFER_BYTES = 1024 * 1024;
const POOL_BUFFERS = 4;

export interface VerifyOptions {
  readonly io: BlockIo;
  readonly storeId: Uint8Array;
  /** The segment's number, which its name has. */
  readonly number: number;
  readonly keyOf: KeyOf;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  /** Told of each run, with the hash chain behind it. */
  readonly onRun?: (run: SealedRun, chain: HashChain) => void;
  /** For tests that need collisions. */
  readonly hasher?: NameHasher;
}

/**
 * Reads the whole file and checks everything that it says against everything else: CRCs, density, the hash chain, the LSN index, every
 * stream's versions, every entry of the stream index and its postings, the name filter. Returns the trailer, whose counts were checked.
 *
 * @throws StoreError `ERR_WAL_CORRUPT` with path, offset and LSNs for the first thing that is wrong, `ERR_WAL_FOREIGN` for a segment of
 *   another store, `ERR_WAL_VERSION` for one of a newer format.
 */
export async function verifySegment(path: string, options: VerifyOptions): Promise<SealedTrailer> {
  const file = await DirectFile.open(options.io, path, "read");
  const pool = new BufferPool(POOL_BUFFER_BYTES, POOL_BUFFERS);
  try {
    const index = new IndexCheck(path, options);
    const { storeId, number, keys = null } = options;
    const trailer = await walkSegment({ file, pool, storeId, number, keys }, index);
    index.finish(trailer);
    return trailer;
  } finally {
    pool.close();
    await file.close();
  }
}

interface ExpectedPostings {
  readonly stream: number;
  readonly fromIndex: number;
}

/** Which LSNs of a segment have lost their records, as ranges of offsets. */
class RemovedLsns {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  note({ kind, header, body, leaf }: SealedRun, firstLsn: number): void {
    const offset = header.firstLsn - firstLsn;
    if (kind === "removed" || kind === "dropped") this.#add(offset, header.recordCount);
    if (kind !== "data" || leaf === null) return;
    let at = 0;
    for (let index = 0; index < header.recordCount; index++) {
      const byteLength = body.readUInt32LE(at);
      if (byteLength === 0) this.#add(offset + index, 1);
      at += RECORD_HEADER_BYTES + byteLength;
    }
  }

  #add(offset: number, count: number): void {
    if (this.#ends.at(-1) !== offset) {
      this.#starts.push(offset);
      this.#ends.push(offset + count);
    } else this.#ends[this.#ends.length - 1] = offset + count;
  }

  has(offset: number): boolean {
    const range = floorIndex(this.#starts.length, offset, (index) => this.#starts[index] as number);
    return range >= 0 && offset < (this.#ends[range] as number);
  }
}

/** Holds the pages of a stream index against a table made of the records. */
class IndexCheck {
  readonly #path: string;
  readonly #options: VerifyOptions;
  readonly #table: StreamTable;
  #lsns: Uint32Array | null = null;
  #starts = new Uint32Array(0);
  #seen = new Uint8Array(0);
  #streamCount = 0;
  /** Streams of which nothing is left. */
  readonly #lost: StreamTable;
  readonly #removed = new RemovedLsns();
  #removedCount = 0;
  #voidCount = 0;
  #lowest = Number.POSITIVE_INFINITY;
  #highest = Number.NEGATIVE_INFINITY;
  /** Pages that others refer to: the bucket that goes on there, or whose postings must be there. */
  readonly #continued = new Map<number, number>();
  readonly #posted = new Map<number, ExpectedPostings>();
  readonly #postings = new Map<number, Uint32Array>();

  constructor(path: string, options: VerifyOptions) {
    this.#path = path;
    this.#options = options;
    this.#table = new StreamTable(options.hasher ?? hashName);
    this.#lost = new StreamTable(options.hasher ?? hashName);
  }

  run(run: SealedRun, trailer: SealedTrailer, chain: HashChain): void {
    this.#options.onRun?.(run, chain);
    this.#removedCount += noteRecords(this.#table, run, trailer.firstLsn, this.#options.keyOf);
    this.#removed.note(run, trailer.firstLsn);
    if (run.kind === "void") this.#voidCount += run.header.recordCount;
    this.#lowest = Math.min(this.#lowest, run.header.recordedAt);
    this.#highest = Math.max(this.#highest, run.header.recordedAt);
  }

  #damage(trailer: SealedTrailer, page: number, what: string): Error {
    const offset = partsOf(trailer).streamPages + page * PAGE_BYTES;
    return sealedDamage({ path: this.#path, offset, firstLsn: trailer.firstLsn, lastLsn: trailer.lastLsn }, what);
  }

  #sorted(): Uint32Array {
    if (this.#lsns !== null) return this.#lsns;
    this.#lsns = this.#table.sortedLsns();
    this.#starts = new Uint32Array(this.#table.streamCount + 1);
    for (let stream = 0; stream < this.#table.streamCount; stream++) {
      this.#starts[stream + 1] = (this.#starts[stream] as number) + this.#table.count(stream);
    }
    this.#seen = new Uint8Array(this.#table.streamCount);
    return this.#lsns;
  }

  streamPage(bytes: Buffer, header: PageHeader, trailer: SealedTrailer): void {
    this.#sorted();
    const isBucket = header.page < trailer.bucketCount;
    if (header.kind === "postings" && !isBucket) this.#keepPostings(bytes, header);
    else this.#checkEntries(bytes, header, trailer, isBucket ? header.page : this.#continued.get(header.page));
  }

  #checkEntries(bytes: Buffer, header: PageHeader, trailer: SealedTrailer, bucket: number | undefined): void {
    if (bucket === undefined) throw this.#damage(trailer, header.page, "a page of no bucket");
    if (header.nextPage !== NO_PAGE) this.#continued.set(header.nextPage, bucket);
    let entryCount = 0;
    for (const range of entryRanges(bytes, header.contentEnd)) {
      const isSound = range !== null && this.#checkEntry(bytes, range[0], range[1], trailer, bucket);
      if (!isSound) throw this.#damage(trailer, header.page, "an entry that does not match the records");
      entryCount++;
    }
    if (entryCount !== header.entryCount) throw this.#damage(trailer, header.page, "a wrong number of entries");
  }

  #checkEntry(bytes: Buffer, at: number, end: number, trailer: SealedTrailer, bucket: number): boolean {
    const entry = decodeEntry(bytes, at, end);
    const name = entryName(bytes, at);
    if (entry?.count === 0) {
      this.#streamCount++;
      const { low, high } = entryHash(bytes, at);
      return this.#isLost(bytes, name, entry, { low, high }) && bucketOf(high, trailer.bucketCount) === bucket;
    }
    const stream = this.#table.find(bytes, name.start, name.end);
    if (entry === null || stream === null || this.#seen[stream] === 1) return false;
    this.#seen[stream] = 1;
    this.#streamCount++;
    const { low, high } = entryHash(bytes, at);
    const lsns = this.#sorted();
    const start = this.#starts[stream] as number;
    if (entry.postingPage === null) {
      for (let index = 0; index < entry.count; index++) if (entry.inline[index] !== lsns[start + index]) return false;
    } else {
      const perPage = postingsPerPage(trailer.secret !== null);
      for (let from = 0; from < entry.count; from += perPage) {
        this.#posted.set(entry.postingPage + from / perPage, { stream, fromIndex: from });
      }
    }
    return (
      entry.count === this.#table.count(stream) &&
      entry.firstVersion === this.#table.firstVersion(stream) &&
      entry.lastLsnOffset === lsns[start + entry.count - 1] &&
      low === this.#table.hashLow(stream) &&
      high === this.#table.hashHigh(stream) &&
      bucketOf(high, trailer.bucketCount) === bucket
    );
  }

  /** Whether the stream has nothing left here, and the last that it had was removed. */
  #isLost(bytes: Buffer, name: { start: number; end: number }, entry: StreamEntry, hash: NameHash): boolean {
    const { firstVersion, lastLsnOffset } = entry;
    if (firstVersion < 2 || !this.#removed.has(lastLsnOffset)) return false;
    if (this.#table.find(bytes, name.start, name.end) !== null) return false;
    if (this.#lost.find(bytes, name.start, name.end) !== null) return false;
    this.#lost.remove(bytes, name.start, name.end, firstVersion - 1, lastLsnOffset);
    const stream = this.#lost.streamCount - 1;
    return hash.low === this.#lost.hashLow(stream) && hash.high === this.#lost.hashHigh(stream);
  }

  /** Entries in pages further on can speak of it, so it is looked at in the end. */
  #keepPostings(bytes: Buffer, header: PageHeader): void {
    const lsns = new Uint32Array(header.entryCount);
    for (let index = 0; index < lsns.length; index++) lsns[index] = bytes.readUInt32LE(PAGE_HEADER_BYTES + index * 4);
    this.#postings.set(header.page, lsns);
  }

  #checkPostings(trailer: SealedTrailer): void {
    const lsns = this.#sorted();
    for (const [page, { stream, fromIndex }] of this.#posted) {
      const start = (this.#starts[stream] as number) + fromIndex;
      const count = Math.min(postingsPerPage(trailer.secret !== null), this.#table.count(stream) - fromIndex);
      const found = this.#postings.get(page);
      const isSame = found?.length === count && found.every((lsn, index) => lsn === lsns[start + index]);
      if (!isSame) throw this.#damage(trailer, page, "postings that do not match the records");
    }
    if (this.#posted.size !== this.#postings.size) throw this.#damage(trailer, 0, "postings of no stream");
  }

  filter(filter: Buffer, trailer: SealedTrailer): void {
    let isWhole = filter.length === filterBytes(trailer.streamCount);
    for (const table of [this.#table, this.#lost]) {
      for (let stream = 0; stream < table.streamCount; stream++) {
        isWhole &&= mayContain(filter, table.hashLow(stream), table.hashHigh(stream));
      }
    }
    if (isWhole) return;
    throw this.#damage(trailer, trailer.streamPageCount, "a name filter without one of its names");
  }

  /** What is only known in the end. */
  finish(trailer: SealedTrailer): void {
    this.#checkPostings(trailer);
    const isAsCounted =
      this.#streamCount === this.#table.streamCount + this.#lost.streamCount &&
      trailer.streamCount === this.#streamCount &&
      trailer.recordCount === this.#table.recordCount &&
      trailer.removedCount === this.#removedCount &&
      trailer.voidCount === this.#voidCount &&
      trailer.lowestRecordedAt === this.#lowest &&
      trailer.highestRecordedAt === this.#highest;
    if (!isAsCounted) throw this.#damage(trailer, trailer.streamPageCount, "a trailer that does not match the records");
  }
}

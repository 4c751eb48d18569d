/** One sealed segment for reading: its trailer in memory, everything else read when it is needed and kept in a cache for a while. */

import { crc32 } from "node:zlib";
import { assert } from "../../assert.js";
import { isStoreError } from "../../errors.js";
import type { BufferPool } from "../../ffi/index.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { scanBlocks } from "./block-scan.js";
import type { ByteLru } from "./byte-lru.js";
import { ByteStream } from "./byte-stream.js";
import {
  type BlockLocation,
  floorIndex,
  LSN_ENTRIES_PER_PAGE,
  locationAt,
  lsnOfEntry,
  timeOfEntry,
} from "./lsn-pages.js";
import { mayContain } from "./name-filter.js";
import type { NameHash } from "./name-hash.js";
import { readI64, readU64 } from "./number-fields.js";
import { checkPage, decryptPage, NO_PAGE, PAGE_HEADER_BYTES, type PageHeader, type PageKind } from "./page.js";
import { checkBlockHeader, decodeBlock, type SealedBlock } from "./sealed-block.js";
import { sealedDamage, undecodable } from "./sealed-damage.js";
import { entryOf, type SealedEntry } from "./sealed-entry.js";
import type { SealedFiles } from "./sealed-files.js";
import { BLOCK_HEADER_BYTES, blockHeaderCrc, PAGE_BYTES, storeCrcOf } from "./sealed-format.js";
import { decodeTrailer, partsOf, ROOT_ENTRY_BYTES, type SealedParts, type SealedTrailer } from "./sealed-trailer.js";
import { cipherOf, type SegmentCipher } from "./segment-cipher.js";
import { plainFilter } from "./segment-walk.js";
import { findEntry, postingsPerPage, type StreamEntry } from "./stream-page.js";
import { bucketOf } from "./stream-pages.js";

/** A page in memory whose CRC held. */
export interface CachedPage {
  readonly kind: "page";
  readonly bytes: Buffer;
  readonly header: PageHeader;
  readonly memoryBytes: number;
}

/** A name filter in memory, or other bytes that are read as one. */
export interface CachedBytes {
  readonly kind: "bytes";
  readonly bytes: Buffer;
  readonly memoryBytes: number;
}

export type Cached = SealedBlock | CachedPage;

/** What all segments of a log share. */
export interface SegmentReads {
  readonly files: SealedFiles;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  /** Of a store that is encrypted. */
  readonly keys: StoreKeys | null;
  readonly cache: ByteLru<Cached>;
  /** Pages of the index by LSN, which every look for a record needs: blocks would push them out. */
  readonly lsnPages: ByteLru<Cached>;
  readonly filters: ByteLru<CachedBytes>;
  /** Streams of those who read in order, which must be closed before the files are. */
  readonly scans: Set<ByteStream>;
}

interface IndexSearch {
  readonly ofRoot: (root: Buffer, at: number) => number;
  readonly ofEntry: (page: Buffer, index: number) => number;
}

const BY_LSN: IndexSearch = { ofRoot: readU64, ofEntry: lsnOfEntry };
const BY_TIME: IndexSearch = { ofRoot: (root, at) => readI64(root, at + 8), ofEntry: timeOfEntry };

function floorInPage({ bytes, header }: CachedPage, value: number, search: IndexSearch): number {
  const index = floorIndex(header.entryCount, value, (entry) => search.ofEntry(bytes, entry));
  return header.page * LSN_ENTRIES_PER_PAGE + Math.max(0, index);
}

/** A cached item's key is its offset in a file, below this, and the file's slot times this. */
const FILE_BYTES_MAX = 2 ** 36;
const PAGE_MEMORY_BYTES = PAGE_BYTES + 200;
/** Blocks read at once by whoever goes backwards or from event to event. */
const BLOCKS_AHEAD_MAX = 8;

export class SealedSegment {
  readonly path: string;
  readonly trailer: SealedTrailer;
  readonly #reads: SegmentReads;
  readonly #parts: SealedParts;
  readonly #slot: number;
  readonly #storeCrc: number;
  readonly #cipher: SegmentCipher | null;
  #root: Buffer | null = null;
  #rootReading: Promise<Buffer> | null = null;
  #filterReading: Promise<Buffer> | null = null;
  /** Reads in flight, so that two who need the same bytes read them once. */
  readonly #pending = new Map<number, Promise<Cached>>();

  private constructor(
    reads: SegmentReads,
    path: string,
    trailer: SealedTrailer,
    slot: number,
    cipher: SegmentCipher | null,
  ) {
    this.#cipher = cipher;
    this.path = path;
    this.trailer = trailer;
    this.#reads = reads;
    this.#parts = partsOf(trailer);
    this.#slot = slot * FILE_BYTES_MAX;
    this.#storeCrc = storeCrcOf(reads.storeId);
    assert(trailer.fileBytes < FILE_BYTES_MAX && this.#slot < 2 ** 52, "keys of the cache are safe integers");
  }

  /**
   * Reads the trailer of the segment that the manifest lists. `slot` is a number that no other segment of the same cache has or had.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when the file is missing, shorter, damaged or not the one that is listed; `ERR_WAL_FOREIGN` when it
   *   belongs to another store; `ERR_WAL_VERSION` when it has a newer format.
   */
  static async open(reads: SegmentReads, path: string, entry: SealedEntry, slot: number): Promise<SealedSegment> {
    const { firstLsn, lastLsn, byteLength } = entry;
    const place = { path, offset: Math.max(0, byteLength - PAGE_BYTES), firstLsn, lastLsn };
    const found = await reads.files.byteLength(path).catch((error: unknown) => {
      throw isStoreError(error, "ERR_WAL_CORRUPT") ? sealedDamage(place, "it is missing") : error;
    });
    if (found !== byteLength) throw sealedDamage(place, `${found} bytes instead of ${byteLength}`);
    const page = byteLength < PAGE_BYTES ? null : await reads.files.read(path, place.offset, PAGE_BYTES);
    if (page === null) throw sealedDamage(place, "the trailer cannot be read");
    const decoded = decodeTrailer(page, reads.storeId, byteLength);
    if (decoded.kind !== "trailer") throw undecodable(place, "trailer", decoded);
    const listed = entryOf(decoded.trailer);
    const isListed =
      listed.number === entry.number &&
      listed.firstLsn === firstLsn &&
      listed.lastLsn === lastLsn &&
      listed.hash === entry.hash;
    if (!isListed) throw sealedDamage(place, "not the segment that the manifest lists");
    return new SealedSegment(reads, path, decoded.trailer, slot, cipherOf(reads.keys, decoded.trailer, place));
  }

  get firstLsn(): number {
    return this.trailer.firstLsn;
  }

  get lastLsn(): number {
    return this.trailer.lastLsn;
  }

  #place(offset: number): { path: string; offset: number; firstLsn: number; lastLsn: number } {
    return { path: this.path, offset, firstLsn: this.firstLsn, lastLsn: this.lastLsn };
  }

  async #read(offset: number, byteLength: number): Promise<Buffer> {
    const bytes = await this.#reads.files.read(this.path, offset, byteLength);
    if (bytes === null) throw sealedDamage(this.#place(offset), `${byteLength} bytes cannot be read`);
    return bytes;
  }

  /** What is cached for an offset, or a promise of it. */
  #cached(cache: ByteLru<Cached>, offset: number, load: () => Promise<Cached>): Cached | Promise<Cached> {
    const key = this.#slot + offset;
    const cached = cache.get(key);
    if (cached !== undefined) return cached;
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    const loading = load().then(
      (loaded) => {
        this.#pending.delete(key);
        cache.set(key, loaded);
        return loaded;
      },
      (error: unknown) => {
        this.#pending.delete(key);
        throw error;
      },
    );
    this.#pending.set(key, loading);
    return loading;
  }

  async #page(kind: PageKind, first: number, page: number, count: number): Promise<CachedPage> {
    if (!(page < count)) throw sealedDamage(this.#place(first), `page ${page} of ${count}`);
    const offset = first + page * PAGE_BYTES;
    const item = await this.#cached(this.#cacheOf(kind), offset, async () => {
      const bytes = await this.#read(offset, PAGE_BYTES);
      const header = checkPage(bytes, kind, page, this.trailer.number, this.#storeCrc);
      if (header === null) throw sealedDamage(this.#place(offset), "no page of its index");
      const isEncrypted = this.#cipher !== null && kind !== "lsns";
      if (isEncrypted) decryptPage(bytes, header, this.#cipher, this.#place(offset));
      return { kind: "page", bytes, header, memoryBytes: PAGE_MEMORY_BYTES };
    });
    // A page of one kind that is asked for as another was referred to wrongly.
    if (item.kind !== "page" || item.header.kind !== kind) throw sealedDamage(this.#place(offset), "another page");
    return item;
  }

  #cacheOf(kind: PageKind): ByteLru<Cached> {
    return kind === "lsns" ? this.#reads.lsnPages : this.#reads.cache;
  }

  #lsnPage(page: number): Promise<CachedPage> {
    return this.#page("lsns", this.#parts.lsnPages, page, this.trailer.lsnPageCount);
  }

  #streamPage(kind: "names" | "postings", page: number): Promise<CachedPage> {
    return this.#page(kind, this.#parts.streamPages, page, this.trailer.streamPageCount);
  }

  #rootEntries(): Promise<Buffer> {
    this.#rootReading ??= this.#readRoot().finally(() => {
      this.#rootReading = null;
    });
    return this.#rootReading;
  }

  async #readRoot(): Promise<Buffer> {
    const root = await this.#read(this.#parts.root, this.trailer.lsnPageCount * ROOT_ENTRY_BYTES);
    if (crc32(root) !== this.trailer.rootCrc) throw sealedDamage(this.#place(this.#parts.root), "no LSN root");
    this.#root = root;
    return root;
  }

  /** Where block `index` is; 0 is the first. */
  async #location(index: number): Promise<BlockLocation> {
    const page = Math.floor(index / LSN_ENTRIES_PER_PAGE);
    const { bytes } = await this.#lsnPage(page);
    const location = locationAt(bytes, index % LSN_ENTRIES_PER_PAGE);
    const { fileOffset, storedBytes, firstLsn } = location;
    // The page holds its CRC: what is not so was written wrong, and would be looked for without an end.
    const isWithin =
      fileOffset >= PAGE_BYTES && fileOffset + BLOCK_HEADER_BYTES + storedBytes <= this.trailer.blocksEnd;
    const isSound = isWithin && firstLsn >= this.firstLsn && firstLsn <= this.lastLsn;
    if (!isSound)
      throw sealedDamage(this.#place(this.#parts.lsnPages + page * PAGE_BYTES), "an LSN page that leads nowhere");
    return location;
  }

  /** The last block whose value is at most `value`, 0 when there is none. */
  async #floorBlock(value: number, search: IndexSearch): Promise<number> {
    const page = this.#floorPage(this.#root ?? (await this.#rootEntries()), value, search);
    return floorInPage(await this.#lsnPage(page), value, search);
  }

  #floorPage(root: Buffer, value: number, search: IndexSearch): number {
    const count = this.trailer.lsnPageCount;
    return Math.max(
      0,
      floorIndex(count, value, (index) => search.ofRoot(root, index * ROOT_ENTRY_BYTES)),
    );
  }

  /** The block that holds an LSN of this segment. */
  indexOf(lsn: number): Promise<number> {
    return this.#floorBlock(lsn, BY_LSN);
  }

  /** Block `index`, from the cache where it is there. */
  async block(index: number): Promise<SealedBlock> {
    const location = await this.#location(index);
    const item = await this.#cached(this.#reads.cache, location.fileOffset, () => this.#readBlock(location));
    assert(item.kind === "block", "blocks and pages have offsets of their own");
    return item;
  }

  /** The block that holds `lsn`, if nothing has to be read for it. */
  cachedBlock(lsn: number): SealedBlock | null {
    if (this.#root === null) return null;
    const page = this.#cachedPage("lsns", this.#parts.lsnPages, this.#floorPage(this.#root, lsn, BY_LSN));
    if (page === null) return null;
    const index = floorInPage(page, lsn, BY_LSN) % LSN_ENTRIES_PER_PAGE;
    const item = this.#reads.cache.get(this.#slot + locationAt(page.bytes, index).fileOffset);
    return item?.kind === "block" ? item : null;
  }

  #cachedPage(kind: PageKind, first: number, page: number): CachedPage | null {
    const item = this.#cacheOf(kind).get(this.#slot + first + page * PAGE_BYTES);
    return item?.kind === "page" ? item : null;
  }

  async #readBlock(location: BlockLocation): Promise<SealedBlock> {
    const { fileOffset, storedBytes, headerCrc, firstLsn } = location;
    const bytesLeft = this.trailer.blocksEnd - fileOffset;
    const { number } = this.trailer;
    const own = { number, storeCrc: this.#storeCrc, cipher: this.#cipher };
    const place = { ...this.#place(fileOffset), firstLsn, ...own, bytesLeft };
    if (!(storedBytes <= bytesLeft - BLOCK_HEADER_BYTES)) throw sealedDamage(place, "a block beyond the last one");
    const bytes = await this.#read(fileOffset, BLOCK_HEADER_BYTES + storedBytes);
    const header = checkBlockHeader(bytes, place);
    const isSame = header.storedBytes === storedBytes && header.firstLsn === firstLsn;
    const isIndexed = isSame && blockHeaderCrc(bytes) === headerCrc;
    if (!isIndexed) throw sealedDamage(place, "another block than the index says");
    return decodeBlock(header, bytes.subarray(BLOCK_HEADER_BYTES), place);
  }

  /** The blocks that hold LSNs from `from` to `through`, in order, read ahead and not cached. */
  async *blocks(from: number, through: number): AsyncGenerator<SealedBlock, void, undefined> {
    const first = await this.#location(await this.indexOf(from));
    const last = await this.#location(await this.indexOf(Math.min(through, this.lastLsn)));
    const end = last.fileOffset + BLOCK_HEADER_BYTES + last.storedBytes;
    const scanned = {
      path: this.path,
      number: this.trailer.number,
      storeCrc: this.#storeCrc,
      lastLsn: this.lastLsn,
      cipher: this.#cipher,
    };
    const { files, pool, scans } = this.#reads;
    const { file, release } = await files.acquire(this.path);
    const range = { from: first.fileOffset, end, firstLsn: first.firstLsn, isKept: true };
    const stream = new ByteStream(file, pool, range.from, end);
    scans.add(stream);
    try {
      for await (const { block } of scanBlocks(stream, scanned, range)) {
        files.checkOpen();
        yield block;
      }
    } catch (error) {
      files.checkOpen(); // a stream that was closed looks like a file that ends
      throw error;
    } finally {
      scans.delete(stream);
      release();
    }
  }

  /** The blocks that hold LSNs up to `through`, the last one first, a few read ahead and not cached. */
  async *blocksBackwards(through: number): AsyncGenerator<SealedBlock, void, undefined> {
    let next = await this.indexOf(Math.min(through, this.lastLsn));
    const ahead: Promise<SealedBlock>[] = [];
    try {
      while (next >= 0 || ahead.length > 0) {
        while (next >= 0 && ahead.length < BLOCKS_AHEAD_MAX) {
          const index = next--;
          const reading = this.#location(index).then((location) => this.#readBlock(location));
          reading.catch(() => {}); // told when it is its turn
          ahead.push(reading);
        }
        const block = await ahead.shift();
        if (block !== undefined) yield block;
      }
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  /** False: certainly nothing of the stream is here. True also while nobody has asked, so that the filter is not in memory. */
  mayHold(hash: NameHash): boolean {
    if (this.trailer.bucketCount === 0) return false;
    const filter = this.#reads.filters.get(this.#slot);
    return filter === undefined || mayContain(filter.bytes, hash.low, hash.high);
  }

  /** What the index says of a stream, null when the segment holds nothing of it; without waiting where everything is in memory. */
  stream(name: Uint8Array, hash: NameHash): StreamEntry | null | Promise<StreamEntry | null> {
    const { bucketCount } = this.trailer;
    if (bucketCount === 0) return null;
    const filter = this.#reads.filters.get(this.#slot);
    if (filter === undefined) return this.#readStream(name, hash);
    if (!mayContain(filter.bytes, hash.low, hash.high)) return null;
    let page = bucketOf(hash.high, bucketCount);
    for (let steps = 0; steps < this.trailer.streamPageCount; steps++) {
      const cached = this.#cachedPage("names", this.#parts.streamPages, page);
      if (cached === null || cached.header.kind !== "names") break;
      const entry = findEntry(cached.bytes, cached.header.contentEnd, hash.low, hash.high, name);
      if (entry === "damaged") break; // told by the promise
      if (entry !== null || cached.header.nextPage === NO_PAGE) return entry;
      page = cached.header.nextPage;
    }
    return this.#readStream(name, hash);
  }

  async #readStream(name: Uint8Array, hash: NameHash): Promise<StreamEntry | null> {
    if (!(await this.#isInFilter(hash))) return null;
    let page = bucketOf(hash.high, this.trailer.bucketCount);
    // Bounded, because damage that holds its CRC could lead in a circle.
    for (let steps = 0; steps < this.trailer.streamPageCount; steps++) {
      const read = await this.#streamPage("names", page);
      const entry = this.#entryIn(read, name, hash);
      if (entry !== null || read.header.nextPage === NO_PAGE) return entry;
      page = read.header.nextPage;
    }
    throw sealedDamage(this.#place(this.#parts.streamPages), "a bucket that goes on for ever");
  }

  #entryIn({ bytes, header }: CachedPage, name: Uint8Array, hash: NameHash): StreamEntry | null {
    const entry = findEntry(bytes, header.contentEnd, hash.low, hash.high, name);
    if (entry !== "damaged") return entry;
    throw sealedDamage(this.#place(this.#parts.streamPages + header.page * PAGE_BYTES), "no entries of streams");
  }

  /** By the name filter, which is read once and kept while there is room. */
  async #isInFilter(hash: NameHash): Promise<boolean> {
    let filter = this.#reads.filters.get(this.#slot)?.bytes;
    if (filter === undefined) {
      this.#filterReading ??= this.#readFilter().finally(() => {
        this.#filterReading = null;
      });
      filter = await this.#filterReading;
    }
    return mayContain(filter, hash.low, hash.high);
  }

  async #readFilter(): Promise<Buffer> {
    const { filterBytes, filterCrc } = this.trailer;
    const stored = await this.#read(this.#parts.filter, filterBytes);
    if (crc32(stored) !== filterCrc) throw sealedDamage(this.#place(this.#parts.filter), "no name filter");
    const filter = plainFilter(stored, this.trailer, this.#cipher, this.path);
    this.#reads.filters.set(this.#slot, { kind: "bytes", bytes: filter, memoryBytes: filterBytes });
    return filter;
  }

  /** LSNs of the stream's records with versions from `from` to `to`, of those that the entry has. */
  lsnsOf(entry: StreamEntry, from: number, to: number): number[] | Promise<number[]> {
    const first = Math.max(0, from - entry.firstVersion);
    const end = Math.min(entry.count, to - entry.firstVersion + 1);
    if (entry.postingPage !== null) return this.#readPostings(entry.postingPage, first, end);
    const lsns: number[] = [];
    for (let index = first; index < end; index++) lsns.push(this.firstLsn + (entry.inline[index] as number));
    return lsns;
  }

  async #readPostings(firstPage: number, first: number, end: number): Promise<number[]> {
    const lsns: number[] = [];
    const perPage = postingsPerPage(this.#cipher !== null);
    for (let index = first; index < end; ) {
      const { bytes } = await this.#streamPage("postings", firstPage + Math.floor(index / perPage));
      for (let at = index % perPage; at < perPage && index < end; at++, index++) {
        lsns.push(this.firstLsn + bytes.readUInt32LE(PAGE_HEADER_BYTES + at * 4));
      }
    }
    return lsns;
  }

  /** The last LSN that was recorded at or before `timeUs`; the segment has one. */
  async lsnAt(timeUs: number): Promise<number> {
    const index = await this.#floorBlock(timeUs, BY_TIME);
    const { runs, firstLsn } = await this.block(index);
    const run = runs[floorIndex(runs.length, timeUs, (at) => runs[at]?.header.recordedAt ?? 0)];
    return run === undefined ? firstLsn - 1 : run.header.firstLsn + run.header.recordCount - 1;
  }
}

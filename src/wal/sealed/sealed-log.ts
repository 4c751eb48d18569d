/**
 * All sealed segments of a store for reading: by LSN, by stream, by time.
 *
 * What is loaded when it is opened is one page of each segment. Everything else is read when it is asked for, checked, and kept in caches of a
 * fixed size, so neither opening nor memory depends on how much is sealed or how many streams there are.
 *
 * Segments may be replaced while it is read, when others hold the same LSNs after a compaction: who is in the middle of one goes on in
 * those that are listed now.
 */

import { StoreError } from "../../errors.js";
import type { BlockIo, BufferPool } from "../../ffi/index.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import { truncated } from "../log-horizon.js";
import { ByteLru } from "./byte-lru.js";
import { floorIndex } from "./lsn-pages.js";
import { hashName, type NameHash, type NameHasher } from "./name-hash.js";
import type { SealedBlock } from "./sealed-block.js";
import { sealedDamage } from "./sealed-damage.js";
import { entryOf, type SealedEntry } from "./sealed-entry.js";
import { READS_MAX, SealedFiles } from "./sealed-files.js";
import type { SealedRun } from "./sealed-format.js";
import { sealedPath } from "./sealed-name.js";
import { type Cached, type CachedBytes, SealedSegment, type SegmentReads } from "./sealed-segment.js";
import type { StreamEntry } from "./stream-page.js";

const MEBIBYTE = 1024 * 1024;
const CACHE_BYTES_DEFAULT: number = 16 * MEBIBYTE;
const FILTER_BYTES_DEFAULT: number = 32 * MEBIBYTE;
/** Pages of the index by LSN kept in memory: those of about 20 million events of 100 bytes. */
const LSN_PAGES_BYTES: number = 8 * MEBIBYTE;
/** Segments that are opened, or asked for a stream, at once: as many as are read from at once, since a second round takes as long as the first. */
const SEGMENTS_AT_ONCE_MAX: number = READS_MAX;
/** Blocks that are read at once for the records of one stream. */
const BLOCKS_AHEAD_MAX: number = READS_MAX;

export interface SealedLogOptions {
  readonly io: BlockIo;
  /** Lends buffers for reading many blocks in order. */
  readonly pool: BufferPool;
  /** The directory of sealed segments. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  /** Whether single blocks and pages come from files that are mapped. Default false. */
  readonly isMapped?: boolean;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  /** Blocks and pages kept in memory; of those of the index by LSN as much again, at most 8 MiB. Default 16 MiB. */
  readonly cacheBytesMax?: number;
  /** Name filters kept in memory. Default 32 MiB. */
  readonly filterBytesMax?: number;
  /** For tests that need collisions. */
  readonly hasher?: NameHasher;
}

/** The newest record of a stream that is sealed. */
export interface SealedHead {
  readonly version: number;
  readonly lsn: number;
}

interface FoundStream {
  readonly segment: SealedSegment;
  readonly entry: StreamEntry;
}

/** Where all of a stream is. */
interface FoundAll {
  readonly name: Buffer;
  readonly generation: number;
  readonly found: readonly FoundStream[];
}

export class SealedLog {
  readonly #directory: string;
  readonly #reads: SegmentReads;
  readonly #hasher: NameHasher;
  #segments: readonly SealedSegment[] = [];
  #horizonLsn = 0;
  /** Rises with each replacement. */
  #generation = 0;
  #nextSlot = 0;
  /** What was looked for last: who reads a stream asks for its end first, and then where its events are. */
  #lastFound: FoundAll | null = null;

  private constructor(options: SealedLogOptions) {
    const { io, pool, storeId, isMapped = false, cacheBytesMax, filterBytesMax } = options;
    this.#directory = options.directory;
    this.#hasher = options.hasher ?? hashName;
    this.#reads = {
      files: new SealedFiles(io, isMapped),
      pool,
      storeId,
      keys: options.keys ?? null,
      cache: new ByteLru<Cached>(cacheBytesMax ?? CACHE_BYTES_DEFAULT),
      lsnPages: new ByteLru<Cached>(Math.min(LSN_PAGES_BYTES, cacheBytesMax ?? LSN_PAGES_BYTES)),
      filters: new ByteLru<CachedBytes>(filterBytesMax ?? FILTER_BYTES_DEFAULT),
      scans: new Set(),
    };
  }

  /**
   * Opens the segments that the manifest lists, in LSN order.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when one is missing, damaged or not the one that is listed, or the list has a hole;
   *   `ERR_WAL_FOREIGN` for one of another store; `ERR_WAL_VERSION` for one of a newer format.
   */
  static async open(
    options: SealedLogOptions,
    entries: readonly SealedEntry[],
    horizonLsn: number = 0,
  ): Promise<SealedLog> {
    const log = new SealedLog(options);
    try {
      await log.replace(entries, horizonLsn);
    } catch (error) {
      await log.close();
      throw error;
    }
    return log;
  }

  /** The first LSN; 1 when nothing is sealed. */
  get firstLsn(): number {
    return this.#segments[0]?.firstLsn ?? 1;
  }

  /** The last LSN; 0 when nothing is sealed. */
  get lastLsn(): number {
    return this.#segments.at(-1)?.lastLsn ?? 0;
  }

  /** The highest recordedAt; 0 when nothing is sealed. */
  get highestRecordedAt(): number {
    return this.#segments.at(-1)?.trailer.highestRecordedAt ?? 0;
  }

  /** Up to here only single streams are read: a truncation has left nothing else. */
  get horizonLsn(): number {
    return this.#horizonLsn;
  }

  get segments(): readonly SealedSegment[] {
    return this.#segments;
  }

  /** Bytes in the caches of blocks and pages. */
  get cachedBytes(): number {
    return this.#reads.cache.byteLength + this.#reads.lsnPages.byteLength;
  }

  /**
   * Reads from these segments from now on, in LSN order; keeps those that it has. The dropped files may be removed afterwards. Who reads below
   * `horizonLsn`, where a truncation has left single streams only, hears `ERR_LOG_TRUNCATED`.
   */
  async replace(entries: readonly SealedEntry[], horizonLsn: number = 0): Promise<void> {
    const known = new Map(this.#segments.map((segment) => [segment.trailer.number, segment]));
    const segments: SealedSegment[] = [];
    const open = async (entry: SealedEntry): Promise<SealedSegment> => {
      const path = sealedPath(this.#directory, entry.number);
      const before = known.get(entry.number);
      if (before !== undefined && entryOf(before.trailer).hash === entry.hash) return before;
      return SealedSegment.open(this.#reads, path, entry, this.#nextSlot++);
    };
    for (let at = 0; at < entries.length; at += SEGMENTS_AT_ONCE_MAX) {
      segments.push(...(await Promise.all(entries.slice(at, at + SEGMENTS_AT_ONCE_MAX).map(open))));
    }
    for (const [index, segment] of segments.entries()) {
      const before = segments[index - 1];
      if (before === undefined) continue;
      const follows = segment.firstLsn === before.lastLsn + 1 && segment.trailer.hashBefore.equals(before.trailer.hash);
      const { path, firstLsn, lastLsn } = segment;
      if (!follows) throw sealedDamage({ path, offset: 0, firstLsn, lastLsn }, `it does not follow ${before.path}`);
    }
    const dropped = this.#segments.filter((segment) => !segments.includes(segment));
    this.#segments = segments;
    this.#horizonLsn = horizonLsn;
    this.#generation++;
    for (const segment of dropped) this.#reads.files.forget(segment.path);
  }

  #segmentOf(lsn: number): SealedSegment {
    const segments = this.#segments;
    const segment = segments[floorIndex(segments.length, lsn, (index) => segments[index]?.firstLsn ?? 0)];
    if (segment !== undefined && lsn <= segment.lastLsn) return segment;
    throw new StoreError("ERR_WAL_CORRUPT", `LSN ${lsn} is not in the sealed log`, { lsn });
  }

  /** Once more when the segments were replaced meanwhile: then the files that it was about can be gone. */
  async #onCurrent<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      const generation = this.#generation;
      try {
        return await work();
      } catch (error) {
        if (generation === this.#generation) throw error;
      }
    }
  }

  /** The runs that hold LSNs in (`after`, `through`], gaps included, in order; the first and the last may hold others too. */
  async *runs(after: number, through: number): AsyncGenerator<SealedRun, void, undefined> {
    const end = Math.min(through, this.lastLsn);
    let delivered = Math.max(after, this.firstLsn - 1);
    while (delivered < end) {
      const generation = this.#generation;
      const before = delivered;
      try {
        for await (const { runs } of this.#segmentOf(delivered + 1).blocks(delivered + 1, end)) {
          for (const run of runs) {
            const lastLsn = run.header.firstLsn + run.header.recordCount - 1;
            if (lastLsn <= delivered) continue;
            if (delivered < this.#horizonLsn) throw truncated(delivered, this.#horizonLsn);
            delivered = lastLsn;
            yield run;
            if (delivered >= end) return;
          }
        }
        if (delivered === before) throw unreachable(delivered + 1, this.#segmentOf(delivered + 1).path);
      } catch (error) {
        if (generation === this.#generation) throw error;
      }
    }
  }

  /** The frames that hold LSNs in (`after`, `through`], in order; the first and the last may hold others too. */
  async *frames(after: number, through: number): AsyncGenerator<SealedRun, void, undefined> {
    for await (const run of this.runs(after, through)) if (run.kind === "data") yield run;
  }

  /** The frames with LSNs in (`after`, `through`], the newest first; the last may hold others too. */
  async *framesBackwards(through: number, after = 0): AsyncGenerator<SealedRun, void, undefined> {
    let upper = Math.min(through, this.lastLsn);
    while (upper >= Math.max(this.firstLsn, after + 1)) {
      const generation = this.#generation;
      const before = upper;
      try {
        for await (const { runs } of this.#segmentOf(upper).blocksBackwards(upper)) {
          for (const run of runs.toReversed()) {
            if (run.header.firstLsn > upper) continue;
            if (upper <= after) return;
            if (upper <= this.#horizonLsn) throw truncated(after, this.#horizonLsn);
            upper = run.header.firstLsn - 1;
            if (run.kind === "data") yield run;
          }
        }
        if (upper === before) throw unreachable(upper, this.#segmentOf(upper).path);
      } catch (error) {
        if (generation === this.#generation) throw error;
      }
    }
  }

  /** Without waiting where it is in memory. */
  #blockOf(lsn: number): SealedBlock | Promise<SealedBlock> {
    const cached = this.#segmentOf(lsn).cachedBlock(lsn);
    if (cached !== null) return cached;
    return this.#onCurrent(async () => {
      const segment = this.#segmentOf(lsn);
      return segment.block(await segment.indexOf(lsn));
    });
  }

  /** The frame that holds `lsn`. Where all of its records were removed, they have length 0. */
  async frameOf(lsn: number): Promise<SealedRun> {
    return frameIn(await this.#blockOf(lsn), lsn);
  }

  /** For each LSN, in the given order, the frame that holds it. Only the blocks that hold them are read, several at once. */
  async *framesOf(lsns: readonly number[]): AsyncGenerator<SealedRun, void, undefined> {
    const ahead: (SealedBlock | Promise<SealedBlock>)[] = [];
    let asked = 0;
    try {
      for (const lsn of lsns) {
        while (asked < lsns.length && ahead.length < BLOCKS_AHEAD_MAX) {
          const block = this.#blockOf(lsns[asked++] as number);
          if (block instanceof Promise) block.catch(() => {}); // told when it is its turn
          ahead.push(block);
        }
        const next = ahead.shift() as SealedBlock | Promise<SealedBlock>;
        yield frameIn(next instanceof Promise ? await next : next, lsn);
      }
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  /** False: certainly nothing of the stream is sealed. Reads nothing, so it is true as well for what is not in memory yet. */
  mayHold(name: Uint8Array): boolean {
    const segments = this.#segments;
    if (segments.length === 0) return false;
    const hash = this.#hashOf(name);
    for (let at = segments.length - 1; at >= 0; at--) if ((segments[at] as SealedSegment).mayHold(hash)) return true;
    return false;
  }

  /**
   * The newest record of a stream that is sealed and has an LSN up to `through`, removed or not; null when there was none. Below the newest one
   * that is sealed, records that were removed are not known of. `isAllWanted`: all of the stream is asked for next, so that all segments are
   * asked at once: one after the other they take as many times as long.
   */
  streamHead(
    name: Uint8Array,
    through: number = Number.POSITIVE_INFINITY,
    isAllWanted = false,
  ): Promise<SealedHead | null> {
    const hash = this.#hashOf(name);
    return this.#onCurrent(async () => {
      if (isAllWanted) {
        for (const { segment, entry } of await this.#entriesOf(name, hash, 1)) {
          if (segment.firstLsn > through) continue;
          const head = headIn(segment, entry, through);
          const found = head instanceof Promise ? await head : head;
          if (found !== null) return found;
        }
        return null;
      }
      for (const segment of this.#segments.toReversed()) {
        if (segment.firstLsn > through) continue;
        const looking = segment.stream(name, hash);
        const entry = looking instanceof Promise ? await looking : looking;
        const head = entry === null ? null : await headIn(segment, entry, through);
        if (head !== null) return head;
      }
      return null;
    });
  }

  /** The first version of a stream of which the record is left; where none of those that are sealed is, the one behind the last of them. */
  streamStart(name: Uint8Array): Promise<number> {
    const hash = this.#hashOf(name);
    return this.#onCurrent(async () => {
      const entries = (await this.#entriesOf(name, hash, 1)).map(({ entry }) => entry);
      return (entries.findLast(({ count }) => count > 0) ?? entries[0])?.firstVersion ?? 1;
    });
  }

  /**
   * The LSNs of a stream's sealed records with versions from `fromVersion` to `toVersion`, in order. Where records were removed there are
   * fewer: those of the last versions.
   */
  streamLsns(name: Uint8Array, fromVersion: number, toVersion: number): Promise<number[]> {
    const hash = this.#hashOf(name);
    return this.#onCurrent(async () => {
      const parts: number[][] = [];
      for (const { segment, entry } of await this.#entriesOf(name, hash, fromVersion)) {
        if (entry.firstVersion > toVersion || entry.firstVersion + entry.count <= fromVersion) continue;
        const lsns = segment.lsnsOf(entry, fromVersion, toVersion);
        parts.push(lsns instanceof Promise ? await lsns : lsns);
      }
      return parts.reverse().flat();
    });
  }

  #hashOf(name: Uint8Array): NameHash {
    const hash = { low: 0, high: 0 };
    this.#hasher(hash, name, 0, name.length);
    return hash;
  }

  /** Where a stream is, the newest segment first, back to the one that holds `fromVersion`. */
  async #entriesOf(name: Uint8Array, hash: NameHash, fromVersion: number): Promise<readonly FoundStream[]> {
    const last = this.#lastFound;
    if (last?.generation === this.#generation && last.name.equals(name)) return last.found;
    const generation = this.#generation;
    const found: FoundStream[] = [];
    const segments = this.#segments.toReversed();
    // The newest alone first, for who wants the end of a stream; who wants all of it has to ask all of them.
    let count = fromVersion > 1 ? 1 : SEGMENTS_AT_ONCE_MAX;
    for (let at = 0; at < segments.length; at += count, count = SEGMENTS_AT_ONCE_MAX) {
      const group = segments.slice(at, at + count);
      const looking = group.map((segment) => segment.stream(name, hash));
      const isWaiting = looking.some((entry) => entry instanceof Promise);
      const entries = isWaiting ? await Promise.all(looking) : (looking as (StreamEntry | null)[]);
      for (const [index, entry] of entries.entries()) {
        if (entry !== null) found.push({ segment: group[index] as SealedSegment, entry });
      }
      const oldest = found.at(-1)?.entry;
      // Where all records were removed, those before them were as well.
      if (oldest !== undefined && (oldest.count === 0 || oldest.firstVersion <= Math.max(1, fromVersion))) break;
    }
    if (fromVersion <= 1) this.#lastFound = { name: Buffer.from(name), generation, found };
    return found;
  }

  /** The last LSN that was recorded at or before `timeUs`, in µs since 1970; before the first one the LSN in front of it. */
  lsnAt(timeUs: number): Promise<number> {
    return this.#onCurrent(async () => {
      const segments = this.#segments;
      const index = floorIndex(segments.length, timeUs, (at) => segments[at]?.trailer.lowestRecordedAt ?? 0);
      const segment = segments[index];
      if (segment === undefined) return this.firstLsn - 1;
      return segment.trailer.highestRecordedAt <= timeUs ? segment.lastLsn : segment.lsnAt(timeUs);
    });
  }

  /** When `lsn` was recorded, in µs since 1970. */
  async timeOf(lsn: number): Promise<number> {
    return runIn(await this.#blockOf(lsn), lsn).header.recordedAt;
  }

  /** Whoever is reading hears `ERR_STORE_CLOSED`. Waits for the reads in flight. */
  async close(): Promise<void> {
    this.#reads.files.end();
    for (const stream of this.#reads.scans) await stream.close();
    await this.#reads.files.close();
    this.#reads.cache.clear();
    this.#reads.lsnPages.clear();
    this.#reads.filters.clear();
  }
}

/** The newest record of a stream in a segment with an LSN up to `through`. */
function headIn(
  segment: SealedSegment,
  entry: StreamEntry,
  through: number,
): SealedHead | null | Promise<SealedHead | null> {
  const last = { version: entry.firstVersion + entry.count - 1, lsn: segment.firstLsn + entry.lastLsnOffset };
  return last.lsn <= through ? last : headBefore(segment, entry, through);
}

async function headBefore(segment: SealedSegment, entry: StreamEntry, through: number): Promise<SealedHead | null> {
  const { firstVersion, count } = entry;
  const lsns = await segment.lsnsOf(entry, firstVersion, firstVersion + count - 1);
  const at = lsns.findLastIndex((lsn) => lsn <= through);
  return at < 0 ? null : { version: firstVersion + at, lsn: lsns[at] as number };
}

function runIn({ runs }: SealedBlock, lsn: number): SealedRun {
  const run = runs[floorIndex(runs.length, lsn, (index) => runs[index]?.header.firstLsn ?? 0)];
  if (run === undefined || lsn >= run.header.firstLsn + run.header.recordCount) throw unreachable(lsn);
  return run;
}

/** Every page and block holds its CRC, and together they make no sense. */
function unreachable(lsn: number, path?: string): StoreError {
  const where = path === undefined ? "the index of the sealed log" : `the index of ${path}`;
  const message = `LSN ${lsn} is not where ${where} says`;
  return new StoreError("ERR_WAL_CORRUPT", message, { lsn, ...(path !== undefined && { path }) });
}

function frameIn(block: SealedBlock, lsn: number): SealedRun {
  const run = runIn(block, lsn);
  if (run.kind === "data") return run;
  if (run.kind === "removed" || run.kind === "dropped") {
    const header = { ...run.header, firstLsn: lsn, recordCount: 1 };
    return { ...run, header, body: Buffer.alloc(RECORD_HEADER_BYTES) };
  }
  throw new StoreError("ERR_WAL_CORRUPT", `LSN ${lsn} has no record: ${run.kind}`, { lsn, kind: run.kind });
}

/**
 * Reads frames and records of a log of many cores by LSN: a range in order, or single records through a small cache of frames.
 *
 * LSNs are dense but for the voids in the manifest: so the next frame is the one that holds the next LSN, and a reader that does not find
 * it looks again: into the files that may have grown, for new files and cores, then into the manifest. Only then something is missing.
 */

import { StoreError } from "../errors.js";
import type { BlockIo, BufferPool } from "../ffi/index.js";
import { at, CoreCursor, type CoreTail, type CursorPosition, startOf } from "./core-cursor.js";
import { CoreMerge } from "./core-merge.js";
import { adoptKeys } from "./crypt/adopt-keys.js";
import { FrameOpener } from "./crypt/frame-cipher.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import { FrameCache } from "./frame-cache.js";
import type { LogIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import type { DamagedPlace, ScannedSegment } from "./log-facts.js";
import { endBehind, type LsnRange, touches } from "./lsn-ranges.js";
import { firstSegmentOf, type Incarnation, type Manifest, voidsOf } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import { type KnownSegment, type Reading, type ReadingDoor, SegmentCatalog } from "./segment-catalog.js";
import { SegmentFiles } from "./segment-files.js";

/** Reading that ended somewhere goes on there: so many ends are remembered. */
const ENDS_MAX = 16;
/** Frames held at once by who reads backwards. */
const STRETCH_BYTES_MAX = 16 * 1024 * 1024;
/** A checkpoint can drop files between listing and opening them; it does not do so for ever. */
const START_TRIES_MAX = 5;

export interface LogReaderSource {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly manifest: Manifest;
  /** Where frames lie, as far as that is known; whoever writes adds its own. */
  readonly index: LogIndex;
  /** Segments to which nothing is written any more. */
  readonly settled: readonly ScannedSegment[];
  /** Of the cores that are being written; null where nobody can tell: then they are read up to the zeros. */
  readonly tails: () => readonly CoreTail[] | null;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
}

/** The records are sealed, and their files in `wal/` are gone. */
export class SealedAwayError extends StoreError {
  readonly checkpointLsn: number;

  constructor(lsn: number, checkpointLsn: number, { path, fileOffset }: DamagedPlace) {
    const message = `LSN ${lsn} is sealed, and is not in ${path} any more`;
    super("ERR_WAL_CORRUPT", message, { path, offset: fileOffset, lsn, checkpointLsn });
    this.checkpointLsn = checkpointLsn;
  }
}

interface ReadingEnd {
  readonly incarnation: number;
  readonly positions: ReadonlyMap<number, CursorPosition>;
}

export class LogReader {
  readonly #source: LogReaderSource;
  readonly #door: ReadingDoor;
  readonly #readings = new Set<Reading>();
  readonly #cache = new FrameCache();
  readonly #opener: FrameOpener;
  /** By the last LSN that was delivered. */
  readonly #ends = new Map<number, ReadingEnd>();
  #catalog: SegmentCatalog;
  #manifest: Manifest;
  #voids: readonly LsnRange[];
  #isClosed = false;

  constructor(source: LogReaderSource) {
    this.#source = source;
    this.#opener = new FrameOpener(source.keys ?? null);
    this.#door = {
      files: new SegmentFiles(source.io),
      pool: source.pool,
      checkOpen: () => this.#checkOpen(),
      started: (reading) => this.#readings.add(reading),
      ended: (reading) => this.#readings.delete(reading),
    };
    this.#manifest = source.manifest;
    this.#voids = voidsOf(source.manifest);
    this.#catalog = new SegmentCatalog(source.directory, this.#door, source.settled);
  }

  /** LSNs that no record has, as the newest manifest that was read says. */
  get voids(): readonly LsnRange[] {
    return this.#voids;
  }

  /** A later manifest; with another newest incarnation what is known of files is forgotten. */
  useManifest(manifest: Manifest, settled: readonly ScannedSegment[]): void {
    const isSame = manifest.incarnations.at(-1)?.incarnation === this.#manifest.incarnations.at(-1)?.incarnation;
    const isCheckpoint = manifest.checkpointLsn > this.#manifest.checkpointLsn;
    this.adoptKeys(manifest);
    this.#manifest = manifest;
    this.#voids = voidsOf(manifest);
    if (isCheckpoint) {
      this.#door.files.closeIdle(); // dropped files take space for as long as somebody has them open
      this.#source.index.dropThrough(manifest.checkpointLsn);
    }
    if (isSame) return;
    this.#catalog = new SegmentCatalog(this.#source.directory, this.#door, settled);
    this.#ends.clear();
  }

  /**
   * The frames that hold LSNs in (`after`, `through`], in order; the first and last may hold others too. `through` must be durable.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when bytes that were valid when the log was opened no longer are, `ERR_STORE_CLOSED` when the
   *   log is closed before the end.
   */
  async *frames(after: number, through: number): AsyncGenerator<Frame, void, undefined> {
    let delivered = after;
    let merge: CoreMerge | null = null;
    /** Voids that end at or below `through` are in a manifest that was read since. */
    let isManifestFresh = false;
    let lookedAgainFor = -1;
    let firstIncarnation = 0;
    try {
      while (delivered < through) {
        this.#checkOpen();
        merge ??= await this.#beginMerge(delivered, through, firstIncarnation);
        const cursor = merge?.holderOf(delivered + 1) ?? null;
        if (cursor !== null && !cursor.position.isVerified && !isManifestFresh) {
          await this.#readManifest();
          isManifestFresh = true;
        }
        if (cursor !== null && !touches(this.#voids, delivered + 1, delivered + 1)) {
          const frame = cursor.frame as Frame;
          const { firstLsn, recordCount } = frame.header;
          const { position } = cursor;
          if (!position.isVerified) cursor.verify();
          this.#source.index.of(cursor.core).add(firstLsn, position.segment, position.fileOffset);
          const opening = this.#opened(frame);
          const opened = opening instanceof Promise ? await opening : opening;
          delivered = firstLsn + recordCount - 1;
          cursor.consume();
          yield opened;
          this.#checkOpen();
          if (delivered >= through) break;
          const pending = cursor.advance(delivered);
          if (pending !== null) await pending;
          continue;
        }
        const filled = endBehind(this.#voids, delivered);
        if (filled > delivered) {
          delivered = filled;
          await merge?.settle(delivered);
        } else if (merge !== null && delivered >= (merge.incarnation.lastLsn ?? Number.POSITIVE_INFINITY)) {
          await merge.close();
          merge = null;
        } else if (lookedAgainFor !== delivered) {
          lookedAgainFor = delivered;
          await merge?.lookAgain(delivered);
          if (merge?.holderOf(delivered + 1) != null) continue;
          await this.#readManifest();
          isManifestFresh = true;
        } else {
          firstIncarnation = this.#nextHolder(merge, delivered + 1);
          await merge?.close();
          merge = null;
        }
      }
      if (merge !== null) this.#noteEnd(delivered, merge);
    } catch (error) {
      // Reads of a file that is being closed fail in ways that look like damage.
      this.#checkOpen();
      throw error;
    } finally {
      await merge?.close();
    }
  }

  /** Opens the cores of the incarnation that holds what follows `delivered`; null when there is none. */
  async #beginMerge(delivered: number, through: number, firstIncarnation: number): Promise<CoreMerge | null> {
    if (!this.#catalog.isListed) await this.#catalog.list();
    const { incarnations } = this.#manifest;
    const index = incarnations.findIndex(
      ({ incarnation, lastLsn }) =>
        incarnation >= firstIncarnation && delivered < (lastLsn ?? Number.POSITIVE_INFINITY),
    );
    const incarnation = incarnations[index];
    if (incarnation === undefined) return null;
    const end = this.#ends.get(delivered);
    const positions = end?.incarnation === incarnation.incarnation ? end.positions : null;
    const merge = new CoreMerge({
      door: this.#door,
      catalog: this.#catalog,
      storeId: this.#source.storeId,
      incarnation,
      nextIncarnation: incarnations[index + 1] ?? null,
      tailOf: this.#tailOf,
      limitOf: (core) => this.#source.index.of(core).after(through),
      startIn: async (core, segments) =>
        positions?.get(core) ?? (await this.#startIn(core, segments, incarnation, delivered + 1)),
    });
    try {
      await merge.begin(delivered);
      return merge;
    } catch (error) {
      await merge.close();
      throw error;
    }
  }

  readonly #tailOf = (core: number): CoreTail | null =>
    this.#source.tails()?.find((tail) => tail.core === core) ?? null;

  /** A place in the core at or before the frame that holds `lsn`. */
  async #startIn(
    core: number,
    segments: readonly KnownSegment[],
    incarnation: Incarnation,
    lsn: number,
  ): Promise<CursorPosition> {
    const hint = this.#source.index.of(core).before(lsn);
    const from = segments.findIndex(({ segment }) => segment === hint?.segment);
    if (hint !== null && from >= 0 && this.#isNear(core, lsn, segments.at(-1)?.segment ?? 0)) return at(hint, true);
    let candidates = from >= 0 ? segments.slice(from) : segments;
    for (let tries = 1; ; tries++) {
      try {
        const found = await this.#catalog.floor(candidates, lsn);
        if (found === null) return startOf(incarnation, core);
        if (hint !== null && found.segment === hint.segment) return at(hint, true);
        return { ...startOf(incarnation, core), segment: found.segment };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" || tries === START_TRIES_MAX) throw error;
        await this.#catalog.list();
        const first = candidates[0]?.segment ?? 0;
        candidates = this.#catalog.between(core, first, (candidates.at(-1)?.segment ?? 0) + 1);
      }
    }
  }

  /** Whether the index knows the core around `lsn` without a gap of segments. */
  #isNear(core: number, lsn: number, lastSegment: number): boolean {
    const index = this.#source.index.of(core);
    const hint = index.before(lsn);
    if (hint === null) return false;
    return hint.segment === lastSegment || (index.after(lsn)?.segment ?? Number.POSITIVE_INFINITY) <= hint.segment + 1;
  }

  /** The incarnation after this one that holds the LSN too; throws when there is none. */
  #nextHolder(merge: CoreMerge | null, lsn: number): number {
    const current = merge?.incarnation.incarnation ?? Number.POSITIVE_INFINITY;
    const next = this.#manifest.incarnations.find(
      ({ incarnation, firstLsn, lastLsn }) =>
        incarnation > current && firstLsn <= lsn && lsn <= (lastLsn ?? Number.POSITIVE_INFINITY),
    );
    if (next !== undefined) return next.incarnation;
    const place = merge?.missingAt() ?? { path: this.#source.directory, fileOffset: 0 };
    const { checkpointLsn } = this.#manifest;
    if (lsn <= checkpointLsn) throw new SealedAwayError(lsn, checkpointLsn, place);
    throw corrupt(place, lsn);
  }

  async #readManifest(): Promise<void> {
    const manifest = await currentManifest(this.#source.directory);
    this.#checkOpen();
    this.adoptKeys(manifest);
    this.#manifest = manifest;
    this.#voids = voidsOf(manifest);
  }

  /** Learns the numbers of keys: before anything is read that this manifest is the first to name. */
  adoptKeys(manifest: Manifest): void {
    adoptKeys(this.#source.keys ?? null, manifest, this.#source.directory);
  }

  /** Its records; another writer may have gone over to a key that a newer manifest names. */
  #opened(frame: Frame): Frame | Promise<Frame> {
    const { sealed, keyId } = frame.header;
    const isKeyKnown = sealed === undefined || this.#source.keys?.hasKey(keyId) !== false;
    return isKeyKnown ? this.#opener.open(frame) : this.#readManifest().then(() => this.#opener.open(frame));
  }

  #noteEnd(delivered: number, merge: CoreMerge): void {
    this.#ends.delete(delivered);
    this.#ends.set(delivered, { incarnation: merge.incarnation.incarnation, positions: merge.positions() });
    for (const [oldest] of this.#ends) {
      if (this.#ends.size <= ENDS_MAX) break;
      this.#ends.delete(oldest);
    }
  }

  /** The frames with LSNs in (`after`, `through`], the newest first. */
  async *framesBackwards(through: number, after = 0): AsyncGenerator<Frame, void, undefined> {
    let upper = through;
    while (upper > after) {
      // One stretch of the index at a time is read forwards, and handed out from its end.
      const lower = Math.max(this.#source.index.stretchBefore(upper) - 1, after);
      const stretch: Frame[] = [];
      let byteLength = 0;
      let isCut = false;
      for await (const frame of this.frames(lower, upper)) {
        stretch.push(frame);
        byteLength += frame.body.length;
        // Where the index knows little the stretch is long: its beginning is read again when its turn comes.
        while (byteLength > STRETCH_BYTES_MAX && stretch.length > 1) {
          byteLength -= (stretch.shift() as Frame).body.length;
          isCut = true;
        }
      }
      upper = isCut ? (stretch[0] as Frame).header.firstLsn - 1 : lower;
      for (const frame of stretch.reverse()) yield frame;
    }
  }

  /** The frame that holds `lsn`, which is durable. Frames are kept for a while. */
  async frameOf(lsn: number): Promise<Frame> {
    const cached = this.#cache.find(lsn);
    if (cached !== null) return cached;
    const indexed = await this.#indexedFrame(lsn);
    if (indexed !== null) {
      this.#cache.add(indexed);
      return indexed;
    }
    for await (const frame of this.frames(lsn - 1, lsn)) {
      this.#cache.add(frame);
      return frame;
    }
    throw new StoreError("ERR_WAL_CORRUPT", `LSN ${lsn} is not in the log`, { lsn });
  }

  /** The frame where the index is close to it: one core after the other, for most likely one of the first has it. */
  async #indexedFrame(lsn: number): Promise<Frame | null> {
    const { index } = this.#source;
    if (!this.#catalog.isListed) await this.#catalog.list();
    const cores = [...this.#catalog.cores].filter((core) => {
      const last = this.#catalog.between(core, 0, Number.POSITIVE_INFINITY).at(-1);
      return last !== undefined && this.#isNear(core, lsn, last.segment);
    });
    cores.sort((a, b) => index.of(b).firstLsnBefore(lsn) - index.of(a).firstLsnBefore(lsn));
    for (const core of cores) {
      const frame = await this.#frameIn(core, lsn);
      if (frame !== null) return frame;
    }
    return null;
  }

  async #frameIn(core: number, lsn: number): Promise<Frame | null> {
    const { storeId } = this.#source;
    const hint = this.#source.index.of(core).before(lsn);
    if (hint === null) return null;
    const behind = this.#source.index.of(core).after(lsn);
    const { incarnations } = this.#manifest;
    const index = incarnations.findLastIndex((entry) => firstSegmentOf(entry, core) <= hint.segment);
    const incarnation = incarnations[index];
    if (incarnation === undefined || lsn > (incarnation.lastLsn ?? Number.POSITIVE_INFINITY)) return null;
    const next = incarnations[index + 1];
    const endSegment = next === undefined ? Number.POSITIVE_INFINITY : firstSegmentOf(next, core);
    const limit = behind !== null && behind.segment < endSegment ? behind : null;
    const files = { door: this.#door, catalog: this.#catalog, tailOf: this.#tailOf };
    const cursor = new CoreCursor({ ...files, storeId, core, incarnation, endSegment, limit }, at(hint, true));
    try {
      await cursor.advance(lsn - 1);
      const { frame } = cursor;
      return frame !== null && frame.header.firstLsn <= lsn ? await this.#opened(frame) : null;
    } catch (error) {
      this.#checkOpen();
      throw error;
    } finally {
      await cursor.close();
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError("ERR_STORE_CLOSED", "the log was closed while it was being read");
  }

  /**
   * Whoever is reading hears `ERR_STORE_CLOSED` at the next step, before it touches a file or memory that is gone. Waits for the reads in
   * flight: one that had not reached the kernel yet would find another file under the descriptor's number.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const reading of this.#readings) await reading.close();
    await this.#door.files.close();
    this.#cache.clear();
    this.#ends.clear();
  }
}

function corrupt({ path, fileOffset }: DamagedPlace, lsn: number): StoreError {
  const message = `the log is damaged: ${path} at offset ${fileOffset} does not hold LSN ${lsn}`;
  return new StoreError("ERR_WAL_CORRUPT", message, { path, offset: fileOffset, lsn });
}

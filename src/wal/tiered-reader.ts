/**
 * Reads a log of two tiers by LSN: what is sealed from the sealed segments, the rest from the cores' files.
 *
 * Another process can make a checkpoint at any time, and then files of the cores are gone: whoever misses something looks into the manifest
 * and goes on in the sealed tier, without a gap and without a repetition.
 */

import { isStoreError, StoreError } from "../errors.js";
import type { ScannedSegment } from "./log-facts.js";
import { truncated } from "./log-horizon.js";
import type { LogReader } from "./log-reader.js";
import type { LsnRange } from "./lsn-ranges.js";
import type { Manifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import type { LogFrame } from "./sealed/sealed-format.js";
import type { SealedHead, SealedLog } from "./sealed/sealed-log.js";
import { checkSealedRange } from "./sealed-tier.js";
import { coded, withCode } from "./write-failure.js";

export interface Tiers {
  /** The store's. */
  readonly directory: string;
  readonly manifest: Manifest;
  readonly hot: LogReader;
  readonly sealed: SealedLog;
  /** Sequence number of a manifest that has changed what is sealed, where others tell of it. */
  readonly sealingSequence?: () => number;
  /** Called when more is sealed than before, as soon as it is read from there. */
  readonly onCheckpoint?: (checkpointLsn: number) => void;
}

function lastLsnOf({ header }: LogFrame): number {
  return header.firstLsn + header.recordCount - 1;
}

/** What may only mean that a checkpoint was made meanwhile. */
function mayBeSealed(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT" || isStoreError(error, "ERR_WAL_CORRUPT");
}

export class TieredReader {
  readonly #directory: string;
  readonly #hot: LogReader;
  readonly #sealed: SealedLog;
  readonly #onCheckpoint: (checkpointLsn: number) => void;
  #manifest: Manifest;
  readonly #sealingSequence: () => number;
  #refreshing: Promise<boolean> | null = null;

  constructor({ directory, manifest, hot, sealed, sealingSequence = () => 0, onCheckpoint = () => {} }: Tiers) {
    this.#sealingSequence = sealingSequence;
    this.#directory = directory;
    this.#manifest = manifest;
    this.#hot = hot;
    this.#sealed = sealed;
    this.#onCheckpoint = onCheckpoint;
  }

  get sealed(): SealedLog {
    return this.#sealed;
  }

  /** LSNs that no record has, as far as the manifest tells of them: it does not tell of all that are sealed. */
  get voids(): readonly LsnRange[] {
    return this.#hot.voids;
  }

  /** The manifest that is read by. */
  get manifest(): Manifest {
    return this.#manifest;
  }

  /**
   * Reads by a later manifest from now on; one that others have overtaken changes nothing. `settled`: what is known of the cores' files where
   * its incarnation is another.
   */
  async useManifest(manifest: Manifest, settled: readonly ScannedSegment[]): Promise<void> {
    if (manifest.sequence < this.#manifest.sequence) return;
    const before = this.#manifest.checkpointLsn;
    this.#hot.adoptKeys(manifest);
    const isSame = JSON.stringify(manifest.sealed) === JSON.stringify(this.#manifest.sealed);
    if (
      !isSame ||
      manifest.horizonLsn !== this.#manifest.horizonLsn ||
      manifest.checkpointLsn !== this.#sealed.lastLsn
    ) {
      checkSealedRange(manifest, this.#directory);
      await this.#sealed.replace(manifest.sealed, manifest.horizonLsn);
    }
    this.#manifest = manifest;
    this.#hot.useManifest(manifest, settled);
    if (manifest.checkpointLsn > before) this.#onCheckpoint(manifest.checkpointLsn);
  }

  /** Looks for a later checkpoint; true when there is one. Who asks meanwhile gets the same answer. */
  refresh(): Promise<boolean> {
    this.#refreshing ??= coded(() => this.#refresh()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<boolean> {
    const before = this.#manifest.sealed;
    for (;;) {
      const manifest = await currentManifest(this.#directory);
      if (manifest.sequence <= this.#manifest.sequence) break;
      try {
        await this.useManifest(manifest, []);
      } catch (error) {
        // Its segments can be gone when there is a later one already.
        const newest = await currentManifest(this.#directory);
        if (newest.sequence === manifest.sequence) throw error;
      }
    }
    return JSON.stringify(before) !== JSON.stringify(this.#manifest.sealed);
  }

  /** Whether what failed is worth another try, because something was sealed meanwhile. */
  async #isSealedMeanwhile(error: unknown, known: Manifest): Promise<boolean> {
    if (!mayBeSealed(error)) return false;
    if (this.#manifest.sealed !== known.sealed) return true;
    return this.refresh();
  }

  /**
   * The frames that hold LSNs in (`after`, `through`], in order; the first and the last may hold others too. `through` is durable.
   *
   * @throws StoreError `ERR_LOG_TRUNCATED` when the log was truncated above `after`
   */
  async *frames(after: number, through: number): AsyncGenerator<LogFrame, void, undefined> {
    let delivered = after;
    if (this.#sealingSequence() > this.#manifest.sequence) await this.refresh();
    while (delivered < through) {
      const known = this.#manifest;
      if (delivered < known.horizonLsn) throw truncated(delivered, known.horizonLsn);
      const sealedEnd = Math.min(through, this.#sealed.lastLsn);
      const isSealed = delivered < sealedEnd;
      try {
        const frames = isSealed ? this.#sealed.frames(delivered, sealedEnd) : this.#hot.frames(delivered, through);
        for await (const frame of frames) {
          delivered = lastLsnOf(frame);
          yield frame;
        }
        delivered = Math.max(delivered, isSealed ? sealedEnd : through); // voids have no frames
      } catch (error) {
        if (!(await this.#isSealedMeanwhile(error, known))) throw withCode(error);
      }
    }
  }

  /**
   * The frames with LSNs in (`after`, `through`], the newest first; the last may hold others too.
   *
   * @throws StoreError `ERR_LOG_TRUNCATED` when it arrives where the log was truncated
   */
  async *framesBackwards(through: number, after = 0): AsyncGenerator<LogFrame, void, undefined> {
    let upper = through;
    if (this.#sealingSequence() > this.#manifest.sequence) await this.refresh();
    while (upper > after) {
      const known = this.#manifest;
      if (upper <= known.horizonLsn) throw truncated(after, known.horizonLsn);
      const sealedEnd = this.#sealed.lastLsn;
      const isSealed = upper <= sealedEnd;
      try {
        const frames = isSealed
          ? this.#sealed.framesBackwards(upper, Math.max(after, known.horizonLsn))
          : this.#hot.framesBackwards(upper, sealedEnd);
        for await (const frame of frames) {
          upper = frame.header.firstLsn - 1;
          yield frame;
        }
        upper = isSealed ? Math.max(after, known.horizonLsn) : Math.min(upper, sealedEnd);
      } catch (error) {
        if (!(await this.#isSealedMeanwhile(error, known))) throw withCode(error);
      }
    }
  }

  /** The frame that holds `lsn`, which is durable. */
  async frameOf(lsn: number): Promise<LogFrame> {
    for (;;) {
      const known = this.#manifest;
      try {
        return await (lsn <= this.#sealed.lastLsn ? this.#sealed.frameOf(lsn) : this.#hot.frameOf(lsn));
      } catch (error) {
        if (!(await this.#isSealedMeanwhile(error, known))) throw withCode(error);
      }
    }
  }

  /** Whether anything of the stream may be sealed; false is certain, and nothing is read for it. */
  mayHold(name: Uint8Array): boolean {
    return this.#sealed.mayHold(name);
  }

  /** The newest record of a stream that is sealed and has an LSN up to `through`, or null. */
  streamHead(name: Uint8Array, through?: number, isAllWanted?: boolean): Promise<SealedHead | null> {
    return this.#onNewest(() => this.#sealed.streamHead(name, through, isAllWanted));
  }

  /** The first version of a stream of which the record is left; where none of those that are sealed is, the one behind the last of them. */
  streamStart(name: Uint8Array): Promise<number> {
    return this.#onNewest(() => this.#sealed.streamStart(name));
  }

  /** The LSNs of those of a stream's records that are sealed and left, with versions from `from` to `to`, in order. */
  streamLsns(name: Uint8Array, from: number, to: number): Promise<number[]> {
    return this.#onNewest(() => this.#sealed.streamLsns(name, from, to));
  }

  /** For each LSN, in the given order, the frame that holds it; all of them are sealed. */
  async *framesOf(lsns: readonly number[]): AsyncGenerator<LogFrame, void, undefined> {
    for (let at = 0; at < lsns.length; ) {
      const known = this.#manifest;
      try {
        for await (const frame of this.#sealed.framesOf(at === 0 ? lsns : lsns.slice(at))) {
          at++;
          yield frame;
        }
      } catch (error) {
        if (!(await this.#isSealedMeanwhile(error, known))) throw withCode(error);
      }
    }
  }

  /** Once more when a compaction by another process has replaced what was read. */
  async #onNewest<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      const known = this.#manifest;
      try {
        return await work();
      } catch (error) {
        if (!(await this.#isSealedMeanwhile(error, known))) throw withCode(error);
      }
    }
  }

  /** Resolves when this process reads everything up to that LSN, which a manifest says is sealed, from there. */
  async whenSealed(lsn: number): Promise<void> {
    while (this.#sealed.lastLsn < lsn) {
      if ((await this.refresh()) || this.#sealed.lastLsn >= lsn) continue;
      throw new StoreError("ERR_WAL_CORRUPT", `LSN ${lsn} was sealed, and no manifest says so any more`, { lsn });
    }
  }

  /** Whoever is reading hears `ERR_STORE_CLOSED`. Waits for the reads in flight. */
  async close(): Promise<void> {
    await this.#hot.close();
    await this.#sealed.close();
    await this.#refreshing?.catch(() => {}); // whoever asked is told
  }
}

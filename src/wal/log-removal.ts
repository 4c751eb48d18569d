/**
 * Removing records from the log, which is done in what is sealed: those that rules take (scavenge), or everything up to an LSN (truncation).
 * Each makes a checkpoint first, writes what is left into new segments in a thread of its own, and commits by the manifest.
 *
 * A truncation drops whole segments, each after it was archived. What it leaves of them is one file with what must outlive them: the versions
 * of streams, so that none is ever used again; the hash chain; and the streams that are spared.
 */

import type { Checkpointer } from "./checkpoint.js";
import type { Manifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import { type Removal, removalThrough } from "./sealed/removal.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { sealedDirectory, sealedPath } from "./sealed/sealed-name.js";
import type { SealedChanges } from "./sealed-changes.js";
import { coded } from "./write-failure.js";

/** What a scavenge did. */
export interface ScavengeReport {
  /** The last LSN that was looked at: W when it began. */
  readonly lsn: number;
  readonly removedRecords: number;
  /** Sealed segments that lost records. */
  readonly rewrittenSegments: number;
  /** Sealed segments that there are now. */
  readonly segments: number;
  /** By so much the sealed segments have become smaller. */
  readonly freedBytes: number;
  readonly durationMs: number;
}

/** What a truncation of the log did. */
export interface TruncationReport {
  /** The last LSN that is dropped, by this truncation or an earlier one; 0: none is. */
  readonly horizon: number;
  readonly droppedSegments: number;
  readonly removedRecords: number;
  readonly freedBytes: number;
  readonly durationMs: number;
}

/** A sealed segment that is about to be dropped. Its file stays as it is until the archiving ends. */
export interface ArchivedSegment {
  readonly path: string;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly byteLength: number;
  /** The hash chain's value behind the segment, 64 hexadecimal digits. */
  readonly hash: string;
}

export interface Truncation {
  /** Segments that lie wholly below this LSN are dropped. */
  readonly beforeLsn: number;
  /** Streams whose names begin so keep everything. */
  readonly sparedPrefix: string;
  /** Called with one segment after the other; nothing is dropped unless all of it succeeds. */
  readonly archive: (segment: ArchivedSegment) => Promise<void> | void;
  /** Called when everything is archived, with the last LSN that will be dropped. What it throws keeps everything. */
  readonly onArchived: (horizonLsn: number) => Promise<void>;
}

export class LogRemover {
  readonly #directory: string;
  readonly #changes: SealedChanges;
  readonly #checkpointer: Checkpointer;
  readonly #assertWritable: () => void;

  constructor(directory: string, changes: SealedChanges, checkpointer: Checkpointer, assertWritable: () => void) {
    this.#assertWritable = assertWritable;
    this.#directory = directory;
    this.#changes = changes;
    this.#checkpointer = checkpointer;
  }

  /**
   * Removes the records that `removalOf` says; it is asked when everything up to W is sealed. Waits while another writer changes what is sealed.
   *
   * @throws StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: nothing was removed
   */
  async scavenge(removalOf: () => Promise<Removal>): Promise<ScavengeReport> {
    this.#assertWritable();
    return coded(() => this.#changes.inTurn(() => this.#scavenge(removalOf)));
  }

  async #scavenge(removalOf: () => Promise<Removal>): Promise<ScavengeReport> {
    const startedMs = performance.now();
    await this.#checkpointer.make();
    const removal = await removalOf();
    const before = await currentManifest(this.#directory);
    const entries = before.sealed.length === 0 ? [] : await this.#rewrite("scavenge", before, before.sealed, removal);
    const rewritten = before.sealed.filter(({ number }) => !entries.some((entry) => entry.number === number));
    const removedRecords = rewritten.length === 0 ? 0 : this.#changes.counted("removedRecords");
    if (rewritten.length > 0) {
      await this.#changes.commit((current) => ({ ...current, sealed: entries }));
      await this.#changes.removeUnlisted();
    }
    return {
      lsn: before.checkpointLsn,
      removedRecords,
      rewrittenSegments: rewritten.length,
      segments: entries.length,
      freedBytes: bytesOf(before.sealed) - bytesOf(entries),
      durationMs: performance.now() - startedMs,
    };
  }

  /**
   * Drops the sealed segments that lie wholly below an LSN. Waits while another writer changes what is sealed.
   *
   * @throws what `archive` and `onArchived` throw; StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`,
   *   `ERR_STORE_CLOSED`: nothing was dropped
   */
  async truncate(order: Truncation): Promise<TruncationReport> {
    this.#assertWritable();
    return this.#changes.inTurn(async () => {
      const startedMs = performance.now();
      const before = await coded(() => this.#sealed());
      const gone = before.sealed.filter(({ lastLsn }) => lastLsn < order.beforeLsn);
      const dropped = gone.filter(({ lastLsn }) => lastLsn > before.horizonLsn);
      const horizon = dropped.at(-1)?.lastLsn ?? before.horizonLsn;
      let freedBytes = 0;
      let removedRecords = 0;
      if (dropped.length > 0) {
        for (const segment of dropped) await order.archive(this.#archived(segment));
        await order.onArchived(horizon);
        // With what is left of those that were dropped before: so that there is one file of them, and not one for each time.
        const removal = removalThrough(horizon, order.sparedPrefix);
        const entries = await coded(() => this.#drop(before, gone, horizon, removal));
        removedRecords = this.#changes.counted("removedRecords");
        freedBytes = bytesOf(gone) - bytesOf(entries);
      }
      const durationMs = performance.now() - startedMs;
      return { horizon, droppedSegments: dropped.length, removedRecords, freedBytes, durationMs };
    });
  }

  /** The manifest with everything up to W sealed. */
  async #sealed(): Promise<Manifest> {
    await this.#checkpointer.make();
    return currentManifest(this.#directory);
  }

  async #drop(
    before: Manifest,
    gone: readonly SealedEntry[],
    horizonLsn: number,
    removal: Removal,
  ): Promise<readonly SealedEntry[]> {
    const entries = await this.#rewrite("drop", before, gone, removal);
    await this.#changes.commit((current) => ({
      ...current,
      horizonLsn,
      sealed: current.sealed.toSpliced(0, gone.length, ...entries),
    }));
    await this.#changes.removeUnlisted();
    return entries;
  }

  #archived({ number, firstLsn, lastLsn, byteLength, hash }: SealedEntry): ArchivedSegment {
    const path = sealedPath(sealedDirectory(this.#directory), number);
    return { path, firstLsn, lastLsn, byteLength, hash };
  }

  #rewrite(
    work: "scavenge" | "drop",
    manifest: Manifest,
    segments: readonly SealedEntry[],
    removal: Removal,
  ): Promise<readonly SealedEntry[]> {
    return this.#changes.seal({ work, manifest, through: manifest.checkpointLsn, segments, removal });
  }
}

function bytesOf(segments: readonly SealedEntry[]): number {
  return segments.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

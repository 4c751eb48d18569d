/**
 * A checkpoint of the log: everything up to W goes into sealed segments, and then the cores' files that hold nothing else are removed.
 *
 *     1  get the lease: one checkpoint at a time, whoever makes it; remove what one left behind that died (sealed-changes.ts)
 *     2  C = W; write the records of (the last checkpoint, C] into sealed segments, in a thread of its own; each is read back
 *     3  make their names durable, and commit by the manifest, under the attach lock
 *     4  tell the other writers, and read by it
 *     5  remove the cores' files that lie wholly at or below C
 */

import { mkdir } from "node:fs/promises";
import { syncDirectory } from "../ffi/index.js";
import { type DroppedFiles, droppableSegments, dropSegments } from "./drop-segments.js";
import type { Incarnation, Manifest } from "./manifest.js";
import { currentManifest } from "./manifest-change.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { sealedDirectory } from "./sealed/sealed-name.js";
import type { SealedChangePlace, SealedChanges } from "./sealed-changes.js";
import { allCompactions, compactionOf } from "./sealed-compaction.js";
import { coded } from "./write-failure.js";

/** What a checkpoint did. */
export interface CheckpointReport {
  /** The last LSN that is sealed: W when it began. */
  readonly lsn: number;
  /** LSNs that it sealed. */
  readonly sealedRecords: number;
  /** Of those records. */
  readonly sealedBytes: number;
  /** Sealed segments that there are now. */
  readonly segments: number;
  /** Small segments that were made large ones. */
  readonly compactedSegments: number;
  /** Files of the cores that were removed. */
  readonly droppedFiles: number;
  readonly droppedBytes: number;
  readonly durationMs: number;
}

/** Only those that are still of use: the newest, and those with records above the checkpoint. */
function withLivingIncarnations(manifest: Manifest): Manifest {
  const newest = manifest.incarnations.at(-1);
  const isOfUse = (entry: Incarnation): boolean => entry === newest || (entry.lastLsn ?? 0) > manifest.checkpointLsn;
  return { ...manifest, incarnations: manifest.incarnations.filter(isOfUse) };
}

export class Checkpointer {
  readonly #place: SealedChangePlace;
  readonly #changes: SealedChanges;
  #running: Promise<CheckpointReport | null> | null = null;

  constructor(place: SealedChangePlace, changes: SealedChanges) {
    this.#place = place;
    this.#changes = changes;
  }

  /**
   * Makes a checkpoint; null when another writer is making one. Who asks meanwhile gets the same answer. With `compactsAll` every stretch
   * of small segments becomes one, also where a checkpoint would wait for more of them.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   */
  run(compactsAll = false): Promise<CheckpointReport | null> {
    this.#running ??= coded(() => this.#changes.exclusively(() => this.make(compactsAll))).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Makes a checkpoint for who has the lease. */
  async make(compactsAll = false): Promise<CheckpointReport> {
    const startedMs = performance.now();
    const lsn = this.#place.watermark();
    // The manifest after W: it has all voids below.
    const before = await currentManifest(this.#place.directory);
    const merged = lsn > before.checkpointLsn ? await this.#merge(before, lsn) : before;
    const sealedBytes = merged === before ? 0 : this.#changes.counted("recordBytes");
    const compacted = await this.#compact(merged, compactsAll);
    const dropped = await this.#drop(compacted, compacted !== before);
    return {
      lsn: compacted.checkpointLsn,
      sealedRecords: merged.checkpointLsn - before.checkpointLsn,
      sealedBytes,
      segments: compacted.sealed.length,
      compactedSegments: Math.max(0, merged.sealed.length - compacted.sealed.length),
      droppedFiles: dropped.count,
      droppedBytes: dropped.byteLength,
      durationMs: performance.now() - startedMs,
    };
  }

  async #merge(manifest: Manifest, through: number): Promise<Manifest> {
    const { directory } = this.#place;
    if ((await mkdir(sealedDirectory(directory), { recursive: true })) !== undefined) await syncDirectory(directory);
    const entries = await this.#changes.seal({ work: "merge", manifest, through, segments: [], removal: null });
    return this.#changes.commit((current) =>
      withLivingIncarnations({ ...current, checkpointLsn: through, sealed: [...current.sealed, ...entries] }),
    );
  }

  /** The files that were replaced stay until no manifest lists them: until the next checkpoint. */
  async #compact(manifest: Manifest, compactsAll: boolean): Promise<Manifest> {
    // What was dropped stays apart: nothing is left there to be read in order.
    const sealed = manifest.sealed.filter(({ lastLsn }) => lastLsn > manifest.horizonLsn);
    const small = compactionOf(sealed);
    const groups = compactsAll ? allCompactions(sealed) : small.length > 0 ? [small] : [];
    let compacted = manifest;
    for (const group of groups) compacted = await this.#compactGroup(compacted, group);
    return compacted;
  }

  async #compactGroup(manifest: Manifest, segments: readonly SealedEntry[]): Promise<Manifest> {
    const through = manifest.checkpointLsn;
    const entries = await this.#changes.seal({ work: "compact", manifest, through, segments, removal: null });
    const at = manifest.sealed.findIndex(({ number }) => number === segments[0]?.number);
    return this.#changes.commit((current) => ({
      ...current,
      sealed: current.sealed.toSpliced(at, segments.length, ...entries),
    }));
  }

  async #drop(manifest: Manifest, isDurable: boolean): Promise<DroppedFiles> {
    const { control, directory, io } = this.#place;
    const firstNeededSegmentOf = (core: number): number | null =>
      control.isLive(core) ? control.firstNeededSegment(core) : null;
    const names = await droppableSegments({ io, directory, firstNeededSegmentOf }, manifest);
    if (names.length === 0) return { count: 0, byteLength: 0 };
    // A checkpoint that failed can have left a manifest of which nobody knows whether it is durable.
    if (!isDurable) await this.#changes.commit(withLivingIncarnations);
    return dropSegments(names);
  }
}

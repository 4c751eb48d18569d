/**
 * A checkpoint of the log: everything up to W goes into sealed segments, and then the cores' files that hold nothing else are removed.
 *
 *     1  get the lease, a lock that the kernel frees when its holder dies: one checkpoint at a time, whoever makes it
 *     2  remove what no manifest lists: what a checkpoint left behind that died
 *     3  C = W; write the records of (the last checkpoint, C] into sealed segments, in a thread of its own; each is read back
 *     4  make their names durable, and commit by the manifest, under the attach lock
 *     5  tell the other writers, and read by it
 *     6  remove the cores' files that lie wholly at or below C
 *
 * Dying between any two of them loses nothing: before 4 nobody knows of the new files, after it the old ones are only in the way. The manifest
 * is written twice, because an older one is believed where the newest is damaged, and must not miss what was removed.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { type BlockIo, FileLock, syncDirectory } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { ControlFile } from "./control-file.js";
import type { CoreTail } from "./core-cursor.js";
import { type DroppedFiles, droppableSegments, dropSegments } from "./drop-segments.js";
import { type Incarnation, listedSegments, type Manifest } from "./manifest.js";
import { changeManifest, currentManifest } from "./manifest-change.js";
import { SEAL_WORD, type SealTask, type SealWords, type SealWork } from "./seal-log.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { removeUnlisted, sealedDirectory } from "./sealed/sealed-name.js";
import { allCompactions, compactionOf } from "./sealed-compaction.js";
import type { TieredReader } from "./tiered-reader.js";

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

/** Seals, in another thread or in this one. */
export type Sealer = (task: SealWork, words: SealWords) => Promise<readonly SealedEntry[]>;

export interface CheckpointPlace {
  readonly directory: string;
  readonly io: BlockIo;
  readonly control: ControlFile;
  readonly reader: TieredReader;
  readonly watermark: () => number;
  readonly tails: () => readonly CoreTail[];
  readonly takeAttachLock: () => Promise<AttachLock | null>;
  readonly seal: Sealer;
}

/** Only those that are still of use: the newest, and those with records above the checkpoint. */
function withLivingIncarnations(manifest: Manifest): Manifest {
  const newest = manifest.incarnations.at(-1);
  const isOfUse = (entry: Incarnation): boolean => entry === newest || (entry.lastLsn ?? 0) > manifest.checkpointLsn;
  return { ...manifest, incarnations: manifest.incarnations.filter(isOfUse) };
}

export class Checkpointer {
  readonly #place: CheckpointPlace;
  readonly #words: SealWords = new BigInt64Array(new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT));
  #running: Promise<CheckpointReport | null> | null = null;

  constructor(place: CheckpointPlace) {
    this.#place = place;
  }

  /**
   * Makes a checkpoint; null when another writer is making one. Who asks meanwhile gets the same answer. With `compactsAll` every stretch
   * of small segments becomes one, also where a checkpoint would wait for more of them.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   */
  run(compactsAll = false): Promise<CheckpointReport | null> {
    this.#running ??= this.#run(compactsAll).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Ends what is running. */
  async stop(): Promise<void> {
    Atomics.store(this.#words, SEAL_WORD.stop, 1n);
    await this.#running?.catch(() => {}); // whoever asked for it is told
  }

  async #run(compactsAll: boolean): Promise<CheckpointReport | null> {
    const { directory } = this.#place;
    const startedMs = performance.now();
    const lease = FileLock.tryTake(join(directory, "checkpoint.lock"));
    if (lease === null) return null;
    try {
      await this.#removeUnlisted();
      const lsn = this.#place.watermark();
      // The manifest after W: it has all voids below.
      const before = await currentManifest(directory);
      const merged = lsn > before.checkpointLsn ? await this.#merge(before, lsn) : before;
      const compacted = await this.#compact(merged, compactsAll);
      const dropped = await this.#drop(compacted, compacted !== before);
      return {
        lsn: compacted.checkpointLsn,
        sealedRecords: merged.checkpointLsn - before.checkpointLsn,
        sealedBytes: merged === before ? 0 : Number(Atomics.load(this.#words, SEAL_WORD.recordBytes)),
        segments: compacted.sealed.length,
        compactedSegments: Math.max(0, merged.sealed.length - compacted.sealed.length),
        droppedFiles: dropped.count,
        droppedBytes: dropped.byteLength,
        durationMs: performance.now() - startedMs,
      };
    } catch (error) {
      // On a full disk their space is needed at once. What they are of use for, the manifests on disk say.
      await this.#removeUnlisted().catch(() => {});
      throw error;
    } finally {
      lease.release();
    }
  }

  async #removeUnlisted(): Promise<void> {
    const { directory } = this.#place;
    const listed = await listedSegments(directory);
    if (listed !== null) await removeUnlisted(sealedDirectory(directory), listed);
  }

  async #seal(
    task: Omit<SealTask, "directory" | "io" | "tails" | "sealedRecordedAt">,
  ): Promise<readonly SealedEntry[]> {
    const { directory, io, reader, tails, seal } = this.#place;
    const sealedRecordedAt = reader.sealed.highestRecordedAt;
    const { backend } = io.description;
    const entries = await seal({ ...task, directory, io: backend, tails: tails(), sealedRecordedAt }, this.#words);
    await syncDirectory(sealedDirectory(directory));
    return entries;
  }

  async #merge(manifest: Manifest, through: number): Promise<Manifest> {
    const { directory } = this.#place;
    if ((await mkdir(sealedDirectory(directory), { recursive: true })) !== undefined) await syncDirectory(directory);
    Atomics.store(this.#words, SEAL_WORD.recordBytes, 0n);
    const entries = await this.#seal({ work: "merge", manifest, through, segments: [] });
    return this.#commit((current) =>
      withLivingIncarnations({ ...current, checkpointLsn: through, sealed: [...current.sealed, ...entries] }),
    );
  }

  /** The files that were replaced stay until no manifest lists them: until the next checkpoint. */
  async #compact(manifest: Manifest, compactsAll: boolean): Promise<Manifest> {
    const small = compactionOf(manifest.sealed);
    const groups = compactsAll ? allCompactions(manifest.sealed) : small.length > 0 ? [small] : [];
    let compacted = manifest;
    for (const group of groups) compacted = await this.#compactGroup(compacted, group);
    return compacted;
  }

  async #compactGroup(manifest: Manifest, small: readonly SealedEntry[]): Promise<Manifest> {
    const entries = await this.#seal({ work: "compact", manifest, through: manifest.checkpointLsn, segments: small });
    const at = manifest.sealed.findIndex(({ number }) => number === small[0]?.number);
    return this.#commit((current) => ({ ...current, sealed: current.sealed.toSpliced(at, small.length, ...entries) }));
  }

  /** Durably, and twice: whichever of the two is read says the same. */
  async #commit(change: (manifest: Manifest) => Manifest): Promise<Manifest> {
    const { control, directory, reader, takeAttachLock } = this.#place;
    if (Atomics.load(this.#words, SEAL_WORD.stop) !== 0n) {
      throw new StoreError("ERR_STORE_CLOSED", "the store was closed while a checkpoint was made");
    }
    const lock = await takeAttachLock();
    try {
      if (control.poisonedBy >= 0) {
        throw new StoreError("ERR_WAL_FAILED", `a write of core ${control.poisonedBy} has failed`, { directory });
      }
      await changeManifest(directory, change);
      const manifest = await changeManifest(directory, (current) => ({ ...current }));
      await reader.useManifest(manifest, []);
      control.publishCheckpoint(manifest.checkpointLsn);
      return manifest;
    } finally {
      lock?.release();
    }
  }

  async #drop(manifest: Manifest, isDurable: boolean): Promise<DroppedFiles> {
    const { control, directory, io } = this.#place;
    const tailSegmentOf = (core: number): number | null =>
      control.isLive(core) ? (control.lanes.tailOf(core)?.segment ?? null) : null;
    const names = await droppableSegments({ io, directory, tailSegmentOf }, manifest);
    if (names.length === 0) return { count: 0, byteLength: 0 };
    // A checkpoint that failed can have left a manifest of which nobody knows whether it is durable.
    if (!isDurable) await this.#commit(withLivingIncarnations);
    return dropSegments(names);
  }
}

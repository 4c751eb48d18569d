/**
 * Changing what is sealed: one change at a time over all writers, made by a thread of its own in new files, and committed by the manifest.
 *
 * Dying at any moment loses nothing: before the commit nobody knows of the new files, after it the old ones are only in the way, and who changes
 * something next removes them. The manifest is written twice, because an older one is believed where the newest is damaged, and must not
 * miss what was removed.
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { type BlockIo, FileLock, syncDirectory } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { ControlFile } from "./control-file.js";
import type { CoreTail } from "./core-cursor.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import { listedSegments, type Manifest } from "./manifest.js";
import { changeManifest } from "./manifest-change.js";
import { SEAL_WORD, type SealTask, type SealWords, type SealWork } from "./seal-log.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import type { Compression } from "./sealed/sealed-format.js";
import { removeUnlisted, sealedDirectory } from "./sealed/sealed-name.js";
import type { TieredReader } from "./tiered-reader.js";
import { coded } from "./write-failure.js";

const LEASE_RETRY_MS = 25;

/** Seals, in another thread or in this one. */
export type Sealer = (task: SealWork, words: SealWords) => Promise<readonly SealedEntry[]>;

export interface SealedChangePlace {
  readonly directory: string;
  readonly io: BlockIo;
  readonly control: ControlFile;
  readonly reader: TieredReader;
  readonly watermark: () => number;
  readonly tails: () => readonly CoreTail[];
  readonly takeAttachLock: () => Promise<AttachLock | null>;
  readonly seal: Sealer;
  readonly busyWaitMs: number;
  readonly compression?: Compression;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
}

/** What a change asks of the thread. */
export type SealOrder = Omit<SealTask, "directory" | "io" | "tails" | "sealedRecordedAt" | "keys" | "compression">;

export class SealedChanges {
  readonly #place: SealedChangePlace;
  readonly #words: SealWords;
  readonly #running = new Set<Promise<unknown>>();

  constructor(place: SealedChangePlace) {
    this.#place = place;
    const wordCount = Object.keys(SEAL_WORD).length;
    this.#words = new BigInt64Array(new SharedArrayBuffer(wordCount * BigInt64Array.BYTES_PER_ELEMENT));
  }

  get #isStopped(): boolean {
    return Atomics.load(this.#words, SEAL_WORD.stop) !== 0n;
  }

  /** What the thread has counted since the last order. */
  counted(word: "recordBytes" | "removedRecords"): number {
    return Number(Atomics.load(this.#words, SEAL_WORD[word]));
  }

  /** Does the work with the lease, a lock that the kernel frees when its holder dies; null when another has it. */
  async exclusively<Result>(work: () => Promise<Result>): Promise<Result | null> {
    const path = join(this.#place.directory, "checkpoint.lock");
    const lease = await coded(async () => FileLock.tryTake(path));
    if (lease === null) return null;
    const running = this.#withLease(lease, work);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /**
   * As `exclusively`, and waits for the lease.
   *
   * @throws StoreError `ERR_STORE_BUSY` when another has it for longer than `busyWaitMs`
   */
  async inTurn<Result extends object>(work: () => Promise<Result>): Promise<Result> {
    const { busyWaitMs, directory } = this.#place;
    const deadlineMs = performance.now() + busyWaitMs;
    for (;;) {
      if (this.#isStopped) throw stopped();
      const result = await this.exclusively(work);
      if (result !== null) return result;
      if (performance.now() > deadlineMs) {
        const message = `another checkpoint or scavenge of ${directory} has not ended after ${busyWaitMs} ms`;
        throw new StoreError("ERR_STORE_BUSY", message, { directory, waitMs: busyWaitMs });
      }
      await delay(LEASE_RETRY_MS);
    }
  }

  async #withLease<Result>(lease: FileLock, work: () => Promise<Result>): Promise<Result> {
    try {
      await coded(() => this.removeUnlisted());
      return await work();
    } catch (error) {
      // On a full disk their space is needed at once. What they are of use for, the manifests on disk say.
      await this.removeUnlisted().catch(() => {});
      throw error;
    } finally {
      lease.release();
    }
  }

  /** Removes what no manifest lists: what a change left behind that died, and what one has replaced. */
  async removeUnlisted(): Promise<void> {
    const { directory } = this.#place;
    const listed = await listedSegments(directory);
    if (listed !== null) await removeUnlisted(sealedDirectory(directory), listed);
  }

  /** Has the thread write new segments, which nobody lists yet and whose names are durable. */
  async seal(order: SealOrder): Promise<readonly SealedEntry[]> {
    const { directory, io, reader, tails, seal, keys, compression = "none" } = this.#place;
    const sealedRecordedAt = reader.sealed.highestRecordedAt;
    const { backend } = io.description;
    Atomics.store(this.#words, SEAL_WORD.recordBytes, 0n);
    Atomics.store(this.#words, SEAL_WORD.removedRecords, 0n);
    // They stay open until the thread has ended: closing waits for what is running.
    const handle = keys?.handle ?? null;
    const task = { ...order, directory, io: backend, tails: tails(), sealedRecordedAt, keys: handle, compression };
    const entries = await seal(task, this.#words);
    await syncDirectory(sealedDirectory(directory));
    return entries;
  }

  /** Durably, and twice: whichever of the two is read says the same. */
  async commit(change: (manifest: Manifest) => Manifest): Promise<Manifest> {
    const { control, directory, reader, takeAttachLock } = this.#place;
    if (this.#isStopped) throw stopped();
    const lock = await takeAttachLock();
    try {
      if (control.poisonedBy >= 0) {
        throw new StoreError("ERR_WAL_FAILED", `a write of core ${control.poisonedBy} has failed`, { directory });
      }
      await changeManifest(directory, change);
      const manifest = await changeManifest(directory, (current) => ({ ...current }));
      await reader.useManifest(manifest, []);
      control.publishCheckpoint(manifest.checkpointLsn, manifest.sequence);
      return manifest;
    } finally {
      lock?.release();
    }
  }

  /** Ends what is running; nothing is begun any more. */
  async stop(): Promise<void> {
    Atomics.store(this.#words, SEAL_WORD.stop, 1n);
    await Promise.allSettled(this.#running); // whoever asked for it is told
  }
}

function stopped(): StoreError {
  return new StoreError("ERR_STORE_CLOSED", "the store was closed while a checkpoint was made");
}

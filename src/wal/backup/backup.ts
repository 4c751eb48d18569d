/**
 * Backups of a store that is open: its sealed segments, and a manifest of their own, in another directory.
 *
 *     1  look at the directory: it must be free, or a backup of this store whose log is the beginning of this one
 *     2  make a checkpoint, so that all that was acknowledged is sealed
 *     3  under the lock of that directory: look again, mark it where it has no backup yet, copy the segments that it does not have, in a thread of
 *        its own, each read back
 *     4  open what is there as a reader would, then put the manifest in place, and remove what neither it nor the one before lists
 *
 * No lock of the store is held while files are copied: a checkpoint or compaction beside it may replace segments. When one is gone, the
 * manifest is read again and only what is missing then is copied. The backup is exactly the events up to the checkpoint's LSN of the
 * manifest that was read last. Whatever ends it before 4 leaves the former backup as it was, with some files more, which the next one uses.
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isStoreError, StoreError } from "../../errors.js";
import { type BlockIo, type BufferPool, openIo } from "../../ffi/index.js";
import type { CheckpointReport } from "../checkpoint.js";
import type { Clock } from "../clock.js";
import { adoptKeys } from "../crypt/adopt-keys.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { listedSegments, type Manifest, writeManifest } from "../manifest.js";
import { currentManifest } from "../manifest-change.js";
import { SEAL_WORD, type SealWords } from "../seal-log.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import { removeUnlisted, sealedDirectory } from "../sealed/sealed-name.js";
import type { Sealer } from "../sealed-changes.js";
import { openSealedTier } from "../sealed-tier.js";
import { withCode } from "../write-failure.js";
import { chainValueAt } from "./chain-value.js";
import { copiedIncarnation } from "./copied-incarnation.js";
import { segmentMissing } from "./copy-segments.js";
import { endCopy, judgeTarget, lockTarget, markCopy, targetTaken } from "./copy-target.js";
import { missingSegments } from "./missing-segments.js";

/** Another writer's checkpoint is waited for so long at a time. */
const CHECKPOINT_RETRY_MS = 20;
/** How often segments may be replaced while they are copied. Each time takes a compaction of its own, and the large ones stay. */
const ROUNDS_MAX = 100;
/** Two writers' clocks follow the system's, each to within 2 ms. */
const CLOCKS_APART_US = 4_000;

/** What a backup did. */
export interface BackupReport {
  /** The directory that was asked for. */
  readonly directory: string;
  /** 32 hexadecimal digits: the store's, which its backup has too. */
  readonly storeId: string;
  /** The backup holds exactly the events up to this LSN. */
  readonly lsn: number;
  /** Sealed segments of the backup, and their bytes. */
  readonly segments: number;
  readonly bytes: number;
  /** Of those, what was copied now. The others were there. */
  readonly copiedSegments: number;
  readonly copiedBytes: number;
  /** Files of the backup that were removed, because others replace them. */
  readonly removedFiles: number;
  readonly durationMs: number;
}

export interface BackupPlace {
  /** The store's. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly clock: Clock;
  readonly busyWaitMs: number;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  readonly seal: Sealer;
  readonly watermark: () => number;
  /** The last LSN that any writer has taken. */
  readonly takenLsn: () => number;
  /** Null when another writer is making one. */
  readonly checkpoint: () => Promise<CheckpointReport | null>;
}

/** What of one backup does not change from round to round. */
interface Order {
  readonly target: string;
  readonly words: SealWords;
  readonly takenAt: number;
  readonly takenLsn: number;
}

type Made = Omit<BackupReport, "directory" | "durationMs">;

export class Backups {
  readonly #place: BackupPlace;
  readonly #running = new Map<SealWords, Promise<unknown>>();
  #isStopped = false;

  constructor(place: BackupPlace) {
    this.#place = place;
  }

  /**
   * Makes or continues a backup in a directory.
   *
   * @throws StoreError `ERR_STORE_EXISTS`, `ERR_WAL_FOREIGN`, `ERR_BACKUP_DIVERGED`: the directory was not touched
   * @throws StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`, `ERR_KEY_MISSING` for a key that
   *   another writer went over to: the former backup is as it was
   * @throws the signal's reason
   */
  async run(directory: string, signal?: AbortSignal): Promise<BackupReport> {
    signal?.throwIfAborted();
    const startedMs = performance.now();
    const words: SealWords = new BigInt64Array(new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT));
    const stop = (): void => {
      Atomics.store(words, SEAL_WORD.stop, 1n);
    };
    signal?.addEventListener("abort", stop);
    const running = this.#run(directory, words);
    this.#running.set(words, running);
    try {
      return { directory, ...(await running), durationMs: performance.now() - startedMs };
    } catch (error) {
      signal?.throwIfAborted();
      throw withCode(error);
    } finally {
      this.#running.delete(words);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Ends what is running. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const words of this.#running.keys()) Atomics.store(words, SEAL_WORD.stop, 1n);
    await Promise.allSettled(this.#running.values());
  }

  #checkGoesOn(words: SealWords): void {
    if (!this.#isStopped && Atomics.load(words, SEAL_WORD.stop) === 0n) return;
    throw new StoreError("ERR_STORE_CLOSED", "the store was closed while a backup was made");
  }

  async #run(target: string, words: SealWords): Promise<Made> {
    const { busyWaitMs, clock, takenLsn } = this.#place;
    // In this order: who takes an LSN above this one records it later than this.
    const order = { target, words, takenAt: clock() - CLOCKS_APART_US, takenLsn: takenLsn() };
    await this.#onCurrentManifest((manifest) => this.#assertFits(order, manifest));
    await this.#checkpoint(words);
    const { path, lock } = await lockTarget(target, busyWaitMs);
    try {
      const copied = new Map<number, SealedEntry>();
      return await this.#onCurrentManifest((manifest) => this.#copy({ ...order, target: path }, manifest, copied));
    } finally {
      lock.release();
    }
  }

  /** Everything that was acknowledged when this was called is sealed when it resolves. */
  async #checkpoint(words: SealWords): Promise<void> {
    const { checkpoint, watermark } = this.#place;
    const through = watermark();
    for (;;) {
      this.#checkGoesOn(words);
      const report = await checkpoint();
      if (report !== null && report.lsn >= through) return;
      if (report === null) await delay(CHECKPOINT_RETRY_MS);
    }
  }

  /** Does the work by the newest manifest, and again where it fails because there is a newer one. */
  async #onCurrentManifest<Result>(work: (manifest: Manifest) => Promise<Result>): Promise<Result> {
    const { directory, keys = null } = this.#place;
    for (let round = 1; ; round++) {
      const manifest = await currentManifest(directory);
      adoptKeys(keys, manifest, directory); // others may have gone over to a key that is known here from no manifest yet
      try {
        return await work(manifest);
      } catch (error) {
        const mayBeGone = isStoreError(error, "ERR_WAL_CORRUPT") && error.details["path"] !== undefined;
        // Another writer may have sealed more, and backed it up there, since this manifest was read.
        const mayBeBehind = isStoreError(error, "ERR_BACKUP_DIVERGED");
        if (!(mayBeGone || mayBeBehind) || round === ROUNDS_MAX) throw error;
        if ((await currentManifest(directory)).sequence === manifest.sequence) throw error;
      }
    }
  }

  /** The manifest of the backup that is there; null where there is none. Touches nothing. */
  async #assertFits({ target }: Order, manifest: Manifest): Promise<Manifest | null> {
    const found = await judgeTarget(target);
    switch (found.kind) {
      case "free":
        return null;
      case "taken":
        throw targetTaken(target, `it has ${found.name}, and is no backup`);
      case "store":
        throw targetTaken(target, "it is a store that is written to, and no backup");
      case "begun":
        if (found.storeId === manifest.storeId) return null;
        throw foreign(target, found.storeId, manifest.storeId);
      case "backup":
        if (found.manifest.storeId !== manifest.storeId) {
          throw foreign(target, found.manifest.storeId, manifest.storeId);
        }
        await this.#assertContinues(target, found.manifest, manifest);
        return found.manifest;
    }
  }

  /** The backup's log is the beginning of the store's: their hash chains are the same where the backup ends. */
  async #assertContinues(target: string, backup: Manifest, manifest: Manifest): Promise<void> {
    const lsn = backup.checkpointLsn;
    const sealed = await openSealedTier(this.#place, manifest);
    try {
      // Everything up to a backup's end is sealed: who has less has lost it, or is an older copy.
      const value = lsn > sealed.lastLsn ? null : await chainValueAt(sealed, lsn, this.#place.keys ?? null);
      const last = backup.sealed.at(-1);
      if (last === undefined || value === last.hash) return;
      const what =
        lsn > sealed.lastLsn ? `this store has sealed only ${sealed.lastLsn}` : "other events than this store";
      const message = `the backup in ${target} has diverged: it holds the events up to LSN ${lsn}, ${what}`;
      throw new StoreError("ERR_BACKUP_DIVERGED", message, { directory: target, lsn, storeLsn: sealed.lastLsn });
    } finally {
      await sealed.close();
    }
  }

  async #copy(order: Order, manifest: Manifest, copied: Map<number, SealedEntry>): Promise<Made> {
    const { clock, directory, io, pool, seal, keys = null } = this.#place;
    const { target, words } = order;
    this.#checkGoesOn(words);
    const before = await this.#assertFits(order, manifest);
    // A backup that is there already needs no mark: until its next manifest is there, the one that it has counts.
    if (before === null) await markCopy(target, manifest.storeId);
    const targetIo = openIo("auto", join(target, "lock"));
    try {
      const here = { io, directory: sealedDirectory(directory) };
      const there = { io: targetIo, directory: sealedDirectory(target) };
      const segments = await missingSegments(manifest.sealed, here, there);
      if (segments.length > 0) {
        const from = { directory, io: io.description.backend, probe: join(directory, "lock") };
        const { storeId, encryption } = manifest;
        const secrets = { encryption, keys: keys?.handle ?? null };
        const entries = await seal({ work: "copy", from, storeId, ...secrets, segments, target }, words);
        for (const entry of entries) copied.set(entry.number, entry);
        const gone = segments.find(({ number }) => !entries.some((entry) => entry.number === number));
        if (gone !== undefined) throw segmentMissing(here.directory, gone);
      }
      const place = { io: targetIo, pool, keys, directory: target };
      const sealed = await openSealedTier(place, manifest);
      const lastRecordedAt = sealed.highestRecordedAt;
      await sealed.close();
      const next = backupManifest(manifest, before, takenAt(order, manifest, before, lastRecordedAt), clock());
      this.#checkGoesOn(words);
      await writeManifest(target, next);
      await endCopy(target);
      const listed = await listedSegments(target);
      const removed = listed === null ? [] : await removeUnlisted(there.directory, listed);
      const done = next.sealed.filter(({ number }) => copied.has(number));
      return {
        storeId: next.storeId,
        lsn: next.checkpointLsn,
        segments: next.sealed.length,
        bytes: bytesOf(next.sealed),
        copiedSegments: done.length,
        copiedBytes: bytesOf(done),
        removedFiles: removed.length,
      };
    } finally {
      await targetIo.close();
    }
  }
}

/** What was recorded before it is in the backup, unless it is behind what is. */
function takenAt(order: Order, manifest: Manifest, before: Manifest | null, lastRecordedAt: number): number {
  // With LSNs in flight, others may have been recorded by now that are not in it: only what is sealed says when.
  const isAllIn = order.takenLsn <= manifest.checkpointLsn;
  return Math.max(before?.backup?.takenAt ?? 0, isAllIn ? order.takenAt : lastRecordedAt);
}

/** With a number that no manifest there has had. */
function backupManifest(manifest: Manifest, before: Manifest | null, takenAtUs: number, nowUs: number): Manifest {
  return {
    ...manifest,
    sequence: Math.max(manifest.sequence, (before?.sequence ?? 0) + 1),
    incarnations: [copiedIncarnation(manifest, manifest.checkpointLsn, nowUs)],
    backup: { takenAt: takenAtUs },
  };
}

function bytesOf(entries: readonly SealedEntry[]): number {
  return entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function foreign(target: string, found: string, wanted: string): StoreError {
  const message = `the backup in ${target} is of the store ${found}, and this one is ${wanted}`;
  return new StoreError("ERR_WAL_FOREIGN", message, { directory: target, storeId: found });
}

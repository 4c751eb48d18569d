/**
 * Making a store of a backup: all of it, or up to an LSN or a time.
 *
 *     1  read the backup's manifest and the last page of each of its segments, and plan where to end
 *     2  look at the directory: it must be absent or empty, or what an interrupted restore of this store left
 *     3  under the lock of that directory: copy the segments before the end, each read back; write the one with the end in it anew
 *     4  open what is there as a store would be, then put the manifest in place
 *
 * Until 4 there is no store there, and none is made by opening it. The backup is only read: it can lie on a medium that cannot be written.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../../errors.js";
import { type BlockIo, BufferPool, openIo, syncDirectory } from "../../ffi/index.js";
import { wallClock } from "../clock.js";
import { adoptKeys, withCurrentKey } from "../crypt/adopt-keys.js";
import { type EncryptionOptions, StoreKeys } from "../crypt/store-keys.js";
import { type Manifest, readManifest, writeManifest } from "../manifest.js";
import type { KeyOf } from "../record-key.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import type { SealedLog } from "../sealed/sealed-log.js";
import { removeUnlisted, sealedDirectory } from "../sealed/sealed-name.js";
import { openSealedTier } from "../sealed-tier.js";
import { withCode } from "../write-failure.js";
import { copiedIncarnation } from "./copied-incarnation.js";
import { copySegments, segmentMissing } from "./copy-segments.js";
import { endCopy, judgeTarget, lockTarget, markCopy, targetTaken } from "./copy-target.js";
import { cutSegment } from "./cut-segment.js";
import { type MatchedPlace, missingSegments } from "./missing-segments.js";
import { planRestore, type RestorePlan, type RestorePoint } from "./restore-plan.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 16;

/** What a restore did, or with `dryRun` would do. */
export interface RestoreReport extends RestorePlan {
  readonly backup: string;
  readonly directory: string;
  readonly storeId: string;
  /** The backup's last LSN. */
  readonly backupLsn: number;
  /** µs since 1970: what was recorded up to then the backup has. */
  readonly takenAt: number;
  readonly isDryRun: boolean;
  /** Whether the directory is absent or empty, or has what an interrupted restore left: else a restore is refused. */
  readonly isDirectoryFree: boolean;
  /** Written now; what an interrupted restore had copied is not. */
  readonly copiedBytes: number;
  readonly durationMs: number;
}

export interface RestoreOptions extends RestorePoint {
  readonly dryRun: boolean;
  readonly keyOf: KeyOf;
  readonly busyWaitMs: number;
  /** The keys of a backup that is encrypted. */
  readonly encryption?: EncryptionOptions | null;
  readonly onProgress?: (copiedBytes: number) => void;
  readonly signal?: AbortSignal;
  /** `openIo` unless something stands between the files and the device. */
  readonly openIo?: typeof openIo;
}

interface OpenBackup {
  readonly directory: string;
  readonly manifest: Manifest;
  /** A file there, to judge its file system by. */
  readonly probe: string;
  readonly io: BlockIo;
  readonly sealed: SealedLog;
  readonly keys: StoreKeys | null;
}

/**
 * @throws StoreError `ERR_BACKUP_NOT_FOUND`, `ERR_BACKUP_RANGE`, `ERR_STORE_EXISTS`, `ERR_WAL_FOREIGN`: nothing was written
 * @throws StoreError `ERR_WAL_CORRUPT`, naming the backup's file; `ERR_IO_FAILED`, `ERR_STORE_BUSY`: there is no store in the directory
 * @throws the signal's reason
 */
export async function restoreLog(backup: string, directory: string, options: RestoreOptions): Promise<RestoreReport> {
  let keys: StoreKeys | null = null;
  try {
    if (options.encryption != null) keys = await StoreKeys.load(options.encryption);
    return await planAndRestore(backup, directory, options, keys);
  } catch (error) {
    throw withCode(error);
  } finally {
    keys?.close();
  }
}

async function planAndRestore(
  backup: string,
  directory: string,
  options: RestoreOptions,
  keys: StoreKeys | null,
): Promise<RestoreReport> {
  const startedMs = performance.now();
  options.signal?.throwIfAborted();
  const manifest = withAdoptedKeys(await backupIn(backup), keys, backup);
  const probe = join(backup, `manifest-${String(manifest.sequence).padStart(10, "0")}`);
  const io = (options.openIo ?? openIo)("auto", probe);
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  try {
    const sealed = await openSealedTier({ io, pool, keys, directory: backup }, manifest);
    try {
      const takenAt = manifest.backup?.takenAt ?? 0;
      const plan = await planRestore(sealed, options, takenAt);
      const isDirectoryFree = await isFree(directory, manifest, options.dryRun);
      const opened = { directory: backup, manifest, probe, io, sealed, keys };
      const copiedBytes = options.dryRun ? 0 : await restore(opened, directory, plan, options);
      return {
        backup,
        directory,
        storeId: manifest.storeId,
        backupLsn: manifest.checkpointLsn,
        takenAt,
        ...plan,
        isDryRun: options.dryRun,
        isDirectoryFree,
        copiedBytes,
        durationMs: performance.now() - startedMs,
      };
    } finally {
      await sealed.close();
    }
  } finally {
    await io.close();
    pool.close();
  }
}

/** The manifest with the current key in it: what is written anew is encrypted by that. */
function withAdoptedKeys(manifest: Manifest, keys: StoreKeys | null, directory: string): Manifest {
  adoptKeys(keys, manifest, directory);
  const entered = withCurrentKey(manifest, keys);
  adoptKeys(keys, entered, directory);
  return entered;
}

/** The manifest of the backup in a directory. */
async function backupIn(directory: string): Promise<Manifest> {
  const found = await readManifest(directory);
  switch (found.kind) {
    case "absent":
      throw noBackup(directory, "there is none");
    case "damaged":
      throw new StoreError("ERR_WAL_CORRUPT", `no manifest holds its checksum (${directory})`, { directory });
    case "newer":
      throw new StoreError("ERR_WAL_VERSION", `a newer version wrote the manifest (${directory})`, { directory });
    case "manifest":
      if (found.manifest.backup !== undefined) return found.manifest;
      // Its newest events are in wal/, and nobody vouches for them while writers can go on.
      throw noBackup(directory, "it is a store that is written to; make a backup of it first");
  }
}

function noBackup(directory: string, why: string): StoreError {
  return new StoreError("ERR_BACKUP_NOT_FOUND", `no backup in ${directory}: ${why}`, { directory });
}

/** Whether a store can be made there; throws why not, unless it is only asked. */
async function isFree(directory: string, { storeId }: Manifest, isDryRun: boolean): Promise<boolean> {
  const found = await judgeTarget(directory);
  if (found.kind === "free" || (found.kind === "begun" && found.storeId === storeId)) return true;
  if (isDryRun) return false;
  if (found.kind === "begun") throw targetTaken(directory, `a copy of the store ${found.storeId} was begun there`);
  throw targetTaken(directory, found.kind === "taken" ? `it has ${found.name}` : `it is a ${found.kind}`);
}

/** Resolves with the bytes that were written, when the store is there. */
async function restore(
  from: OpenBackup,
  directory: string,
  plan: RestorePlan,
  options: RestoreOptions,
): Promise<number> {
  const { manifest } = from;
  const { path, lock } = await lockTarget(directory, options.busyWaitMs);
  try {
    await isFree(path, manifest, false); // nobody was faster
    await markCopy(path, manifest.storeId);
    const io = (options.openIo ?? openIo)("auto", join(path, "lock"));
    try {
      return await fill(from, { io, directory: path }, plan, options);
    } finally {
      await io.close();
    }
  } finally {
    lock.release();
  }
}

async function fill(
  from: OpenBackup,
  target: MatchedPlace,
  plan: RestorePlan,
  options: RestoreOptions,
): Promise<number> {
  const { manifest } = from;
  const here = { io: from.io, directory: sealedDirectory(from.directory) };
  const there = { io: target.io, directory: sealedDirectory(target.directory) };
  if ((await mkdir(there.directory, { recursive: true })) !== undefined) await syncDirectory(target.directory);
  const fateOf = new Map(plan.segments.map(({ number, fate }) => [number, fate]));
  const whole = manifest.sealed.filter(({ number }) => fateOf.get(number) === "restored");
  const segments = await missingSegments(whole, here, there);
  // Of a restore that was interrupted, perhaps to another LSN.
  const kept = whole.filter((entry) => !segments.includes(entry));
  await removeUnlisted(there.directory, kept);
  const task = {
    work: "copy",
    from: { directory: from.directory, io: from.io.description.backend, probe: from.probe },
    storeId: manifest.storeId,
    encryption: manifest.encryption,
    keys: from.keys?.handle ?? null,
    segments,
    target: target.directory,
  } as const;
  const onProgress = (copiedBytes: number): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.(copiedBytes);
  };
  const copied = await copySegments(task, onProgress, options.openIo);
  const gone = segments.find((entry) => !copied.includes(entry));
  if (gone !== undefined) throw segmentMissing(here.directory, gone);
  const cut = manifest.sealed.find(({ number }) => fateOf.get(number) === "cut");
  const written = cut === undefined ? [] : await writeCut(cut, plan.lsn, here, there, from, options.keyOf);
  const restored: Manifest = {
    ...manifest,
    sequence: manifest.sequence + 1,
    checkpointLsn: plan.lsn,
    sealed: [...whole, ...written],
    incarnations: [copiedIncarnation(manifest, plan.lsn, wallClock()())],
    backup: undefined,
  };
  await assertWhole(target, restored, from.keys);
  options.signal?.throwIfAborted();
  await writeManifest(target.directory, restored);
  await endCopy(target.directory);
  return [...copied, ...written].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** With a number that no segment of the backup has: what was left out of it is not to be found under the name of the one that has all. */
function writeCut(
  entry: SealedEntry,
  lsn: number,
  from: MatchedPlace,
  to: MatchedPlace,
  { manifest, keys }: OpenBackup,
  keyOf: KeyOf,
): Promise<readonly SealedEntry[]> {
  const firstNumber = Math.max(...manifest.sealed.map(({ number }) => number)) + 1;
  const storeId = Buffer.from(manifest.storeId, "hex");
  return cutSegment(entry, lsn, from, { ...to, storeId, firstNumber, keyOf, keys });
}

/** The names are durable, and the segments follow each other. */
async function assertWhole(target: MatchedPlace, manifest: Manifest, keys: StoreKeys | null): Promise<void> {
  await syncDirectory(sealedDirectory(target.directory));
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  try {
    await (await openSealedTier({ ...target, pool, keys }, manifest)).close();
  } finally {
    pool.close();
  }
}

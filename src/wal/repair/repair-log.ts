/**
 * Repairing a store that cannot be opened, or not be read to the end.
 *
 *     1  under the attach lock, with no writer alive and no write of a dead one in flight: look through all files, and plan
 *     2  copy the store
 *     3  write what is kept into new sealed segments, which nobody lists yet, each read back; they are marked as a repair's
 *     4  a manifest that lists them and nothing else, twice: this is the commit
 *     5  move what is damaged into `quarantine/`, and remove what is in the new segments
 *
 * Before 4 the store is what it was, damaged; after it, it is repaired. A run that died in 5 has left files that no manifest knows of, which the next checkpoint
 * removes.
 */

import { mkdir, readdir, rename, unlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { StoreError } from "../../errors.js";
import { BufferPool, openIo, replaceFile, syncDirectory } from "../../ffi/index.js";
import { AttachLock } from "../attach-lock.js";
import { copiedIncarnation } from "../backup/copied-incarnation.js";
import { wallClock } from "../clock.js";
import type { StoreEncryption } from "../crypt/store-encryption.js";
import type { EncryptionOptions, StoreKeys } from "../crypt/store-keys.js";
import { MANIFEST_NAME, type Manifest, writeManifest } from "../manifest.js";
import { settleWrites } from "../open-log.js";
import { OwnerLock } from "../owner-lock.js";
import type { KeyOf } from "../record-key.js";
import { type Survey, surveyStore } from "../salvage/survey.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import { listSealed, nextSealedNumber, sealedDirectory } from "../sealed/sealed-name.js";
import { listCores, listLog } from "../segment-name.js";
import { rebuildLog } from "./rebuild-log.js";
import { planRepair, type RepairPlan } from "./repair-plan.js";
import { copyStore } from "./store-copy.js";
import { beginRepair, endRepair } from "./unfinished-repair.js";

const READ_CHUNK_BYTES = 1024 * 1024;
const READ_CHUNKS_MAX = 16;
const QUARANTINE = "quarantine";
/** LSNs in a row: more than this, and a header lies that holds its checksum. A run of a sealed segment counts to 2^32. */
const LOST_AT_ONCE_MAX = 2 ** 31;

export interface RepairPlace {
  readonly directory: string;
  readonly keyOf: KeyOf;
  /** Null for a store that is not encrypted. */
  readonly encryption: EncryptionOptions | null;
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
  readonly onProgress: (lsn: number) => void;
}

export interface ExaminedStore {
  readonly survey: Survey;
  /** Null where nothing can be repaired. */
  readonly plan: RepairPlan | null;
  /** Why not. */
  readonly obstacle: string | null;
}

/**
 * Looks through all files and plans; changes nothing. The keys of the survey are to be closed.
 *
 * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`
 */
export async function examineStore(place: RepairPlace): Promise<ExaminedStore> {
  const survey = await surveyStore(place.directory, place.encryption);
  try {
    return await examineSurvey(survey, place);
  } catch (error) {
    survey.keys.close();
    throw error;
  }
}

async function examineSurvey(survey: Survey, { keyOf, onProgress }: RepairPlace): Promise<ExaminedStore> {
  const obstacle = obstacleIn(survey);
  if (obstacle !== null) return { survey, obstacle, plan: null };
  const plan = await planRepair(survey, keyOf, onProgress);
  const endless = plan.lost.find(([from, through]) => through - from >= LOST_AT_ONCE_MAX);
  if (endless === undefined) return { survey, obstacle: null, plan };
  const why = `a file attests LSN ${endless[1]}, and nothing is there from LSN ${endless[0]} on: no damage does that`;
  return { survey, obstacle: why, plan: null };
}

function obstacleIn({ storeId, manifest, manifestState, newerFiles, unprovenFiles }: Survey): string | null {
  if (manifestState === "newer") return "a newer version wrote the manifest";
  const [newer] = newerFiles;
  if (newer !== undefined) return `a newer version wrote ${newer}`;
  if (manifest?.backup !== undefined)
    return "it is a backup: make it again, or repair the store that is restored from it";
  const [unproven] = unprovenFiles;
  if (unproven !== undefined)
    return `${unproven} is not encrypted, and no manifest says that it may be: it can be salvaged`;
  return storeId === null ? "no file says which store it is" : null;
}

export interface RepairedStore {
  readonly examined: ExaminedStore & { readonly plan: RepairPlan };
  /** Files that were moved, relative to the store, where they are now. */
  readonly quarantined: readonly string[];
}

/**
 * Holds the locks that keep everybody else out while `work` runs.
 *
 * @throws StoreError `ERR_STORE_LOCKED` when a writer has the store open, `ERR_STORE_BUSY`
 */
export async function withStoreLocked<Result>(place: RepairPlace, work: () => Promise<Result>): Promise<Result> {
  const { directory, busyWaitMs } = place;
  const lock = await AttachLock.take(directory, true, busyWaitMs);
  const owners: OwnerLock[] = [];
  try {
    for (const core of await listCores(directory)) {
      const owner = OwnerLock.tryTake(directory, core);
      if (owner === null) {
        const message = `the store in ${directory} is open elsewhere: core ${core} has a writer`;
        throw new StoreError("ERR_STORE_LOCKED", message, { directory, core });
      }
      owners.push(owner);
    }
    const io = openIo("auto", join(directory, "lock"));
    try {
      await settleWrites({ directory, io }, busyWaitMs, place.onWaiting);
    } finally {
      await io.close();
    }
    return await work();
  } finally {
    for (const owner of owners) owner.release();
    lock.release();
  }
}

/** Under `withStoreLocked`, of a store that was examined under it. */
export async function repairLog(
  place: RepairPlace,
  examined: ExaminedStore & { readonly plan: RepairPlan },
  backup: string,
): Promise<RepairedStore> {
  const { directory } = place;
  const { survey, plan } = examined;
  await copyStore(directory, backup);
  const secret = survey.keys.forWriting(Buffer.from(survey.storeId ?? "", "hex"));
  const sealed = await rebuild(place, survey, plan, secret?.keys ?? null);
  await commit(directory, survey, plan, sealed, secret?.encryption);
  await endRepair(directory);
  const quarantined = await clear(directory, examined, sealed, basename(backup));
  return { examined, quarantined };
}

async function rebuild(
  place: RepairPlace,
  survey: Survey,
  plan: RepairPlan,
  keys: StoreKeys | null,
): Promise<readonly SealedEntry[]> {
  const directory = sealedDirectory(place.directory);
  if ((await mkdir(directory, { recursive: true })) !== undefined) await syncDirectory(place.directory);
  const io = openIo("auto", join(place.directory, "lock"));
  const pool = new BufferPool(READ_CHUNK_BYTES, READ_CHUNKS_MAX);
  try {
    const firstNumber = await nextSealedNumber(directory, survey.manifest?.sealed ?? []);
    await beginRepair(place.directory, firstNumber);
    const { keyOf, onProgress } = place;
    const entries = await rebuildLog(survey, plan, { io, pool, directory, firstNumber, keyOf, keys, onProgress });
    await syncDirectory(directory);
    return entries;
  } finally {
    await io.close();
    pool.close();
  }
}

/** Twice, because an older manifest is believed where the newest is damaged. */
async function commit(
  directory: string,
  { manifest, storeId, frames }: Survey,
  { lastLsn }: RepairPlan,
  sealed: readonly SealedEntry[],
  encryption: StoreEncryption | undefined,
): Promise<void> {
  const nowUs = wallClock()();
  const sequences = (await readdir(directory)).flatMap((name) => MANIFEST_NAME.exec(name)?.[1] ?? []).map(Number);
  const sequence = Math.max(0, ...sequences) + 1;
  let highest = manifest?.incarnations.at(-1)?.incarnation ?? 0;
  for (const { incarnation } of frames) highest = Math.max(highest, incarnation);
  const known = { incarnation: highest, firstLsn: 1, lastLsn: null, firstSegments: [], voids: [] };
  const firstSegments: number[] = [];
  for (const { core, segments } of await listLog(directory, 0))
    firstSegments[core] = (segments.at(-1)?.segment ?? 0) + 1;
  const repaired: Manifest = {
    sequence,
    storeId: storeId ?? "",
    createdAt: manifest?.createdAt ?? nowUs,
    checkpointLsn: lastLsn,
    horizonLsn: Math.min(manifest?.horizonLsn ?? 0, lastLsn),
    sealed,
    incarnations: [
      {
        ...copiedIncarnation({ incarnations: [known] }, lastLsn, nowUs),
        firstSegments: Array.from(firstSegments, (first = 1) => first),
      },
    ],
    ...(encryption !== undefined && { encryption }),
  };
  await writeManifest(directory, repaired);
  await writeManifest(directory, { ...repaired, sequence: sequence + 1 });
}

/** A directory that was not there before: what an earlier repair set aside stays. */
async function newQuarantine(directory: string, name: string): Promise<string> {
  await mkdir(join(directory, QUARANTINE), { recursive: true });
  for (let number = 1; ; number++) {
    const place = join(directory, QUARANTINE, number === 1 ? name : `${name}-${number}`);
    try {
      await mkdir(place);
      return place;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** Moves what is damaged or strange, with checkpoints of projections that know what is lost, and removes what is sealed anew. */
async function clear(
  directory: string,
  { survey, plan }: RepairedStore["examined"],
  sealed: readonly SealedEntry[],
  name: string,
): Promise<readonly string[]> {
  const place = await newQuarantine(directory, name);
  const bad = new Set([...survey.damage.map(({ path }) => path), ...survey.foreignFiles]);
  const kept = new Set(sealed.map(({ number }) => number));
  const old = (await listSealed(sealedDirectory(directory))).filter(
    (file) => file.isTemporary || !kept.has(file.number),
  );
  const segments = (await listLog(directory, 0)).flatMap((core) => core.segments);
  const quarantined: string[] = [];
  const touched = new Set<string>([place, join(directory, QUARANTINE), directory]);
  const quarantine = async (path: string): Promise<void> => {
    const target = join(place, relative(directory, path));
    await mkdir(dirname(target), { recursive: true });
    await rename(path, target);
    touched.add(dirname(path));
    touched.add(dirname(target));
    quarantined.push(relative(directory, target));
  };
  for (const { path } of [...old, ...segments]) {
    if (bad.has(path)) await quarantine(path);
    else await unlink(path);
    touched.add(dirname(path));
  }
  const isTampered = survey.damage.some(({ kind }) => kind === "tampered");
  const isLoss = isTampered || plan.lostLsns > 0 || plan.droppedEvents > 0 || plan.unacknowledged.length > 0;
  const entries = await readdir(directory);
  if (isLoss && entries.includes("projections")) await quarantine(join(directory, "projections"));
  const { removal: _, dropped, ...counted } = plan;
  const { damage, foreignFiles, storeId } = survey;
  // The names of streams are not to stand in clear in an encrypted store.
  const named = survey.keys.areGiven ? counted : { ...counted, dropped };
  const report = { storeId, ...named, damage, foreignFiles, quarantined };
  await replaceFile(join(place, "report.json"), Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  for (const path of touched) await syncDirectory(path);
  return quarantined;
}

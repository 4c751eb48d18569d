/**
 * Recovering a log that no writer has open: finds out what is there, and obeys what was decided.
 *
 * Wait for the I/O of killed owners by locking their segment files, sync them (what is read may not be durable yet), read, decide, fence with
 * a new manifest. What nobody attested is left to the writer to write once more. The attach lock is held, and no owner lock is by anybody.
 */

import { randomBytes } from "node:crypto";
import { mkdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { DirectFile, syncDirectory } from "../ffi/index.js";
import { adoptKeys, withCurrentKey } from "./crypt/adopt-keys.js";
import {
  type FoundLog,
  type FrameListener,
  findLog,
  type LogPlace,
  type ManifestListener,
  reportOf,
} from "./find-log.js";
import { STORE_ID_BYTES } from "./format.js";
import { scanLog } from "./log-scan.js";
import { clipped } from "./lsn-ranges.js";
import { firstSegmentOf, type Incarnation, type Manifest, writeManifest } from "./manifest.js";
import { endRepair } from "./repair/unfinished-repair.js";
import type { SealedLog } from "./sealed/sealed-log.js";
import { openSealedTier } from "./sealed-tier.js";
import { coreDirectory, listLog } from "./segment-name.js";

const LOCK_RETRY_MS = 20;
const FIRST_MANIFEST_SEQUENCE = 1;
const FIRST_CORE = 0;

/** Creates the directories and the first manifest of a store. */
async function createStore(place: LogPlace, nowUs: number): Promise<Manifest> {
  let manifest: Manifest = {
    sequence: FIRST_MANIFEST_SEQUENCE,
    storeId: randomBytes(STORE_ID_BYTES).toString("hex"),
    createdAt: nowUs,
    checkpointLsn: 0,
    horizonLsn: 0,
    sealed: [],
    incarnations: [],
  };
  const keys = place.keys ?? null;
  if (keys !== null)
    manifest = { ...manifest, encryption: keys.entered(Buffer.from(manifest.storeId, "hex"), undefined) };
  adoptKeys(keys, manifest, place.directory);
  await mkdir(coreDirectory(place.directory, FIRST_CORE), { recursive: true });
  await syncDirectory(join(place.directory, "wal"));
  await writeManifest(place.directory, manifest);
  return manifest;
}

/**
 * Waits until no write of a killed owner is in flight: the kernel holds the lock of a segment file for as long as one is.
 *
 * @throws StoreError `ERR_STORE_BUSY` when that takes longer than `waitMs`.
 */
async function waitForWrites(
  file: DirectFile,
  deadlineMs: number,
  waitMs: number,
  onWaiting: (path: string) => void,
): Promise<void> {
  for (let told = false; !file.tryLock(); ) {
    if (!told) onWaiting(file.path);
    told = true;
    if (performance.now() > deadlineMs) {
      const message = `writes to ${file.path} by an owner that is gone have not ended after ${waitMs} ms`;
      throw new StoreError("ERR_STORE_BUSY", message, { path: file.path, waitMs });
    }
    await delay(LOCK_RETRY_MS);
  }
}

/** Makes durable what killed owners wrote, when their writes have ended. One file at a time: there can be more than a process may open. */
export async function settleWrites(
  place: Pick<LogPlace, "io" | "directory">,
  waitMs: number,
  onWaiting: (path: string) => void,
): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  for (const { directory, segments } of await listLog(place.directory, 0)) {
    for (const name of segments) {
      const file = await DirectFile.open(place.io, name.path, "write");
      try {
        await waitForWrites(file, deadlineMs, waitMs, onWaiting);
        await file.dataSync();
      } finally {
        await file.close();
      }
    }
    if (segments.length > 0) await syncDirectory(directory);
  }
}

export interface RecoveredLog {
  readonly found: FoundLog;
  readonly manifest: Manifest;
  readonly incarnation: Incarnation;
  readonly sealed: SealedLog;
}

/**
 * Recovers the log for a new incarnation of writing, and fences what came before it.
 * The attach lock is held. What it returns as `found.facts` is what was read; `manifest` is the new one, whose newest incarnation is
 * the one to write in.
 */
export async function recoverLog(
  place: LogPlace,
  options: { readonly busyWaitMs: number; readonly onWaiting: (path: string) => void; readonly nowUs: number },
  onFrame: FrameListener,
  onManifest?: ManifestListener,
): Promise<RecoveredLog> {
  // Not to decide on data that a crashed process wrote and nobody made durable.
  await settleWrites(place, options.busyWaitMs, options.onWaiting);
  let found = await findLog(place, onFrame, onManifest);
  if (found === "absent") found = await foundNew(place, options.nowUs);
  const sealed = await openSealedTier(place, found.manifest);
  try {
    await syncDirectory(place.directory);
    return { found, sealed, ...(await fence(place, found)) };
  } catch (error) {
    await sealed.close();
    throw error;
  }
}

async function foundNew(place: LogPlace, nowUs: number): Promise<FoundLog> {
  const manifest = await createStore(place, nowUs);
  const facts = await scanLog({ ...place, storeId: Buffer.from(manifest.storeId, "hex"), manifest, files: [] });
  return { manifest, facts, decision: { row: "@A", action: "create" }, report: reportOf("@A", facts, []) };
}

/** The segments of one core that are kept. */
interface KeptSegments {
  readonly core: number;
  readonly numbers: readonly number[];
}

/** The incarnations before, of which the newest now ends at P. Those of which nothing is left are left out. */
function endedIncarnations({ manifest, facts }: FoundLog, kept: readonly KeptSegments[]): Incarnation[] {
  const { lastLsn } = facts;
  const newest = manifest.incarnations.at(-1);
  return manifest.incarnations
    .map((entry) => (entry === newest ? { ...entry, lastLsn, voids: clipped(entry.voids, lastLsn) } : entry))
    .filter((entry, index, all) => {
      const next = all[index + 1];
      const hasFiles = kept.some(({ core, numbers }) => {
        const end = next === undefined ? Number.POSITIVE_INFINITY : firstSegmentOf(next, core);
        return numbers.some((number) => number >= firstSegmentOf(entry, core) && number < end);
      });
      return hasFiles || (entry.voids.at(-1)?.[1] ?? 0) > manifest.checkpointLsn;
    });
}

/** By core, the number behind the files that are there, and none before where the last incarnation began: its files can have been dropped. */
function nextSegments({ manifest }: FoundLog, kept: readonly KeptSegments[]): number[] {
  const newest = manifest.incarnations.at(-1);
  return Array.from({ length: (kept.at(-1)?.core ?? FIRST_CORE) + 1 }, (_, core) => {
    const last = kept.find((entry) => entry.core === core)?.numbers.at(-1) ?? 0;
    return Math.max(last + 1, newest === undefined ? 1 : firstSegmentOf(newest, core));
  });
}

/** Writes the manifest that ends the incarnation before and begins the next one, then removes files that never held a frame. */
async function fence(place: LogPlace, found: FoundLog): Promise<Pick<RecoveredLog, "manifest" | "incarnation">> {
  const { facts } = found;
  const before = found.manifest;
  const newest = before.incarnations.at(-1);
  const empty = new Set(facts.emptySegments.map((name) => name.path));
  const files = await listLog(place.directory, newest?.firstSegments.length ?? 0);
  const kept = files.map(({ core, segments }) => {
    const numbers = segments.filter(({ path }) => !empty.has(path)).map(({ segment }) => segment);
    return { core, numbers };
  });
  const incarnation: Incarnation = {
    incarnation: (newest?.incarnation ?? 0) + 1,
    firstLsn: facts.attestedLsn + 1,
    lastLsn: null,
    firstSegments: nextSegments(found, kept),
    voids: [],
  };
  const incarnations = [...endedIncarnations(found, kept), incarnation];
  // A backup that is written to is a store of its own from here on.
  const ended: Manifest = { ...before, sequence: before.sequence + 1, incarnations, backup: undefined };
  const manifest = withCurrentKey(ended, place.keys ?? null, facts.lastLsn);
  await writeManifest(place.directory, manifest);
  await endRepair(place.directory);
  adoptKeys(place.keys ?? null, manifest, place.directory);
  for (const path of empty) await unlink(path);
  for (const directory of new Set([...empty].map((path) => dirname(path)))) await syncDirectory(directory);
  return { manifest, incarnation };
}

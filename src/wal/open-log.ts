/**
 * Opening a log: gathers the facts, lets `decide` decide, and obeys.
 *
 * For writing: lock the store, wait for the I/O of a killed owner by locking its segment files, sync them (what is read may not be
 * durable yet), read, decide, fence with a new manifest, rewrite what nobody attested. For reading: only read.
 */

import { randomBytes } from "node:crypto";
import { mkdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { type BlockIo, type BufferPool, DirectFile, syncDirectory } from "../ffi/index.js";
import { STORE_ID_BYTES } from "./format.js";
import type { Frame } from "./frame-stream.js";
import { type FramePosition, type LogFacts, scanLog } from "./log-scan.js";
import { type FoundManifest, type Incarnation, type Manifest, readManifest, writeManifest } from "./manifest.js";
import { decide, type RecoveryDecision, type RecoveryFacts } from "./recovery.js";
import { coreDirectory, listSegments, type SegmentName } from "./segment-name.js";

const LOCK_RETRY_MS = 20;
const FIRST_MANIFEST_SEQUENCE = 1;

/** What opening found and did. */
export interface RecoveryReport {
  /** The row of the decision table in src/wal/recovery.ts. */
  readonly row: string;
  /** The last LSN of the log. */
  readonly lastLsn: number;
  /** The highest LSN that the log itself attests as durable. */
  readonly attestedLsn: number;
  /** Records of unknown outcome that were found whole and written once more. */
  readonly rewrittenRecords: number;
  /** Frames behind a lost one: never acknowledged, and left out. */
  readonly orphanFrames: number;
  /** Where the newest frame was torn; null when none was. */
  readonly tornAt: { readonly path: string; readonly offset: number } | null;
  /** Manifests that did not hold their checksum. */
  readonly damagedManifests: readonly string[];
  readonly bytesRead: number;
}

export interface FoundLog {
  readonly manifest: Manifest;
  readonly facts: LogFacts;
  readonly decision: RecoveryDecision & { readonly action: "create" | "serve" | "fence" };
  readonly report: RecoveryReport;
}

export interface LogPlace {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly directory: string;
  readonly core: number;
}

/** Creates the directories and the first manifest of a store. */
async function createStore(place: LogPlace, nowUs: number): Promise<Manifest> {
  const manifest: Manifest = {
    sequence: FIRST_MANIFEST_SEQUENCE,
    storeId: randomBytes(STORE_ID_BYTES).toString("hex"),
    createdAt: nowUs,
    incarnations: [],
  };
  await mkdir(coreDirectory(place.directory, place.core), { recursive: true });
  await syncDirectory(join(place.directory, "wal"));
  await writeManifest(place.directory, manifest);
  return manifest;
}

function refusal(
  code: "ERR_WAL_CORRUPT" | "ERR_WAL_VERSION" | "ERR_WAL_FOREIGN",
  why: string,
  facts: LogFacts | null,
): StoreError {
  if (facts === null) return new StoreError(code, why);
  const explained = facts.strangerAt ?? (facts.lostAt === null ? facts.damagedAt : null);
  const at = explained ?? facts.lostAt;
  const details: Record<string, string | number> = {};
  let message = why;
  if (at !== null) {
    message += `; ${at.path} at offset ${at.fileOffset}`;
    details["path"] = at.path;
    details["offset"] = at.fileOffset;
  }
  if (explained !== null) message += `: ${explained.reason}`;
  if (facts.strangerAt === null && facts.attestedLsn > facts.lastLsn) {
    message += `; LSN ${facts.lastLsn + 1} to ${facts.attestedLsn} were durable and cannot be read`;
    details["firstLostLsn"] = facts.lastLsn + 1;
    details["lastLostLsn"] = facts.attestedLsn;
  }
  return new StoreError(code, message, details);
}

function manifestFact(found: FoundManifest): RecoveryFacts["manifest"] {
  return found.kind === "manifest" ? "valid" : found.kind;
}

/** Reads the whole log and decides, changing nothing. `onFrame` gets the records in LSN order on the way. */
export async function findLog(
  place: LogPlace,
  onFrame: (frame: Frame, position: FramePosition) => void,
): Promise<FoundLog | "absent"> {
  const found = await readManifest(place.directory);
  const segments = await listSegments(coreDirectory(place.directory, place.core));
  if (found.kind !== "manifest") {
    const decision = decide({
      manifest: manifestFact(found),
      segments: segments.length > 0 ? "some" : "none",
      store: "own",
      log: "known",
      prefix: "equal",
      tail: "end",
    });
    if (decision.action === "refuse") {
      throw refusal(decision.code as "ERR_WAL_CORRUPT", `${decision.why} (${place.directory})`, null);
    }
    return "absent";
  }
  const { manifest, damagedFiles } = found;
  const storeId = Buffer.from(manifest.storeId, "hex");
  const facts = await scanLog({ ...place, storeId, manifest, segments: withinManifest(segments, manifest), onFrame });
  const decision = decide({
    manifest: "valid",
    segments: segments.length > 0 ? "some" : "none",
    store: facts.store,
    log: facts.log,
    prefix: facts.lastLsn < facts.attestedLsn ? "below" : facts.lastLsn === facts.attestedLsn ? "equal" : "above",
    tail: facts.tail,
  });
  if (decision.action === "refuse") throw refusal(decision.code as "ERR_WAL_CORRUPT", decision.why, facts);
  return { manifest, facts, decision, report: reportOf(decision.row, facts, damagedFiles) };
}

/** With no incarnation yet, any segment would be one the manifest does not know. */
function withinManifest(segments: readonly SegmentName[], manifest: Manifest): readonly SegmentName[] {
  const first = manifest.incarnations[0]?.firstSegment;
  if (segments.length > 0 && (first === undefined || (segments[0] as SegmentName).segment < first)) {
    const { path } = segments[0] as SegmentName;
    throw new StoreError("ERR_WAL_CORRUPT", `the manifest does not know the segment ${path}`, { path });
  }
  return segments;
}

function reportOf(row: string, facts: LogFacts, damagedManifests: readonly string[]): RecoveryReport {
  return {
    row,
    lastLsn: facts.lastLsn,
    attestedLsn: facts.attestedLsn,
    rewrittenRecords: facts.lastLsn - facts.attestedLsn,
    orphanFrames: facts.orphanFrameCount,
    tornAt: facts.tornAt === null ? null : { path: facts.tornAt.path, offset: facts.tornAt.fileOffset },
    damagedManifests,
    bytesRead: facts.bytesRead,
  };
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

/** Makes durable what a killed owner wrote, when its writes have ended. One file at a time: there can be more than a process may open. */
async function settleWrites(place: LogPlace, waitMs: number, onWaiting: (path: string) => void): Promise<void> {
  const directory = coreDirectory(place.directory, place.core);
  const deadlineMs = performance.now() + waitMs;
  const names = await listSegments(directory);
  for (const name of names) {
    const file = await DirectFile.open(place.io, name.path, "write");
    try {
      await waitForWrites(file, deadlineMs, waitMs, onWaiting);
      await file.dataSync();
    } finally {
      await file.close();
    }
  }
  if (names.length > 0) await syncDirectory(directory);
}

export interface RecoveredLog {
  readonly found: FoundLog;
  readonly manifest: Manifest;
  readonly incarnation: Incarnation;
}

/**
 * Recovers the log for a new incarnation of writing, and fences what came before it.
 * The store's lock is held. What it returns as `found.facts` is what was read; `manifest` is the new one, whose newest incarnation is
 * the one to write in.
 */
export async function recoverLog(
  place: LogPlace,
  options: { readonly busyWaitMs: number; readonly onWaiting: (path: string) => void; readonly nowUs: number },
  onFrame: (frame: Frame, position: FramePosition) => void,
): Promise<RecoveredLog> {
  // Not to decide on data that a crashed process wrote and nobody made durable.
  await settleWrites(place, options.busyWaitMs, options.onWaiting);
  let found = await findLog(place, onFrame);
  if (found === "absent") found = await foundNew(place, options.nowUs);
  await syncDirectory(place.directory);
  return { found, ...(await fence(place, found)) };
}

async function foundNew(place: LogPlace, nowUs: number): Promise<FoundLog> {
  const manifest = await createStore(place, nowUs);
  const facts = await scanLog({ ...place, storeId: Buffer.from(manifest.storeId, "hex"), manifest, segments: [] });
  return { manifest, facts, decision: { row: "@A", action: "create" }, report: reportOf("@A", facts, []) };
}

/** Writes the manifest that ends the incarnation before and begins the next one, then removes files that never held a frame. */
async function fence(place: LogPlace, found: FoundLog): Promise<Pick<RecoveredLog, "manifest" | "incarnation">> {
  const { facts } = found;
  const before = found.manifest;
  const directory = coreDirectory(place.directory, place.core);
  const empty = new Set(facts.emptySegments.map((name) => name.segment));
  const kept = (await listSegments(directory)).filter((name) => !empty.has(name.segment));
  const newest = before.incarnations.at(-1);
  const ended = before.incarnations
    .map((incarnation) => (incarnation === newest ? { ...incarnation, lastLsn: facts.lastLsn } : incarnation))
    .filter((incarnation, index, all) => {
      const end = all[index + 1]?.firstSegment ?? Number.POSITIVE_INFINITY;
      return kept.some((name) => name.segment >= incarnation.firstSegment && name.segment < end);
    });
  const incarnation: Incarnation = {
    incarnation: (newest?.incarnation ?? 0) + 1,
    firstSegment: (kept.at(-1)?.segment ?? 0) + 1,
    firstLsn: facts.attestedLsn + 1,
    lastLsn: null,
  };
  const manifest = { ...before, sequence: before.sequence + 1, incarnations: [...ended, incarnation] };
  await writeManifest(place.directory, manifest);
  for (const name of facts.emptySegments) await unlink(name.path);
  await syncDirectory(directory);
  return { manifest, incarnation };
}

/** After a clean close: the manifest says where its newest incarnation ended. */
export async function endIncarnation(directory: string, manifest: Manifest, lastLsn: number): Promise<void> {
  const newest = manifest.incarnations.at(-1);
  const incarnations = manifest.incarnations.map((entry) => (entry === newest ? { ...entry, lastLsn } : entry));
  await writeManifest(directory, { ...manifest, sequence: manifest.sequence + 1, incarnations });
}

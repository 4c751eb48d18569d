/**
 * Finding out what a log is: reads its manifest and all of it, lets `decide` judge, and says so. Changes nothing.
 */

import { StoreError } from "../errors.js";
import type { BlockIo, BufferPool } from "../ffi/index.js";
import { unfinishedCopyIn } from "./backup/copy-target.js";
import { adoptKeys } from "./crypt/adopt-keys.js";
import { FrameOpener } from "./crypt/frame-cipher.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import type { Frame } from "./frame-stream.js";
import type { LogFacts, LogPosition } from "./log-facts.js";
import { scanLog } from "./log-scan.js";
import { type FoundManifest, firstSegmentOf, type Manifest, readManifest } from "./manifest.js";
import { decide, type RecoveryDecision, type RecoveryFacts } from "./recovery.js";
import { listSealed, sealedDirectory } from "./sealed/sealed-name.js";
import { type CoreFiles, listLog } from "./segment-name.js";

/** What opening found and did. Who attached beside other writers read nothing: then both LSNs are W, and nothing was found. */
export interface RecoveryReport {
  /** The row of the decision table in src/wal/recovery.ts; `"attached"` for who attached beside other writers. */
  readonly row: string;
  /** The last LSN of the log. */
  readonly lastLsn: number;
  /** The highest LSN that the log itself attests as durable. */
  readonly attestedLsn: number;
  /** Records of unknown outcome that were found whole and written once more. */
  readonly rewrittenRecords: number;
  /** Frames behind a lost one, of any core: never acknowledged, and left out. */
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

export type FrameListener = (frame: Frame, position: LogPosition) => void;
export type ManifestListener = (manifest: Manifest) => void;

export interface LogPlace {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly directory: string;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  /** Nobody looks into records, so no keys are needed. */
  readonly isKeyless?: boolean;
}

type RefusalCode = "ERR_WAL_CORRUPT" | "ERR_WAL_VERSION" | "ERR_WAL_FOREIGN";

function refusal(code: RefusalCode, why: string, facts: LogFacts): StoreError {
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

function unreadableManifest(code: RefusalCode, why: string, directory: string, found: FoundManifest): StoreError {
  const path = found.kind === "damaged" ? found.files[0] : undefined;
  const where = path === undefined ? directory : `${path} at offset 0`;
  return new StoreError(code, `${why} (${where})`, { directory, ...(path !== undefined && { path, offset: 0 }) });
}

function manifestFact(found: FoundManifest): RecoveryFacts["manifest"] {
  return found.kind === "manifest" ? "valid" : found.kind;
}

/** What reading the log found, and what is to be done with it. */
export interface JudgedLog {
  readonly manifest: Manifest;
  readonly damagedFiles: readonly string[];
  readonly facts: LogFacts;
  readonly decision: RecoveryDecision;
}

/**
 * Reads the whole log and decides, changing nothing. `onFrame` gets the records in LSN order on the way. What the facts are refused for is
 * in the answer; a log without a manifest that can be believed throws. `onManifest` gets the manifest before the first record.
 */
export async function judgeLog(
  place: LogPlace,
  onFrame: FrameListener,
  onManifest: ManifestListener = () => {},
): Promise<JudgedLog | "absent"> {
  const found = await readManifest(place.directory);
  const files = await listLog(place.directory, coreCountOf(found));
  const hasSegments = files.some((core) => core.segments.length > 0);
  if (found.kind !== "manifest") {
    if (found.kind === "absent") await refuseUnfinishedCopy(place.directory);
    const hasSealed = (await listSealed(sealedDirectory(place.directory))).length > 0;
    const segments = hasSegments || hasSealed ? "some" : "none";
    const decision = decide({
      manifest: manifestFact(found),
      segments,
      store: "own",
      log: "known",
      prefix: "equal",
      tail: "end",
    });
    if (decision.action === "refuse") {
      throw unreadableManifest(decision.code as RefusalCode, decision.why, place.directory, found);
    }
    return "absent";
  }
  const { manifest, damagedFiles } = found;
  if (place.isKeyless !== true) adoptKeys(place.keys ?? null, manifest, place.directory);
  if (manifest.backup !== undefined) refuseMixedBackup(files, place.directory);
  const segments = hasSegments ? "some" : "none";
  onManifest(manifest);
  const storeId = Buffer.from(manifest.storeId, "hex");
  const opener = place.isKeyless === true ? null : new FrameOpener(place.keys ?? null);
  const facts = await scanLog({ ...place, storeId, manifest, opener, files: withinManifest(files, manifest), onFrame });
  const decision = decide({
    manifest: "valid",
    segments,
    store: facts.store,
    log: facts.log,
    prefix: facts.lastLsn < facts.attestedLsn ? "below" : facts.lastLsn === facts.attestedLsn ? "equal" : "above",
    tail: facts.tail,
  });
  return { manifest, damagedFiles, facts, decision };
}

/** The log that was judged, where it can be served. Throws what it is refused for. */
export function acceptedLog({ manifest, damagedFiles, facts, decision }: JudgedLog): FoundLog {
  if (decision.action === "refuse") throw refusal(decision.code as RefusalCode, decision.why, facts);
  return { manifest, facts, decision, report: reportOf(decision.row, facts, damagedFiles) };
}

/** As `judgeLog`, and throws what the log is refused for. */
export async function findLog(
  place: LogPlace,
  onFrame: FrameListener,
  onManifest?: ManifestListener,
): Promise<FoundLog | "absent"> {
  const judged = await judgeLog(place, onFrame, onManifest);
  return judged === "absent" ? judged : acceptedLog(judged);
}

/** Cores that have files, or had them: what all of them have lost must be missed too. */
function coreCountOf(found: FoundManifest): number {
  return found.kind === "manifest" ? (found.manifest.incarnations.at(-1)?.firstSegments.length ?? 0) : 0;
}

/** With no incarnation yet, any segment would be one the manifest does not know. */
function withinManifest(files: readonly CoreFiles[], manifest: Manifest): readonly CoreFiles[] {
  // What a checkpoint dropped can come back when the power fails before its directory is durable; it is sealed elsewhere.
  if (manifest.checkpointLsn > 0) return files;
  const oldest = manifest.incarnations[0];
  for (const { core, segments } of files) {
    const [first] = segments;
    if (first === undefined || (oldest !== undefined && first.segment >= firstSegmentOf(oldest, core))) continue;
    const { path } = first;
    throw new StoreError("ERR_WAL_CORRUPT", `the manifest does not know the segment ${path}`, { path });
  }
  return files;
}

/** A store that is made where a copy was begun would be empty, and in its way. */
async function refuseUnfinishedCopy(directory: string): Promise<void> {
  if ((await unfinishedCopyIn(directory)) === null) return;
  const message = `a backup into ${directory}, or a restore, was interrupted: make it again, or remove what it left`;
  throw new StoreError("ERR_WAL_CORRUPT", message, { directory });
}

/** Somebody copied a backup's files over a store's, or the other way round: its segments would be passed over. */
function refuseMixedBackup(files: readonly CoreFiles[], directory: string): void {
  const [segment] = files.flatMap(({ segments }) => segments);
  if (segment === undefined) return;
  const { path } = segment;
  const message = `the manifest in ${directory} is a backup's, and ${path} a store's: their files were mixed`;
  throw new StoreError("ERR_WAL_CORRUPT", message, { directory, path });
}

export function reportOf(row: string, facts: LogFacts, damagedManifests: readonly string[]): RecoveryReport {
  return {
    row,
    lastLsn: facts.lastLsn,
    attestedLsn: facts.attestedLsn,
    rewrittenRecords: facts.unattestedCount,
    orphanFrames: facts.orphanFrameCount,
    tornAt: facts.tornAt === null ? null : { path: facts.tornAt.path, offset: facts.tornAt.fileOffset },
    damagedManifests,
    bytesRead: facts.bytesRead,
  };
}

/** Of who came when others had recovered the log. */
export function attachedReport(watermark: number): RecoveryReport {
  return {
    row: "attached",
    lastLsn: watermark,
    attestedLsn: watermark,
    rewrittenRecords: 0,
    orphanFrames: 0,
    tornAt: null,
    damagedManifests: [],
    bytesRead: 0,
  };
}

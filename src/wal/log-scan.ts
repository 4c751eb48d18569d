/**
 * Reads a whole log once, in LSN order over all cores: hands every record's frame on, and gathers the facts that `decide` needs.
 *
 * The cores of an incarnation are read side by side and merged by first LSN. The log is their longest dense run: a frame behind a hole
 * is not part of it, whole or not. Only reads. What it saw is in `LogFacts`; what it means is in recovery.ts.
 */

import type { BlockIo, BufferPool } from "../ffi/index.js";
import { type CoreRun, CoreScan } from "./core-scan.js";
import type { FrameOpener } from "./crypt/frame-cipher.js";
import type { Frame } from "./frame-stream.js";
import type {
  CorePosition,
  DamagedPlace,
  ExplainedPlace,
  LogFacts,
  LogPosition,
  ScannedSegment,
  ScanPosition,
  Stranger,
} from "./log-facts.js";
import { countIn, endBehind, type LsnRange, touches } from "./lsn-ranges.js";
import { firstSegmentOf, type Incarnation, type Manifest, voidsOf } from "./manifest.js";
import type { RecoveryFacts } from "./recovery.js";
import { type CoreFiles, coreDirectory, type SegmentName } from "./segment-name.js";

export interface LogScanSource {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  /** The store's. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly manifest: Manifest;
  /** The cores to read, in order. */
  readonly files: readonly CoreFiles[];
  /** Where to go on in the newest incarnation; absent: the whole log. */
  readonly from?: ScanPosition | null;
  /** Opens frames that are encrypted; absent: nobody looks into records. */
  readonly opener?: FrameOpener | null;
  /** Called for every frame with records that counts, in LSN order. */
  readonly onFrame?: (frame: Frame, position: LogPosition) => void;
}

interface IncarnationFiles {
  readonly incarnation: Incarnation;
  readonly cores: readonly CoreFiles[];
  readonly isNewest: boolean;
}

/** Which segment files belong to which incarnation, by their numbers. */
function filesByIncarnation({ manifest, files }: LogScanSource): IncarnationFiles[] {
  const { incarnations } = manifest;
  return incarnations.map((incarnation, index) => {
    const next = incarnations[index + 1];
    const cores = files.map((core) => {
      const first = firstSegmentOf(incarnation, core.core);
      const end = next === undefined ? Number.POSITIVE_INFINITY : firstSegmentOf(next, core.core);
      return { ...core, segments: core.segments.filter(({ segment }) => segment >= first && segment < end) };
    });
    return { incarnation, cores, isNewest: next === undefined };
  });
}

class LogScan {
  readonly #source: LogScanSource;
  readonly #voids: readonly LsnRange[];
  #lastLsn: number;
  #attestedLsn: number;
  #isSealed = false;
  #tornAt: DamagedPlace | null = null;
  #stranger: Stranger | null = null;
  #damagedAt: ExplainedPlace | null = null;
  #lostAt: DamagedPlace | null = null;
  /** Of the incarnation being read: the first frame behind a hole. */
  #misfitAt: DamagedPlace | null = null;
  /** By core: its first frame behind the hole, to be looked at again when the hole is filled. */
  readonly #misfits = new Map<number, CorePosition>();
  /** Where the next record was looked for last. */
  #runEnd: DamagedPlace;
  #orphanFrameCount = 0;
  #lastRecordedAt = Number.MIN_SAFE_INTEGER;
  #bytesRead = 0;
  readonly #segments: ScannedSegment[] = [];
  readonly #emptySegments: SegmentName[] = [];
  readonly #positions: Map<number, CorePosition>;

  constructor(source: LogScanSource) {
    const { manifest, from, directory } = source;
    this.#source = source;
    this.#voids = voidsOf(manifest);
    this.#lastLsn = Math.max(manifest.checkpointLsn, from?.lastLsn ?? 0);
    this.#attestedLsn = Math.max(manifest.checkpointLsn, from?.attestedLsn ?? 0);
    this.#positions = new Map(from?.cores ?? []);
    this.#runEnd = { path: coreDirectory(directory, 0), fileOffset: 0 };
  }

  async run(): Promise<LogFacts> {
    const groups = filesByIncarnation(this.#source);
    for (const group of groups) {
      const { incarnation, isNewest } = group;
      // Opening the next incarnation proved all before its first LSN durable; closing this one proved all of it.
      this.#attest(incarnation.firstLsn - 1);
      if (isNewest && incarnation.lastLsn !== null) this.#attest(incarnation.lastLsn);
      const isResumed = (this.#source.from ?? null) !== null;
      const isSealedAway = (incarnation.lastLsn ?? Number.POSITIVE_INFINITY) <= this.#source.manifest.checkpointLsn;
      if (!isNewest && (isResumed || isSealedAway)) continue;
      await this.#readIncarnation(group);
      if (this.#stranger !== null) break;
    }
    this.#fill();
    // A void behind what is durable is as durable as the manifest that says so.
    this.#attest(endBehind(this.#voids, this.#attestedLsn));
    const newest = groups.at(-1)?.incarnation.incarnation ?? 0;
    return this.#facts({
      incarnation: newest,
      lastLsn: this.#lastLsn,
      attestedLsn: this.#attestedLsn,
      cores: this.#positions,
    });
  }

  #facts(position: ScanPosition): LogFacts {
    const { lastLsn, attestedLsn } = position;
    const kind = this.#stranger?.kind;
    const isEnd = kind === undefined || kind === "foreign";
    const strangeLog = isEnd ? (this.#damagedAt === null ? "known" : "damaged") : kind;
    const tail = this.#tornAt !== null ? "torn" : this.#isSealed && lastLsn === attestedLsn ? "sealed" : "end";
    return {
      lastLsn,
      attestedLsn,
      unattestedCount: Math.max(0, lastLsn - attestedLsn - countIn(this.#voids, attestedLsn, lastLsn)),
      store: kind === "foreign" ? "foreign" : "own",
      log: strangeLog,
      tail: tail satisfies RecoveryFacts["tail"],
      tornAt: this.#tornAt,
      lostAt: lastLsn < attestedLsn ? (this.#lostAt ?? this.#tornAt ?? this.#runEnd) : null,
      strangerAt: this.#stranger,
      damagedAt: this.#damagedAt,
      orphanFrameCount: this.#orphanFrameCount,
      lastRecordedAt: this.#lastRecordedAt,
      segments: this.#segments,
      emptySegments: this.#emptySegments,
      bytesRead: this.#bytesRead,
      position,
    };
  }

  #attest(lsn: number): void {
    if (lsn > this.#attestedLsn) this.#attestedLsn = lsn;
  }

  async #readIncarnation({ incarnation, cores, isNewest }: IncarnationFiles): Promise<void> {
    const { io, pool, storeId, manifest, from, opener = null } = this.#source;
    const isResumed = (from ?? null) !== null;
    const looksBehind = !isNewest ? "never" : isResumed ? "whenNothingIsNew" : "always";
    this.#misfitAt = null;
    this.#misfits.clear();
    const scans = cores.map(
      (files) =>
        new CoreScan({
          io,
          pool,
          storeId,
          incarnation,
          checkpointLsn: manifest.checkpointLsn,
          opener,
          files,
          from: from?.cores.get(files.core) ?? null,
          looksBehind: looksBehind === "whenNothingIsNew" && !from?.cores.has(files.core) ? "never" : looksBehind,
        }),
    );
    try {
      await this.#merge(scans, isNewest);
    } finally {
      for (const scan of scans) await scan.close();
    }
    for (const scan of scans) this.#gather(scan);
    this.#fill();
    this.#runEnd = this.#missingAt(scans);
    // A later incarnation can hold the same records once more; if it does, nothing is lost.
    if (incarnation.lastLsn !== null && this.#lastLsn < incarnation.lastLsn) this.#lostAt ??= this.#runEnd;
    if (!isNewest) return;
    const torn = scans.find(({ tornAt }) => tornAt !== null)?.tornAt ?? null;
    this.#tornAt = torn ?? (this.#misfitAt === null ? null : this.#runEnd);
    const lastRuns = scans.flatMap(({ runs }) => runs.findLast(({ hasFrames }) => hasFrames) ?? []);
    this.#isSealed = lastRuns.length > 0 && lastRuns.every(({ isSealed }) => isSealed);
    for (const scan of scans) this.#positions.set(scan.core, this.#misfits.get(scan.core) ?? scan.position);
  }

  #gather(scan: CoreScan): void {
    this.#attest(scan.attestedLsn);
    this.#lastRecordedAt = Math.max(this.#lastRecordedAt, scan.lastRecordedAt);
    this.#orphanFrameCount += scan.orphanFrameCount;
    this.#bytesRead += scan.bytesRead;
    this.#segments.push(...scan.segments);
    this.#emptySegments.push(...scan.emptySegments);
    this.#damagedAt ??= scan.damagedAt;
    this.#stranger ??= scan.stranger;
  }

  /** Where the next record of the log would most likely be. */
  #missingAt(scans: readonly CoreScan[]): DamagedPlace {
    const wantedLsn = this.#lastLsn + 1;
    let best: { readonly rank: number; readonly run: CoreRun } | null = null;
    for (const { runs } of scans) {
      let nextLsn = Number.POSITIVE_INFINITY;
      for (const run of runs.toReversed()) {
        // What is chained has nothing between it; nor is a writer behind its successor.
        const isOver = run.lastLsn >= wantedLsn || nextLsn < wantedLsn;
        nextLsn = run.firstLsn ?? nextLsn;
        if (isOver) continue;
        const rank = unlikelinessOf(run, wantedLsn);
        // Of two places in one core the earlier explains the later.
        const isBetter = best === null || rank < best.rank || (rank === best.rank && run.lastLsn >= best.run.lastLsn);
        if (isBetter) best = { rank, run };
      }
    }
    return best?.run.end ?? this.#misfitAt ?? this.#runEnd;
  }

  /** Takes the frames of all cores in LSN order. */
  async #merge(scans: readonly CoreScan[], isNewest: boolean): Promise<void> {
    const begun = await Promise.allSettled(scans.map((scan) => scan.advance()));
    const failed = begun.find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const live = scans.filter(({ frame }) => frame !== null);
    while (live.length > 0 && scans.every(({ stranger }) => stranger === null)) {
      let at = 0;
      let limit = Number.POSITIVE_INFINITY; // of the others
      for (let index = 1; index < live.length; index++) {
        const lsn = firstLsnOf(live[index] as CoreScan);
        if (lsn < firstLsnOf(live[at] as CoreScan)) {
          limit = firstLsnOf(live[at] as CoreScan);
          at = index;
        } else if (lsn < limit) {
          limit = lsn;
        }
      }
      const scan = live[at] as CoreScan;
      do {
        this.#take(scan, isNewest);
        const pending = scan.advance();
        if (pending !== null) await pending;
      } while (scan.frame !== null && firstLsnOf(scan) < limit);
      if (scan.frame === null) live.splice(at, 1);
    }
  }

  /** Moves over the voids that come next. */
  #fill(): void {
    if (this.#voids.length > 0) this.#lastLsn = endBehind(this.#voids, this.#lastLsn);
  }

  /** Hands the frame on when it continues the log. */
  #take(scan: CoreScan, isNewest: boolean): void {
    const frame = scan.frame as Frame;
    const { firstLsn, recordCount, fileOffset } = frame.header;
    const lastLsn = firstLsn + recordCount - 1;
    if (this.#voids.length > 0 && touches(this.#voids, firstLsn, lastLsn)) {
      this.#orphanFrameCount++; // its writer was declared dead before it was written
      return;
    }
    if (lastLsn <= this.#lastLsn) return; // sealed already, or a second copy
    this.#fill();
    if (firstLsn !== this.#lastLsn + 1) {
      this.#misfitAt ??= { path: scan.framePath, fileOffset };
      if (!this.#misfits.has(scan.core)) this.#misfits.set(scan.core, scan.framePosition);
      if (isNewest) this.#orphanFrameCount++;
      return;
    }
    this.#lastLsn = lastLsn;
    this.#lostAt = null;
    this.#source.onFrame?.(frame, { core: scan.core, segment: scan.framePosition.segment, fileOffset });
  }
}

function firstLsnOf(scan: CoreScan): number {
  return (scan.frame as Frame).header.firstLsn;
}

/** How unlikely it is that the record was the next of this run. */
function unlikelinessOf({ orphan, isTorn, isSealed }: CoreRun, wantedLsn: number): number {
  if (orphan !== null && orphan.firstLsn <= wantedLsn) return 0;
  if (orphan?.isNext === true) return 4;
  if (isTorn) return 1;
  return isSealed ? 3 : 2;
}

/** Reads the log that `source` names. Damage is a fact in the answer; only a failing file system throws. */
export function scanLog(source: LogScanSource): Promise<LogFacts> {
  return new LogScan(source).run();
}

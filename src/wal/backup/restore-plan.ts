/**
 * Where a restore ends, and what that takes in and leaves out.
 *
 * A log is cut between frames: a frame is one write, of one append or of several that went together, and is all there or not at all. So what
 * is restored ends with the last frame that ends at or before the LSN, or was recorded at or before the time. Voids at the end go too.
 */

import { StoreError } from "../../errors.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { SealedRun } from "../sealed/sealed-format.js";
import type { SealedLog } from "../sealed/sealed-log.js";
import type { SealedSegment } from "../sealed/sealed-segment.js";

/** What is asked for; with neither, all there is. */
export interface RestorePoint {
  readonly toLsn?: number;
  /** µs since 1970. */
  readonly toTime?: number;
}

/** A range of a log. LSNs and times are null where it is empty, times also where nothing in it is left. */
export interface LogExtent {
  readonly firstLsn: number | null;
  readonly lastLsn: number | null;
  /** Those that were removed, and LSNs that no event ever had, do not count. */
  readonly events: number;
  /** recordedAt of the first and the last, in µs since 1970. */
  readonly firstRecordedAt: number | null;
  readonly lastRecordedAt: number | null;
}

export interface PlannedSegment {
  readonly number: number;
  /** `cut`: its beginning is restored. */
  readonly fate: "restored" | "cut" | "left out";
  readonly bytes: number;
  readonly restored: LogExtent;
  readonly leftOut: LogExtent;
}

export interface RestorePlan {
  /** The last LSN that is restored. */
  readonly lsn: number;
  readonly restored: LogExtent;
  readonly leftOut: LogExtent;
  readonly segments: readonly PlannedSegment[];
}

const NOTHING: LogExtent = {
  firstLsn: null,
  lastLsn: null,
  events: 0,
  firstRecordedAt: null,
  lastRecordedAt: null,
};

/** Two that follow each other as one. */
function joined(before: LogExtent, next: LogExtent): LogExtent {
  return {
    firstLsn: before.firstLsn ?? next.firstLsn,
    lastLsn: next.lastLsn ?? before.lastLsn,
    events: before.events + next.events,
    firstRecordedAt: before.firstRecordedAt ?? next.firstRecordedAt,
    lastRecordedAt: next.lastRecordedAt ?? before.lastRecordedAt,
  };
}

function extentOfSegment({ trailer }: SealedSegment): LogExtent {
  return {
    firstLsn: trailer.firstLsn,
    lastLsn: trailer.lastLsn,
    events: trailer.recordCount,
    firstRecordedAt: trailer.lowestRecordedAt,
    lastRecordedAt: trailer.highestRecordedAt,
  };
}

function extentOfRun(run: SealedRun): LogExtent {
  const { firstLsn, recordCount, recordedAt } = run.header;
  return {
    firstLsn,
    lastLsn: firstLsn + recordCount - 1,
    events: eventsIn(run),
    firstRecordedAt: recordedAt,
    lastRecordedAt: recordedAt,
  };
}

function eventsIn({ kind, header, body, leaf }: SealedRun): number {
  if (kind !== "data") return 0;
  if (leaf === null) return header.recordCount;
  let events = 0;
  for (let at = 0; at + RECORD_HEADER_BYTES <= body.length; ) {
    const length = body.readUInt32LE(at);
    if (length > 0) events++; // removed ones have none
    at += RECORD_HEADER_BYTES + length;
  }
  return events;
}

/** @throws StoreError `ERR_BACKUP_RANGE` when the backup does not say what was there at that LSN or time */
async function wantedLsn(sealed: SealedLog, point: RestorePoint, takenAt: number): Promise<number> {
  const { lastLsn } = sealed;
  const { toLsn, toTime } = point;
  if (toLsn !== undefined) {
    if (toLsn <= lastLsn) return toLsn;
    const message = `the backup ends with LSN ${lastLsn}, before ${toLsn}`;
    throw new StoreError("ERR_BACKUP_RANGE", message, { lsn: lastLsn, toLsn });
  }
  if (toTime === undefined) return lastLsn;
  // What was recorded between the backup and that time is not in it, and leaving it out would not be said.
  if (toTime > takenAt) {
    const message = `the backup was taken at ${takenAt} µs, before ${toTime}: what was recorded between is not in it`;
    throw new StoreError("ERR_BACKUP_RANGE", message, { takenAt, toTime });
  }
  return sealed.lsnAt(toTime);
}

/** Reads at most one segment. */
export async function planRestore(sealed: SealedLog, point: RestorePoint, takenAt: number): Promise<RestorePlan> {
  const { horizonLsn } = sealed;
  const wanted = await wantedLsn(sealed, point, takenAt);
  if (wanted < horizonLsn) {
    const message = `the log of the backup begins behind LSN ${horizonLsn}: what it was at LSN ${wanted} is gone`;
    throw new StoreError("ERR_BACKUP_RANGE", message, { horizonLsn, lsn: wanted });
  }
  const segments: PlannedSegment[] = [];
  for (const segment of sealed.segments) segments.push(await planSegment(sealed, segment, wanted));
  const restored = segments.reduce((all, next) => joined(all, next.restored), NOTHING);
  const leftOut = segments.reduce((all, next) => joined(all, next.leftOut), NOTHING);
  return { lsn: restored.lastLsn ?? sealed.firstLsn - 1, restored, leftOut, segments };
}

async function planSegment(sealed: SealedLog, segment: SealedSegment, wanted: number): Promise<PlannedSegment> {
  const { number, fileBytes: bytes } = segment.trailer;
  const whole = extentOfSegment(segment);
  if (segment.lastLsn <= wanted) return { number, bytes, fate: "restored", restored: whole, leftOut: NOTHING };
  if (segment.firstLsn > wanted) return { number, bytes, fate: "left out", restored: NOTHING, leftOut: whole };
  let restored = NOTHING;
  let leftOut = NOTHING;
  /** Of the runs of a frame so far. */
  let frame = NOTHING;
  /** Voids are restored only in front of a frame. */
  let voids = NOTHING;
  for await (const run of sealed.runs(segment.firstLsn - 1, segment.lastLsn)) {
    frame = joined(frame, extentOfRun(run));
    if (run.goesOn) continue;
    if (run.kind === "void") voids = joined(voids, frame);
    else if ((frame.lastLsn as number) <= wanted) {
      restored = joined(joined(restored, voids), frame);
      voids = NOTHING;
    } else {
      leftOut = joined(joined(leftOut, voids), frame);
      voids = NOTHING;
    }
    frame = NOTHING;
  }
  leftOut = joined(leftOut, voids);
  return { number, bytes, fate: restored.lastLsn === null ? "left out" : "cut", restored, leftOut };
}

/** What a repaired store must hold: all that anybody was told of, but for what the repair named before. */

import type { RepairReport } from "../../src/index.js";
import { type History, Violation } from "./history.js";
import type { Inspection } from "./inspection.js";

/** What the disk is known to hold, whatever a repair says. */
export interface KnownOfDisk {
  /** The log says up to there what there was. */
  readonly attestedLsn: number;
  /** Whether the frame of that LSN is there, whole and part of the log. */
  readonly isThere: (lsn: number, incarnation: number) => boolean;
  /** Frames of the newest incarnation that are there, whole. */
  readonly wholeFrames: Iterable<{ readonly firstLsn: number; readonly lastLsn: number }>;
  /** Whether the device was ever given a record with that LSN, though the power went before it had landed. */
  readonly wasWritten: (lsn: number) => boolean;
}

/** What was never acknowledged is dropped by name as well, all that is whole of it, and nothing is named that never was. */
function checkNamed(report: RepairReport, horizon: number, { wholeFrames, wasWritten }: KnownOfDisk): void {
  const { lastLsn, lost, unacknowledged } = report;
  const named = [...lost, ...unacknowledged];
  for (const { firstLsn, lastLsn: through } of wholeFrames) {
    for (let lsn = Math.max(firstLsn, lastLsn + 1, horizon + 1); lsn <= through; lsn++)
      if (!named.some(([from, to]) => from <= lsn && lsn <= to))
        throw new Violation(
          `repaired: LSN ${lsn} is there, whole, behind the end ${lastLsn}, and is dropped without a name`,
        );
  }
  for (const [from, to] of unacknowledged) {
    if (from <= lastLsn)
      throw new Violation(`repaired: LSN ${from} is called unacknowledged, and the log goes up to ${lastLsn}`);
    for (let lsn = from; lsn <= to; lsn++)
      if (!wasWritten(lsn)) throw new Violation(`repaired: LSN ${lsn} is called unacknowledged, and nobody wrote it`);
  }
}

/** @throws Violation. The history is a copy: the store begins another life. */
export function checkRepaired(
  history: History,
  { events, horizon }: Pick<Inspection, "events" | "horizon">,
  report: RepairReport,
  disk: KnownOfDisk,
): void {
  const { attestedLsn, isThere } = disk;
  checkNamed(report, horizon, disk);
  const found = new Set<number>();
  const versions = new Map<string, number>();
  let lastLsn = 0;
  for (const event of events) {
    const { lsn, stream, version } = event;
    if (lsn <= lastLsn) throw new Violation(`repaired: LSN ${lsn} follows ${lastLsn}`);
    lastLsn = lsn;
    found.add(lsn);
    history.see(event);
    const before = versions.get(stream);
    const follows = before === undefined || version === before + 1 || history.isForgettable(stream, version - 1);
    if (!follows) throw new Violation(`repaired: ${stream}@${version} follows version ${before}`);
    versions.set(stream, version);
  }
  const { lost, dropped, unacknowledged } = report;
  const named = [...lost, ...unacknowledged];
  for (const { lsn, stream, version, what, incarnation } of history.known()) {
    if (found.has(lsn) || lsn <= horizon || history.isForgettable(stream, version)) continue;
    // Of an end that is gone with all that says that it was, nobody knows; what is whole must be kept, or named.
    if (lsn > report.lastLsn && lsn > attestedLsn && !isThere(lsn, incarnation)) continue;
    if (named.some(([from, through]) => from <= lsn && lsn <= through)) continue;
    const isDropped = dropped.some(
      (range) => range.stream === stream && range.fromVersion <= version && version <= range.throughVersion,
    );
    if (!isDropped)
      throw new Violation(`repaired: LSN ${lsn}, ${stream}@${version}, was ${what}, is gone and not named`);
  }
}

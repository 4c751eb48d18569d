/**
 * What a repair keeps of a damaged log and what it drops, found by one pass over all that is intact.
 *
 * What was durable and cannot be read is lost; its LSNs are never used again, and count as those of removed records. A stream has no hole: where it has lost an event between
 * two others, those before the last such hole are dropped as well, as if the stream had been truncated there. Behind the first LSN that is
 * neither there nor attested nothing is kept: as in a recovery, it was never acknowledged.
 *
 * Where a block is damaged, an older copy of its segment can be read in its place, which still has what a purge has removed since. Records that
 * an index says are removed stay so, and count as nothing: a stream of which a segment has nothing left has nothing before it either.
 */

import type { LsnRange } from "../lsn-ranges.js";
import type { KeyOf } from "../record-key.js";
import { type SalvagedRun, SalvageLog } from "../salvage/salvage-log.js";
import type { Survey } from "../salvage/survey.js";
import type { EmptiedStream } from "../salvage/survey-segment.js";
import type { Cut, Removal } from "../sealed/removal.js";

/** Intact events of one stream that a repair drops, because a later one is lost. */
export interface DroppedVersions {
  readonly stream: string;
  readonly fromVersion: number;
  /** The last one before the stream goes on; some of them are lost, not dropped. */
  readonly throughVersion: number;
  readonly events: number;
}

export interface RepairPlan {
  /** With which the log ends afterwards. */
  readonly lastLsn: number;
  readonly keptEvents: number;
  /** LSNs that were durable and whose events cannot be read, or not with all that belongs to them. */
  readonly lost: readonly LsnRange[];
  readonly lostLsns: number;
  readonly dropped: readonly DroppedVersions[];
  readonly droppedEvents: number;
  /** LSNs behind a hole that nothing attests, with whole events: never acknowledged. */
  readonly unacknowledged: readonly LsnRange[];
  /** What the rebuilt log leaves out. */
  readonly removal: Removal;
}

/** What a stream was seen to have so far. */
interface SeenStream {
  readonly firstVersion: number;
  version: number;
  count: number;
  /** Of its events, those below the cut. */
  droppedCount: number;
  cutBefore: number;
}

/** Appends the range, joined with the last one where it follows it. */
function addRange(ranges: LsnRange[], from: number, through: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last[1] === from - 1) ranges[ranges.length - 1] = [last[0], through];
  else ranges.push([from, through]);
}

/** Whether a run can be written again as it was: everything that it says holds a checksum. */
export function isProven(
  run: SalvagedRun,
): run is SalvagedRun & { readonly kind: "data"; readonly recordedAt: number } {
  return run.kind === "data" && run.recordedAt !== null;
}

function startsOf(emptied: readonly EmptiedStream[]): Map<string, number> {
  const starts = new Map<string, number>();
  for (const { name, version } of emptied) {
    const key = name.toString("latin1");
    starts.set(key, Math.max(version + 1, starts.get(key) ?? 0));
  }
  return starts;
}

export async function planRepair(survey: Survey, keyOf: KeyOf, onProgress: (lsn: number) => void): Promise<RepairPlan> {
  const log = new SalvageLog(survey);
  const pass = new PlanPass(keyOf, survey.emptied);
  try {
    for await (const run of log.runs()) {
      onProgress(run.firstLsn);
      pass.take(run);
    }
  } finally {
    await log.close();
  }
  return pass.plan();
}

class PlanPass {
  readonly #keyOf: KeyOf;
  /** By name, the first version that was not removed before, of streams that a segment has nothing left of. */
  readonly #startOf: ReadonlyMap<string, number>;
  readonly #streams = new Map<string, SeenStream>();
  readonly #lost: LsnRange[] = [];
  readonly #unacknowledged: LsnRange[] = [];
  #isEnded = false;
  #lastLsn = 0;
  #events = 0;

  constructor(keyOf: KeyOf, emptied: readonly EmptiedStream[]) {
    this.#keyOf = keyOf;
    this.#startOf = startsOf(emptied);
  }

  take(run: SalvagedRun): void {
    const { kind, firstLsn, recordCount } = run;
    const throughLsn = firstLsn + recordCount - 1;
    if (kind === "hole") this.#isEnded = true;
    if (this.#isEnded) {
      if (kind === "data" || kind === "lost") addRange(this.#unacknowledged, firstLsn, throughLsn);
      return;
    }
    this.#lastLsn = throughLsn;
    if (kind === "lost" || (kind === "data" && !isProven(run))) addRange(this.#lost, firstLsn, throughLsn);
    else if (kind === "data") this.#takeRecords(run);
  }

  #takeRecords({ body, ranges }: SalvagedRun): void {
    for (const range of ranges) {
      if (range === null) continue;
      const { nameStart, nameEnd, version } = this.#keyOf(body, range[0], range[1]);
      const name = body.toString("latin1", nameStart, nameEnd);
      if (version < (this.#startOf.get(name) ?? 0)) continue;
      this.#events++;
      const seen = this.#streams.get(name);
      if (seen === undefined) {
        this.#streams.set(name, { firstVersion: version, version, count: 1, droppedCount: 0, cutBefore: 0 });
        continue;
      }
      if (version !== seen.version + 1) {
        seen.cutBefore = version;
        seen.droppedCount = seen.count;
      }
      seen.version = version;
      seen.count++;
    }
  }

  plan(): RepairPlan {
    const dropped: DroppedVersions[] = [];
    const streams = new Map<string, Cut>();
    for (const [name, beforeVersion] of this.#startOf) streams.set(name, { beforeVersion, throughLsn: 0 });
    for (const [name, { firstVersion, cutBefore, droppedCount }] of this.#streams) {
      if (cutBefore === 0) continue;
      streams.set(name, { beforeVersion: cutBefore, throughLsn: 0 });
      const stream = Buffer.from(name, "latin1").toString("utf8");
      dropped.push({ stream, fromVersion: firstVersion, throughVersion: cutBefore - 1, events: droppedCount });
    }
    const droppedEvents = dropped.reduce((sum, { events }) => sum + events, 0);
    return {
      lastLsn: this.#lastLsn,
      keptEvents: this.#events - droppedEvents,
      lost: this.#lost,
      lostLsns: this.#lost.reduce((sum, [from, through]) => sum + through - from + 1, 0),
      dropped,
      droppedEvents,
      unacknowledged: this.#unacknowledged,
      removal: { streams, prefixes: [], sparedPrefix: null },
    };
  }
}

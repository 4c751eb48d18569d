import type { RepairReport } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { dataOf, EVENT_TYPE, History, type SeenEvent } from "./history.js";
import { checkRepaired, type KnownOfDisk } from "./repaired.js";

const test = suite("simulation/repaired");
const STREAM = "stream";
const NOTHING_KNOWN = { attestedLsn: 0, isThere: (): boolean => false, wholeFrames: [], wasWritten: () => true };

/** The only event of an append, at the LSN and version. */
function eventAt(lsn: number): SeenEvent {
  return { lsn, stream: STREAM, version: lsn, type: EVENT_TYPE, recordedAt: lsn, data: dataOf(`a${lsn}`, 0, 1) };
}

/** Of four acknowledged appends to one stream. */
function historyOfFour(): History {
  const history = new History();
  for (const lsn of [1, 2, 3, 4]) {
    history.attempt(`a${lsn}`, [{ stream: STREAM, count: 1 }]);
    history.acknowledge(`a${lsn}`, [{ lsn, version: lsn }]);
  }
  return history;
}

function report(named: Partial<RepairReport>): RepairReport {
  return { lastLsn: 4, lost: [], dropped: [], unacknowledged: [], ...named } as unknown as RepairReport;
}

function check(
  lsns: readonly number[],
  named: Partial<RepairReport>,
  attestedLsn = 4,
  isThere: (lsn: number) => boolean = () => false,
  wholeFrames: KnownOfDisk["wholeFrames"] = [],
): void {
  const disk = { attestedLsn, isThere, wholeFrames, wasWritten: (lsn: number) => lsn <= 6 };
  checkRepaired(historyOfFour(), { events: lsns.map(eventAt), horizon: 0 }, report(named), disk);
}

const DROPPED = [{ stream: STREAM, fromVersion: 1, throughVersion: 2, events: 1 }];

test("what a repair names may be gone: lost, dropped with what was lost behind it, or behind the end", () => {
  check([1, 2, 3, 4], {});
  check([3, 4], { lost: [[2, 2]], dropped: DROPPED });
  check([1, 2, 3], { lastLsn: 4, lost: [[4, 4]] });
  check([1, 2, 3], { lastLsn: 3, unacknowledged: [[4, 4]] });
  check([1, 2, 3], { lastLsn: 3 }, 3);
});

test("what it does not name is found out when it is gone", () => {
  assert.throws(() => check([2, 3, 4], {}), /LSN 1, stream@1, was acknowledged as a1, is gone/);
  assert.throws(() => check([4], { lost: [[2, 2]], dropped: DROPPED }), /LSN 3, .* is gone/);
  assert.throws(() => check([1, 2, 3], { lastLsn: 3 }), /LSN 4, .* is gone/);
});

test("a whole frame is kept or named, though nothing attests it", () => {
  const isThere = (lsn: number): boolean => lsn === 4;
  assert.throws(() => check([1, 2], { lastLsn: 2 }, 2, isThere), /LSN 4, .* is gone/);
  check([1, 2], { lastLsn: 2, unacknowledged: [[4, 4]] }, 2, isThere);
  check([1, 2], { lastLsn: 2 }, 2);
});

test("whole frames behind the end are named though nobody was ever told of them, and nothing is named that never was", () => {
  const there = [{ firstLsn: 5, lastLsn: 6 }];
  const nobody = (): boolean => false;
  check([1, 2, 3, 4], { unacknowledged: [[5, 6]] }, 4, nobody, there);
  assert.throws(() => check([1, 2, 3, 4], {}, 4, nobody, there), /LSN 5 is there, whole, behind the end 4/);
  assert.throws(() => check([1, 2, 3, 4], { unacknowledged: [[5, 5]] }, 4, nobody, there), /LSN 6 is there/);
  assert.throws(() => check([1, 2, 3, 4], { unacknowledged: [[5, 7]] }, 4, nobody, there), /LSN 7 .* nobody wrote it/);
  assert.throws(() => check([1, 2, 3, 4], { unacknowledged: [[4, 6]] }, 4, nobody, there), /LSN 4 .* goes up to 4/);
});

test("a stream with a hole and an event that is another one are found out", () => {
  assert.throws(() => check([1, 3, 4], { lost: [[2, 2]] }), /stream@3 follows version 1/);
  const history = historyOfFour();
  history.see(eventAt(1));
  const other = { ...eventAt(2), lsn: 1 };
  assert.throws(() => checkRepaired(history, { events: [other], horizon: 0 }, report({}), NOTHING_KNOWN), /P4: LSN 1/);
});

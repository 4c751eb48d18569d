/** What a repair keeps and drops, and that it says so of every LSN of which anything is there. */

import { planRepair, type RepairPlan } from "../../../src/wal/repair/repair-plan.js";
import { surveyStore } from "../../../src/wal/salvage/survey.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { damage, HandLog, lose } from "../support/hand-log.js";
import { keyOf } from "../support/log-fixture.js";

const test = suite("wal/repair/repair-plan");

async function planOf(log: HandLog): Promise<RepairPlan> {
  return planRepair(await surveyStore(log.directory, null), keyOf, () => {});
}

test("whole events behind a hole that nothing attests are named one and all, also those beside a damaged one in a frame", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 2);
  lose(a.data(3, 1, { durableLsn: 2 }));
  b.data(4, 2, { durableLsn: 2 });
  const damaged = b.data(6, 3, { durableLsn: 2 });
  lose(b.data(9, 1, { durableLsn: 2 }));
  b.data(10, 1, { durableLsn: 2 });
  damage(damaged);
  const { lastLsn, keptEvents, lost, lostLsns, droppedEvents, unacknowledged } = await planOf(log);
  assert.equal([lastLsn, keptEvents, lost, lostLsns, droppedEvents], [2, 2, [], 0, 0]);
  assert.equal(unacknowledged, [
    [4, 5],
    [7, 8],
    [10, 10],
  ]);
});

test("what something attests is lost, not unacknowledged, and what is whole behind it is kept", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 2);
  lose(a.data(3, 1, { durableLsn: 2 }));
  b.data(4, 2, { durableLsn: 2 });
  b.data(6, 1, { durableLsn: 5 });
  const { lastLsn, keptEvents, lost, lostLsns, unacknowledged } = await planOf(log);
  assert.equal([lastLsn, keptEvents, lost, lostLsns, unacknowledged], [6, 5, [[3, 3]], 1, []]);
});

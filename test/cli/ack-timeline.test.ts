import { setTimeout as delay } from "node:timers/promises";
import { type AckCounts, AckTimeline, commonRate } from "../../src/cli/ack-timeline.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/ack-timeline");

/** So many acknowledgements in every ms. */
function steady(startedMs: number, endedMs: number, perMs: number): AckCounts {
  return { startedMs, endedMs, counts: new Uint32Array(Math.ceil(endedMs - startedMs)).fill(perMs) };
}

test("only the time in which all writers ran counts", () => {
  const { seconds, eventsPerSecond } = commonRate([steady(1_000, 3_000, 10), steady(1_500, 2_500, 4)]);
  assert.is(seconds, 1);
  assert.equal(eventsPerSecond, [10_000, 4_000]);
});

test("a millisecond that lies in the time only partly counts for that part", () => {
  const { seconds, eventsPerSecond } = commonRate([steady(0, 100, 8), steady(10.25, 20.75, 8)]);
  assert.is(seconds, 0.0105);
  assert.ok(Math.abs((eventsPerSecond[0] as number) - 8_000) < 0.001, String(eventsPerSecond[0]));
});

test("writers that never ran at the same time have no rate", () => {
  assert.equal(commonRate([steady(0, 10, 1), steady(20, 30, 1)]), { seconds: 0, eventsPerSecond: [0, 0] });
});

test("counts what was acknowledged when, however long it takes, by the machine's clock", async () => {
  const beforeMs = Number(process.hrtime.bigint()) / 1e6;
  const timeline = new AckTimeline();
  const startedMs = performance.now();
  for (const afterMs of [0, 0, 5.5, 5.6, 9_000, 70_000.9]) timeline.count(startedMs + afterMs);
  await delay(20);
  const { counts, ...time } = timeline.end();
  const found = Array.from(counts.entries()).filter(([, count]) => count > 0);
  assert.is(
    found.reduce((sum, [, count]) => sum + count, 0),
    6,
  );
  // The timeline began a moment before the times given here.
  assert.ok(
    found.every(([slot]) => [0, 1, 5, 6, 9_000, 9_001, 70_000, 70_001].includes(slot)),
    String(found),
  );
  assert.ok(time.startedMs >= beforeMs && time.startedMs < beforeMs + 1_000);
  assert.ok(time.endedMs - time.startedMs >= 19);
});

import { type ProjectionRunner, startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { factorSum } from "./factor-sum.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";

const test = suite("projections/parked-events");
const onReport = (): void => undefined;

/** Refuses what it is told to refuse. */
async function picky(feed: MemoryFeed, refused: Set<number>): Promise<ProjectionRunner<number, NumberEvent>> {
  const apply = (state: number, event: NumberEvent): number => {
    if (refused.has(event.value)) throw new Error(`no ${event.value}`);
    return state + event.value;
  };
  const runner = await startProjection(feed, factorSum(1, { apply }), { onError: "park", onReport });
  await runner.whenCaughtUp();
  return runner;
}

function filledFeed(): MemoryFeed {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1, 20, 300, 4000);
  return feed;
}

test("one is applied once more, to the state of now, and that is durable", async () => {
  const feed = filledFeed();
  const refused = new Set([20, 300]);
  const runner = await picky(feed, refused);
  assert.is(runner.state, 4001);
  assert.equal(
    runner.parked.map(({ lsn, message }) => [lsn, message]),
    [
      [2, "no 20"],
      [3, "no 300"],
    ],
  );
  refused.delete(20);
  assert.equal(await runner.retry(2), { applied: [2], parked: [] });
  assert.is(runner.state, 4021);
  assert.is(runner.metrics.parkedEvents, 1);
  // As a kill would leave it: nothing is saved at closing by another runner that reads the same files.
  const killed = new MemoryFeed(feed.directory);
  killed.append("Added", 1, 20, 300, 4000);
  const found = await picky(killed, new Set());
  assert.is(found.recovery.lsn, 4);
  assert.is(found.state, 4021);
  assert.equal(
    found.parked.map(({ lsn }) => lsn),
    [3],
  );
  await found.close();
  await runner.close();
});

test("all are applied once more, and those that are refused again stay with the reason of now", async () => {
  const feed = filledFeed();
  const refused = new Set([20, 300]);
  const runner = await picky(feed, refused);
  assert.equal(await runner.retry(), {
    applied: [],
    parked: [
      { lsn: 2, type: "Added", message: "no 20" },
      { lsn: 3, type: "Added", message: "no 300" },
    ],
  });
  assert.is(runner.state, 4001);
  refused.delete(300);
  const report = await runner.retry();
  assert.equal(report.applied, [3]);
  assert.equal(
    report.parked.map(({ lsn }) => lsn),
    [2],
  );
  assert.is(runner.state, 4301);
  refused.clear();
  assert.equal(await runner.retry(), { applied: [2], parked: [] });
  assert.equal(await runner.retry(), { applied: [], parked: [] });
  assert.is(runner.state, 4321);
  await runner.close();
});

test("one is given up, durably, and a rebuild comes to it again", async () => {
  const feed = filledFeed();
  const refused = new Set([20]);
  const runner = await picky(feed, refused);
  await runner.skip(2);
  assert.equal(runner.parked, []);
  assert.is(runner.state, 4301);
  await rejects(runner.skip(2), "ERR_PROJECTION_NOT_PARKED");
  await runner.close();
  const again = await picky(feed, refused);
  assert.equal(again.parked, []);
  await again.rebuild();
  assert.equal(
    again.parked.map(({ lsn }) => lsn),
    [2],
  );
  refused.clear();
  await again.rebuild();
  assert.equal(again.parked, []);
  assert.is(again.state, 4321);
  await again.close();
});

test("events that come meanwhile are applied, and two that try at once apply it once", async () => {
  const feed = filledFeed();
  const refused = new Set([20]);
  const runner = await picky(feed, refused);
  refused.clear();
  const reports = Promise.all([runner.retry(2), runner.retry(), runner.retry(2)]);
  feed.append("Added", 50_000);
  const applied = (await reports).flatMap((report) => report.applied);
  assert.equal(applied, [2]);
  await runner.whenCaughtUp();
  assert.is(runner.state, 54_321);
  await runner.close();
});

test("what cannot be tried is refused, and nothing has changed", async () => {
  const feed = filledFeed();
  const runner = await picky(feed, new Set([20]));
  await rejects(runner.retry(1), "ERR_PROJECTION_NOT_PARKED");
  await rejects(runner.retry(99), "ERR_PROJECTION_NOT_PARKED");
  for (const lsn of [0, -1, 1.5, "2", null]) {
    await runner.retry(lsn as never).then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError),
    );
    await runner.skip(lsn as never).then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError),
    );
  }
  assert.is(runner.parked.length, 1);
  await runner.close();
  await rejects(runner.retry(2), "ERR_PROJECTION_CLOSED");
  await rejects(runner.skip(2), "ERR_PROJECTION_CLOSED");
});

test("when the result cannot be saved the caller is told, and the next save has it", async () => {
  const feed = filledFeed();
  const refused = new Set([20]);
  const runner = await picky(feed, refused);
  await runner.checkpoint();
  const mend = await spoilFiles("/v1.checkpoint.", "sync", "EIO");
  refused.clear();
  await rejects(runner.retry(2), "ERR_PROJECTION_CHECKPOINT");
  assert.is(runner.state, 4321);
  mend();
  await runner.checkpoint();
  await runner.close();
  const again = await picky(feed, refused);
  assert.is(again.state, 4321);
  assert.equal(again.parked, []);
  await again.close();
});

test("a log that cannot be read leaves it parked", async () => {
  const feed = filledFeed();
  const runner = await picky(feed, new Set([20]));
  feed.failReads(new Error("a bad block"));
  await runner.retry().then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "a bad block"),
  );
  assert.is(runner.parked.length, 1);
  await runner.close();
});

/** Rebuilding in place: the definition has changed under its version, or its state is not trusted any more. */

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CheckpointDirectory } from "../../src/projections/checkpoint-directory.js";
import { type ProjectionReport, startProjection } from "../../src/projections/index.js";
import { takeRebuildLock } from "../../src/projections/rebuild-lock.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { factorSum } from "./factor-sum.js";
import { MemoryFeed } from "./memory-feed.js";

const test = suite("projections/rebuild");
const onReport = (): void => undefined;
const ones = (count: number): number[] => new Array<number>(count).fill(1);

/** A log of ones, and a checkpoint that counted each once. */
async function countedFeed(count: number): Promise<MemoryFeed> {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...ones(count));
  const runner = await startProjection(feed, factorSum(1));
  await runner.whenCaughtUp();
  await runner.close();
  return feed;
}

const pathIn = (feed: MemoryFeed, name: string): string => join(feed.directory, "projections", "sum", name);

function statesIn(feed: MemoryFeed): string[] {
  return readdirSync(join(feed.directory, "projections", "sum")).filter((name) => name.startsWith("v"));
}

test("the old state serves and follows until the new one has passed it, and the LSN never goes back", async () => {
  const feed = await countedFeed(5000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  assert.is(runner.state, 5000);
  const rebuilding = runner.rebuild();
  let isDone = false;
  void rebuilding.then(() => {
    isDone = true;
  });
  let served = runner.lsn;
  const seen = new Set<string>();
  while (!isDone) {
    if (feed.watermark < 5500) feed.append("Added", 1);
    await nextTurn();
    assert.ok(runner.lsn >= served, `${runner.lsn} after ${served}`);
    served = runner.lsn;
    // Of the old state what came since counts ten times, for the definition is the new one.
    const isOld = runner.state === 5000 + (runner.lsn - 5000) * 10;
    assert.ok(isOld || runner.state === runner.lsn * 10, `${runner.state} at ${runner.lsn}`);
    seen.add(isOld ? "old" : "new");
    assert.ok(runner.status !== "failed");
  }
  const report = await rebuilding;
  assert.equal([...seen], ["old", "new"]);
  assert.is(report.fromLsn, 0);
  assert.ok(report.lsn >= 5000);
  await runner.whenCaughtUp();
  assert.is(runner.state, feed.watermark * 10);
  assert.is(runner.metrics.rebuild, null);
  await runner.close();
  assert.equal(statesIn(feed), ["v1.checkpoint"]);
  const again = await startProjection(feed, factorSum(10), { onReport });
  assert.is(again.recovery.lsn, feed.watermark);
  assert.is(again.state, feed.watermark * 10);
  await again.close();
});

test("the new state is the checkpoint, durably, when a rebuild resolves", async () => {
  const feed = await countedFeed(3000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  await runner.rebuild();
  // What a process finds that starts now, as after a kill.
  const other = new MemoryFeed(feed.directory);
  other.append("Added", ...ones(3000));
  const found = await startProjection(other, factorSum(10), { onReport });
  assert.is(found.recovery.from, "checkpoint");
  assert.is(found.state, 30_000);
  await found.close();
  await runner.close();
});

test("a rebuild tells how far it is, and is in the metrics meanwhile", async () => {
  const feed = await countedFeed(3000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  const told: number[] = [];
  const rebuilding = runner.rebuild({ onProgress: ({ lsn }) => told.push(lsn) });
  for (let turn = 0; turn < 40; turn += 1) await nextTurn();
  const { rebuild, lag, status } = runner.metrics;
  assert.ok(rebuild !== null && rebuild.lsn < 3000 && rebuild.watermark === 3000);
  assert.is(lag, 0);
  assert.is(status, "live");
  await rebuilding;
  assert.ok(told.length > 0 && told.every((lsn) => lsn <= 3000));
  await runner.close();
});

test("cancelled, nothing is left of it, and the old state goes on", async () => {
  const feed = await countedFeed(5000);
  const runner = await startProjection(feed, factorSum(10), { onReport, checkpointEveryEvents: 500 });
  const aborting = new AbortController();
  const rebuilding = runner.rebuild({ signal: aborting.signal });
  while (!existsSync(pathIn(feed, "v1.rebuild"))) await nextTurn();
  aborting.abort(new Error("not today"));
  await rebuilding.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "not today"),
  );
  assert.equal(statesIn(feed), ["v1.checkpoint"]);
  await runner.whenProcessed(feed.append("Added", 1));
  assert.is(runner.state, 5010);
  // The lock is free, and the next one begins at zero.
  assert.is((await runner.rebuild()).fromLsn, 0);
  assert.is(runner.state, 50_010);
  await runner.close();
});

test("an aborted signal is refused before anything is done", async () => {
  const feed = await countedFeed(100);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  feed.reads.length = 0;
  await runner.rebuild({ signal: AbortSignal.abort(new Error("before")) }).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "before"),
  );
  assert.equal(feed.reads, []);
  await runner.close();
});

test("closed in the middle, the next rebuild goes on from where it was, unless it is to be fresh", async () => {
  const feed = await countedFeed(6000);
  const first = await startProjection(feed, factorSum(10), { onReport, checkpointEveryEvents: 1000 });
  const rebuilding = rejects(first.rebuild(), "ERR_PROJECTION_CLOSED");
  while (!existsSync(pathIn(feed, "v1.rebuild"))) await nextTurn();
  await first.close();
  await rebuilding;
  assert.equal(statesIn(feed), ["v1.checkpoint", "v1.rebuild"]);

  const second = await startProjection(feed, factorSum(10), { onReport });
  assert.is(second.state, 6000);
  assert.is(second.metrics.rebuild, null);
  const report = await second.rebuild();
  assert.ok(report.fromLsn >= 1000, `from ${report.fromLsn}`);
  assert.is(second.state, 60_000);
  await second.close();
  assert.equal(statesIn(feed), ["v1.checkpoint"]);
});

test("a fresh rebuild believes nothing of an interrupted one", async () => {
  const feed = await countedFeed(6000);
  const first = await startProjection(feed, factorSum(7), { onReport, checkpointEveryEvents: 1000 });
  const rebuilding = rejects(first.rebuild(), "ERR_PROJECTION_CLOSED");
  while (!existsSync(pathIn(feed, "v1.rebuild"))) await nextTurn();
  await first.close();
  await rebuilding;
  const second = await startProjection(feed, factorSum(10), { onReport });
  assert.is((await second.rebuild({ fresh: true })).fromLsn, 0);
  assert.is(second.state, 60_000);
  await second.close();
});

test("a damaged file of an interrupted rebuild is reported, and not believed", async () => {
  const feed = await countedFeed(3000);
  writeFileSync(pathIn(feed, "v1.rebuild"), "damaged");
  const reports: ProjectionReport[] = [];
  const runner = await startProjection(feed, factorSum(10), { onReport: (report) => reports.push(report) });
  assert.is((await runner.rebuild()).fromLsn, 0);
  assert.is(runner.state, 30_000);
  assert.equal(
    reports.map((report) => report.kind),
    ["checkpoint-refused", "rebuilt"],
  );
  await runner.close();
});

test("one at a time, in this process and in others", async () => {
  const feed = await countedFeed(3000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  const rebuilding = runner.rebuild();
  await rejects(runner.rebuild(), "ERR_PROJECTION_REBUILDING");
  await rebuilding;
  const lock = await takeRebuildLock(new CheckpointDirectory(feed.directory, "sum"), "sum");
  await rejects(runner.rebuild(), "ERR_PROJECTION_REBUILDING");
  lock.release();
  await runner.rebuild();
  await runner.close();
});

test("when apply throws, the old state goes on and nothing of the new one is kept", async () => {
  const feed = await countedFeed(3000);
  const apply = (state: number, event: { readonly lsn: number; readonly value: number }): number => {
    if (event.lsn === 2000) throw new Error("a bug");
    return state + event.value;
  };
  const runner = await startProjection(feed, factorSum(1, { apply }), { onReport, checkpointEveryEvents: 500 });
  await rejects(runner.rebuild(), "ERR_PROJECTION_FAILED");
  assert.is(runner.status, "live");
  await runner.whenProcessed(feed.append("Added", 1));
  assert.is(runner.state, 3001);
  assert.equal(statesIn(feed), ["v1.checkpoint"]);
  await runner.close();
});

test("when the log cannot be read, what was built is kept for the next attempt", async () => {
  const feed = await countedFeed(6000);
  const runner = await startProjection(feed, factorSum(10), { onReport, checkpointEveryEvents: 1000 });
  const rebuilding = runner.rebuild();
  while (!existsSync(pathIn(feed, "v1.rebuild"))) await nextTurn();
  feed.failReads(new Error("a bad block"));
  await rebuilding.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, "a bad block"),
  );
  assert.equal(statesIn(feed), ["v1.checkpoint", "v1.rebuild"]);
  await runner.close();
});

test("a projection that has failed is mended by a rebuild", async () => {
  const feed = await countedFeed(3000);
  let isBroken = true;
  const apply = (state: number, event: { readonly value: number }): number => {
    if (isBroken && event.value === 5) throw new Error("not yet");
    return state + event.value;
  };
  const runner = await startProjection(feed, factorSum(1, { apply }), { onReport });
  const lsn = feed.append("Added", 5);
  await rejects(runner.whenProcessed(lsn), "ERR_PROJECTION_FAILED");
  isBroken = false;
  await runner.rebuild();
  assert.is(runner.status, "live");
  assert.is(runner.error, null);
  assert.is(runner.state, 3005);
  await runner.whenProcessed(feed.append("Added", 5));
  assert.is(runner.state, 3010);
  await runner.close();
  const again = await startProjection(feed, factorSum(1, { apply }), { onReport });
  assert.is(again.state, 3010);
  await again.close();
});

test("when the new state cannot be saved, it serves, the caller is told, and a later save has it take the place", async () => {
  const feed = await countedFeed(2000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  const rebuilding = runner.rebuild();
  while (runner.metrics.rebuild?.lsn === 0) await nextTurn();
  const mend = await spoilFiles("/v1.rebuild.", "sync", "EIO");
  await rejects(rebuilding, "ERR_PROJECTION_CHECKPOINT");
  assert.is(runner.state, 20_000);
  mend();
  assert.is(await runner.checkpoint(), 2000);
  assert.equal(statesIn(feed), ["v1.checkpoint"]);
  await runner.close();
  const again = await startProjection(feed, factorSum(10), { onReport });
  assert.is(again.state, 20_000);
  await again.close();
});

test("a throttled rebuild takes its time", async () => {
  const feed = await countedFeed(2000);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  const { durationMs } = await runner.rebuild({ maxEventsPerSecond: 4000 });
  // All but the last thousand, which the take-over folds at once.
  assert.ok(durationMs >= 200, `${durationMs} ms`);
  assert.is(runner.state, 20_000);
  await runner.close();
});

test("what was rebuilt for a version before goes with that version", async () => {
  const feed = await countedFeed(1500);
  writeFileSync(pathIn(feed, "v1.rebuild"), "whatever");
  writeFileSync(pathIn(feed, "v3.ready"), "made ahead");
  const runner = await startProjection(feed, factorSum(10, { version: 2 }), { onReport });
  await runner.whenCaughtUp();
  await runner.close();
  assert.equal(statesIn(feed), ["v2.checkpoint", "v3.ready"]);
});

test("wrong options and wrong places are refused", async () => {
  const feed = await countedFeed(10);
  const runner = await startProjection(feed, factorSum(10), { onReport });
  for (const options of [
    { maxEventsPerSecond: 0 },
    { maxEventsPerSecond: "fast" },
    { fresh: 1 },
    { onProgress: 1 },
    { signal: {} },
    { in: { module: "./sum.js" } },
    { in: { module: new URL("file:///sum.js"), name: "sum" } },
    { throttle: 5 },
    null,
  ]) {
    await runner.rebuild(options as never).then(
      () => assert.unreachable(JSON.stringify(options)),
      (error: unknown) => assert.ok(error instanceof TypeError, JSON.stringify(options)),
    );
  }
  await runner.close();
  await rejects(runner.rebuild(), "ERR_PROJECTION_CLOSED");
  const readOnly = new MemoryFeed(feed.directory, { readOnly: true });
  readOnly.append("Added", ...ones(10));
  const reading = await startProjection(readOnly, factorSum(10), { onReport });
  await rejects(reading.rebuild(), "ERR_STORE_READ_ONLY");
  await rejects(reading.pause(), "ERR_STORE_READ_ONLY");
  await rejects(reading.retry(), "ERR_STORE_READ_ONLY");
  await reading.close();
});

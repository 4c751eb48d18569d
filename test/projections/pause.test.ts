/** Pausing: by whoever runs the projection, by the file alone, over restarts. */

import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { factorSum } from "./factor-sum.js";
import { MemoryFeed } from "./memory-feed.js";

const test = suite("projections/pause");
const onReport = (): void => undefined;

const markerOf = (feed: MemoryFeed): string => join(feed.directory, "projections", "sum", "paused");

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(20);
}

test("nothing is applied until it is resumed, and the state is served meanwhile", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1, 1);
  const runner = await startProjection(feed, factorSum(1), { onReport });
  await runner.whenCaughtUp();
  await runner.pause();
  assert.is(runner.status, "paused");
  const lsn = feed.append("Added", 1);
  await rejects(runner.whenProcessed(lsn, { timeoutMs: 50 }), "ERR_PROJECTION_TIMEOUT");
  assert.is(runner.state, 2);
  assert.is(runner.metrics.lag, 1);
  assert.is(await runner.checkpoint(), 2);
  const caughtUp = runner.whenCaughtUp();
  await runner.resume();
  await caughtUp;
  assert.is(runner.status, "live");
  assert.is(runner.state, 3);
  assert.not.ok(existsSync(markerOf(feed)));
  await runner.close();
});

test("it outlasts a restart, and pausing twice is pausing once", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1, 1);
  const first = await startProjection(feed, factorSum(1), { onReport });
  await first.whenCaughtUp();
  await first.pause();
  await first.pause();
  await first.close();
  feed.append("Added", 1);
  const second = await startProjection(feed, factorSum(1), { onReport });
  assert.is(second.status, "paused");
  assert.is(second.state, 2);
  await second.resume();
  await second.resume();
  await second.whenCaughtUp();
  assert.is(second.state, 3);
  await second.close();
});

test("the file alone pauses and resumes, also in the middle of catching up", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(200).fill(1));
  let goesOn = true;
  const apply = (state: number, event: { readonly value: number }): number => {
    // Each event is followed by another, so that it is never at the end.
    if (goesOn) feed.append("Added", 1);
    return state + event.value;
  };
  const runner = await startProjection(feed, factorSum(1, { apply }), { onReport });
  await until(() => runner.lsn > 100);
  mkdirSync(join(feed.directory, "projections", "sum"), { recursive: true });
  writeFileSync(markerOf(feed), "");
  await until(() => runner.status === "paused");
  const { lsn } = runner;
  await delay(30);
  assert.is(runner.lsn, lsn);
  assert.ok(feed.watermark > lsn);
  goesOn = false;
  rmSync(markerOf(feed));
  await runner.whenCaughtUp();
  assert.is(runner.state, feed.watermark);
  await runner.close();
});

test("a rebuild that is done while the projection is paused takes over when it goes on", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(3000).fill(1));
  const first = await startProjection(feed, factorSum(1), { onReport });
  await first.whenCaughtUp();
  await first.close();
  const runner = await startProjection(feed, factorSum(10), { onReport });
  await runner.whenCaughtUp();
  await runner.pause();
  const rebuilding = runner.rebuild();
  await until(() => (runner.metrics.rebuild?.lsn ?? 0) >= 2000);
  await delay(30);
  assert.is(runner.state, 3000);
  await runner.resume();
  await rebuilding;
  assert.is(runner.state, 30_000);
  await runner.close();
});

test("closed while a rebuild waits for it to be resumed, the rebuild is refused and goes on next time", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(3000).fill(1));
  const runner = await startProjection(feed, factorSum(10), { onReport });
  await runner.whenCaughtUp();
  await runner.pause();
  const rebuilding = rejects(runner.rebuild(), "ERR_PROJECTION_CLOSED");
  await until(() => (runner.metrics.rebuild?.lsn ?? 0) >= 2000);
  await delay(30);
  await runner.close();
  await rebuilding;
  const again = await startProjection(feed, factorSum(10), { onReport });
  await again.resume();
  assert.ok((await again.rebuild()).fromLsn >= 2000);
  assert.is(again.state, 30_000);
  await again.close();
});

test("a checkpoint that is asked for while a rebuild waits to take over is what the next start begins at", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(3000).fill(1));
  const runner = await startProjection(feed, factorSum(10), { onReport });
  await runner.whenCaughtUp();
  await runner.pause();
  const rebuilding = rejects(runner.rebuild(), "ERR_PROJECTION_CLOSED");
  await until(() => (runner.metrics.rebuild?.lsn ?? 0) >= 2000);
  await delay(30);
  const lsn = await runner.checkpoint();
  assert.ok(lsn >= 2000, `${lsn}`);
  const killed = new MemoryFeed(feed.directory);
  killed.append("Added", ...new Array<number>(3000).fill(1));
  const found = await startProjection(killed, factorSum(10), { onReport });
  assert.is(found.recovery.lsn, lsn);
  assert.is(found.state, lsn * 10);
  await found.close();
  await runner.close();
  await rebuilding;
});

test("where the file cannot be written, it goes on and says so", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1);
  const runner = await startProjection(feed, factorSum(1), { onReport });
  await runner.whenCaughtUp();
  await runner.checkpoint();
  const mend = await spoilFiles("/paused.", "sync", "EIO");
  await rejects(runner.pause(), "ERR_IO_FAILED");
  mend();
  assert.is(runner.status, "live");
  await runner.whenProcessed(feed.append("Added", 1));
  await runner.close();
  await rejects(runner.pause(), "ERR_PROJECTION_CLOSED");
  await rejects(runner.resume(), "ERR_PROJECTION_CLOSED");
});

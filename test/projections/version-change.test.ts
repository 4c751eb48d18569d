import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Projection, type ProjectionReport, startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";

const test = suite("projections/version-change");

/** Sums the values; each version counts in another way, so that one can be told from the other. */
function sum(version: number, factor: number): Projection<number, NumberEvent> {
  return {
    name: "sum",
    version,
    handles: "all",
    init: () => 0,
    apply: (state, event) => state + event.value * factor,
    encode: (state) => Buffer.from(String(state)),
    decode: async (chunks) => {
      let text = "";
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      return Number(text);
    },
  };
}

const first = sum(1, 1);
const second = sum(2, 10);
const onReport = (): void => undefined;

/** A log of ones, and a checkpoint of version 1 that holds them all. */
async function feedWithFirst(count: number): Promise<MemoryFeed> {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(count).fill(1));
  const runner = await startProjection(feed, first);
  await runner.whenCaughtUp();
  await runner.close();
  return feed;
}

function filesOf(feed: MemoryFeed): string[] {
  const directory = join(feed.directory, "projections", "sum");
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

test("without the definition before, the new version is rebuilt from zero and served from its first event on", async () => {
  const feed = await feedWithFirst(3000);
  const reports: ProjectionReport[] = [];
  const runner = await startProjection(feed, second, { onReport: (report) => reports.push(report) });
  assert.is(runner.version, 2);
  assert.is(runner.state, 0);
  assert.is(runner.recovery.from, "zero");
  assert.is(runner.recovery.servedByVersion, null);
  assert.equal(
    runner.recovery.refused.map((refused) => refused.reason),
    ["other-version"],
  );
  await runner.whenCaughtUp();
  assert.is(runner.state, 30_000);
  await runner.close();
  assert.equal(filesOf(feed), ["v2.checkpoint"]);
  assert.is(reports.length, 1);
});

test("the old state serves, and is kept up to date, until the new one has caught up", async () => {
  const feed = await feedWithFirst(5000);
  feed.append("Added", 1, 1);
  const runner = await startProjection(feed, second, { previous: first, onReport });
  assert.equal(runner.recovery, { from: "zero", lsn: 0, servedByVersion: 1, refused: [] });
  assert.is(runner.version, 1);
  assert.is(runner.state, 5000);
  await runner.whenProcessed(5002);
  assert.is(runner.version, 1);
  assert.is(runner.state, 5002);
  assert.ok(runner.progress.lsn < 3000, "the new version is only on its way");
  // One's own writes can be read from the old version meanwhile.
  await runner.whenProcessed(feed.append("Added", 1));
  assert.is(runner.version, 1);
  assert.is(runner.state, 5003);
  assert.is(runner.status, "catching-up");

  await runner.whenCaughtUp();
  assert.is(runner.version, 2);
  assert.is(runner.state, 50_030);
  assert.is(runner.lsn, 5003);
  assert.is(runner.status, "live");
  await runner.whenProcessed(feed.append("Added", 1));
  assert.is(runner.state, 50_040);
  await runner.close();
  assert.equal(filesOf(feed), ["v2.checkpoint"]);
});

test("the LSN that is served never goes back", async () => {
  const feed = await feedWithFirst(2500);
  const runner = await startProjection(feed, second, { previous: first, onReport });
  let served = runner.lsn;
  let versions = "";
  while (runner.status !== "live") {
    feed.append("Added", 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(runner.lsn >= served, `${runner.lsn} after ${served}`);
    assert.is(runner.state, runner.lsn * (runner.version === 1 ? 1 : 10));
    served = runner.lsn;
    if (!versions.endsWith(String(runner.version))) versions += runner.version;
  }
  assert.is(versions, "12");
  await runner.close();
});

test("the new version takes over even while events keep coming", async () => {
  const feed = await feedWithFirst(3000);
  feed.append("Added", 1);
  // Each event that the old version applies is followed by another, so it is never quite at the end.
  const restless: Projection<number, NumberEvent> = {
    ...first,
    apply: (state, event) => {
      feed.append("Added", 1);
      return state + event.value;
    },
  };
  const runner = await startProjection(feed, second, { previous: restless, onReport });
  await runner.whenCaughtUp({ timeoutMs: 10_000 });
  assert.is(runner.version, 2);
  assert.is(runner.state, runner.lsn * 10);
  await runner.close();
});

test("a rebuild that is interrupted goes on where it was, and the old version serves again meanwhile", async () => {
  const feed = await feedWithFirst(6000);
  const runner = await startProjection(feed, second, { previous: first, onReport });
  while (runner.progress.lsn < 2000) await new Promise((resolve) => setImmediate(resolve));
  await runner.close();
  assert.is(runner.version, 1);
  assert.equal(filesOf(feed), ["v1.checkpoint", "v2.checkpoint"]);
  const again = await startProjection(feed, second, { previous: first, onReport });
  assert.is(again.recovery.from, "checkpoint");
  assert.ok(again.recovery.lsn >= 2000);
  assert.is(again.recovery.servedByVersion, 1);
  assert.is(again.state, 6000);
  await again.whenCaughtUp();
  assert.is(again.state, 60_000);
  await again.close();
  assert.equal(filesOf(feed), ["v2.checkpoint"]);
});

test("the version can be rolled back until the new one is safe on disk", async () => {
  const feed = await feedWithFirst(6000);
  const runner = await startProjection(feed, second, { previous: first, onReport });
  await runner.close();
  const back = await startProjection(feed, first, { onReport });
  assert.is(back.recovery.from, "checkpoint");
  assert.is(back.state, 6000);
  await back.whenCaughtUp();
  await back.close();
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
});

test("when the old checkpoint cannot be used, the new version serves from its first event on", async () => {
  const feed = await feedWithFirst(3000);
  writeFileSync(join(feed.directory, "projections", "sum", "v1.checkpoint"), "damaged");
  const runner = await startProjection(feed, second, { previous: first, onReport });
  assert.is(runner.version, 2);
  assert.is(runner.recovery.servedByVersion, null);
  assert.equal(
    runner.recovery.refused.map((refused) => refused.reason),
    ["damaged"],
  );
  await runner.whenCaughtUp();
  await runner.close();
  assert.equal(filesOf(feed), ["v2.checkpoint"]);
});

test("a new version that fails leaves the old one serving", async () => {
  const feed = await feedWithFirst(3000);
  const failing: Projection<number, NumberEvent> = {
    ...second,
    apply: (state, event) => {
      if (event.lsn === 100) throw new Error("a bug in the new version");
      return state + event.value;
    },
  };
  const runner = await startProjection(feed, failing, { previous: first, onReport });
  await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.is(runner.status, "failed");
  await runner.whenProcessed(feed.append("Added", 1));
  assert.is(runner.version, 1);
  assert.is(runner.state, 3001);
  await runner.close();
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
});

test("an old version that fails stands still and serves until the new one has passed it", async () => {
  const feed = await feedWithFirst(3000);
  feed.append("Added", 1, 1);
  const failing: Projection<number, NumberEvent> = {
    ...first,
    apply: () => {
      throw new Error("the old version cannot do it");
    },
  };
  const runner = await startProjection(feed, second, { previous: failing, onReport });
  await runner.whenProcessed(3002);
  assert.is(runner.version, 2);
  assert.is(runner.state, 30_020);
  assert.is(runner.status, "live");
  await runner.close();
});

test("a read-only store rebuilds too, and removes nothing", async () => {
  const written = await feedWithFirst(3000);
  const feed = new MemoryFeed(written.directory, { readOnly: true });
  feed.append("Added", ...new Array<number>(3000).fill(1));
  const runner = await startProjection(feed, second, { previous: first, onReport });
  assert.is(runner.version, 1);
  await runner.whenCaughtUp();
  assert.is(runner.state, 30_000);
  await runner.close();
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
});

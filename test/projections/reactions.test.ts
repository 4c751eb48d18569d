/** `react`: called for what happens from the first start on, in order, at least once, and never for what is replayed. */

import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Projection, startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { spoilFiles } from "../support/failing-files.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { factorSum } from "./factor-sum.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";

const test = suite("projections/reactions");
const onReport = (): void => undefined;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

type Call = readonly [lsn: number, state: number];

function reacting(
  calls: Call[],
  changes: Partial<Projection<number, NumberEvent>> = {},
): Projection<number, NumberEvent> {
  return factorSum(1, {
    react: async (event, state) => {
      calls.push([event.lsn, state]);
      await delay(1);
    },
    ...changes,
  });
}

const markOf = (feed: MemoryFeed): string => join(feed.directory, "projections", "sum", "reactions");

test("what was in the log before the first start is replayed without; what comes is reacted to, with the state as of then", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1, 1, 1);
  const calls: Call[] = [];
  const runner = await startProjection(feed, reacting(calls), { onReport });
  await runner.whenCaughtUp();
  feed.append("Added", 10, 100, 1000);
  feed.append("Added", 10_000);
  await until(() => calls.length >= 4);
  assert.equal(calls, [
    [4, 13],
    [5, 113],
    [6, 1113],
    [7, 11_113],
  ]);
  await runner.close();
});

test("closed and started again, it goes on behind the last one, with what came meanwhile", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", 1);
  const calls: Call[] = [];
  const first = await startProjection(feed, reacting(calls), { onReport });
  await first.whenProcessed(feed.append("Added", 1));
  await first.close();
  feed.append("Added", 1, 1);
  const second = await startProjection(feed, reacting(calls), { onReport });
  await until(() => calls.length >= 3);
  assert.equal(
    calls.map(([lsn]) => lsn),
    [2, 3, 4],
  );
  await second.close();
});

test("neither a rebuild nor a new version nor a lost checkpoint calls it again", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const calls: Call[] = [];
  const first = await startProjection(feed, reacting(calls), { onReport });
  feed.append("Added", ...new Array<number>(20).fill(1));
  await until(() => calls.length >= 20);
  await first.rebuild();
  feed.append("Added", 1);
  await until(() => calls.length >= 21);
  await first.close();
  writeFileSync(join(feed.directory, "projections", "sum", "v1.checkpoint"), "damaged");
  const second = await startProjection(feed, reacting(calls, { version: 2 }), { onReport });
  await second.whenCaughtUp();
  feed.append("Added", 1);
  await until(() => calls.length >= 22);
  assert.equal(
    calls.map(([lsn]) => lsn),
    Array.from({ length: 22 }, (_, index) => index + 1),
  );
  assert.is(second.state, 22);
  await second.close();
});

test("events that come while a rebuild is under way are reacted to once", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...new Array<number>(3000).fill(1));
  const calls: Call[] = [];
  const runner = await startProjection(feed, reacting(calls), { onReport });
  await runner.whenCaughtUp();
  const rebuilding = runner.rebuild();
  for (let count = 0; count < 20; count += 1) {
    feed.append("Added", 1);
    await delay(1);
  }
  await rebuilding;
  await until(() => calls.length >= 20);
  assert.equal(
    calls.map(([lsn]) => lsn),
    Array.from({ length: 20 }, (_, index) => 3001 + index),
  );
  await runner.close();
});

test("not for events that it does not handle, and not for those that were skipped or parked", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const calls: Call[] = [];
  const apply = (state: number, event: NumberEvent): number => {
    if (event.value === 2) throw new Error("no");
    return state + event.value;
  };
  const projection = reacting(calls, { handles: ["Added"], apply });
  const runner = await startProjection(feed, projection, { onReport, onError: "park" });
  feed.append("Added", 1, 2);
  feed.append("Other", 1);
  feed.append("Added", 3);
  await until(() => calls.length >= 2);
  assert.equal(
    calls.map(([lsn]) => lsn),
    [1, 4],
  );
  await runner.close();
});

test("a reaction that fails stops the projection, and is called again by the next start", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const calls: number[] = [];
  let fails = true;
  const react = (event: NumberEvent): void => {
    calls.push(event.lsn);
    if (fails && event.lsn === 3) throw new Error("the mail server is down");
  };
  const first = await startProjection(feed, factorSum(1, { react }), { onReport, onError: "skip" });
  feed.append("Added", 1, 1, 1, 1);
  await until(() => first.status === "failed");
  assert.is(first.error?.code, "ERR_PROJECTION_FAILED");
  assert.is(first.error?.details["lsn"], 3);
  assert.is(first.error?.details["step"], "react");
  await first.close();
  fails = false;
  const second = await startProjection(feed, factorSum(1, { react }), { onReport });
  await until(() => calls.length >= 5);
  assert.equal(calls, [1, 2, 3, 3, 4]);
  assert.is(second.state, 4);
  await second.close();
});

test("killed before it was noted, events are called again, and none is left out", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const calls: Call[] = [];
  const runner = await startProjection(feed, reacting(calls), { onReport });
  await runner.whenCaughtUp();
  const markBefore = readFileSync(markOf(feed));
  feed.append("Added", 1, 1);
  await until(() => calls.length >= 2);
  await runner.close();
  // As a kill leaves it that comes before the mark; the checkpoint is never written before that.
  writeFileSync(markOf(feed), markBefore);
  rmSync(join(feed.directory, "projections", "sum", "v1.checkpoint"));
  const again = await startProjection(feed, reacting(calls), { onReport });
  await until(() => calls.length >= 4);
  assert.equal(
    calls.map(([lsn]) => lsn),
    [1, 2, 1, 2],
  );
  await again.close();
});

test("no checkpoint holds an event whose reaction has not ended and been noted", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  let end = (): void => undefined;
  const react = (): Promise<void> =>
    new Promise((resolve) => {
      end = resolve;
    });
  const runner = await startProjection(feed, factorSum(1, { react }), { onReport });
  await runner.whenProcessed(feed.append("Added", 1));
  const saving = runner.checkpoint();
  await delay(50);
  assert.not.ok(existsSync(join(feed.directory, "projections", "sum", "v1.checkpoint")));
  end();
  assert.is(await saving, 1);
  assert.ok(readFileSync(markOf(feed), "utf8").startsWith("1 "));
  await runner.close();
});

test("a rebuild out of a failed reaction does not pass by what is still to be reacted to", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const calls: number[] = [];
  let fails = true;
  const react = (event: NumberEvent): void => {
    if (fails && event.lsn === 3) throw new Error("the mail server is down");
    calls.push(event.lsn);
  };
  const runner = await startProjection(feed, factorSum(1, { react }), { onReport });
  feed.append("Added", ...new Array<number>(1500).fill(1));
  await until(() => runner.status === "failed");
  fails = false;
  await runner.rebuild();
  await until(() => calls.length >= 1500);
  assert.equal(
    calls,
    Array.from({ length: 1500 }, (_, index) => index + 1),
  );
  assert.is(runner.state, 1500);
  await runner.close();
});

test("a mark that is damaged, of another store or above the watermark is not passed over", async () => {
  const feed = new MemoryFeed(temporaryDirectory(), { storeId: "a" });
  feed.append("Added", 1, 1);
  await (await startProjection(feed, reacting([]), { onReport })).close();
  const whole = readFileSync(markOf(feed), "utf8");
  for (const text of ["", "2\n", whole.replace("2 ", "1 "), `${whole} `, whole.slice(0, -3)]) {
    writeFileSync(markOf(feed), text);
    await rejects(startProjection(feed, reacting([]), { onReport }), "ERR_PROJECTION_FAILED");
  }
  writeFileSync(markOf(feed), whole);
  const other = new MemoryFeed(feed.directory, { storeId: "b" });
  other.append("Added", 1, 1);
  await rejects(startProjection(other, reacting([]), { onReport }), "ERR_PROJECTION_FAILED");
  const older = new MemoryFeed(feed.directory, { storeId: "a" });
  older.append("Added", 1);
  await rejects(startProjection(older, reacting([]), { onReport }), "ERR_PROJECTION_FAILED");
  // The name is free again after each.
  await (await startProjection(feed, reacting([]), { onReport })).close();
});

test("where the mark cannot be written, the projection does not begin, or stops", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const mend = await spoilFiles("/reactions.", "sync", "EIO");
  await rejects(startProjection(feed, reacting([]), { onReport }), "ERR_PROJECTION_FAILED");
  mend();
  const runner = await startProjection(feed, reacting([]), { onReport });
  await runner.whenCaughtUp();
  const mendAgain = await spoilFiles("/reactions.", "sync", "EIO");
  await rejects(runner.whenProcessed(feed.append("Added", 1) + 1), "ERR_PROJECTION_FAILED");
  mendAgain();
  await runner.close();
});

test("nobody reacts on a store that is open for reading only", async () => {
  const feed = new MemoryFeed(temporaryDirectory(), { readOnly: true });
  const calls: Call[] = [];
  const runner = await startProjection(feed, reacting(calls), { onReport });
  await runner.whenProcessed(feed.append("Added", 1));
  assert.equal(calls, []);
  await runner.close();
});

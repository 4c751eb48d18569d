/** A projection that runs: what it is fed, what it does with what fails, who waits for it, and how it ends. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed } from "./memory-feed.js";
import {
  checkpointOf,
  failingOn,
  filesOf,
  filledFeed,
  range,
  reporting,
  startedAndCaughtUp,
} from "./runner-fixture.js";
import { hashOf, type RunningHash, runningHash } from "./running-hash.js";

const test = suite("projections/runner");

test("folds what is there in LSN order, then follows", async () => {
  const feed = filledFeed(35);
  const runner = await startProjection(feed, runningHash());
  assert.is(runner.status, "catching-up");
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf(range(35)));
  assert.is(runner.status, "live");
  const lsn = feed.append("Counted", 1, 2, 3);
  await runner.whenProcessed(lsn);
  assert.equal(runner.state, hashOf([...range(35), 1, 2, 3]));
  assert.is(runner.lsn, 38);
  await runner.close();
});

test("an empty log is caught up with at once, and leaves no file", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  const runner = await startProjection(feed, runningHash());
  await runner.whenCaughtUp();
  await runner.close();
  assert.equal(filesOf(feed), []);
});

test("applies only the types it handles, and still passes the others' LSNs", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Counted", 1);
  feed.append("Ignored", 2, 3);
  const applied: number[] = [];
  const runner = await startProjection(
    feed,
    runningHash({
      handles: ["Counted", "__proto__"],
      apply: (state, event) => {
        applied.push(event.lsn);
        return state;
      },
    }),
  );
  await runner.whenCaughtUp();
  assert.is(runner.lsn, 3);
  feed.append("__proto__", 4);
  feed.append("toString", 5);
  await runner.whenProcessed(5);
  assert.equal(applied, [1, 4]);
  await runner.close();
});

test("passes LSNs that carry no event, at the end and in between", async () => {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Counted", 1, 2);
  const fence = feed.fence(3);
  const runner = await startedAndCaughtUp(feed);
  assert.is(fence, 5);
  assert.is(runner.lsn, 5);
  await runner.close();
  const again = await startProjection(feed, runningHash());
  assert.is(again.recovery.lsn, 5);
  await again.whenProcessed(feed.append("Counted", 3));
  assert.is(again.state.count, 3);
  assert.is(again.lsn, 6);
  await again.close();
});

test("apply may return a new state instead of changing the given one", async () => {
  const feed = filledFeed(25);
  const runner = await startProjection(
    feed,
    runningHash({
      apply: (state, event) => ({
        count: state.count + 1,
        hash: (Math.imul(state.hash, 31) + event.value + event.lsn) | 0,
      }),
    }),
  );
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf(range(25)));
  await runner.close();
});

test("stop: the projection stays before the event, fails its waiters, and overwrites no checkpoint", async () => {
  const feed = filledFeed(10);
  await (await startedAndCaughtUp(feed)).close();
  const before = readFileSync(checkpointOf(feed));
  const { options, reports } = reporting();
  const runner = await startProjection(feed, failingOn(13), options);
  const waiting = runner.whenProcessed(20);
  feed.append("Counted", 1, 2, 3, 4, 5);
  const error = await rejects(waiting, "ERR_PROJECTION_FAILED");
  assert.is(runner.status, "failed");
  assert.is(runner.error, error);
  assert.is(runner.lsn, 12);
  assert.equal(runner.state, hashOf([...range(10), 1, 2]));
  assert.equal(runner.error?.details, { projection: "running-hash", version: 1, lsn: 13, type: "Counted" });
  assert.match(error.message, /LSN 13.*no 13/);
  await runner.whenProcessed(12);
  await rejects(runner.whenProcessed(13), "ERR_PROJECTION_FAILED");
  await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  await rejects(runner.checkpoint(), "ERR_PROJECTION_FAILED");
  await runner.close();
  assert.equal(readFileSync(checkpointOf(feed)), before);
  assert.equal(reports, [{ kind: "failed", error }]);
});

test("skip: the event is counted, reported and left out, and the count survives", async () => {
  const feed = filledFeed(10);
  const { options, reports } = reporting({ onError: "skip" });
  const runner = await startedAndCaughtUp(feed, options, failingOn(3, 4));
  assert.is(runner.state.count, 8);
  assert.is(runner.skippedEvents, 2);
  assert.equal(
    reports.map((report) => report.kind === "event-skipped" && report.lsn),
    [3, 4],
  );
  await runner.close();
  const again = await startProjection(feed, failingOn(), options);
  assert.is(again.skippedEvents, 2);
  assert.is(again.state.count, 8);
  await again.close();
});

test("park: the event is left out and listed with its error, and the list survives", async () => {
  const feed = filledFeed(10);
  const { options, reports } = reporting({ onError: "park" });
  const runner = await startedAndCaughtUp(feed, options, failingOn(3, 10));
  const parked = [
    { lsn: 3, type: "Counted", message: "no 3" },
    { lsn: 10, type: "Counted", message: "no 10" },
  ];
  assert.equal(runner.parked, parked);
  assert.is(runner.state.count, 8);
  assert.equal(
    reports.map((report) => report.kind),
    ["event-parked", "event-parked"],
  );
  await runner.close();
  const again = await startProjection(feed, failingOn(11), options);
  assert.equal(again.parked, parked);
  await again.whenProcessed(feed.append("Counted", 1));
  assert.is(again.parked.length, 3);
  await again.close();
});

test("what apply throws may be anything, and its message is kept short", async () => {
  const feed = filledFeed(2);
  const thrown: unknown[] = ["a string", new Error("x".repeat(5000))];
  const apply = (): never => {
    throw thrown.shift();
  };
  const { options } = reporting({ onError: "park" });
  const runner = await startedAndCaughtUp(feed, options, runningHash({ apply }));
  assert.equal(
    runner.parked.map(({ message }) => [message.slice(0, 8), message.length]),
    [
      ["a string", 8],
      ["xxxxxxxx", 1000],
    ],
  );
  await runner.close();
});

test("parking has a limit, and stops there", async () => {
  const feed = new MemoryFeed(temporaryDirectory(), { batchEvents: 5000 });
  feed.append("Counted", ...range(10_001));
  const apply = (): never => {
    throw new Error("no");
  };
  const { options } = reporting({ onError: "park" });
  const runner = await startProjection(feed, runningHash({ apply }), options);
  const error = await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.match(error.message, /10000 events are parked already/);
  assert.is(runner.parked.length, 10_000);
  await runner.close();
});

test("an apply that forgets to return, or is async, stops the projection whatever its policy is", async () => {
  for (const [apply, told] of [
    [() => undefined, /undefined/],
    [() => Promise.reject(new Error("later")), /promise/],
  ] as const) {
    const { options } = reporting({ onError: "skip" });
    const wrong = apply as unknown as () => RunningHash;
    const runner = await startProjection(filledFeed(3), runningHash({ apply: wrong }), options);
    const error = await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
    assert.match(error.message, told);
    await runner.close();
  }
});

test("a log that cannot be read fails the projection, also while it follows", async () => {
  const feed = filledFeed(10);
  const { options } = reporting();
  const runner = await startedAndCaughtUp(feed, options);
  feed.failReads(new Error("EIO"));
  feed.append("Counted", 1);
  const error = await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.match(error.message, /cannot read the log: EIO/);
  assert.is(runner.lsn, 10);
  await runner.close();
});

test("a log of which nothing will come any more fails the projection, which has all that came before, and tells who waits", async () => {
  const feed = filledFeed(10);
  const { options } = reporting();
  const runner = await startedAndCaughtUp(feed, options);
  const cause = new Error("damaged at offset 4096");
  feed.append("Counted", 1);
  await runner.whenProcessed(11);
  const later = rejects(runner.whenProcessed(12), "ERR_PROJECTION_FAILED");
  feed.breakOff(cause);
  const error = await later;
  assert.match(error.message, /cannot read the log: damaged at offset 4096/);
  assert.equal([runner.status, runner.lsn, error.cause], ["failed", 11, cause]);
  await runner.close();
});

test("waiting ends with a timeout, or with the signal's reason, and leaves the others waiting", async () => {
  const feed = filledFeed(3);
  const runner = await startedAndCaughtUp(feed);
  const abort = new AbortController();
  const patient = runner.whenProcessed(4);
  const aborted = runner.whenProcessed(4, { signal: abort.signal });
  const late = runner.whenProcessed(4, { timeoutMs: 5 });
  abort.abort(new Error("changed my mind"));
  await rejects(aborted, (error) => error.message === "changed my mind");
  const error = await rejects(late, "ERR_PROJECTION_TIMEOUT");
  assert.match(error.message, /reached LSN 3, not 4, within 5 ms/);
  await rejects(runner.whenProcessed(1, { signal: abort.signal }), (given) => given.message === "changed my mind");
  feed.append("Counted", 1);
  await patient;
  await runner.close();
});

test("closing in the middle of catching up keeps what was done", async () => {
  const feed = filledFeed(1000);
  const runner = await startProjection(feed, runningHash());
  await runner.whenProcessed(200);
  const waiting = runner.whenCaughtUp();
  const closing = runner.close();
  assert.is(runner.status, "closing");
  assert.is(runner.close(), closing);
  await rejects(waiting, "ERR_PROJECTION_CLOSED");
  await closing;
  assert.is(runner.status, "closed");
  assert.is(feed.listenerCount, 0);
  const stoppedAt = runner.lsn;
  assert.ok(stoppedAt >= 200 && stoppedAt < 1000, `${stoppedAt}`);
  await rejects(runner.checkpoint(), "ERR_PROJECTION_CLOSED");
  await rejects(runner.whenProcessed(1000), "ERR_PROJECTION_CLOSED");
  await runner.whenProcessed(stoppedAt);
  const again = await startProjection(feed, runningHash());
  assert.is(again.recovery.lsn, stoppedAt);
  await again.whenCaughtUp();
  assert.equal(again.state, hashOf(range(1000)));
  await again.close();
});

test("events that arrive during a slow apply are not lost, and the event loop keeps turning", async () => {
  const feed = filledFeed(5);
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const projection = runningHash({
    apply: (state, event) => {
      const untilMs = performance.now() + 2;
      while (performance.now() < untilMs);
      // From within, as a burst that comes while an event is being applied.
      if (event.lsn <= 50) feed.append("Counted", event.lsn, event.lsn + 1);
      return runningHash().apply(state, event);
    },
  });
  const runner = await startProjection(feed, projection);
  await runner.whenProcessed(105);
  clearInterval(timer);
  const values = range(5);
  for (let lsn = 1; lsn <= 50; lsn += 1) values.push(lsn, lsn + 1);
  assert.equal(runner.state, hashOf(values));
  assert.is(runner.lsn, 105);
  assert.ok(turns >= 10, `the timer fired ${turns} times in at least 210 ms`);
  await runner.close();
});

test("a long batch does not hold the event loop", async () => {
  const feed = new MemoryFeed(temporaryDirectory(), { batchEvents: 100 });
  feed.append("Counted", ...range(100));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const apply = (state: RunningHash): RunningHash => {
    const untilMs = performance.now() + 2;
    while (performance.now() < untilMs);
    return state;
  };
  const runner = await startedAndCaughtUp(feed, {}, runningHash({ apply }));
  clearInterval(timer);
  assert.equal(feed.reads, [0], "it was one batch");
  assert.ok(turns >= 3, `the timer fired ${turns} times in at least 200 ms`);
  await runner.close();
});

test("a name runs once at a time on a store", async () => {
  const feed = filledFeed(3);
  const first = await startProjection(feed, runningHash());
  await rejects(startProjection(feed, runningHash()), "ERR_PROJECTION_RUNNING");
  const other = await startProjection(feed, runningHash({ name: "other" }));
  await other.close();
  await first.close();
  await (await startProjection(feed, runningHash())).close();
});

test("reports its progress while it works and once it is live", async () => {
  const feed = filledFeed(500);
  const told: { lsn: number; watermark: number; eventsPerSecond: number }[] = [];
  const runner = await startProjection(feed, runningHash(), { onProgress: (progress) => told.push(progress) });
  await runner.whenCaughtUp();
  await nextTurn();
  assert.is(told.at(-1)?.lsn, 500);
  for (const { lsn, watermark, eventsPerSecond } of told) {
    assert.ok(lsn > 0 && lsn <= 500);
    assert.is(watermark, 500);
    assert.ok(eventsPerSecond > 0);
  }
  assert.is(runner.progress.lsn, 500);
  await runner.close();
});

test("failures and refused checkpoints are process warnings unless someone takes the reports", async () => {
  const feed = filledFeed(3);
  mkdirSync(join(feed.directory, "projections", "running-hash"), { recursive: true });
  writeFileSync(checkpointOf(feed), "no checkpoint");
  const warnings: string[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning.message);
  process.on("warning", listen);
  const runner = await startProjection(feed, failingOn(2));
  await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  await nextTurn();
  await runner.close();
  process.off("warning", listen);
  assert.is(warnings.length, 2);
  assert.match(warnings[0] ?? "", /is not used: the file is shorter than its preamble/);
  assert.match(warnings[1] ?? "", /failed at LSN 2/);
});

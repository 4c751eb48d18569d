/** Read models elsewhere: exactly once, whatever throws, is killed or comes twice. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, type Sink, type SinkReport } from "../../src/index.js";
import { SinkRunner } from "../../src/projections/sink-runner.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { openSqliteSink } from "./children/sqlite-sink.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";

const test = suite("projections/sink");

/** Keeps what was committed, as a database would, and throws when it is told to: before it has committed, or behind that. */
class MemorySink implements Sink<NumberEvent> {
  readonly name = "memory";
  readonly handles: Sink<NumberEvent>["handles"];
  readonly lsns: number[] = [];
  readonly commits: (readonly [count: number, position: number, after: number])[] = [];
  stored = 0;
  failures: ("before" | "behind")[] = [];

  constructor(handles: Sink<NumberEvent>["handles"] = "all") {
    this.handles = handles;
  }

  position(): number {
    return this.stored;
  }

  async commit(events: readonly NumberEvent[], position: number, after: number): Promise<void> {
    const failure = this.failures.shift();
    if (failure === "before") throw new Error("no connection");
    assert.is(after, this.stored);
    this.stored = position;
    this.lsns.push(...events.map(({ lsn }) => lsn));
    this.commits.push([events.length, position, after]);
    if (failure === "behind") throw new Error("the connection was lost");
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

function filledFeed(count: number): MemoryFeed {
  const feed = new MemoryFeed(temporaryDirectory());
  feed.append("Added", ...upTo(count));
  return feed;
}

test("every event is committed once, in order, a batch at a time, and the next start goes on behind the last", async () => {
  const feed = filledFeed(95);
  const sink = new MemorySink();
  const first = await SinkRunner.start(feed, sink, { batchEvents: 20 });
  await first.whenCaughtUp();
  assert.is(first.status, "live");
  assert.equal(sink.commits, [
    [20, 20, 0],
    [20, 40, 20],
    [20, 60, 40],
    [20, 80, 60],
    [15, 95, 80],
  ]);
  await first.whenProcessed(feed.append("Added", 1));
  await first.close();
  assert.is(first.status, "closed");
  assert.is(feed.listenerCount, 0);
  feed.append("Added", 1, 1);
  const second = await SinkRunner.start(feed, sink);
  assert.is(second.lsn, 96);
  await second.whenCaughtUp();
  assert.equal(sink.lsns, upTo(98));
  await second.close();
});

test("what is appended while the end is being read is committed once", async () => {
  const feed = filledFeed(3);
  const sink = new MemorySink();
  const runner = await SinkRunner.start(feed, sink, { batchEvents: 20 });
  feed.append("Added", 4, 5); // read with what was there before, whose end was looked up already
  await runner.whenCaughtUp();
  feed.append("Added", 6);
  await runner.whenCaughtUp();
  await runner.close();
  assert.equal(sink.lsns, upTo(6));
});

test("what is not handled moves the position, but not with every event", async () => {
  const feed = filledFeed(10);
  const sink = new MemorySink(["Rare"]);
  const runner = await SinkRunner.start(feed, sink, { batchEvents: 50 });
  await runner.whenCaughtUp();
  assert.is(runner.lsn, 10);
  assert.equal(sink.commits, []);
  await runner.whenProcessed(feed.append("Added", ...upTo(60)));
  assert.equal(sink.commits, [[0, 70, 0]]);
  await runner.whenProcessed(feed.append("Rare", 1));
  assert.equal(sink.lsns, [71]);
  await runner.close();
});

test("a commit that throws is asked for again from where the sink says that it is, whether it was committed or not", async () => {
  const feed = filledFeed(60);
  const sink = new MemorySink();
  sink.failures = ["before", "behind", "before"];
  const reports: SinkReport[] = [];
  const runner = await SinkRunner.start(feed, sink, { batchEvents: 10, onReport: (report) => reports.push(report) });
  await runner.whenCaughtUp();
  assert.equal(sink.lsns, upTo(60));
  assert.equal(
    reports.map(({ kind }) => kind),
    ["commit-failed", "commit-failed", "commit-failed"],
  );
  await runner.close();
});

test("one that goes on throwing fails the sink, and a later start goes on", async () => {
  const feed = filledFeed(30);
  const sink = new MemorySink();
  sink.failures = ["before", "before"];
  const onReport = (): void => undefined;
  const runner = await SinkRunner.start(feed, sink, { maxAttempts: 2, onReport });
  await rejects(runner.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.is(runner.status, "failed");
  assert.is(runner.error?.code, "ERR_PROJECTION_FAILED");
  await runner.close();
  const again = await SinkRunner.start(feed, sink, { onReport });
  await again.whenCaughtUp();
  assert.equal(sink.lsns, upTo(30));
  await again.close();
});

test("closed between two attempts it ends at once, and nobody waits for ever", async () => {
  const feed = filledFeed(30);
  const sink = new MemorySink();
  sink.failures = new Array<"before">(50).fill("before");
  const reports: SinkReport[] = [];
  const runner = await SinkRunner.start(feed, sink, { maxAttempts: 99, onReport: (report) => reports.push(report) });
  const waiting = rejects(runner.whenCaughtUp(), "ERR_PROJECTION_CLOSED");
  while (reports.length < 2) await delay(10);
  await runner.close();
  await waiting;
  assert.equal(sink.lsns, []);
});

test("a wait ends after its time, and a log that cannot be read fails the sink", async () => {
  const feed = filledFeed(30);
  const sink = new MemorySink();
  const runner = await SinkRunner.start(feed, sink, { onReport: () => undefined });
  await runner.whenCaughtUp();
  await rejects(runner.whenProcessed(31, { timeoutMs: 20 }), "ERR_PROJECTION_TIMEOUT");
  feed.failReads(new Error("a bad block"));
  await rejects(runner.whenProcessed(feed.append("Added", 1)), "ERR_PROJECTION_FAILED");
  await runner.close();
});

test("a wrong sink, option or position is refused, and the name is free again", async () => {
  const feed = filledFeed(5);
  const good = new MemorySink();
  for (const sink of [
    null,
    { ...good, name: "../up" },
    { name: "x", handles: "some", position: () => 0, commit: () => {} },
    { name: "x", handles: "all", commit: () => {} },
    { name: "x", handles: "all", position: () => 0 },
  ]) {
    await SinkRunner.start(feed, sink as never).then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError),
    );
  }
  for (const options of [null, { batchEvents: 0 }, { maxAttempts: 1.5 }, { onReport: 1 }, { batch: 5 }]) {
    await SinkRunner.start(feed, good, options as never).then(
      () => assert.unreachable(),
      (error: unknown) => assert.ok(error instanceof TypeError),
    );
  }
  for (const stored of [-1, 1.5, Number.NaN, "5", undefined, 6]) {
    good.stored = stored as never;
    await rejects(SinkRunner.start(feed, good), "ERR_PROJECTION_FAILED");
  }
  good.stored = 0;
  const unreadable = new MemorySink();
  unreadable.position = () => {
    throw new Error("no such table");
  };
  await rejects(SinkRunner.start(feed, unreadable), "ERR_PROJECTION_FAILED");
  const runner = await SinkRunner.start(feed, good);
  await rejects(SinkRunner.start(feed, new MemorySink()), "ERR_PROJECTION_RUNNING");
  await runner.whenCaughtUp();
  await runner.close();
  await rejects(runner.whenProcessed(6), "ERR_PROJECTION_CLOSED");
});

test("killed at any moment, SQLite has every event once", async () => {
  const base = temporaryDirectory();
  const directory = join(base, "store");
  const file = join(base, "model.db");
  const child = fileURLToPath(new URL("./children/sink-process.js", import.meta.url));
  for (const afterMs of [5, 130, 61]) {
    const running = spawn(process.execPath, [child, directory, file], { stdio: ["ignore", "pipe", "inherit"] });
    const exit = new Promise<void>((resolve) => running.once("exit", () => resolve()));
    await new Promise((resolve) => running.stdout.once("data", resolve));
    await delay(afterMs);
    running.kill("SIGKILL");
    await exit;
  }
  const store = await openStore(directory);
  const { sink, database } = openSqliteSink(file);
  const runner = await store.sink(sink);
  await store.append("numbers", { type: "Added", data: { value: 3 } });
  await runner.whenCaughtUp();
  const expected: number[] = [];
  for await (const event of store.readAll()) if (event.type === "Added") expected.push(event.lsn);
  const rows = database.prepare("SELECT lsn FROM added ORDER BY rowid").all() as { lsn: number }[];
  assert.ok(expected.length > 50, `${expected.length} events`);
  assert.equal(
    rows.map(({ lsn }) => lsn),
    expected,
  );
  await store.close();
  assert.is(runner.status, "closed");
  database.close();
});

test("two that feed one database disturb nothing", async () => {
  const base = temporaryDirectory();
  const store = await openStore(join(base, "store"));
  const other = await openStore(join(base, "store"));
  const here = openSqliteSink(join(base, "model.db"));
  const there = openSqliteSink(join(base, "model.db"));
  const options = { batchEvents: 3, maxAttempts: 50, onReport: () => undefined };
  const runners = [await store.sink(here.sink, options), await other.sink(there.sink, options)];
  for (let count = 0; count < 40; count += 1) {
    await (count % 2 === 0 ? store : other).append("numbers", { type: "Added", data: { value: count } });
  }
  const { watermark } = store;
  await Promise.all(runners.map((runner) => runner.whenProcessed(watermark)));
  const rows = here.database.prepare("SELECT lsn FROM added ORDER BY rowid").all() as { lsn: number }[];
  assert.equal(
    rows.map(({ lsn }) => lsn),
    upTo(40),
  );
  await other.close();
  await store.close();
  here.database.close();
  there.database.close();
});

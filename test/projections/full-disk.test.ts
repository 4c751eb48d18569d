/** What projections keep, on a disk that is full: coded errors, nothing lost, nothing left lying, and it goes on when there is space. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Aggregate,
  openStore,
  type Projection,
  type ProjectionReport,
  type RecordedEvent,
  rebuildDocument,
  rebuildProjection,
  type Store,
  setProjectionPaused,
  singleStream,
} from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { loopDiskProblem, MemoryDisk } from "../support/loop-disk.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { once } from "./children/number-sum.js";
import { openSqliteSink } from "./children/sqlite-sink.js";

const test = suite("projections/full-disk");

type Numbers = { Added: { value: number } };

/** A store whose projections lie on a small disk of their own. */
interface SmallDisk {
  readonly store: Store<Numbers>;
  readonly directory: string;
  /** Takes all space. */
  fill(): void;
  /** Gives it back. */
  empty(): void;
}

const problem = loopDiskProblem();
const onReport = (): void => undefined;

function onSmallDisk(name: string, work: (disk: SmallDisk) => Promise<void>): void {
  if (problem !== null) {
    test.skip(name, problem);
    return;
  }
  test(name, async () => {
    const disk = new MemoryDisk(2);
    try {
      const path = join(temporaryDirectory(), "store");
      mkdirSync(path);
      symlinkSync(disk.directory, join(path, "projections"));
      const store = await openStore<Numbers>(path);
      const ballast = join(disk.directory, "ballast");
      const fill = (): void => {
        for (const bytes of [65_536, 4096]) {
          try {
            for (;;) writeFileSync(ballast, Buffer.alloc(bytes, 1), { flag: "a" });
          } catch (error) {
            assert.is((error as NodeJS.ErrnoException).code, "ENOSPC");
          }
        }
      };
      const empty = (): void => rmSync(ballast);
      const events = Array.from({ length: 500 }, () => ({ type: "Added", data: { value: 1 } }) as const);
      for (let appended = 0; appended < 2_000; appended += 500) await store.append("numbers", events);
      await work({ store, directory: disk.directory, fill, empty });
      await store.close();
    } finally {
      // At once, though files are still open: SQLite's until its statements are collected, and others of a test that failed.
      spawnSync("umount", ["--lazy", disk.directory]);
    }
  });
}

/** The files with states and markers, without locks. */
const filesOf = (disk: SmallDisk, name = "sum"): string[] =>
  readdirSync(join(disk.directory, name)).filter((file) => !file.endsWith(".lock"));

onSmallDisk(
  "a rebuild serves what it could not save, and saves it later; the former state stays until then",
  async (disk) => {
    const { store } = disk;
    const reports: ProjectionReport[] = [];
    const running = await store.project(once, {
      checkpointEveryEvents: 500,
      onReport: (report) => reports.push(report),
    });
    await running.whenCaughtUp();
    running.state.sum += 7;
    await store.append("others", { type: "Ignored", data: {} } as never);
    await running.whenCaughtUp();
    await running.checkpoint();
    disk.fill();
    await rejects(running.rebuild(), "ERR_PROJECTION_CHECKPOINT");
    assert.equal([running.state.sum, running.status], [2_000, "live"]);
    assert.ok(reports.some(({ kind }) => kind === "checkpoint-failed"));
    assert.equal(filesOf(disk), ["v1.checkpoint"]);
    const { lsn } = await store.append("numbers", { type: "Added", data: { value: 1 } });
    await running.whenProcessed(lsn);
    await rejects(running.checkpoint(), "ERR_PROJECTION_CHECKPOINT");
    disk.empty();
    await running.checkpoint();
    await running.close();
    const again = await store.project(once, { onReport });
    assert.equal([again.recovery.from, again.state.sum], ["checkpoint", 2_001]);
  },
);

onSmallDisk("a rebuild in a thread or a process leaves everything as it was, and nothing of its own", async (disk) => {
  const { store } = disk;
  const running = await store.project(once, { onReport });
  await running.whenCaughtUp();
  running.state.sum += 7;
  await running.checkpoint();
  const inThread = { in: { module: new URL("./children/number-sum.js", import.meta.url) } };
  const options = { onReport, checkpointEveryEvents: 500 };
  disk.fill();
  await rejects(running.rebuild(inThread), "ERR_PROJECTION_CHECKPOINT");
  await rejects(rebuildProjection(store.directory, once, options), "ERR_PROJECTION_CHECKPOINT");
  assert.equal([running.state.sum, running.status, filesOf(disk)], [2_007, "live", ["v1.checkpoint"]]);
  disk.empty();
  await running.rebuild(inThread);
  assert.equal([running.state.sum, filesOf(disk)], [2_000, ["v1.checkpoint"]]);
});

onSmallDisk("one document is anew where it serves and saved later; from outside nothing is changed", async (disk) => {
  const { store } = disk;
  const numbers = singleStream<Numbers, { sum: number }>({
    name: "documents",
    version: 1,
    streams: "numbers",
    initial: () => ({ sum: 0 }),
    on: { Added: ({ sum }, { data }) => ({ sum: sum + data.value }) },
  });
  const running = await store.project(numbers, { onReport });
  await running.whenCaughtUp();
  (running.state.get("numbers") as { sum: number }).sum += 7;
  await running.checkpoint();
  disk.fill();
  await rejects(rebuildDocument(store.directory, numbers, "numbers", { onReport }), "ERR_PROJECTION_CHECKPOINT");
  assert.equal(filesOf(disk, "documents"), ["v1.checkpoint"]);
  assert.is(running.state.get("numbers")?.sum, 2_007);
  await rejects(running.rebuildDocument("numbers"), "ERR_PROJECTION_CHECKPOINT");
  assert.is(running.state.get("numbers")?.sum, 2_000);
  disk.empty();
  await running.close();
  const again = await store.project(numbers, { onReport });
  assert.is(again.state.get("numbers")?.sum, 2_000);
});

onSmallDisk("a pause that cannot be noted is refused, and it goes on; resuming takes no space", async (disk) => {
  const { store } = disk;
  const running = await store.project(once, { onReport });
  await running.whenCaughtUp();
  await running.checkpoint();
  disk.fill();
  await rejects(running.pause(), "ERR_IO_FAILED");
  await rejects(setProjectionPaused(store.directory, "sum", true), "ERR_IO_FAILED");
  assert.equal([running.status, filesOf(disk)], ["live", ["v1.checkpoint"]]);
  const { lsn } = await store.append("numbers", { type: "Added", data: { value: 1 } });
  await running.whenProcessed(lsn);
  disk.empty();
  await running.pause();
  disk.fill();
  await running.resume();
  const next = await store.append("numbers", { type: "Added", data: { value: 1 } });
  await running.whenProcessed(next.lsn);
  assert.is(running.state.sum, 2_002);
  disk.empty();
});

onSmallDisk("parked events and what became of them are kept in memory until they can be saved", async (disk) => {
  const { store } = disk;
  let refuses = true;
  const picky: typeof once = {
    ...once,
    name: "picky",
    apply: (state, event) => {
      if (refuses && (event.data as { value: number }).value === 5) throw new Error("not that one");
      return once.apply(state, event);
    },
  };
  const running = await store.project(picky, { onError: "park", onReport });
  await running.whenCaughtUp();
  await running.checkpoint();
  disk.fill();
  const first = await store.append("numbers", { type: "Added", data: { value: 5 } });
  const second = await store.append("numbers", { type: "Added", data: { value: 5 } });
  await running.whenCaughtUp();
  assert.is(running.parked.length, 2);
  refuses = false;
  await rejects(running.retry(first.lsn), "ERR_PROJECTION_CHECKPOINT");
  await rejects(running.skip(second.lsn), "ERR_PROJECTION_CHECKPOINT");
  assert.equal([running.state.sum, running.parked], [2_005, []]);
  disk.empty();
  await running.close();
  const again = await store.project(picky, { onError: "park", onReport });
  assert.equal([again.state.sum, again.parked], [2_005, []]);
});

onSmallDisk(
  "where it cannot be noted what was reacted to, the projection stops, and a rebuild goes on",
  async (disk) => {
    const { store } = disk;
    const heard: number[] = [];
    const reacting: Projection<{ sum: number; lastLsn: number }> = {
      ...once,
      name: "reacting",
      react: (event) => void heard.push(event.lsn),
    };
    const running = await store.project(reacting, { onReport });
    await running.whenCaughtUp();
    await running.checkpoint();
    disk.fill();
    const { lsn } = await store.append("numbers", { type: "Added", data: { value: 1 } });
    // The state does not wait for what is to happen in the world.
    while (running.status !== "failed") await delay(5);
    assert.is(running.error?.code, "ERR_PROJECTION_FAILED");
    disk.empty();
    await running.rebuild();
    const next = await store.append("numbers", { type: "Added", data: { value: 1 } });
    await running.whenProcessed(next.lsn);
    assert.is(running.state.sum, 2_002);
    await running.close();
    // At least once, and in order.
    assert.equal([...new Set(heard)], [lsn, next.lsn]);
  },
);

onSmallDisk(
  "a snapshot that cannot be written is told, changes no answer, and is written by a later fold",
  async (disk) => {
    const { store } = disk;
    const failures: string[] = [];
    const sum: Aggregate<{ sum: number }, RecordedEvent<Numbers>> = {
      initial: () => ({ sum: 0 }),
      evolve: ({ sum: before }, { data }) => ({ sum: before + data.value }),
      snapshot: { name: "sums", version: 1, every: 10, onError: ({ code }) => failures.push(code) },
    };
    mkdirSync(join(disk.directory, "sums", "snapshots"), { recursive: true });
    disk.fill();
    assert.equal(await store.aggregateStream("numbers", sum), {
      state: { sum: 2_000 },
      version: 2_000,
      snapshotVersion: 0,
    });
    while (failures.length === 0) await delay(5);
    assert.equal(failures, ["ERR_PROJECTION_CHECKPOINT"]);
    const left = readdirSync(join(disk.directory, "sums"), { recursive: true, withFileTypes: true });
    assert.not.ok(left.some((entry) => entry.isFile()));
    disk.empty();
    let { snapshotVersion } = await store.aggregateStream("numbers", sum);
    while (snapshotVersion === 0) ({ snapshotVersion } = await store.aggregateStream("numbers", sum));
    assert.is(snapshotVersion, 2_000);
  },
);

onSmallDisk("a database that is full is asked again, and has every event once when there is space", async (disk) => {
  const { store } = disk;
  const { sink, database } = openSqliteSink(join(disk.directory, "model.db"));
  disk.fill();
  let failures = 0;
  const impatient = await store.sink(sink, { maxAttempts: 2, onReport: () => (failures += 1) });
  await rejects(impatient.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.ok(failures > 0);
  await impatient.close();
  const runner = await store.sink(sink, { maxAttempts: 1_000, onReport: () => (failures -= 1) });
  while (failures > 0) await delay(5);
  disk.empty();
  await runner.whenCaughtUp();
  const rows = database.prepare("SELECT lsn FROM added ORDER BY rowid").all() as { lsn: number }[];
  assert.equal(
    rows.map(({ lsn }) => lsn),
    Array.from({ length: 2_000 }, (_, index) => index + 1),
  );
  await runner.close();
  database.close();
});

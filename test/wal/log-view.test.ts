/** Reading beside a writer, in the same process or another, and without one: nothing is written, nothing is locked. */

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../src/errors.js";
import { ControlFile } from "../../src/wal/control-file.js";
import { LONG } from "../../src/wal/control-layout.js";
import { LogView } from "../../src/wal/log-view.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { HERE } from "./backup/backup-fixture.js";
import {
  damage,
  type HandFrame,
  HandLog,
  type HandWriter,
  lose,
  recordsThrough,
  STORE_ID,
} from "./support/hand-log.js";
import {
  append,
  copyStore,
  KIBIBYTE,
  openFiles,
  openLog,
  readLog,
  recordsOf,
  segmentFiles,
  snapshot,
  viewRecords,
} from "./support/log-fixture.js";

const BLOCK = 4096;
/** After this a writer has told what is durable. */
const ATTESTED_MS = 400;

const test = suite("wal/log-view");

let directory = "";
let filesBefore: string[] = [];
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  filesBefore = openFiles();
});
test.afterEach(() => {
  assert.equal(openFiles(), filesBefore, "files were left open");
});

async function openView() {
  const delivered: string[] = [];
  const view = await LogView.open(directory, { onFrame: (frame) => delivered.push(...recordsOf(frame)) });
  return { view, delivered };
}

test("a control file of before the power went does not hide what is in the files", async () => {
  const { wal } = await openLog(directory);
  for (let index = 0; index < 3; index++) await append(wal, [`early ${index}`], "now");
  const control = readFileSync(join(directory, "control"));
  for (let index = 0; index < 40; index++) await append(wal, [`late ${index}`], "now");
  await delay(ATTESTED_MS);
  const left = copyStore(directory);
  await wal.close();
  writeFileSync(join(left, "control"), control);
  directory = left;
  const { view } = await openView();
  assert.is(view.watermark, 43);
  assert.is((await readLog(view)).length, 43);
  await view.close();
});

test("where there is no store there is none, and none is made", async () => {
  await rejects(LogView.open(directory, { onFrame: () => {} }), "ERR_STORE_NOT_FOUND");
  const empty = temporaryDirectory();
  await rejects(LogView.open(empty, { onFrame: () => {} }), "ERR_STORE_NOT_FOUND");
  assert.is(snapshot(empty).size, 0);
});

test("without a writer it reads a closed store, and writes nothing", async () => {
  const { wal } = await openLog(directory);
  for (const name of ["a", "b", "c"]) await append(wal, [name]);
  await wal.close();
  const before = snapshot(directory);
  const { view, delivered } = await openView();
  assert.equal(delivered, ["a", "b", "c"]);
  assert.is(view.watermark, 3);
  assert.equal(await readLog(view), ["a", "b", "c"]);
  assert.is(await view.refresh(), false);
  await view.close();
  assert.equal(snapshot(directory), before);
});

test("of a crashed store it serves what is attested, and leaves the rest to the next writer", async () => {
  const { wal } = await openLog(directory);
  for (const name of ["a", "b", "c"]) await append(wal, [name], "now");
  const crashed = copyStore(directory);
  await wal.close();
  const before = snapshot(crashed);
  assert.equal(await viewRecords(crashed), ["a", "b"]);
  assert.equal(snapshot(crashed), before);
  const next = await openLog(crashed);
  assert.equal(next.recovered, ["a", "b", "c"]);
  await next.wal.close();
});

test("a torn tail does not disturb it, and damage below what is attested refuses", async () => {
  const { wal } = await openLog(directory);
  for (const name of ["a", "b", "c"]) await append(wal, [name], "now");
  const crashed = copyStore(directory);
  await wal.close();
  const [path] = segmentFiles(crashed) as [string];
  const whole = readFileSync(path);
  for (const [block, expected] of [
    // The third frame alone attests the second.
    [3, ["a"]],
    [2, null],
    [1, null],
  ] as const) {
    const damaged = Buffer.from(whole);
    damaged.fill(0x77, block * BLOCK + 100, block * BLOCK + 110);
    writeFileSync(path, damaged);
    if (expected !== null) {
      assert.equal(await viewRecords(crashed), expected);
    } else {
      const error = (await rejects(viewRecords(crashed), "ERR_WAL_CORRUPT")) as StoreError;
      assert.is(error.details["offset"], block * BLOCK);
    }
  }
});

test("beside a writer it follows, once each and in order, over segments, closings and openings", async () => {
  const options = { segmentBytes: 16 * KIBIBYTE };
  let { wal } = await openLog(directory, options);
  await append(wal, ["0"]);
  const { view, delivered } = await openView();
  const advances: number[] = [];
  const stop = view.onAdvance((watermark) => advances.push(watermark));
  for (let index = 1; index <= 40; index++) {
    await append(wal, [`${index}`], "now");
    if (index % 4 === 0) await Promise.all([view.refresh(), view.refresh()]);
    if (index % 15 === 0) {
      await wal.close();
      ({ wal } = await openLog(directory, options));
    }
    assert.equal(
      delivered,
      Array.from({ length: delivered.length }, (_, at) => `${at}`),
    );
  }
  await wal.close();
  await view.refresh();
  assert.is(view.watermark, 41);
  assert.is(delivered.length, 41);
  assert.equal(await readLog(view), delivered);
  assert.ok(advances.length >= 10);
  assert.equal(
    advances,
    advances.toSorted((a, b) => a - b),
  );
  stop();
  await view.close();
});

test("an idle writer attests what it wrote, so that also after a crash a view sees all of it", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await append(wal, ["b"]);
  assert.equal(await viewRecords(copyStore(directory)), ["a"]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal(await viewRecords(copyStore(directory)), ["a", "b"]);
  await wal.close();
});

test("beside a writer it serves what that one has had acknowledged, and with a listener it follows", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"], "now");
  const { view, delivered } = await openView();
  assert.equal(delivered, ["a"]);
  await append(wal, ["b"], "now");
  assert.is(await view.refresh(), true);
  assert.equal(delivered, ["a", "b"]);
  assert.is(await view.refresh(), false);
  const heard: number[] = [];
  const stop = view.onAdvance((watermark) => heard.push(watermark));
  for (let lsn = 3; lsn <= 5; lsn++) {
    await append(wal, [`${lsn}`], "now");
    while (heard.at(-1) !== lsn) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await wal.close();
  const { wal: next } = await openLog(directory);
  await append(next, ["6"], "now");
  while (heard.at(-1) !== 6) await new Promise((resolve) => setTimeout(resolve, 1));
  stop();
  assert.equal(delivered, ["a", "b", "3", "4", "5", "6"]);
  await view.close();
  await next.close();
});

test("a writer under load is never taken for a damaged store", async () => {
  const { wal } = await openLog(directory, { segmentBytes: 256 * KIBIBYTE });
  await append(wal, ["first"]);
  let isWriting = true;
  const callers = Array.from({ length: 4 }, async (_, caller) => {
    while (isWriting) await append(wal, [`${caller} `.repeat(3000)], caller === 0 ? "now" : "turn");
  });
  const { view } = await openView();
  for (const until = performance.now() + 1500; performance.now() < until; ) {
    await view.refresh();
    const other = await LogView.open(directory, { onFrame: () => {} });
    await other.close();
  }
  isWriting = false;
  await Promise.all(callers);
  await wal.close();
  await view.refresh();
  assert.is(view.watermark, wal.watermark);
  await view.close();
});

test("who asks while it looks hears of what became durable before he asked", async () => {
  const { wal } = await openLog(directory);
  const { view } = await openView();
  for (let index = 0; index < 300; index++) await append(wal, ["x".repeat(5000)], "now");
  const first = view.refresh();
  await append(wal, ["last"], "now");
  await view.refresh();
  assert.is(view.watermark, 301);
  await Promise.all([first, view.refresh(), view.refresh(), view.close()]);
  await wal.close();
});

test("while it is closed reading and looking again end at once", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await wal.close();
  const { view } = await openView();
  const looking = view.refresh();
  await view.close();
  await looking;
  await view.close();
  assert.is(view.status, "closed");
  assert.is(await view.refresh(), false);
  await rejects(readLog(view), "ERR_STORE_CLOSED");
});

test("a store without its manifests, or of another kind, refuses with its reason", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await wal.close();
  const damaged = join(temporaryDirectory(), "store");
  cpSync(directory, damaged, { recursive: true });
  for (const name of snapshot(damaged).keys())
    if (name.startsWith("manifest-")) writeFileSync(join(damaged, name), "?");
  await rejects(LogView.open(damaged, { onFrame: () => {} }), "ERR_WAL_CORRUPT");
  for (const name of snapshot(damaged).keys()) if (name.startsWith("manifest-")) rmSync(join(damaged, name));
  await rejects(LogView.open(damaged, { onFrame: () => {} }), "ERR_STORE_NOT_FOUND");
});

/** A view of a log that is written by hand. */
async function viewOf(log: HandLog) {
  const delivered: string[] = [];
  const view = await LogView.open(log.directory, { onFrame: (frame) => delivered.push(...recordsOf(frame)) });
  return { view, delivered };
}

/** A control file that says how far W is, as the writers of that log would have one. */
function controlOf(log: HandLog, durableLsn: number): { set: (lsn: number) => void; close: () => void } {
  const start = { storeId: STORE_ID, incarnation: 1, durableLsn, lastRecordedAt: 0, slotCount: 1 };
  const control = ControlFile.create(log.directory, start);
  return {
    set: (lsn) => {
      control.file.bigint64[LONG.counter] = BigInt(lsn);
    },
    close: () => control.close(),
  };
}

test("of many cores it serves what any of them attests, up to the first hole", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b, c] = [log.writer(0), log.writer(1), log.writer(2)] as const;
  a.data(1, 2);
  b.data(3, 1, { durableLsn: 2 });
  c.data(4, 2, { durableLsn: 3 });
  lose(a.data(6, 1, { durableLsn: 3 }));
  b.data(7, 1, { durableLsn: 3 });
  const before = snapshot(log.directory);
  const { view, delivered } = await viewOf(log);
  assert.equal([view.watermark, delivered], [3, recordsThrough(3)]);
  assert.equal(await readLog(view), recordsThrough(3));
  await view.close();
  assert.equal(snapshot(log.directory), before);
});

test("who knows W makes it serve up to there, and never what is not there", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  b.data(2, 1);
  const known = controlOf(log, 1);
  const { view, delivered } = await viewOf(log);
  assert.equal([view.watermark, delivered], [1, recordsThrough(1)]);
  known.set(2);
  assert.is(await view.refresh(), true);
  assert.equal([view.watermark, delivered], [2, recordsThrough(2)]);
  known.set(4);
  a.data(3, 1);
  assert.is(await view.refresh(), true);
  assert.equal([view.watermark, delivered], [3, recordsThrough(3)]);
  b.data(4, 1);
  await view.refresh();
  assert.equal(await readLog(view), recordsThrough(4));
  await view.close();
  known.close();
});

test("it goes on where it was: what was read is not read again", async () => {
  const log = new HandLog(4 * BLOCK);
  log.begin(1);
  const writers = [log.writer(0), log.writer(1)] as const;
  const write = (lsn: number): HandFrame => (writers[lsn % 2] as HandWriter).data(lsn, 1, { durableLsn: lsn - 1 });
  const first = write(1);
  for (let lsn = 2; lsn <= 20; lsn++) write(lsn);
  const { view, delivered } = await viewOf(log);
  damage(first);
  for (let lsn = 21; lsn <= 40; lsn++) {
    write(lsn);
    assert.is(await view.refresh(), true);
    assert.equal(delivered, recordsThrough(lsn - 1));
  }
  damage(first);
  assert.equal(await readLog(view), delivered);
  await view.close();
});

test("a segment that its writer has only prepared does not end the one before", async () => {
  const log = new HandLog(4 * BLOCK);
  log.begin(1);
  const writer = log.writer(0);
  writer.data(1, 1);
  writer.prepare(2, writer.segment + 1);
  const { view, delivered } = await viewOf(log);
  for (let lsn = 2; lsn <= 8; lsn++) {
    writer.data(lsn, 1, { durableLsn: lsn - 1 });
    await view.refresh();
    assert.equal(delivered, recordsThrough(lsn - 1));
  }
  await view.close();
});

test("it follows many cores whose writes land in any order, writers that come and die, and openings", async () => {
  const random = seededRandom();
  const log = new HandLog(5 * BLOCK);
  log.begin(1);
  let writers = [log.writer(0), log.writer(1), log.writer(2)];
  for (const writer of writers) writer.prepare(1);
  let nextLsn = 1;
  let durableLsn = 0;
  const { view, delivered } = await viewOf(log);
  const advances: number[] = [];
  view.onAdvance((watermark) => advances.push(watermark));
  for (let step = 0; step < 120; step++) {
    // Batches in flight: taken in order, written in any order.
    const flight = Array.from({ length: 1 + random.integer(4) }, () => {
      const frame = { writer: random.pick(writers), firstLsn: nextLsn, count: 1 + random.integer(3) };
      nextLsn += frame.count;
      return frame;
    });
    const attested = durableLsn;
    for (const writer of [...writers].sort(() => random.next() - 0.5)) {
      for (const { firstLsn, count } of flight.filter((frame) => frame.writer === writer))
        writer.data(firstLsn, count, { durableLsn: attested });
      if (random.integer(3) === 0) await view.refresh();
    }
    durableLsn = nextLsn - 1;
    const dice = random.integer(12);
    if (dice === 0 && writers.length > 1) {
      const dead = random.pick(writers);
      lose(dead.data(nextLsn, 2));
      await view.refresh();
      log.void(nextLsn, nextLsn + 1);
      log.writeManifest();
      nextLsn += 2;
      durableLsn += 2;
      const next = log.writer(dead.core, dead);
      next.prepare(nextLsn);
      writers = writers.map((writer) => (writer === dead ? next : writer));
    } else if (dice === 1) {
      for (const writer of writers) log.left(writer);
      log.begin(nextLsn);
      writers = writers.map(({ core }) => log.writer(core));
      for (const writer of writers) writer.prepare(nextLsn);
    } else if (dice < 5) {
      random.pick(writers).control("ATTEST", nextLsn, durableLsn);
    }
    await view.refresh();
    const expected = recordsThrough(view.watermark, log.voids);
    assert.equal(delivered, expected, `step ${step}, watermark ${view.watermark} of ${durableLsn}`);
    assert.ok(view.watermark >= attested, `step ${step}: ${view.watermark}, ${attested} were attested`);
    if (step % 20 === 0) {
      const read: string[] = [];
      for await (const frame of view.frames(0, view.watermark)) read.push(...recordsOf(frame));
      assert.equal(read, expected);
    }
  }
  (writers[0] as HandWriter).control("ATTEST", nextLsn, durableLsn);
  await view.refresh();
  assert.is(view.watermark, durableLsn);
  assert.equal(
    advances,
    advances.toSorted((x, y) => x - y),
  );
  await view.close();
});

test("damage in one core below what another attests refuses, also when it appears while the log is followed", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  b.data(2, 1, { durableLsn: 1 });
  const { view } = await viewOf(log);
  const torn = a.data(3, 1, { durableLsn: 2 });
  damage(torn);
  b.data(4, 1, { durableLsn: 2 });
  await view.refresh();
  assert.is(view.watermark, 2);
  b.data(5, 1, { durableLsn: 4 });
  const refreshing = async (): Promise<void> => {
    for (let tries = 0; tries < 2; tries++) await view.refresh();
  };
  const error = (await rejects(refreshing(), "ERR_WAL_CORRUPT")) as StoreError;
  assert.equal(error.details, { path: torn.path, offset: torn.fileOffset, firstLostLsn: 3, lastLostLsn: 4 });
  assert.is(view.watermark, 2);
  await view.close();
});

test("files that a checkpoint drops under it do not disturb it", async () => {
  const log = new HandLog(3 * BLOCK);
  log.begin(1);
  const writers = [log.writer(0), log.writer(1)] as const;
  const frames: HandFrame[] = [];
  for (let lsn = 1; lsn <= 20; lsn++)
    frames.push((writers[lsn % 2] as HandWriter).data(lsn, 1, { durableLsn: lsn - 1 }));
  const { view, delivered } = await viewOf(log);
  await log.seal(12);
  log.writeManifest();
  for (const { path, lastLsn } of frames) if (lastLsn <= 12) rmSync(path, { force: true });
  writers[1].data(21, 1, { durableLsn: 20 });
  assert.is(await view.refresh(), true);
  assert.equal(delivered, recordsThrough(20));
  const read: string[] = [];
  for await (const frame of view.frames(0, 20)) read.push(...recordsOf(frame));
  assert.equal(read, recordsThrough(20));
  await view.close();
});

test("a look during which another compaction has replaced the segments that its manifest lists looks again", async () => {
  const { wal } = await openLog(directory, HERE);
  const names = Array.from({ length: 12 }, (_, index) => `record ${index}`);
  const appendThrough = async (count: number): Promise<void> => {
    while (wal.watermark < count) await append(wal, [names[wal.watermark] as string], "now");
  };
  await appendThrough(4);
  const seen = copyStore(directory);
  await wal.checkpoint();
  await appendThrough(8);
  await wal.checkpoint();
  const [listed, replaced] = [copyStore(directory), directory] as const;
  await wal.checkpoint(true);
  await appendThrough(12);
  await wal.checkpoint(); // removes what was compacted
  const become = (state: string): void => {
    const isSealed = (name: string): boolean => name === "log" || name.startsWith("manifest-");
    for (const name of readdirSync(seen)) if (isSealed(name)) rmSync(join(seen, name), { recursive: true });
    for (const name of readdirSync(state))
      if (isSealed(name)) cpSync(join(state, name), join(seen, name), { recursive: true });
  };
  const checkpoints: number[] = [];
  const view = await LogView.open(seen, {
    onFrame: () => {},
    // Between reading the manifest and opening what it lists.
    onCheckpoint: (checkpointLsn) => {
      if (checkpoints.push(checkpointLsn) === 1) become(replaced);
    },
  });
  become(listed);
  await view.refresh();
  assert.equal(checkpoints, [8, 12]);
  assert.equal(await readLog(view), names.slice(0, view.watermark));
  assert.is(view.watermark, 12);
  await view.close();
  await wal.close();
});

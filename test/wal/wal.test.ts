/** One log from opening to closing: who may open it, what is read from it meanwhile, and what is left when it is closed. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { EIO } from "../../src/ffi/errno.js";
import { isStore } from "../../src/wal/store-directory.js";
import { Wal } from "../../src/wal/wal.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { isFrame } from "./support/faulty-io.js";
import {
  append,
  KIBIBYTE,
  keyOf,
  MEBIBYTE,
  openFaulty,
  openFiles,
  openLog,
  readLog,
  recordsOf,
  ringCount,
  SEAL_WORKER,
  segmentFiles,
  snapshot,
} from "./support/log-fixture.js";

const LOCKED_WITHIN_MS = 200;

const test = suite("wal/wal");

let directory = "";
let filesBefore: string[] = [];
let ringsBefore = 0;
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  filesBefore = openFiles();
  ringsBefore = ringCount();
});
test.afterEach(() => {
  assert.equal(openFiles(), filesBefore, "files were left open");
  assert.is(ringCount(), ringsBefore, "rings were left open");
});

/** Holds the lock of a file in another process, as writes in flight of a killed owner do. */
async function holdLock(path: string): Promise<{ release: () => Promise<void> }> {
  const child: ChildProcess = spawn("flock", ["--exclusive", path, "sh", "-c", "echo locked; cat"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return {
    release: async () => {
      child.stdin?.end();
      await once(child, "close");
    },
  };
}

test("beside an exclusive opener a second one is refused within 200 ms and touches nothing, by whatever path", async () => {
  const { wal } = await openLog(directory, { exclusive: true });
  await append(wal, ["a"]);
  const link = join(temporaryDirectory(), "link");
  symlinkSync(directory, link);
  // Until the owner has written all that it writes by itself.
  await new Promise((resolve) => setTimeout(resolve, 250));
  const before = snapshot(directory);
  for (const path of [directory, link]) {
    const started = performance.now();
    const error = (await rejects(openLog(path), "ERR_STORE_LOCKED")) as StoreError;
    const elapsedMs = performance.now() - started;
    assert.ok(elapsedMs < LOCKED_WITHIN_MS, `${elapsedMs} ms`);
    assert.match(error.message, directory);
  }
  assert.equal(snapshot(directory), before);
  await append(wal, ["b"]);
  await wal.close();
  assert.equal((await openAndClose()).recovered, ["a", "b"]);
});

async function openAndClose() {
  const opened = await openLog(directory);
  await opened.wal.close();
  return opened;
}

test("of many openers at once that each want it alone one wins, and the others are told that it is locked", async () => {
  const attempts = await Promise.allSettled(Array.from({ length: 5 }, () => openLog(directory, { exclusive: true })));
  const won = attempts.filter((attempt) => attempt.status === "fulfilled");
  assert.is(won.length, 1);
  for (const attempt of attempts)
    if (attempt.status === "rejected") assert.is((attempt.reason as StoreError).code, "ERR_STORE_LOCKED");
  for (const { value } of won) await value.wal.close();
});

test("the writes of a killed owner are waited for, up to the limit, and that is said once for each file", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await wal.close();
  const [path] = segmentFiles(directory) as [string];
  const holder = await holdLock(path);
  const waits: string[] = [];
  const onWaiting = (file: string): void => {
    waits.push(file);
  };
  const started = performance.now();
  const error = (await rejects(openLog(directory, { busyWaitMs: 150, onWaiting }), "ERR_STORE_BUSY")) as StoreError;
  assert.ok(performance.now() - started >= 150);
  assert.equal(error.details, { path, waitMs: 150 });
  assert.equal(waits, [path]);
  const opening = openLog(directory, { busyWaitMs: 10_000, onWaiting });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await holder.release();
  const again = await opening;
  assert.equal(again.recovered, ["a"]);
  await again.wal.close();
});

test("an opening that fails gives back its lock, its files and its ring, whatever failed", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await append(wal, ["b"]);
  await wal.close();
  await rejects(
    Wal.open(
      directory,
      {
        io: "auto",
        segmentBytes: 64 * KIBIBYTE,
        flushIntervalMs: 5,
        busyWaitMs: 0,
        exclusive: false,
        maxWriters: 64,
        onWaiting: () => {},
        keyOf,
        sealWorker: SEAL_WORKER,
      },
      {
        onFrame: () => {
          throw new RangeError("of whoever reads the frames");
        },
        onRecovered: () => {},
      },
    ),
    (error) => error instanceof RangeError,
  );
  const failing = (options: Parameters<typeof openLog>[1]) => rejects(openLog(directory, options), () => true);
  await failing({
    openIo: () => {
      throw new RangeError("no I/O");
    },
  });
  // At the next opening the number of the next segment is taken already.
  const inTheWay = (segmentFiles(directory)[0] as string).replace("0000000001", "0000000002");
  mkdirSync(inTheWay);
  await failing({});
  rmSync(inTheWay, { recursive: true });
  assert.equal((await openAndClose()).recovered, ["a", "b"]);
});

test("a store can be made in directories that are not there yet, and is recognised", async () => {
  directory = join(directory, "some", "where");
  assert.is(isStore(directory), false);
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await wal.close();
  assert.is(isStore(directory), true);
  assert.equal((await openAndClose()).recovered, ["a"]);
});

test("a log is open, closing, closed; and one that failed is failed until it is closed", async () => {
  const { wal } = await openLog(directory);
  assert.is(wal.status, "open");
  const closing = wal.close();
  assert.is(wal.status, "closing");
  await closing;
  assert.is(wal.status, "closed");
  const failing = await openFaulty(directory);
  failing.faulty.decide = (operation) => (isFrame(operation) ? { result: -EIO } : null);
  await rejects(append(failing.wal, ["a"]), "ERR_WAL_OUTCOME_UNKNOWN");
  assert.is(failing.wal.status, "failed");
  const told: string[] = [];
  failing.wal.onAdvance(() => told.push(failing.wal.status));
  await failing.wal.close();
  // Who follows the log must hear that nothing more will come.
  assert.equal(told, ["closed"]);
});

test("two hundred readers at once read all of it, also while half of them wait at an open frame", async () => {
  const { wal } = await openLog(directory, { segmentBytes: 8 * MEBIBYTE });
  const records = Array.from({ length: 40 }, (_, index) => `${index} `.repeat(20_000));
  for (const record of records) await append(wal, [record]);
  const waiting = Array.from({ length: 100 }, () => wal.frames(0, wal.watermark));
  for (const frames of waiting) await frames.next();
  const all = await Promise.all(Array.from({ length: 100 }, () => readLog(wal)));
  for (const read of all) assert.ok(read.every((record, index) => record === records[index]));
  const single = await Promise.all(records.map((_, index) => wal.frameOf(index + 1)));
  assert.equal(
    single.map(({ header }) => header.firstLsn),
    records.map((_, index) => index + 1),
  );
  for (const frames of waiting) await frames.return();
  await wal.close();
});

test("every range of LSNs is read exactly, forwards and backwards", async () => {
  const { wal } = await openLog(directory, { segmentBytes: 16 * KIBIBYTE });
  for (let lsn = 1; lsn <= 60; ) {
    const records = Array.from({ length: 1 + (lsn % 4) }, (_, index) => `${lsn + index}`);
    await append(wal, records, "now");
    lsn += records.length;
  }
  const last = wal.watermark;
  for (const [after, through] of [
    [0, last],
    [0, 1],
    [5, 6],
    [17, 18],
    [17, 43],
    [last - 1, last],
    [last, last],
    [30, 30],
  ] as const) {
    const lsns: number[] = [];
    for await (const frame of wal.frames(after, through))
      lsns.push(
        ...recordsOf(frame)
          .map(Number)
          .filter((lsn) => lsn > after && lsn <= through),
      );
    assert.equal(
      lsns,
      Array.from({ length: through - after }, (_, index) => after + 1 + index),
      `(${after}, ${through}]`,
    );
  }
  const backwards: number[] = [];
  for await (const frame of wal.framesBackwards(last)) backwards.push(...recordsOf(frame).map(Number).reverse());
  assert.equal(
    backwards,
    Array.from({ length: last }, (_, index) => last - index),
  );
  await wal.close();
});

test("who reads while the log is closed hears that, and never sees damage or other bytes", async () => {
  const { wal } = await openLog(directory, { segmentBytes: 16 * MEBIBYTE });
  const record = "r".repeat(300_000);
  for (let index = 0; index < 40; index++) await append(wal, [record]);
  const readers = Array.from({ length: 8 }, async (_, index) => {
    let count = 0;
    for await (const frame of wal.frames(0, wal.watermark)) {
      assert.equal(recordsOf(frame), [record]);
      count++;
      if (count > index) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return count;
  });
  const ends = Promise.allSettled(readers);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await wal.close();
  // Files of other stores take the numbers of those that were closed.
  const other = await openLog(join(temporaryDirectory(), "other"));
  for (const end of await ends)
    if (end.status === "rejected") assert.is((end.reason as StoreError).code, "ERR_STORE_CLOSED", String(end.reason));
  assert.ok((await ends).some((end) => end.status === "rejected"));
  await rejects(readLog(wal), "ERR_STORE_CLOSED");
  await other.wal.close();
});

test("closing waits for the reads in flight before it closes their files", async () => {
  const { wal, faulty } = await openFaulty(directory);
  await append(wal, ["a"], "now");
  const [path] = segmentFiles(directory) as [string];
  faulty.decide = ({ kind }) => (kind === "read" ? "doLater" : null);
  const reading = rejects(readLog(wal), "ERR_STORE_CLOSED");
  while (faulty.withheld.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const { fd } = (faulty.withheld[0] as (typeof faulty.withheld)[number]).operation;
  const closing = wal.close();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(readlinkSync(`/proc/self/fd/${fd}`), path);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  await Promise.all([closing, reading]);
});

test("closing gives everything back also when the store's directory has vanished", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  rmSync(directory, { recursive: true });
  await rejects(wal.close(), () => true);
  assert.is(existsSync(directory), false);
  assert.is(wal.status, "closed");
});

test("what the tail of the log gets is read at once by who follows it", async () => {
  const { wal } = await openLog(directory);
  const read: string[] = [];
  let position = 0;
  for (let index = 0; index < 30; index++) {
    await append(wal, [`${index}`], index % 2 === 0 ? "now" : "turn");
    for await (const frame of wal.frames(position, wal.watermark)) read.push(...recordsOf(frame));
    position = wal.watermark;
  }
  assert.equal(
    read,
    Array.from({ length: 30 }, (_, index) => `${index}`),
  );
  await wal.close();
});

test("a file of the user's in the store's directories is left alone", async () => {
  const { wal } = await openLog(directory);
  await append(wal, ["a"]);
  await wal.close();
  const mine = [join(directory, "notes.txt"), join(directory, "wal", "core-000", "notes.txt")];
  for (const path of mine) writeFileSync(path, "mine");
  assert.equal((await openAndClose()).recovered, ["a"]);
  assert.ok(mine.every((path) => existsSync(path)));
});

test("a place where no directory can be made is refused, with the system's reason", async () => {
  for (const place of ["/proc/varve/store", "/dev/null/store"]) {
    await rejects(
      () => openLog(place),
      (error) => (error as StoreError).code === "ERR_IO_FAILED" && error.message.includes(place),
    );
  }
});

import { existsSync, readdirSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../src/errors.js";
import { FileLock, openIo } from "../../src/ffi/index.js";
import { LogView } from "../../src/wal/log-view.js";
import { currentManifest } from "../../src/wal/manifest-change.js";
import { sealLog } from "../../src/wal/seal-log.js";
import type { LogFrame } from "../../src/wal/sealed/sealed-format.js";
import type { Wal } from "../../src/wal/wal.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type FaultyIo, faultyIo, isFrame } from "./support/faulty-io.js";
import { append, copyStore, keyOf, openFaulty, openFiles, openLog, recordsOf } from "./support/log-fixture.js";

const test = suite("wal/checkpoint");

const ENOSPC = 28;
const EIO = 5;

interface ReadRecord {
  readonly lsn: number;
  readonly recordedAt: number;
  readonly record: string;
}

async function readRecords(frames: AsyncIterable<LogFrame>, after: number, through: number): Promise<ReadRecord[]> {
  const read: ReadRecord[] = [];
  for await (const frame of frames) {
    const { firstLsn, recordedAt } = frame.header;
    for (const [index, record] of recordsOf(frame).entries()) {
      const lsn = firstLsn + index;
      if (lsn > after && lsn <= through) read.push({ lsn, recordedAt, record });
    }
  }
  return read;
}

function readAll(log: Wal | LogView, after = 0, through: number = log.watermark): Promise<ReadRecord[]> {
  return readRecords(log.frames(after, through), after, through);
}

/** A record that is no other, with so many bytes. */
function recordOf(number: number, byteLength = 600): string {
  return `${String(number).padStart(8, "0")}${"x".repeat(byteLength)}`;
}

async function fill(wal: Wal, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number += 4) {
    await append(
      wal,
      Array.from({ length: Math.min(4, from + count - number) }, (_, index) => recordOf(number + index)),
    );
  }
}

function walFiles(directory: string): string[] {
  return readdirSync(join(directory, "wal"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".wal"))
    .sort();
}

function sealedFiles(directory: string): string[] {
  return existsSync(join(directory, "log")) ? readdirSync(join(directory, "log")).sort() : [];
}

test("what is read is the same before a checkpoint, after it, and after reopening", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  await fill(wal, 0, 400);
  const before = await readAll(wal);
  const filesBefore = walFiles(directory).length;
  const report = await wal.checkpoint();
  assert.equal([report?.lsn, report?.sealedRecords, report?.segments], [400, 400, 1]);
  assert.ok(
    (report?.droppedFiles ?? 0) >= 3 && walFiles(directory).length === filesBefore - (report?.droppedFiles ?? 0),
  );
  assert.equal(await readAll(wal), before);
  const backwards = await readRecords(wal.framesBackwards(wal.watermark), 0, 400);
  assert.equal(
    backwards.sort((a, b) => a.lsn - b.lsn),
    before,
  );
  await fill(wal, 400, 37);
  const all = await readAll(wal);
  assert.equal(all.slice(0, 400), before);
  assert.equal(all.length, 437);
  assert.equal(await readAll(wal, 390, 410), all.slice(390, 410));
  for (const lsn of [1, 2, 77, 399, 400, 401, 437]) {
    const frame = await wal.frameOf(lsn);
    assert.is(recordsOf(frame)[lsn - frame.header.firstLsn], all[lsn - 1]?.record);
  }
  await wal.close();
  const recovered: number[] = [];
  const { wal: again } = await openLog(directory, {}, ({ header }) => recovered.push(header.firstLsn));
  assert.ok((recovered[0] ?? 0) > 400, "recovery reads nothing that is sealed");
  assert.is(again.watermark, 437);
  assert.equal(await readAll(again), all);
  const [lsn] = [await append(again, [recordOf(437)])];
  assert.is(lsn, 438);
  await again.close();
});

test("recordedAt does not fall when all of the log was sealed", async () => {
  const directory = join(temporaryDirectory(), "store");
  let nowUs = 2_000_000;
  const clock = (): number => nowUs;
  const first = await openLog(directory, { clock });
  await append(first.wal, ["a"]);
  await first.wal.checkpoint();
  await first.wal.close();
  rmSync(join(directory, "wal", "core-000"), { recursive: true });
  nowUs = 1_000_000;
  const { wal } = await openLog(directory, { clock }, () => {});
  await append(wal, ["b"]);
  const [a, b] = await readAll(wal);
  assert.ok((b?.recordedAt ?? 0) >= (a?.recordedAt ?? 0));
  await wal.close();
});

test("checkpoints of a small log are compacted, and what was replaced goes", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  let compacted = 0;
  for (let round = 0; round < 20; round++) {
    await fill(wal, round * 3, 3);
    compacted += (await wal.checkpoint())?.compactedSegments ?? 0;
  }
  const all = await readAll(wal);
  assert.equal(
    all.map(({ record }) => record),
    Array.from({ length: 60 }, (_, number) => recordOf(number)),
  );
  assert.ok(compacted >= 14, `${compacted}`);
  const { sealed } = await currentManifest(directory);
  assert.ok(sealed.length <= 8, `${sealed.length} segments`);
  await wal.checkpoint();
  assert.is(sealedFiles(directory).length, sealed.length);
  await wal.close();
});

test("a checkpoint seals what is durable, and nothing that is on its way", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal, faulty } = await openFaulty(directory);
  await fill(wal, 0, 5);
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const later = append(wal, [recordOf(5)], "now");
  while (faulty.withheld.length === 0) await delay(1);
  assert.is((await wal.checkpoint())?.lsn, 5);
  faulty.decide = () => null;
  for (const { release } of [...faulty.withheld]) release();
  await later;
  assert.is((await wal.checkpoint())?.lsn, 6);
  await wal.close();
});

test("one checkpoint at a time, over all writers", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  const { wal: other } = await openLog(directory);
  await fill(wal, 0, 50);
  const lease = FileLock.tryTake(join(directory, "checkpoint.lock"));
  assert.is(await wal.checkpoint(), null);
  lease?.release();
  const reports = await Promise.all([wal.checkpoint(), other.checkpoint(), wal.checkpoint()]);
  assert.is(reports[0], reports[2], "who asks meanwhile gets the same answer");
  const made = reports.slice(0, 2).filter((report) => report !== null);
  assert.is(made.length, 1);
  await wal.close();
  await other.close();
});

test("a reading that is under way goes on in what another writer sealed", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  const { wal: other } = await openLog(directory);
  const view = await LogView.open(directory, { onFrame: () => {} });
  for (let round = 0; round < 6; round++) {
    await fill(wal, round * 80, 40);
    await fill(other, round * 80 + 40, 40);
  }
  await view.refresh();
  const through = view.watermark;
  const expected = await readAll(wal, 0, through);
  const slowly = async (log: Wal | LogView): Promise<ReadRecord[]> => {
    const read: ReadRecord[] = [];
    for await (const frame of log.frames(0, through)) {
      read.push(
        ...(await readRecords(
          (async function* () {
            yield frame;
          })(),
          0,
          through,
        )),
      );
      await delay(2);
    }
    return read;
  };
  const readings = [slowly(other), slowly(view), slowly(wal)];
  await delay(40);
  const report = await wal.checkpoint();
  assert.ok((report?.droppedFiles ?? 0) > 2);
  for (const read of await Promise.all(readings)) assert.equal(read, expected);
  await fill(other, 480, 40);
  await wal.checkpoint();
  assert.equal(await readAll(other, 0, through), expected);
  await view.refresh();
  assert.equal(await readAll(view, 0, through), expected);
  assert.equal(await readAll(view), await readAll(wal, 0, view.watermark));
  await view.close();
  await wal.close();
  await other.close();
});

test("a core that still writes keeps its files, and its slot's number is used again", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  for (let round = 0; round < 4; round++) {
    const { wal: guest } = await openLog(directory);
    await fill(guest, round * 40, 40);
    await guest.close();
    await wal.checkpoint();
  }
  const all = await readAll(wal);
  assert.equal(
    all.map(({ record }) => record),
    Array.from({ length: 160 }, (_, number) => recordOf(number)),
  );
  await wal.close();
  const { wal: again } = await openLog(directory, {}, () => {});
  await again.checkpoint();
  assert.equal(await readAll(again), all);
  await again.close();
  const { incarnations } = await currentManifest(directory);
  assert.is(incarnations.length, 1, "incarnations of which nothing is left are not kept");
});

for (const [what, harm] of [
  ["missing", (path: string) => rmSync(path)],
  ["cut", (path: string) => truncateSync(path, 8192)],
] as const) {
  test(`a sealed file that is ${what} refuses to open, by its name and its LSNs`, async () => {
    const directory = join(temporaryDirectory(), "store");
    const { wal } = await openLog(directory);
    await fill(wal, 0, 40);
    await wal.checkpoint();
    await wal.close();
    const path = join(directory, "log", "0000000001.seal");
    harm(path);
    const before = readdirSync(directory).sort();
    for (const opening of [openLog(directory), LogView.open(directory, { onFrame: () => {} })]) {
      const error = (await rejects(opening, "ERR_WAL_CORRUPT")) as StoreError;
      assert.equal([error.details["path"], error.details["firstLsn"], error.details["lastLsn"]], [path, 1, 40]);
    }
    assert.equal(readdirSync(directory).sort(), before, "nothing was changed");
  });
}

test("a sealed file of another store refuses to open", async () => {
  const directories = [join(temporaryDirectory(), "a"), join(temporaryDirectory(), "b")] as const;
  for (const directory of directories) {
    const { wal } = await openLog(directory);
    await fill(wal, 0, 40);
    await wal.checkpoint();
    await wal.close();
  }
  renameSync(join(directories[1], "log", "0000000001.seal"), join(directories[0], "log", "0000000001.seal"));
  await rejects(openLog(directories[0]), "ERR_WAL_FOREIGN");
});

/** A log whose checkpoints are made in this thread, through an I/O that fails as the test says. */
async function openSealingHere(directory: string): Promise<{ wal: Wal; fault: { decide: FaultyIo["decide"] } }> {
  const fault = { decide: ((): null => null) as FaultyIo["decide"] };
  const { wal } = await openLog(directory, {
    seal: (task, words) =>
      sealLog(task, keyOf, words, (demand, path) => {
        const faulty = faultyIo(openIo(demand, path));
        faulty.decide = (operation) => fault.decide(operation);
        return faulty.io;
      }),
  });
  return { wal, fault };
}

for (const [what, kind, result] of [
  ["a write", "write", -EIO],
  ["a sync", "dataSync", -EIO],
  ["reading back", "read", -EIO],
  ["a full disk", "write", -ENOSPC],
] as const) {
  test(`a checkpoint that fails by ${what} removes nothing, and the next one is made`, async () => {
    const directory = join(temporaryDirectory(), "store");
    const { wal, fault } = await openSealingHere(directory);
    await fill(wal, 0, 300);
    const before = await readAll(wal);
    const files = walFiles(directory);
    let isWritten = false;
    fault.decide = (operation) => {
      isWritten ||= operation.kind === "dataSync";
      return operation.kind === kind && (kind !== "read" || isWritten) ? { result } : null;
    };
    await rejects(wal.checkpoint(), "ERR_IO_FAILED");
    assert.equal(walFiles(directory), files);
    assert.equal(sealedFiles(directory), [], "nothing is left behind");
    assert.is((await currentManifest(directory)).checkpointLsn, 0);
    await fill(wal, 300, 20);
    fault.decide = () => null;
    assert.is((await wal.checkpoint())?.lsn, 320);
    assert.equal((await readAll(wal)).slice(0, 300), before);
    assert.ok(walFiles(directory).length < files.length);
    await wal.close();
  });
}

test("a crash at any step loses nothing, and the next checkpoint leaves nothing behind", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory);
  await fill(wal, 0, 200);
  await wal.checkpoint();
  await fill(wal, 200, 200);
  const all = await readAll(wal);
  const copies: string[] = [];
  let isOver = false;
  const checkpoint = wal.checkpoint().finally(() => {
    isOver = true;
  });
  while (!isOver) {
    try {
      copies.push(copyStore(directory));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // removed while it was copied
    }
    await delay(1);
  }
  await checkpoint;
  await wal.close();
  for (const copy of copies) {
    const { wal: again } = await openLog(copy, {}, () => {});
    assert.equal(await readAll(again), all);
    await again.checkpoint();
    await again.checkpoint();
    assert.equal(await readAll(again), all);
    const { sealed } = await currentManifest(copy);
    assert.is(sealedFiles(copy).length, sealed.length);
    await again.close();
  }
});

test("closing ends a checkpoint, and gives everything back", async () => {
  const directory = join(temporaryDirectory(), "store");
  const filesBefore = openFiles();
  const { wal } = await openLog(directory);
  await fill(wal, 0, 400);
  const checkpoint = wal.checkpoint().catch((error: unknown) => error);
  await wal.close();
  const outcome = await checkpoint;
  if (outcome instanceof Error) assert.is((outcome as StoreError).code, "ERR_STORE_CLOSED");
  assert.equal(openFiles(), filesBefore);
  const { wal: again } = await openLog(directory, {}, () => {});
  assert.is((await readAll(again)).length, 400);
  await again.close();
});

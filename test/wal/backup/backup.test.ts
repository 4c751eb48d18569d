import { existsSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../../src/errors.js";
import { openIo } from "../../../src/ffi/index.js";
import { AttachLock } from "../../../src/wal/attach-lock.js";
import { currentManifest } from "../../../src/wal/manifest-change.js";
import { type SealWork, sealLog } from "../../../src/wal/seal-log.js";
import type { Wal } from "../../../src/wal/wal.js";
import { assert, rejects } from "../../support/assert.js";
import { withActBeforeListing } from "../../support/failing-files.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { type FaultyIo, faultyIo } from "../support/faulty-io.js";
import { append, copyStore, keyOf, openFiles, openLog, readLog, snapshot } from "../support/log-fixture.js";
import { HERE, openView, recordsIn } from "./backup-fixture.js";

const test = suite("wal/backup/backup");

const ENOSPC = 28;
const EIO = 5;

interface Places {
  readonly store: string;
  readonly backup: string;
}

function places(): Places {
  const directory = temporaryDirectory();
  return { store: join(directory, "store"), backup: join(directory, "backup") };
}

function recordOf(number: number): string {
  return `${String(number).padStart(8, "0")}${"x".repeat(400)}`;
}

function recordsUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, number) => recordOf(number));
}

async function fill(wal: Wal, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number++) await append(wal, [recordOf(number)]);
}

function sealedFiles(directory: string): string[] {
  const log = join(directory, "log");
  return existsSync(log) ? readdirSync(log).sort() : [];
}

/** A log whose sealing and copying is done as the test says. */
async function openDoing(store: string, work: (task: SealWork, run: () => ReturnType<typeof sealLog>) => unknown) {
  const fault = { decide: ((): null => null) as FaultyIo["decide"] };
  const { wal } = await openLog(
    store,
    {
      seal: async (task, words) => {
        const run = (): ReturnType<typeof sealLog> =>
          sealLog(task, keyOf, words, (demand, path) => {
            const faulty = faultyIo(openIo(demand, path));
            faulty.decide = (operation) => fault.decide(operation);
            return faulty.io;
          });
        return (await work(task, run)) as Awaited<ReturnType<typeof sealLog>>;
      },
    },
    () => {},
  );
  return { wal, fault };
}

test("a backup is a store with exactly the events up to its LSN", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store);
  await fill(wal, 0, 50);
  const report = await wal.backup(backup);
  assert.equal([report.lsn, report.segments, report.copiedSegments], [50, 1, 1]);
  assert.ok(report.copiedBytes > 50 * 400 && report.copiedBytes === report.bytes);
  await fill(wal, 50, 10);
  assert.equal(await recordsIn(backup), recordsUpTo(50));
  const { backup: mark, storeId, incarnations } = await currentManifest(backup);
  assert.is(storeId, Buffer.from(wal.storeId).toString("hex"));
  assert.ok((mark?.takenAt ?? 0) > 0 && (incarnations[0]?.incarnation ?? 0) > 1_000_000);
  assert.not.ok(existsSync(join(backup, "unfinished-copy")) || existsSync(join(backup, "wal")));
  await wal.close();
});

test("only segments that the backup does not have are copied, and what a compaction replaced goes in the end", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  let copied = 0;
  let number = 0;
  for (let round = 0; round < 10; round++) {
    await fill(wal, number, 3);
    number += 3;
    const report = await wal.backup(backup);
    assert.is(report.lsn, number);
    copied += report.copiedSegments;
    assert.ok(report.copiedSegments <= 1, `${report.copiedSegments}`);
    const again = await wal.backup(backup);
    assert.equal([again.lsn, again.copiedSegments, again.copiedBytes], [number, 0, 0]);
    assert.equal(await recordsIn(backup), recordsUpTo(number));
  }
  assert.is(copied, 10);
  const { sealed } = await currentManifest(store);
  assert.ok(sealed.length < 10, "there was a compaction");
  await wal.backup(backup);
  assert.equal(
    sealedFiles(backup),
    sealed.map(({ number: name }) => `${String(name).padStart(10, "0")}.seal`),
  );
  await wal.close();
});

test("beside a writer a backup is a prefix that holds all that was acknowledged when it began", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store);
  const { wal: other } = await openLog(store);
  let count = 0;
  let isOver = false;
  const writing = (async () => {
    for (; !isOver; count++) await append(other, [recordOf(count)]);
  })();
  for (let round = 0; round < 5; round++) {
    await delay(20);
    const before = wal.watermark;
    const report = await wal.backup(backup);
    assert.ok(report.lsn >= before);
    assert.equal(await recordsIn(backup), recordsUpTo(report.lsn));
    // What was recorded by then is in it: what is not was recorded later.
    const takenAt = (await currentManifest(backup)).backup?.takenAt ?? Number.POSITIVE_INFINITY;
    while (wal.watermark <= report.lsn) await delay(1);
    assert.ok((await wal.frameOf(report.lsn + 1)).header.recordedAt >= takenAt);
  }
  isOver = true;
  await writing;
  await other.close();
  await wal.close();
});

test("segments that a compaction replaces while they are copied are copied as what replaced them", async () => {
  const { store, backup } = places();
  let copies = 0;
  const { wal: other } = await openLog(store, HERE);
  const { wal } = await openDoing(store, async (task, run) => {
    if (task.work === "copy" && copies++ === 0) {
      for (let round = 0; round < 9; round++) {
        await fill(other, 21 + round, 1);
        await other.checkpoint();
      }
    }
    return run();
  });
  for (let round = 0; round < 7; round++) {
    await fill(wal, round * 3, 3);
    if (round < 6) await wal.checkpoint();
  }
  const report = await wal.backup(backup);
  assert.ok(copies >= 2 && report.lsn > 21);
  assert.equal(await recordsIn(backup), recordsUpTo(report.lsn));
  await wal.close();
  await other.close();
});

test("a backup that is opened for writing is a store of its own, and no backup any more", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 20);
  await wal.backup(backup);
  const { wal: fork } = await openLog(backup, {}, () => {});
  assert.equal(await readLog(fork), recordsUpTo(20));
  assert.is(await append(fork, ["other"]), 21);
  await fork.close();
  const before = snapshot(backup);
  await rejects(wal.backup(backup), "ERR_STORE_EXISTS");
  assert.equal(snapshot(backup), before);
  const { wal: again } = await openLog(backup, {}, () => {});
  assert.equal(await readLog(again), [...recordsUpTo(20), "other"]);
  await again.close();
  await wal.close();
});

test("a directory that holds anything else is refused and not touched", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 5);
  const { wal: stranger } = await openLog(join(temporaryDirectory(), "store"), HERE);
  await fill(stranger, 0, 5);
  await stranger.backup(backup);
  const foreign = (await rejects(wal.backup(backup), "ERR_WAL_FOREIGN")) as StoreError;
  assert.is(foreign.details["directory"], backup);
  await stranger.close();
  const files = temporaryDirectory();
  writeFileSync(join(files, "notes.txt"), "mine");
  const sealed = temporaryDirectory();
  mkdirSync(join(sealed, "log"));
  writeFileSync(join(sealed, "log", "0000000001.seal"), "of a store that lost its manifest");
  for (const directory of [files, sealed, store, join(files, "notes.txt")]) {
    const isUnchanged = statSync(directory).isDirectory() && directory !== store;
    const before = isUnchanged ? snapshot(directory) : null;
    await rejects(wal.backup(directory), "ERR_STORE_EXISTS");
    if (before !== null) assert.equal(snapshot(directory), before);
  }
  await rejects(openLog(sealed), "ERR_WAL_CORRUPT");
  await wal.close();
});

test("a backup whose log is not the beginning of the store's is refused, with its LSN", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 10);
  await wal.close();
  const fork = copyStore(store);
  const { wal: first } = await openLog(store, HERE, () => {});
  await append(first, ["one"]);
  await first.backup(backup);
  await first.close();
  const before = snapshot(backup);
  const { wal: second } = await openLog(fork, HERE, () => {});
  const behind = (await rejects(second.backup(backup), "ERR_BACKUP_DIVERGED")) as StoreError;
  assert.equal([behind.details["directory"], behind.details["lsn"]], [backup, 11]);
  await append(second, ["another", "history"]);
  await append(second, ["of it"]);
  await second.checkpoint();
  await rejects(second.backup(backup), "ERR_BACKUP_DIVERGED");
  assert.equal(snapshot(backup), before);
  await second.close();
});

test("the end of a backup is found within a segment that was compacted", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  for (let round = 0; round < 20; round++) {
    await fill(wal, round * 2, 2);
    if (round === 4) await wal.backup(backup);
    else await wal.checkpoint();
  }
  const report = await wal.backup(backup);
  assert.is(report.lsn, 40);
  assert.equal(await recordsIn(backup), recordsUpTo(40));
  await wal.close();
});

for (const [what, decide] of [
  ["the disk is full", (kind: string) => (kind === "write" ? { result: -ENOSPC } : null)],
  ["a sync fails", (kind: string) => (kind === "dataSync" ? { result: -EIO } : null)],
] as const) {
  test(`when ${what}, the former backup is what it was, and the next one is made`, async () => {
    const { store, backup } = places();
    let isCopying = false;
    const { wal, fault } = await openDoing(store, async (task, run) => {
      isCopying = task.work === "copy";
      return run().finally(() => {
        isCopying = false;
      });
    });
    await fill(wal, 0, 10);
    await wal.backup(backup);
    await fill(wal, 10, 10);
    fault.decide = (operation) => (isCopying ? decide(operation.kind) : null);
    await rejects(wal.backup(backup), "ERR_IO_FAILED");
    assert.equal(await recordsIn(backup), recordsUpTo(10));
    assert.is(sealedFiles(backup).filter((name) => name.endsWith(".tmp")).length, 0);
    fault.decide = () => null;
    assert.is((await wal.backup(backup)).lsn, 20);
    assert.equal(await recordsIn(backup), recordsUpTo(20));
    await wal.close();
  });
}

test("what does not read back as it was written is no backup", async () => {
  const { store, backup } = places();
  let isCopying = false;
  let writes = 0;
  const { wal, fault } = await openDoing(store, async (task, run) => {
    isCopying = task.work === "copy";
    return run();
  });
  await fill(wal, 0, 10);
  fault.decide = ({ kind, length }) => {
    if (!isCopying || kind !== "write") return null;
    return writes++ === 0 ? { result: length } : null; // says that it wrote, and did not
  };
  const error = (await rejects(wal.backup(backup), "ERR_IO_FAILED")) as StoreError;
  assert.match(error.message, "does not read back");
  await rejects(openView(backup), "ERR_STORE_NOT_FOUND");
  await rejects(openLog(backup), "ERR_WAL_CORRUPT");
  assert.is((await wal.backup(backup)).lsn, 10);
  assert.equal(await recordsIn(backup), recordsUpTo(10));
  await wal.close();
});

test("a segment that is damaged in the store is named, and the former backup stays", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 10);
  await wal.backup(backup);
  await fill(wal, 10, 10);
  await wal.checkpoint();
  const path = join(store, "log", "0000000002.seal");
  writeSync(openSync(path, "r+"), "damage", 4300);
  const error = (await rejects(wal.backup(backup), "ERR_WAL_CORRUPT")) as StoreError;
  assert.equal([error.details["path"], error.details["firstLsn"], error.details["lastLsn"]], [path, 11, 20]);
  assert.equal(await recordsIn(backup), recordsUpTo(10));
  rmSync(path);
  const gone = (await rejects(wal.backup(backup), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(gone.details["path"], path);
  await wal.close();
});

test("a segment that is missing or cut in the backup is copied again", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 10);
  await wal.backup(backup);
  rmSync(join(backup, "log", "0000000001.seal"));
  assert.is((await wal.backup(backup)).copiedSegments, 1);
  writeFileSync(join(backup, "log", "0000000001.seal"), "cut");
  assert.is((await wal.backup(backup)).copiedSegments, 1);
  assert.equal(await recordsIn(backup), recordsUpTo(10));
  await wal.close();
});

test("a kill at any moment leaves the former backup or the next, and making it again completes it", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  await fill(wal, 0, 40);
  const copies: { readonly directory: string; readonly isFirst: boolean }[] = [];
  for (const isFirst of [true, false]) {
    let isOver = false;
    const making = wal.backup(backup).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      try {
        if (existsSync(backup)) copies.push({ directory: copyStore(backup), isFirst });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // removed or renamed while it was copied
      }
      await delay(1);
    }
    await making;
    await fill(wal, 40, isFirst ? 40 : 0);
  }
  for (const { directory, isFirst } of copies) {
    const records = await recordsIn(directory).catch((error: StoreError) => error.code);
    const allowed = isFirst ? ["ERR_STORE_NOT_FOUND", recordsUpTo(40)] : [recordsUpTo(40), recordsUpTo(80)];
    assert.ok(
      allowed.some((one) => JSON.stringify(one) === JSON.stringify(records)),
      `${records.length}`,
    );
    const report = await wal.backup(directory);
    assert.is(report.lsn, 80);
    assert.equal(await recordsIn(directory), recordsUpTo(80));
    assert.equal(sealedFiles(directory), sealedFiles(backup));
  }
  assert.ok(copies.length > 4, `${copies.length}`);
  await wal.close();
});

test("closing the store or aborting ends a backup, and gives everything back", async () => {
  const { store, backup } = places();
  const filesBefore = openFiles();
  const { wal } = await openLog(store);
  await fill(wal, 0, 200);
  const controller = new AbortController();
  const aborted = wal.backup(backup, controller.signal).catch((error: unknown) => error);
  controller.abort(new Error("enough"));
  assert.is(((await aborted) as Error).message, "enough");
  const closed = wal.backup(backup).catch((error: unknown) => error);
  await wal.close();
  assert.is(((await closed) as StoreError).code, "ERR_STORE_CLOSED");
  await rejects(wal.backup(backup), "ERR_STORE_CLOSED");
  assert.equal(openFiles(), filesBefore);
  const { wal: again } = await openLog(store, {}, () => {});
  assert.is((await again.backup(backup)).lsn, 200);
  await again.close();
});

test("two at once into one directory make one after the other, and into two directories both", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store);
  const { wal: other } = await openLog(store);
  await fill(wal, 0, 60);
  const second = `${backup}-2`;
  const reports = await Promise.all([wal.backup(backup), other.backup(backup), wal.backup(second)]);
  assert.equal(
    reports.map(({ lsn }) => lsn),
    [60, 60, 60],
  );
  assert.is((reports[0]?.copiedSegments ?? 0) + (reports[1]?.copiedSegments ?? 0), 1);
  for (const directory of [backup, second]) assert.equal(await recordsIn(directory), recordsUpTo(60));
  await wal.close();
  await other.close();
});

test("a backup that another writer's overtakes between its looks at the store and at the directory goes on", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, HERE);
  const { wal: other } = await openLog(store, HERE);
  await fill(wal, 0, 10);
  await other.backup(backup);
  const overtake = async (): Promise<void> => {
    await fill(other, 10, 10);
    await other.backup(backup);
  };
  const report = await withActBeforeListing(backup, overtake, () => wal.backup(backup));
  assert.equal([report.lsn, report.copiedSegments], [20, 0]);
  assert.equal(await recordsIn(backup), recordsUpTo(20));
  await wal.close();
  await other.close();
});

test("a directory is marked only under its lock, and one that nobody marked is free", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store, { busyWaitMs: 150 });
  await fill(wal, 0, 10);
  mkdirSync(backup);
  const lock = await AttachLock.take(backup, false, 0);
  // Two that mark it at once would rename each other's temporary file.
  await rejects(wal.backup(backup), "ERR_STORE_BUSY");
  assert.equal(readdirSync(backup), ["lock"]);
  lock.release();
  assert.is((await wal.backup(backup)).lsn, 10);
  assert.equal(await recordsIn(backup), recordsUpTo(10));
  await wal.close();
});

test("first backups of many writers into one fresh directory all succeed", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store);
  const { wal: other } = await openLog(store);
  await fill(wal, 0, 10);
  for (let round = 0; round < 10; round++) {
    const directory = `${backup}-${round}`;
    const reports = await Promise.all([wal, other, wal, other].map((writer) => writer.backup(directory)));
    assert.equal(
      reports.map(({ lsn }) => lsn),
      [10, 10, 10, 10],
    );
    const others = readdirSync(directory).filter((name) => !name.startsWith("manifest-"));
    assert.equal(others.sort(), ["lock", "log"]);
  }
  await wal.close();
  await other.close();
});

test("a backup's manifest among a store's segments is refused", async () => {
  const { store, backup } = places();
  const { wal } = await openLog(store);
  await fill(wal, 0, 10);
  await wal.backup(backup);
  await wal.close();
  const mixed = copyStore(backup);
  mkdirSync(join(mixed, "wal", "core-000"), { recursive: true });
  const [segment = ""] = readdirSync(join(store, "wal", "core-000")).filter((name) => name.endsWith(".wal"));
  writeFileSync(join(mixed, "wal", "core-000", segment), "anything");
  await rejects(openLog(mixed), "ERR_WAL_CORRUPT");
  await rejects(openView(mixed), "ERR_WAL_CORRUPT");
});

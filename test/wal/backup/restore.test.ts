import { chmodSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../../src/errors.js";
import { openIo } from "../../../src/ffi/index.js";
import { type RestoreOptions, type RestoreReport, restoreLog } from "../../../src/wal/backup/restore.js";
import { currentManifest } from "../../../src/wal/manifest-change.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { type FaultyIo, faultyIo, type Operation } from "../support/faulty-io.js";
import { append, copyStore, keyOf, openFiles, openLog, readLog, snapshot } from "../support/log-fixture.js";
import { HERE, openView, recordsIn } from "./backup-fixture.js";

const test = suite("wal/backup/restore");

const ENOSPC = 28;
const EIO = 5;

function restore(backup: string, store: string, options: Partial<RestoreOptions> = {}): Promise<RestoreReport> {
  return restoreLog(backup, store, { keyOf, dryRun: false, busyWaitMs: 2_000, ...options });
}

function freeDirectory(): string {
  return join(temporaryDirectory(), "restored");
}

interface MadeBackup {
  readonly store: string;
  readonly backup: string;
  /** In LSN order. */
  readonly records: readonly string[];
  /** The last LSN of each append, 0 in front. */
  readonly ends: readonly number[];
  /** recordedAt of the append that ends there. */
  readonly times: ReadonlyMap<number, number>;
}

/** A backup of appends of 1 to 5 records, small and large, sealed by several checkpoints. */
async function makeBackup(appends = 24): Promise<MadeBackup> {
  const directory = temporaryDirectory();
  const store = join(directory, "store");
  const backup = join(directory, "backup");
  let nowUs = 1_700_000_000_000_000;
  const clock = (): number => nowUs;
  const { wal } = await openLog(store, { ...HERE, clock });
  const records: string[] = [];
  const ends = [0];
  const times = new Map<number, number>();
  for (let index = 0; index < appends; index++) {
    nowUs += 1_000_000;
    // Frames of more than half a block are several runs.
    const size = index % 7 === 3 ? 9_000 : 60;
    const some = Array.from({ length: 1 + (index % 5) }, (_, at) => `${index}-${at}@1${"x".repeat(size)}`);
    await append(wal, some, "now");
    records.push(...some);
    ends.push(records.length);
    times.set(records.length, nowUs);
    if (index % 6 === 5) await wal.checkpoint();
  }
  nowUs += 1_000_000;
  await wal.backup(backup);
  await wal.close();
  return { store, backup, records, ends, times };
}

test("a restored store holds what the backup holds, can be written, and is no backup", async () => {
  const { backup, records } = await makeBackup();
  const target = freeDirectory();
  const before = snapshot(backup);
  const report = await restore(backup, target);
  assert.equal(
    [report.lsn, report.backupLsn, report.restored.events],
    [records.length, records.length, records.length],
  );
  assert.equal([report.leftOut.events, report.isDryRun, report.isDirectoryFree], [0, false, true]);
  assert.equal(await recordsIn(target), records);
  assert.equal(snapshot(backup), before, "the backup is only read");
  const manifest = await currentManifest(target);
  assert.is(manifest.backup, undefined);
  assert.not.ok(existsSync(join(target, "unfinished-copy")));
  const { wal } = await openLog(target, HERE, () => {});
  const { incarnations } = await currentManifest(target);
  assert.ok((incarnations.at(-1)?.incarnation ?? 0) > (manifest.incarnations.at(-1)?.incarnation ?? 0));
  assert.is(await append(wal, ["next"]), records.length + 1);
  assert.equal(await readLog(wal), [...records, "next"]);
  // It goes on where the backup ends, so the backup can go on with it.
  assert.is((await wal.backup(backup)).lsn, records.length + 1);
  assert.equal(await recordsIn(backup), [...records, "next"]);
  await wal.close();
});

test("restored to any LSN it holds the appends that end there or before, and goes on from there", async () => {
  const { backup, records, ends } = await makeBackup(14);
  for (let lsn = 0; lsn <= records.length; lsn++) {
    const target = freeDirectory();
    const { lsn: end } = await restore(backup, target, { toLsn: lsn });
    assert.is(
      end,
      ends.findLast((one) => one <= lsn),
    );
    assert.equal(await recordsIn(target), records.slice(0, end));
    if (lsn % 4 !== 1) continue;
    const { wal } = await openLog(target, HERE, () => {});
    assert.is(await append(wal, ["other"]), end + 1);
    await wal.checkpoint();
    assert.equal(await readLog(wal), [...records.slice(0, end), "other"]);
    if (end < records.length) await rejects(wal.backup(backup), "ERR_BACKUP_DIVERGED");
    await wal.close();
    rmSync(target, { recursive: true });
  }
});

test("restored to a time it holds what was recorded by then", async () => {
  const { backup, records, times } = await makeBackup();
  for (const [end, time] of [...times].filter((_, index) => index % 5 === 2)) {
    for (const toTime of [time, time + 999_999]) {
      const target = freeDirectory();
      const report = await restore(backup, target, { toTime });
      assert.equal([report.lsn, report.restored.lastRecordedAt], [end, time]);
      assert.equal(await recordsIn(target), records.slice(0, end));
    }
  }
  const { takenAt } = await restore(backup, freeDirectory(), { dryRun: true });
  await rejects(restore(backup, freeDirectory(), { toTime: takenAt + 1 }), "ERR_BACKUP_RANGE");
  assert.is((await restore(backup, freeDirectory(), { toTime: takenAt })).lsn, records.length);
});

test("a dry run says what would be in and out, and writes nothing", async () => {
  const { backup, records, ends } = await makeBackup();
  const before = snapshot(backup);
  const target = freeDirectory();
  const plan = await restore(backup, target, { toLsn: 20, dryRun: true });
  const end = ends.findLast((one) => one <= 20) as number;
  assert.equal([plan.lsn, plan.restored.events, plan.leftOut.events], [end, end, records.length - end]);
  assert.equal([plan.restored.lastLsn, plan.leftOut.firstLsn, plan.isDirectoryFree], [end, end + 1, true]);
  assert.equal(
    plan.segments.map(({ fate }) => fate),
    ["restored", "cut", "left out", "left out"],
  );
  assert.not.ok(existsSync(target));
  mkdirSync(target);
  writeFileSync(join(target, "mine"), "");
  assert.is((await restore(backup, target, { dryRun: true })).isDirectoryFree, false);
  assert.equal(readdirSync(target), ["mine"]);
  assert.equal(snapshot(backup), before);
});

test("a directory that holds anything is refused and not touched", async () => {
  const { store, backup } = await makeBackup(6);
  const taken = temporaryDirectory();
  writeFileSync(join(taken, "mine"), "");
  for (const target of [store, backup, taken]) {
    const before = snapshot(target);
    const error = (await rejects(restore(backup, target), "ERR_STORE_EXISTS")) as StoreError;
    assert.is(error.details["directory"], target);
    assert.equal(snapshot(target), before);
  }
  assert.is((await restore(backup, temporaryDirectory())).isDirectoryFree, true);
});

test("what is no backup is not restored", async () => {
  const { store, backup } = await makeBackup(6);
  const target = freeDirectory();
  await rejects(restore(join(backup, "nowhere"), target), "ERR_BACKUP_NOT_FOUND");
  await rejects(restore(temporaryDirectory(), target), "ERR_BACKUP_NOT_FOUND");
  await rejects(restore(store, target), "ERR_BACKUP_NOT_FOUND");
  await rejects(restore(backup, target, { toLsn: 1_000 }), "ERR_BACKUP_RANGE");
  const { wal } = await openLog(backup, HERE, () => {});
  await wal.close();
  await rejects(restore(backup, target), "ERR_BACKUP_NOT_FOUND");
  assert.not.ok(existsSync(target));
});

for (const [what, options] of [
  ["in a segment that is copied", {}],
  ["in the segment that is cut", { toLsn: 4 }],
  ["behind the cut", { toLsn: 1 }],
] as const) {
  test(`damage ${what} is named, and no store is there`, async () => {
    const { backup } = await makeBackup(12);
    const path = join(backup, "log", "0000000001.seal");
    writeSync(openSync(path, "r+"), "damage", 10_000);
    const target = freeDirectory();
    const error = (await rejects(restore(backup, target, options), "ERR_WAL_CORRUPT")) as StoreError;
    assert.is(error.details["path"], path);
    await rejects(openView(target), "ERR_STORE_NOT_FOUND");
    if (existsSync(target)) await rejects(openLog(target), "ERR_WAL_CORRUPT");
  });
}

test("a missing segment or manifest is named before anything is written", async () => {
  const { backup } = await makeBackup(12);
  const target = freeDirectory();
  const path = join(backup, "log", "0000000001.seal");
  const copy = copyStore(backup);
  rmSync(path);
  const error = (await rejects(restore(backup, target), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(error.details["path"], path);
  for (const name of readdirSync(copy)) if (name.startsWith("manifest")) writeFileSync(join(copy, name), "damage");
  await rejects(restore(copy, target), "ERR_WAL_CORRUPT");
  assert.not.ok(existsSync(target));
});

for (const [what, decide] of [
  ["the disk is full", ({ kind }: Operation) => (kind === "write" ? { result: -ENOSPC } : null)],
  ["a sync fails", ({ kind }: Operation) => (kind === "dataSync" ? { result: -EIO } : null)],
  [
    "a write is only said to have been done",
    ({ kind, length }: Operation) => (kind === "write" ? { result: length } : null),
  ],
] as const) {
  test(`when ${what} there is no store, and the next restore makes it`, async () => {
    const { backup, records, ends } = await makeBackup(12);
    for (const toLsn of [records.length, 3]) {
      const target = freeDirectory();
      const filesBefore = openFiles();
      const faults: FaultyIo[] = [];
      const faultyOpen: typeof openIo = (demand, path) => {
        const faulty = faultyIo(openIo(demand, path));
        faulty.decide = decide;
        faults.push(faulty);
        return faulty.io;
      };
      await rejects(restore(backup, target, { toLsn, openIo: faultyOpen }), (error) =>
        /ERR_IO_FAILED|ERR_WAL_CORRUPT/.test((error as StoreError).code),
      );
      assert.equal(openFiles(), filesBefore);
      await rejects(openView(target), "ERR_STORE_NOT_FOUND");
      const { lsn } = await restore(backup, target, { toLsn });
      assert.is(
        lsn,
        ends.findLast((end) => end <= toLsn),
      );
      assert.equal(await recordsIn(target), records.slice(0, lsn));
    }
  });
}

test("a kill at any moment leaves no store or all of it, and restoring again makes it, to another LSN too", async () => {
  const { backup, records } = await makeBackup();
  const target = freeDirectory();
  const copies: string[] = [];
  let isOver = false;
  const restoring = restore(backup, target, { toLsn: records.length - 2 }).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    try {
      if (existsSync(target)) copies.push(copyStore(target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    await delay(1);
  }
  const { lsn } = await restoring;
  let unfinished = 0;
  for (const [index, copy] of copies.entries()) {
    const found = await recordsIn(copy).catch((error: StoreError) => error.code);
    if (typeof found !== "string") {
      assert.equal(found, records.slice(0, lsn));
      continue;
    }
    unfinished++;
    assert.is(found, "ERR_STORE_NOT_FOUND");
    const toLsn = index % 2 === 0 ? records.length : lsn;
    const again = await restore(backup, copy, { toLsn });
    assert.equal(await recordsIn(copy), records.slice(0, again.lsn));
    const { sealed } = await currentManifest(copy);
    assert.is(readdirSync(join(copy, "log")).length, sealed.length);
  }
  assert.ok(unfinished > 2, `${unfinished} of ${copies.length}`);
});

test("aborting ends a restore, and gives everything back", async () => {
  const { backup, records } = await makeBackup(12);
  const target = freeDirectory();
  const filesBefore = openFiles();
  const controller = new AbortController();
  const restoring = restore(backup, target, {
    signal: controller.signal,
    onProgress: () => controller.abort(new Error("enough")),
  }).catch((error: unknown) => error);
  assert.is(((await restoring) as Error).message, "enough");
  assert.equal(openFiles(), filesBefore);
  assert.is((await restore(backup, target)).lsn, records.length);
});

test("a backup that cannot be written is restored", async () => {
  const { backup, records } = await makeBackup(6);
  rmSync(join(backup, "lock"));
  for (const directory of [join(backup, "log"), backup]) chmodSync(directory, 0o555);
  const target = freeDirectory();
  await restore(backup, target);
  assert.equal(await recordsIn(target), records);
  for (const directory of [backup, join(backup, "log")]) chmodSync(directory, 0o755);
});

test("where no directory can be made the error has a code", async () => {
  const { backup } = await makeBackup(6);
  await rejects(restore(backup, "/proc/varve/restored"), "ERR_IO_FAILED");
  const { wal } = await openLog(freeDirectory(), HERE);
  await rejects(wal.backup("/proc/varve/backup"), "ERR_IO_FAILED");
  await wal.close();
});

test("of two restores into one directory one makes the store", async () => {
  const { backup, records } = await makeBackup(6);
  const target = freeDirectory();
  const outcomes = await Promise.allSettled([restore(backup, target), restore(backup, target)]);
  assert.is(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal(await recordsIn(target), records);
  assert.not.ok(existsSync(join(target, "unfinished-copy")));
});

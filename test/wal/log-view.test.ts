/** Reading beside a writer, in the same process or another, and without one: nothing is written, nothing is locked. */

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { LogView } from "../../src/wal/log-view.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
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
  const view = await LogView.open(directory, (frame) => delivered.push(...recordsOf(frame)));
  return { view, delivered };
}

test("where there is no store there is none, and none is made", async () => {
  await rejects(
    LogView.open(directory, () => {}),
    "ERR_STORE_NOT_FOUND",
  );
  const empty = temporaryDirectory();
  await rejects(
    LogView.open(empty, () => {}),
    "ERR_STORE_NOT_FOUND",
  );
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

test("an idle writer attests what it wrote, so that the view comes to see all of it", async () => {
  const { wal } = await openLog(directory);
  const { view, delivered } = await openView();
  await append(wal, ["a"]);
  await append(wal, ["b"]);
  await view.refresh();
  assert.equal(delivered, ["a"]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.is(await view.refresh(), true);
  assert.equal(delivered, ["a", "b"]);
  assert.is(await view.refresh(), false);
  await view.close();
  await wal.close();
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
    const other = await LogView.open(directory, () => {});
    await other.close();
  }
  isWriting = false;
  await Promise.all(callers);
  await wal.close();
  await view.refresh();
  assert.is(view.watermark, wal.watermark);
  await view.close();
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
  await rejects(
    LogView.open(damaged, () => {}),
    "ERR_WAL_CORRUPT",
  );
  for (const name of snapshot(damaged).keys()) if (name.startsWith("manifest-")) rmSync(join(damaged, name));
  await rejects(
    LogView.open(damaged, () => {}),
    "ERR_STORE_NOT_FOUND",
  );
});

/** The writer over I/O that fails: what is told to whom, what is on disk afterwards, and that nothing is left open. */

import { mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isStoreError } from "../../src/errors.js";
import { EAGAIN, EINTR, EIO, ENOSPC } from "../../src/ffi/errno.js";
import { openIo } from "../../src/ffi/index.js";
import { ControlFile } from "../../src/wal/control-file.js";
import { CoreWriter } from "../../src/wal/core-writer.js";
import { decodeFrameHeader } from "../../src/wal/format.js";
import type { Wal } from "../../src/wal/wal.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type Fault, isFrame, isZeroing, type Operation } from "./support/faulty-io.js";
import {
  append,
  copyStore,
  KIBIBYTE,
  MEBIBYTE,
  openFaulty,
  openFiles,
  openLog,
  readLog,
  ringCount,
  segmentFiles,
} from "./support/log-fixture.js";

const BLOCK = 4096;

const test = suite("wal/core-writer");

let directory = "";
let filesBefore: string[] = [];
let ringsBefore = 0;
const opened: Wal[] = [];
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
  filesBefore = openFiles();
  ringsBefore = ringCount();
});
test.afterEach(async () => {
  for (const wal of opened.splice(0)) await wal.close().catch(() => {});
  assert.equal(openFiles(), filesBefore, "files were left open");
  assert.is(ringCount(), ringsBefore, "rings were left open");
});

async function open(options: Parameters<typeof openFaulty>[1] = {}) {
  const log = await openFaulty(directory, options);
  opened.push(log.wal);
  return log;
}

async function reopen(from = directory): Promise<{ records: string[]; row: string }> {
  const { wal, recovered } = await openLog(from);
  const { row } = wal.recovery;
  assert.equal(await readLog(wal), recovered);
  await wal.close();
  return { records: recovered, row };
}

/** The fault for the first operations that match, then none. */
function once(matches: (operation: Operation) => boolean, ...faults: Fault[]): (operation: Operation) => Fault {
  return (operation) => (matches(operation) && faults.length > 0 ? (faults.shift() as Fault) : null);
}

const big = (letter: string, blocks: number): string => letter.repeat(blocks * BLOCK - 300);

test("a short write is followed by the rest, once, and the append knows nothing of it", async () => {
  const { wal, faulty } = await open();
  faulty.decide = once(isFrame, { onlyBytes: BLOCK });
  assert.is(await append(wal, [big("a", 3)]), 1);
  const writes = faulty.operations.filter(isFrameOrRest);
  assert.equal(
    writes.map(({ fileOffset, length }) => [fileOffset, length]),
    [
      [BLOCK, 3 * BLOCK],
      [2 * BLOCK, 2 * BLOCK],
    ],
  );
  assert.equal(await readLog(wal), [big("a", 3)]);
  await wal.close();
  assert.equal((await reopen()).records, [big("a", 3)]);
});

function isFrameOrRest(operation: Operation): boolean {
  return operation.kind === "write" && operation.durable && operation.fileOffset > 0;
}

for (const [what, ...faults] of [
  ["a second short write", { onlyBytes: BLOCK }, { onlyBytes: BLOCK }],
  ["a write of no bytes", { result: 0 }],
  ["a write of less than a block", { result: 512 }],
  ["a failed write", { result: -EIO }],
  ["a cancelled write", { result: -125 }],
  ["a write of more than there was", { result: 100 * BLOCK }],
] as const) {
  test(`${what} stops the log: the outcome of what was in flight is unknown, later appends are refused, reading goes on`, async () => {
    const { wal, faulty } = await open();
    await append(wal, ["first"]);
    faulty.decide = once(isFrameOrRest, ...faults);
    await rejects(append(wal, [big("b", 3)]), "ERR_WAL_OUTCOME_UNKNOWN");
    faulty.decide = () => null;
    assert.is(wal.status, "failed");
    await rejects(append(wal, ["c"]), "ERR_WAL_FAILED");
    assert.is(wal.watermark, 1);
    assert.equal(await readLog(wal), ["first"]);
    await wal.flush();
    await wal.close();
    assert.is(wal.status, "closed");
    const { records } = await reopen();
    assert.ok(records.length <= 2);
    assert.is(records[0], "first");
  });
}

test("after a failure everybody is told, the newest first: unknown what was in flight, not written what waited", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * KIBIBYTE });
  let failsNext = false;
  // The third frame fails, the first two are with the kernel; the others find no segment.
  faulty.decide = (operation) => {
    if (operation.kind === "allocate") return "doLater";
    if (!isFrame(operation)) return null;
    if (failsNext) return { result: -EIO };
    return "tellLater";
  };
  const told: string[] = [];
  const all = ["a", "b", "c", "d", "e"].map((name, index) => {
    failsNext = index === 2;
    return append(wal, [name], "now").then(
      () => told.push(name),
      (error: unknown) => told.push(`${name} ${(error as { code: string }).code}`),
    );
  });
  await Promise.all(all);
  assert.equal(told, [
    "e ERR_WAL_FAILED",
    "d ERR_WAL_FAILED",
    "c ERR_WAL_OUTCOME_UNKNOWN",
    "b ERR_WAL_OUTCOME_UNKNOWN",
    "a ERR_WAL_OUTCOME_UNKNOWN",
  ]);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
});

test("an append that learns of a failure while it asks for completions is refused, and not forgotten", async () => {
  const { wal, faulty } = await open();
  const collect = faulty.io.collect.bind(faulty.io);
  let failNow: (() => void) | null = null;
  faulty.io.writePublished = (_fd, _buffer, _bufferOffset, _length, _fileOffset, _publication, completion) => {
    failNow = () => completion.complete(-EIO);
  };
  faulty.io.collect = () => {
    failNow?.();
    collect();
  };
  const inFlight = append(wal, ["a"], "now");
  await rejects(append(wal, ["b"], "now"), "ERR_WAL_FAILED");
  await rejects(inFlight, "ERR_WAL_OUTCOME_UNKNOWN");
});

test("an interrupted write is done again with the same bytes in the same place, and takes no LSN of its own", async () => {
  const { wal, faulty } = await open();
  faulty.decide = once(isFrame, { result: -EAGAIN }, { result: -EINTR }, { result: -EAGAIN });
  assert.is(await append(wal, ["a"]), 1);
  assert.is(await append(wal, ["b"]), 2);
  const offsets = faulty.operations.filter(isFrame).map(({ fileOffset }) => fileOffset);
  assert.equal(offsets, [BLOCK, BLOCK, BLOCK, BLOCK, 2 * BLOCK]);
  await wal.close();
  assert.equal((await reopen()).records, ["a", "b"]);
});

test("writes that end out of order are told in LSN order, and W does not pass one that is missing", async () => {
  const { wal, faulty } = await open();
  const advances: number[] = [];
  wal.onAdvance((watermark) => advances.push(watermark));
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const told: number[] = [];
  const all = ["a", "b", "c"].map(async (name) => told.push(await append(wal, [name], "now")));
  await Promise.resolve();
  faulty.decide = () => null;
  assert.is(faulty.withheld.length, 3);
  const [first, second, third] = [...faulty.withheld];
  third?.release();
  await new Promise((resolve) => setTimeout(resolve, 5));
  second?.release();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(told, []);
  assert.is(wal.watermark, 0);
  first?.release();
  await Promise.all(all);
  assert.equal(told, [1, 2, 3]);
  assert.is(wal.watermark, 3);
  assert.equal(advances, [3]);
});

test("without space for a segment appends are refused and take no LSN, reading goes on, and with space so do they", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * KIBIBYTE });
  const advance: string[] = [];
  faulty.decide = (operation) => (operation.kind === "allocate" ? { result: -ENOSPC } : null);
  // Three blocks behind the preamble.
  for (const name of ["a", "b", "c"]) {
    await append(wal, [name], "now");
    advance.push(name);
  }
  for (let round = 0; round < 3; round++) {
    await rejects(append(wal, ["refused"], "now"), "ERR_WAL_FULL");
    assert.is(wal.status, "open");
    assert.equal(await readLog(wal), ["a", "b", "c"]);
  }
  assert.equal(segmentFiles(directory).length, 1, "a segment that could not be had is left behind");
  faulty.decide = () => null;
  assert.is(await append(wal, ["d"], "now"), 4);
  await wal.close();
  assert.equal((await reopen()).records, ["a", "b", "c", "d"]);
});

test("without space closing still ends well, without a seal, and nothing is lost", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * KIBIBYTE });
  faulty.decide = (operation) => (operation.kind === "allocate" ? { result: -ENOSPC } : null);
  for (const name of ["a", "b", "c"]) await append(wal, [name], "now");
  const waiting = rejects(append(wal, ["d"], "now"), "ERR_WAL_FULL");
  await wal.close();
  await waiting;
  assert.equal(await reopen(), { records: ["a", "b", "c"], row: "@J" });
});

test("a lack of space for zeros refuses as well, and what is zeroed afterwards never lands on data", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * MEBIBYTE });
  // Of the four writes that zero the next 4 MiB one fails, and one is late: later than the next try.
  faulty.decide = (operation) => {
    if (!isZeroing(operation)) return null;
    if (operation.fileOffset === 4 * MEBIBYTE) return { result: -ENOSPC };
    return operation.fileOffset === 5 * MEBIBYTE ? "doLater" : null;
  };
  const record = (letter: string): string => letter.repeat(MEBIBYTE);
  const written: string[] = [];
  for (const letter of ["a", "b", "c"]) {
    await append(wal, [record(letter)], "now");
    written.push(record(letter));
  }
  assert.is(faulty.withheld.length, 1);
  const late = faulty.withheld[0];
  faulty.decide = () => null;
  const more = (async () => {
    for (const letter of ["d", "e", "f", "g"]) {
      for (;;) {
        try {
          await append(wal, [record(letter)], "now");
          break;
        } catch (error) {
          if (!isStoreError(error, "ERR_WAL_FULL")) throw error;
        }
      }
      written.push(record(letter));
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(written.length < 7, "records were placed where a zero was still to be written");
  late?.release();
  await more;
  assert.is(await readLog(wal).then((records) => records.every((found, index) => found === written[index])), true);
  await wal.close();
  assert.is((await reopen()).records.join("") === written.join(""), true);
});

test("a segment that is full while it is being zeroed stays open until the last zero has landed", async () => {
  const { wal, faulty } = await open({ segmentBytes: 32 * MEBIBYTE });
  const record = "r".repeat(MEBIBYTE - 16 * KIBIBYTE);
  // Until the next segment is there, which is made when half of this one is full.
  let lsn = 0;
  while (segmentFiles(directory).length < 2 && lsn < 24) {
    lsn = await append(wal, [record], "now");
    await wal.flush();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  faulty.decide = (operation) => (isZeroing(operation) ? "doLater" : null);
  while (faulty.withheld.length === 0 && lsn < 24) lsn = await append(wal, [record], "now");
  if (faulty.withheld.length === 0) return; // it was zeroed to its end before the next one was made
  const [first] = segmentFiles(directory);
  const large = "L".repeat(16 * MEBIBYTE);
  const appended = append(wal, [large], "now");
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const { operation } of faulty.withheld)
    if (operation.fileOffset > 0) assert.is(readlinkSync(`/proc/self/fd/${operation.fd}`), first);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  assert.is(await appended, lsn + 1);
  await wal.close();
  const { records } = await reopen();
  assert.is(records.length, lsn + 1);
  assert.ok(records.at(-1) === large && records.slice(0, -1).every((found) => found === record));
});

test("a failed sync of a new segment stops the log, and is not tried again", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * KIBIBYTE });
  faulty.decide = (operation) => (operation.kind === "dataSync" ? { result: -EIO } : null);
  const before = faulty.operations.filter(({ kind }) => kind === "dataSync").length;
  for (const name of ["a", "b"]) await append(wal, [name], "now").catch(() => {});
  await rejects(
    (async () => {
      for (let round = 0; round < 10; round++) await append(wal, ["c"], "now");
    })(),
    (error) => isStoreError(error, "ERR_WAL_FAILED") || isStoreError(error, "ERR_WAL_OUTCOME_UNKNOWN"),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(faulty.operations.filter(({ kind }) => kind === "dataSync").length, before + 1);
  assert.is(wal.status, "failed");
});

test("closing waits for what is in flight and tells everybody, and the second call waits for the first", async () => {
  const { wal, faulty } = await open();
  faulty.decide = (operation) => (isFrame(operation) ? "tellLater" : null);
  const told: string[] = [];
  const appends = [append(wal, ["a"], "now"), append(wal, ["b"], "now"), append(wal, ["c"], "turn")];
  for (const [index, done] of appends.entries()) void done.then((lsn) => told.push(`${index}: ${lsn}`));
  const closing = [wal.close(), wal.close()].map((close) => close.then(() => told.push("closed")));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(told, []);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  await Promise.all(closing);
  assert.equal(told, ["0: 1", "1: 2", "2: 3", "closed", "closed"]);
  await rejects(append(wal, ["late"]), "ERR_STORE_CLOSED");
  assert.equal(await reopen(), { records: ["a", "b", "c"], row: "@I" });
});

test("an append while the log closes is refused", async () => {
  const { wal } = await open();
  await append(wal, ["a"]);
  const closing = wal.close();
  await rejects(append(wal, ["b"]), "ERR_STORE_CLOSED");
  await closing;
});

for (const [what, matches] of [
  ["prepared", (operation: Operation) => operation.kind === "allocate"],
  ["zeroed", isZeroing],
] as const) {
  test(`closing while a segment is being ${what} waits for that, and leaves no file without frames`, async () => {
    const { wal, faulty } = await open({ segmentBytes: 16 * KIBIBYTE });
    faulty.decide = (operation) => (matches(operation) ? "doLater" : null);
    for (const name of ["a", "b"]) await append(wal, [name], "now");
    while (faulty.withheld.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const closing = wal.close();
    await new Promise((resolve) => setTimeout(resolve, 10));
    faulty.decide = () => null;
    for (const entry of [...faulty.withheld]) entry.release();
    await closing;
    assert.is(segmentFiles(directory).length, 1);
    assert.equal(await reopen(), { records: ["a", "b"], row: "@I" });
  });
}

test("after a failure closing waits for the writes in flight, and the store can be opened again at once", async () => {
  const { wal, faulty } = await open();
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const first = append(wal, ["a"], "now").catch(() => {});
  faulty.decide = (operation) => (isFrame(operation) ? { result: -EIO } : null);
  await rejects(append(wal, ["b"], "now"), "ERR_WAL_OUTCOME_UNKNOWN");
  await first;
  const closing = wal.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(openFiles().includes(segmentFiles(directory)[0] as string), "the file was closed under a write");
  faulty.decide = () => null;
  faulty.withheld[0]?.release();
  await closing;
  const again = await openLog(directory, { busyWaitMs: 0 });
  assert.equal(again.recovered, ["a"]);
  await again.wal.close();
});

test("when all buffers are taken an append waits for one, and goes on when it comes back", async () => {
  const { wal, faulty } = await open({ segmentBytes: 64 * MEBIBYTE });
  faulty.decide = (operation) => (isFrame(operation) ? "tellLater" : null);
  const appends: Promise<number>[] = [];
  while (wal.batchFor(1, 1, true) !== null && appends.length < 100) appends.push(append(wal, ["x"], "now"));
  assert.ok(appends.length >= 2 && appends.length < 100, `${appends.length} batches`);
  let isDone = false;
  const waiting = append(wal, ["last"], "now").then((lsn) => {
    isDone = true;
    return lsn;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(isDone, false);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  assert.is(await waiting, appends.length + 1);
  assert.equal(
    await Promise.all(appends),
    appends.map((_, index) => index + 1),
  );
});

test("one append of 32 MiB is one frame, and a larger one is no frame at all", async () => {
  const { wal } = await open({ segmentBytes: 64 * MEBIBYTE });
  assert.is(wal.appendBytesMax, 32 * MEBIBYTE);
  const record = "m".repeat(wal.appendBytesMax / 4);
  await append(wal, ["small"]);
  assert.is(await append(wal, [record, record, record, record]), 2);
  await append(wal, ["after"]);
  assert.throws(() => wal.batchFor(1, 64 * MEBIBYTE, false), /appendBytesMax/);
  assert.is((await readLog(wal)).filter((found) => found === record).length, 4);
  assert.is(wal.stats.frames - wal.stats.attestations, 3);
  await wal.close();
  const { records } = await reopen();
  assert.is(records.length, 6);
  assert.ok(records[4] === record && records[5] === "after");
});

test("a log of many tiny segments is written, read forwards and backwards, and recovered", async () => {
  const { wal } = await open({ segmentBytes: 16 * KIBIBYTE });
  const expected: string[] = [];
  const appends: Promise<number>[] = [];
  for (let index = 0; index < 150; index++) {
    const records = Array.from(
      { length: 1 + (index % 3) },
      (_, at) => `${index}.${at} ${"x".repeat((index * 37) % 3000)}`,
    );
    expected.push(...records);
    appends.push(append(wal, records, index % 5 === 0 ? "now" : "turn"));
    if (index % 10 === 9) await appends.at(-1);
  }
  await Promise.all(appends);
  // Segments go as they fill; those that are full are closed.
  assert.ok(segmentFiles(directory).length > 10);
  assert.ok(openFiles().filter((path) => path.endsWith(".wal")).length <= 3, "full segments were left open");
  assert.equal(await readLog(wal), expected);
  const backwards: number[] = [];
  for await (const frame of wal.framesBackwards(wal.watermark)) backwards.push(frame.header.firstLsn);
  assert.equal(
    backwards,
    backwards.toSorted((a, b) => b - a),
  );
  await wal.close();
  assert.equal(await reopen(), { records: expected, row: "@I" });
});

test("appends of one turn that are more than a segment holds go into several frames", async () => {
  const { wal } = await open({ segmentBytes: 16 * KIBIBYTE });
  const records = Array.from({ length: 40 }, (_, index) => `${index} ${"y".repeat(2000)}`);
  const lsns = await Promise.all(records.map((record) => append(wal, [record])));
  assert.equal(
    lsns,
    records.map((_, index) => index + 1),
  );
  assert.equal(await readLog(wal), records);
});

test("an idle log attests once how far it is durable, so that a crash afterwards leaves nothing to guess", async () => {
  const { wal } = await open();
  await append(wal, ["a"]);
  await append(wal, ["b"]);
  const early = copyStore(directory);
  await new Promise((resolve) => setTimeout(resolve, 350));
  assert.is(wal.stats.attestations, 1);
  const late = copyStore(directory);
  assert.equal(await reopen(early), { records: ["a", "b"], row: "@L" });
  assert.equal(await reopen(late), { records: ["a", "b"], row: "@J" });
});

test("nothing is written behind an attestation in flight: its hole would be the end of the file below W", async () => {
  const { wal, faulty } = await open();
  await append(wal, ["before"]);
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  while (faulty.withheld.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const behind = append(wal, ["behind"], "now");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(faulty.withheld.length, 1);
  assert.equal(await reopen(copyStore(directory)), { records: ["before"], row: "@L" });
  faulty.decide = () => null;
  faulty.withheld[0]?.release();
  assert.is(await behind, 2);
  assert.is(wal.stats.attestations, 1);
  assert.equal(await readLog(wal), ["before", "behind"]);
});

test("a busy log attests in its frames, and an unused one writes nothing", async () => {
  const { wal } = await open();
  const size = wal.stats.bytes;
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.is(wal.stats.bytes, size);
  for (let round = 0; round < 6; round++) {
    await append(wal, ["x"]);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  assert.is(wal.stats.attestations, 0);
});

test("draining waits for what was appended before it, not for what comes after", async () => {
  const { wal, faulty } = await open();
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const first = append(wal, ["before"], "now");
  const draining = wal.flush();
  const second = append(wal, ["after"], "now");
  faulty.decide = () => null;
  faulty.withheld[0]?.release();
  await draining;
  assert.is(await first, 1);
  assert.is(wal.watermark, 1);
  faulty.withheld[0]?.release();
  assert.is(await second, 2);
});

test("a segment that could not be sealed keeps its size: a shorter one without a seal is damage", async () => {
  const { wal, faulty } = await open({ segmentBytes: 16 * MEBIBYTE });
  faulty.decide = (operation) => (isZeroing(operation) ? { result: -ENOSPC } : null);
  // Exactly what was zeroed at the beginning, so that there is no place for the seal.
  const record = "z".repeat(341 * BLOCK - 200);
  for (let index = 0; index < 3; index++) await append(wal, [record], "now");
  await rejects(append(wal, ["more"], "now"), "ERR_WAL_FULL");
  await wal.close();
  assert.is(statSync(segmentFiles(directory)[0] as string).size, 16 * MEBIBYTE);
  const { records, row } = await reopen();
  assert.is(row, "@J");
  assert.ok(records.length === 3 && records.every((found) => found === record));
});

test("a listener that appends when W moves, or throws, does the log no harm", async () => {
  const { wal } = await open();
  const appended: Promise<number>[] = [];
  wal.onAdvance(() => {
    if (appended.length < 20) appended.push(append(wal, ["by a listener"], "now"));
  });
  const all: Promise<number>[] = [];
  for (let index = 0; index < 200; index++) {
    all.push(append(wal, [`${index}`], index % 2 === 0 ? "now" : "turn"));
    if (index % 20 === 0) await all.at(-1);
  }
  const lsns = [...(await Promise.all(all)), ...(await Promise.all(appended))];
  assert.is(new Set(lsns).size, 220);
  assert.is(wal.watermark, 220);

  const uncaught = new Promise<Error>((resolve) => process.once("uncaughtException", resolve));
  const heard: number[] = [];
  const stop = wal.onAdvance(() => {
    throw new Error("of a listener");
  });
  wal.onAdvance((watermark) => heard.push(watermark));
  await append(wal, ["a"]);
  assert.is((await uncaught).message, "of a listener");
  stop();
  assert.equal(heard, [221]);
});

test("recordedAt never goes back, whatever the clock does", async () => {
  const times = [5_000, 4_000, 6_000, -3, 6_001];
  const { wal } = await open({ clock: () => times.shift() ?? 7_000 });
  for (const name of ["a", "b", "c", "d"]) await append(wal, [name]);
  const recorded: number[] = [];
  for await (const frame of wal.frames(0, 4)) recorded.push(frame.header.recordedAt);
  assert.equal(
    recorded,
    recorded.toSorted((a, b) => a - b),
  );
  assert.ok(recorded.every((time) => time >= 4_000));
});

test("behind a frame's body lie zeros up to the block's end, not what the buffer held before", async () => {
  const { wal } = await open();
  for (let round = 0; round < 12; round++) await append(wal, ["S".repeat(3 * BLOCK)], "now").catch(() => {});
  for (let round = 0; round < 12; round++) await append(wal, ["t"], "now").catch(() => {});
  await wal.close();
  for (const path of segmentFiles(directory)) {
    const bytes = readFileSync(path);
    for (let at = BLOCK; at < bytes.length; at += BLOCK) {
      const decoded = decodeFrameHeader(bytes.subarray(at, at + 192));
      if (decoded.kind !== "frame" || decoded.header.recordCount !== 1 || decoded.header.storedBytes > 100) continue;
      const end = at + 192 + decoded.header.storedBytes;
      assert.ok(
        bytes.subarray(end, at + BLOCK).every((byte) => byte === 0),
        `${path} at ${at}`,
      );
    }
  }
});

test("the log takes no LSN above 2^53 − 1: it refuses, and reading goes on", async () => {
  mkdirSync(directory);
  const probe = join(directory, "lock");
  writeFileSync(probe, "");
  const io = openIo("auto", probe);
  const last = Number.MAX_SAFE_INTEGER - 1;
  const storeId = new Uint8Array(16);
  const start = { storeId, incarnation: 1, durableLsn: last - 1, lastRecordedAt: 0, slotCount: 1 };
  const control = ControlFile.create(directory, start);
  control.attach(0, process.pid);
  const writer = new CoreWriter(
    io,
    {
      directory,
      storeId,
      core: 0,
      incarnation: 1,
      generation: 1,
      segmentBytes: 64 * KIBIBYTE,
    },
    control,
    1,
    { clock: () => 1, flushIntervalMs: 5 },
    { onFrame: () => {}, onAdvance: () => {}, onSealed: () => {}, onBlocked: () => {} },
  );
  await writer.start();
  const put = (count: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const batch = writer.batchFor(count, count, true);
      if (batch === null) throw new Error("no buffer");
      for (let index = 0; index < count; index++) batch.addRecord(batch.recordOffset + 1);
      batch.tickets.push({ committed: resolve, failed: reject });
      writer.demand(batch, "now");
    });
  await rejects(put(2), "ERR_WAL_FULL");
  assert.is(await put(1), last);
  await rejects(put(1), "ERR_WAL_FULL");
  assert.is(writer.watermark, last);
  await writer.close();
  await io.close();
  control.close();
});

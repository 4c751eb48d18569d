/** Sealing frames and reading them again: by LSN, by stream, by time; over compactions, beside replacements, and after being closed. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { RECORD_HEADER_BYTES } from "../../../src/wal/format.js";
import { compactSegments } from "../../../src/wal/sealed/rewrite-segments.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import type { LogFrame } from "../../../src/wal/sealed/sealed-format.js";
import type { SealedLog } from "../../../src/wal/sealed/sealed-log.js";
import { sealedPath } from "../../../src/wal/sealed/sealed-name.js";
import { verifySegment } from "../../../src/wal/sealed/verify-segment.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { openFiles } from "../support/log-fixture.js";
import {
  type Bench,
  collidingHasher,
  frameOf,
  keyOf,
  type MadeLog,
  makeLog,
  recordsIn,
  STORE_ID,
  sealedBench,
} from "./sealed-fixture.js";

const test = suite("wal/sealed/sealed-log");

let bench: Bench;
let filesBefore: string[] = [];
test.beforeEach(() => {
  filesBefore = openFiles();
  bench = sealedBench();
});
test.afterEach(async () => {
  await bench.close();
  assert.equal(openFiles(), filesBefore, "files were left open");
});

async function collect(frames: AsyncIterable<LogFrame>): Promise<LogFrame[]> {
  const found: LogFrame[] = [];
  for await (const frame of frames) found.push(frame);
  return found;
}

/** A long frame is read in parts: what counts is each record, its LSN and its time. */
function recordsOf(frames: readonly LogFrame[]): string[] {
  return frames.flatMap((frame) => {
    const records = recordsIn(frame);
    assert.is(records.length, frame.header.recordCount);
    return records.map((record, index) => `${frame.header.firstLsn + index} ${frame.header.recordedAt} ${record}`);
  });
}

/** Those of the records with LSNs in (after, through]. */
function within(records: readonly string[], after: number, through: number): string[] {
  return records.filter((record) => {
    const lsn = Number.parseInt(record, 10);
    return lsn > after && lsn <= through;
  });
}

function assertFrames(found: readonly LogFrame[], expected: readonly LogFrame[], after = 0, through = 1e15): void {
  for (const [index, { header }] of found.entries()) {
    const next = found[index + 1]?.header.firstLsn ?? header.firstLsn + header.recordCount;
    assert.ok(next >= header.firstLsn + header.recordCount);
  }
  assert.equal(within(recordsOf(found), after, through), within(recordsOf(expected), after, through));
}

/** Everything that the log can be asked, against what was put into it. */
async function assertHolds(log: SealedLog, made: MadeLog, samples: number): Promise<void> {
  const random = seededRandom(1);
  assert.is(log.firstLsn, 1);
  assert.is(log.lastLsn, made.lastLsn);
  assertFrames(await collect(log.frames(0, made.lastLsn)), made.frames);
  assertFrames((await collect(log.framesBackwards(made.lastLsn))).reverse(), made.frames);
  for (let sample = 0; sample < samples; sample++) {
    const after = random.integer(made.lastLsn);
    const through = after + 1 + random.integer(made.lastLsn - after);
    const found = await collect(log.frames(after, through));
    assertFrames(found, made.frames, after, through);
    // Of what is outside of the range only what shares a run with its ends. A range of voids has nothing.
    assert.ok(found.length < 2 || (found[1] as LogFrame).header.firstLsn > after);
    assertFrames((await collect(log.framesBackwards(through))).reverse(), made.frames, 0, through);
    const frame = random.pick(made.frames);
    const lsn = frame.header.firstLsn + random.integer(frame.header.recordCount);
    assertFrames([await log.frameOf(lsn)], [frame], lsn - 1, lsn);
    assert.is(await log.timeOf(lsn), frame.header.recordedAt);
  }
  for (const [name, lsns] of made.streams) {
    const bytes = Buffer.from(name);
    assert.equal(await log.streamHead(bytes), { version: lsns.length, lsn: lsns.at(-1) });
    assert.equal(await log.streamLsns(bytes, 1, Number.MAX_SAFE_INTEGER), lsns);
    const from = 1 + random.integer(lsns.length);
    const to = from + random.integer(lsns.length);
    assert.equal(await log.streamLsns(bytes, from, to), lsns.slice(from - 1, to));
  }
  for (const [name, lsns] of [...made.streams].slice(0, samples)) {
    const records: string[] = [];
    let at = 0;
    for await (const frame of log.framesOf(lsns)) {
      records.push(recordsIn(frame)[(lsns[at++] as number) - frame.header.firstLsn] as string);
    }
    assert.equal(
      records.map((record) => record.split(":")[0]),
      lsns.map((_, index) => `${name}\0${index + 1}`),
    );
  }
  for (const absent of ["", "absent", "stream-", "stream-0x"]) {
    assert.is(await log.streamHead(Buffer.from(absent)), null);
    assert.equal(await log.streamLsns(Buffer.from(absent), 1, 9), []);
  }
}

async function assertVerifies(
  entries: readonly SealedEntry[],
  hasher = undefined as typeof collidingHasher | undefined,
) {
  let records = 0;
  for (const { number, hash } of entries) {
    const options = { io: bench.io, storeId: STORE_ID, number, keyOf, ...(hasher === undefined ? {} : { hasher }) };
    const trailer = await verifySegment(sealedPath(bench.directory, number), options);
    assert.is(trailer.hash.toString("hex"), hash);
    records += trailer.recordCount;
  }
  return records;
}

test("whatever is sealed is read again, by LSN, by stream and by time, with and without compression, in one segment or many", async () => {
  const random = seededRandom();
  const shapes = [
    { frames: 400, streams: 30, recordsMax: 1, payloadMax: 3, voidEvery: 9 },
    { frames: 60, streams: 300, recordsMax: 200, payloadMax: 12 },
    { frames: 30, streams: 3, recordsMax: 400, payloadMax: 60, voidEvery: 4 },
  ];
  for (const shape of shapes) {
    const made = makeLog(random, shape);
    for (const compression of ["none", "deflate"] as const) {
      for (const segmentBytes of [9000, 10_000_000]) {
        const entries = await bench.merge(made, { compression, segmentBytes, blockBytes: 4000 });
        assert.ok(segmentBytes > 1_000_000 ? entries.length === 1 : entries.length > 1);
        const log = await bench.open(entries, { cacheBytesMax: random.pick([0, 100_000, 10_000_000]) });
        await assertHolds(log, made, 10);
        await log.close();
        assert.is(await assertVerifies(entries), made.records.size);
        for (const { number } of entries) rmSync(sealedPath(bench.directory, number));
      }
    }
  }
});

test("names whose hashes collide never mix, however far their bucket goes on", async () => {
  const random = seededRandom();
  const made = makeLog(random, { frames: 40, streams: 700, recordsMax: 100, payloadMax: 2 });
  const entries = await bench.merge(made, { hasher: collidingHasher, segmentBytes: 60_000 });
  assert.ok(entries.length > 1);
  const log = await bench.open(entries, { hasher: collidingHasher });
  await assertHolds(log, made, 3);
  await log.close();
  assert.is(await assertVerifies(entries, collidingHasher), made.records.size);
});

test("a record larger than a block is in one block, and one larger than a pool's buffer is read all the same", async () => {
  const payload = "0123456789abcdef".repeat(20_000);
  const frames = [
    frameOf(1, 10, ["a\x001:x"]),
    frameOf(2, 10, [`a\x002:${payload}`, "b\x001:", `b\x002:${payload}`]),
    frameOf(5, 11, ["a\x003:y"]),
  ];
  const streams = new Map([
    ["a", [1, 2, 5]],
    ["b", [3, 4]],
  ]);
  const made: MadeLog = { frames, voids: [], lastLsn: 5, streams, records: new Map() };
  for (const compression of ["none", "deflate"] as const) {
    const entries = await bench.merge(made, { compression, firstNumber: compression === "none" ? 1 : 10 });
    const [{ byteLength }] = entries as [SealedEntry];
    assert.ok(compression === "none" ? byteLength > 640_000 : byteLength < 100_000);
    const log = await bench.open(entries);
    await assertHolds(log, made, 5);
    await log.close();
    await assertVerifies(entries);
  }
});

test("mapped, everything is the same; single events come without a read, and outlive the log", async () => {
  const made = makeLog(seededRandom(), { frames: 100, streams: 30, recordsMax: 50, payloadMax: 40, voidEvery: 9 });
  const entries = await bench.merge(made, { segmentBytes: 20_000, blockBytes: 4000 });
  const log = await bench.open(entries, { isMapped: true, cacheBytesMax: 0 });
  const readsBefore = bench.faulty.operations.filter(({ kind }) => kind === "read").length;
  const [frame] = made.frames as [LogFrame];
  const found = await log.frameOf(frame.header.firstLsn);
  assert.is((await log.streamLsns(Buffer.from(made.streams.keys().next().value ?? ""), 1, 9)).length > 0, true);
  assert.is(bench.faulty.operations.filter(({ kind }) => kind === "read").length, readsBefore);
  await assertHolds(log, made, 10);
  await log.close();
  assertFrames([found], [frame], found.header.firstLsn - 1, found.header.firstLsn + found.header.recordCount - 1);
});

test("mapped, damage is told as it is else", async () => {
  const made = makeLog(seededRandom(), { frames: 20, streams: 3, recordsMax: 50, payloadMax: 40 });
  const entries = await bench.merge(made, { blockBytes: 4000 });
  const log = await bench.open(entries, { isMapped: true, cacheBytesMax: 0 });
  const path = sealedPath(bench.directory, (entries[0] as SealedEntry).number);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000);
  writeFileSync(path, bytes);
  await rejects(collectFramesOf(log, made), "ERR_WAL_CORRUPT");
  await log.close();
});

/** Every frame, each looked up by itself. */
async function collectFramesOf(log: SealedLog, made: MadeLog): Promise<void> {
  for (const { header } of made.frames) await log.frameOf(header.firstLsn);
}

test("a stream with more records than fit into its entry has its postings in pages of their own", async () => {
  const random = seededRandom(3);
  const made = makeLog(random, { frames: 30, streams: 2, recordsMax: 400, payloadMax: 0 });
  const entries = await bench.merge(made);
  const [, head] = [...made.streams][0] as [string, number[]];
  assert.ok(head.length > 1100, "the postings take more than one page");
  const log = await bench.open(entries);
  await assertHolds(log, made, 3);
  assert.equal(
    await log.streamLsns(Buffer.from("stream-0"), 1017, 1019),
    made.streams.get("stream-0")?.slice(1016, 1019),
  );
  await log.close();
  await assertVerifies(entries);
});

test("an LSN is found by time, also between frames, before the first and after the last, and where many share a time", async () => {
  const times = [100, 100, 100, 250, 250, 400, 401, 900];
  const frames = times.map((time, index) =>
    frameOf(index * 2 + 1, time, [`s\0${index * 2 + 1}:`, `s\0${index * 2 + 2}:`]),
  );
  const made: MadeLog = { frames, voids: [], lastLsn: 16, streams: new Map(), records: new Map() };
  for (const [firstNumber, segmentBytes] of [
    [1, 4200],
    [100, 10_000],
  ] as const) {
    const entries = await bench.merge(made, { segmentBytes, blockBytes: 70, firstNumber });
    const log = await bench.open(entries);
    for (const [time, lsn] of [
      [99, 0],
      [100, 6],
      [249, 6],
      [250, 10],
      [399, 10],
      [400, 12],
      [401, 14],
      [899, 14],
      [900, 16],
      [1e15, 16],
    ] as const) {
      assert.is(await log.lsnAt(time), lsn, `at ${time}`);
    }
    assert.is(log.highestRecordedAt, 900);
    await log.close();
  }
});

test("compaction changes no frame and no hash, in one step or in many", async () => {
  const random = seededRandom();
  const made = makeLog(random, { frames: 200, streams: 50, recordsMax: 20, payloadMax: 9, voidEvery: 10 });
  const small = await bench.merge(made, { segmentBytes: 9000 });
  assert.ok(small.length > 6);
  const options = { io: bench.io, pool: bench.pool, directory: bench.directory, storeId: STORE_ID, keyOf };
  const half = Math.floor(small.length / 2);
  const first = await compactSegments(small.slice(0, half), { ...options, firstNumber: 1000 });
  const second = await compactSegments(small.slice(half), { ...options, firstNumber: 2000, compression: "deflate" });
  assert.is(first.length + second.length, 2);
  assert.is(first[0]?.hash, small[half - 1]?.hash);
  const whole = await compactSegments([...first, ...second], { ...options, firstNumber: 3000 });
  assert.is(whole[0]?.hash, small.at(-1)?.hash);
  for (const entries of [small, [...first, ...small.slice(half)], [...first, ...second], whole]) {
    const log = await bench.open(entries);
    await assertHolds(log, made, 5);
    await log.close();
    assert.is(await assertVerifies(entries), made.records.size);
  }
});

test("the chain does not depend on how the log was cut into segments, blocks and merges", async () => {
  const made = makeLog(seededRandom(8), { frames: 60, streams: 20, recordsMax: 10, payloadMax: 5 });
  const one = await bench.merge(made);
  const many = await bench.merge(made, {
    firstNumber: 100,
    segmentBytes: 5000,
    blockBytes: 300,
    compression: "deflate",
  });
  assert.is(one.at(-1)?.hash, many.at(-1)?.hash);
  const cut = 30;
  const lastLsn = (made.frames[cut]?.header.firstLsn as number) - 1;
  const before = await bench.merge({ ...made, frames: made.frames.slice(0, cut), lastLsn }, { firstNumber: 200 });
  const after = await bench.merge(
    { ...made, frames: made.frames.slice(cut - 2) },
    { firstNumber: 300, after: { lsn: lastLsn, hash: before.at(-1)?.hash as string } },
  );
  assert.is(after.at(-1)?.hash, one.at(-1)?.hash);
  const log = await bench.open([...before, ...after]);
  await assertHolds(log, made, 5);
  await log.close();
});

test("records that come a second time in other frames are left out, and the rest of such a frame is kept", async () => {
  const frames = [
    frameOf(1, 10, ["a\x001:", "a\x002:", "b\x001:"]),
    frameOf(2, 11, ["a\x002:", "b\x001:"]),
    frameOf(3, 12, ["b\x001:", "b\x002:", "a\x003:"]),
  ];
  const made: MadeLog = { frames, voids: [], lastLsn: 5, streams: new Map(), records: new Map() };
  const entries = await bench.merge(made);
  const log = await bench.open(entries);
  const found = await collect(log.frames(0, 5));
  assert.equal(found.map(recordsIn), [
    ["a\x001:", "a\x002:", "b\x001:"],
    ["b\x002:", "a\x003:"],
  ]);
  assert.equal(
    found.map(({ header }) => header.firstLsn),
    [1, 4],
  );
  await log.close();
  await assertVerifies(entries);
});

test("segments that were replaced are not missed by who reads", async () => {
  const made = makeLog(seededRandom(4), { frames: 300, streams: 40, recordsMax: 8, payloadMax: 9, voidEvery: 20 });
  const small = await bench.merge(made, { segmentBytes: 9000 });
  const log = await bench.open(small, { cacheBytesMax: 0 });
  const forwards = log.frames(0, made.lastLsn);
  const backwards = log.framesBackwards(made.lastLsn);
  const found = [(await forwards.next()).value as LogFrame];
  const reversed = [(await backwards.next()).value as LogFrame];
  const options = { io: bench.io, pool: bench.pool, directory: bench.directory, storeId: STORE_ID, keyOf };
  const large = await compactSegments(small, { ...options, firstNumber: 500 });
  const looking = [...made.streams].map(([name]) => log.streamHead(Buffer.from(name)));
  await log.replace(large);
  for (const { number } of small) rmSync(sealedPath(bench.directory, number));
  found.push(...(await collect(forwards)));
  reversed.push(...(await collect(backwards)));
  assertFrames(found, made.frames);
  assertFrames(reversed.reverse(), made.frames);
  assert.equal(
    (await Promise.all(looking)).map((head) => head?.version),
    [...made.streams.values()].map((lsns) => lsns.length),
  );
  await assertHolds(log, made, 3);
  await log.close();
});

test("while it is closed every kind of reading ends with ERR_STORE_CLOSED, also one that nobody goes on with", async () => {
  const made = makeLog(seededRandom(6), { frames: 300, streams: 40, recordsMax: 8, payloadMax: 9 });
  const entries = await bench.merge(made, { blockBytes: 1000 });
  const log = await bench.open(entries);
  const [forwards, abandoned, backwards] = [log.frames(0, 200), log.frames(0, 200), log.framesBackwards(200)];
  await Promise.all([forwards.next(), abandoned.next(), backwards.next()]);
  const inFlight = Promise.allSettled([log.frameOf(5), log.streamHead(Buffer.from("stream-1")), log.lsnAt(1e18)]);
  await log.close();
  await inFlight;
  await rejects(collect(forwards), "ERR_STORE_CLOSED");
  await rejects(collect(backwards), "ERR_STORE_CLOSED");
  await rejects(log.frameOf(5), "ERR_STORE_CLOSED");
  await rejects(log.streamHead(Buffer.from("stream-1")), "ERR_STORE_CLOSED");
  await rejects(collect(log.frames(0, 100)), "ERR_STORE_CLOSED");
  await log.close();
  await abandoned.return();
});

test("the caches stay within their bytes, and what is in them is not read again", async () => {
  const made = makeLog(seededRandom(7), { frames: 500, streams: 100, recordsMax: 10, payloadMax: 20 });
  const entries = await bench.merge(made, { blockBytes: 2000 });
  const reads = (): number => bench.faulty.operations.filter(({ kind }) => kind === "read").length;
  const small = await bench.open(entries, { cacheBytesMax: 20_000 });
  for (const lsn of made.records.keys()) {
    await small.frameOf(lsn);
    assert.ok(small.cachedBytes <= 2 * 20_000);
  }
  await small.close();
  const large = await bench.open(entries);
  for (const lsn of made.records.keys()) await large.frameOf(lsn);
  const before = reads();
  for (const lsn of made.records.keys()) await large.frameOf(lsn);
  assert.is(reads(), before);
  await large.close();
});

test("who needs one record of a long frame reads a small part of it", async () => {
  const records = Array.from({ length: 8000 }, (_, index) => `a\0${index + 1}:${"x".repeat(100)}`);
  const made = { frames: [frameOf(1, 7, records)], voids: [], lastLsn: 8000, streams: new Map(), records: new Map() };
  const log = await bench.open(await bench.merge(made));
  await log.frameOf(1);
  const before = bench.faulty.operations.length;
  const frame = await log.frameOf(4321);
  assert.is(recordsIn(frame)[4321 - frame.header.firstLsn], records[4320]);
  const reads = bench.faulty.operations.slice(before);
  assert.is(reads.length, 1);
  assert.ok((reads[0]?.length as number) <= 40 * 1024);
  await log.close();
});

test("two who need the same block read it once", async () => {
  const made = makeLog(seededRandom(7), { frames: 50, streams: 10, recordsMax: 10, payloadMax: 20 });
  const log = await bench.open(await bench.merge(made));
  await log.timeOf(1);
  const other = await bench.open(
    [...log.segments].map(({ trailer }) => ({
      number: trailer.number,
      firstLsn: trailer.firstLsn,
      lastLsn: trailer.lastLsn,
      byteLength: trailer.fileBytes,
      hash: trailer.hash.toString("hex"),
    })),
  );
  const before = bench.faulty.operations.length;
  await Promise.all(Array.from({ length: 20 }, () => other.frameOf(3)));
  assert.is(bench.faulty.operations.length - before, 3, "root, LSN page, block");
  await log.close();
  await other.close();
});

test("opening reads one page of each segment, whatever it holds", async () => {
  const made = makeLog(seededRandom(7), { frames: 400, streams: 1000, recordsMax: 50, payloadMax: 9 });
  const entries = await bench.merge(made, { segmentBytes: 200_000 });
  assert.ok(entries.length > 2);
  const before = bench.faulty.operations.length;
  const log = await bench.open(entries);
  const opened = bench.faulty.operations.slice(before);
  assert.is(opened.length, entries.length);
  assert.ok(opened.every(({ kind, length }) => kind === "read" && length === 4096));
  await log.close();
});

test("more segments than files may be open are read all the same", async () => {
  const made = makeLog(seededRandom(11), { frames: 150, streams: 9, recordsMax: 2, payloadMax: 3 });
  const entries = await bench.merge(made, { segmentBytes: 1 });
  assert.is(entries.length, 150);
  const log = await bench.open(entries, { cacheBytesMax: 0 });
  await assertHolds(log, made, 5);
  assert.ok(openFiles().length - filesBefore.length <= 64 + 1);
  await log.close();
});

test("a record of length 0 in a run with a leaf is one that was removed", async () => {
  const { SealedWriter } = await import("../../../src/wal/sealed/sealed-writer.js");
  const { CHAIN_START, leafOf } = await import("../../../src/wal/sealed/hash-chain.js");
  const made = makeLog(seededRandom(2), { frames: 20, streams: 5, recordsMax: 6, payloadMax: 3 });
  const [before] = (await bench.merge(made)) as [SealedEntry];
  const writer = new SealedWriter({
    ...{ io: bench.io, pool: bench.pool, directory: bench.directory, storeId: STORE_ID, keyOf, firstNumber: 2 },
    after: { lsn: 0, hash: CHAIN_START },
  });
  let kept = 0;
  for (const [index, { header, body }] of made.frames.entries()) {
    const run = { kind: "data", header, body, leaf: null, goesOn: false } as const;
    const leaf = leafOf([run], null);
    if (index < 3) {
      await writer.add({ ...run, kind: "removed", body: Buffer.alloc(0), leaf });
    } else if (index < 6) {
      // The first versions of streams go first, so all records of early frames do.
      await writer.add({ ...run, body: Buffer.alloc(header.recordCount * RECORD_HEADER_BYTES), leaf });
    } else {
      await writer.add(run);
      kept += header.recordCount;
    }
  }
  const entries = await writer.finish();
  assert.is(entries[0]?.hash, before.hash);
  assert.is(await assertVerifies(entries), kept);
  const log = await bench.open(entries);
  const found = await collect(log.frames(0, made.lastLsn));
  assert.is(found.length, made.frames.length - 3);
  assert.equal(recordsIn(found[0] as LogFrame), new Array(made.frames[3]?.header.recordCount).fill(""));
  assert.equal(recordsIn(await log.frameOf(1)), [""]);
  for (const [name, lsns] of made.streams) {
    const firstKept = made.frames[6]?.header.firstLsn as number;
    const rest = lsns.filter((lsn) => lsn >= firstKept);
    assert.equal(await log.streamLsns(Buffer.from(name), 1, 1e9), rest);
  }
  await log.close();
});

/** Damaged, cut, foreign and newer segments: refused by name, or what they say is still true. */

import { cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { StoreError } from "../../../src/errors.js";
import { EIO } from "../../../src/ffi/errno.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import { SealedLog } from "../../../src/wal/sealed/sealed-log.js";
import { sealedPath } from "../../../src/wal/sealed/sealed-name.js";
import { verifySegment } from "../../../src/wal/sealed/verify-segment.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { openFiles } from "../support/log-fixture.js";
import { type Bench, keyOf, type MadeLog, makeLog, STORE_ID, sealedBench } from "./sealed-fixture.js";

const PAGE = 4096;

const test = suite("wal/sealed/damage");

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

/** Everything that can be read of one segment, as text. */
async function readAll(entries: readonly SealedEntry[], made: MadeLog): Promise<string> {
  const log = await bench.open(entries);
  try {
    const found: unknown[] = [];
    for await (const { header, body } of log.frames(0, log.lastLsn)) found.push(header, body.toString("latin1"));
    for await (const { header } of log.framesBackwards(log.lastLsn)) found.push(header.firstLsn);
    for (const [name, lsns] of made.streams) {
      const bytes = Buffer.from(name);
      found.push(await log.streamHead(bytes), await log.streamLsns(bytes, 1, 1e9), await log.timeOf(lsns[0] as number));
    }
    found.push(await log.streamHead(Buffer.from("absent")), await log.lsnAt(1_700_000_000_000_500));
    return JSON.stringify(found);
  } finally {
    await log.close();
  }
}

async function outcomeOf(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    const { code, details } = error as StoreError;
    assert.is(code, "ERR_WAL_CORRUPT", String(error));
    if (code === "ERR_WAL_CORRUPT") assert.type(details["path"], "string");
    return code;
  }
}

async function verify({ number }: SealedEntry): Promise<string> {
  const path = sealedPath(bench.directory, number);
  const trailer = await verifySegment(path, { io: bench.io, storeId: STORE_ID, number, keyOf });
  return trailer.hash.toString("hex");
}

for (const compression of ["none", "deflate"] as const) {
  test(
    `of a segment with one byte changed, compression ${compression}, what is read is the same or refused, and verifying refuses`,
    async () => {
      const made = makeLog(seededRandom(3), { frames: 12, streams: 5, recordsMax: 4, payloadMax: 4, voidEvery: 4 });
      const entries = await bench.merge(made, { blockBytes: 300, compression });
      const [entry] = entries as [SealedEntry];
      const path = sealedPath(bench.directory, entry.number);
      const whole = readFileSync(path);
      const expected = await readAll(entries, made);
      const hash = await verify(entry);
      const outcomes = new Map<string, number>();
      for (let at = 0; at < whole.length; at++) {
        // Of zeros in a row only some: they are all alike.
        if (whole[at] === 0 && whole[at - 1] === 0 && whole[at + 1] === 0 && at % 331 !== 0) continue;
        const damaged = Buffer.from(whole);
        damaged[at] = (whole[at] as number) ^ (1 << (at & 7));
        writeFileSync(path, damaged);
        const read = await outcomeOf(() => readAll(entries, made));
        assert.ok(read === expected || read === "ERR_WAL_CORRUPT", `byte ${at}: ${read}`);
        const verified = await outcomeOf(() => verify(entry));
        assert.ok(verified === "ERR_WAL_CORRUPT" || isPadding(whole, at), `byte ${at} is not verified`);
        assert.ok(verified === hash || verified === "ERR_WAL_CORRUPT");
        outcomes.set(read === expected ? "same" : read, 1 + (outcomes.get(read === expected ? "same" : read) ?? 0));
      }
      assert.ok((outcomes.get("ERR_WAL_CORRUPT") ?? 0) > 1000, JSON.stringify([...outcomes]));
    },
    { timeoutMs: 120_000 },
  );
}

/** Zeros between the parts, of which nothing depends. */
function isPadding(whole: Buffer, at: number): boolean {
  return whole[at] === 0 && whole.subarray(at, Math.ceil((at + 1) / PAGE) * PAGE).every((byte) => byte === 0);
}

test("a segment that was cut is refused wherever it was cut, and so is one that grew", async () => {
  const made = makeLog(seededRandom(3), { frames: 30, streams: 9, recordsMax: 9, payloadMax: 30 });
  const entries = await bench.merge(made);
  const [entry] = entries as [SealedEntry];
  const path = sealedPath(bench.directory, entry.number);
  const whole = readFileSync(path);
  for (let byteLength = whole.length - 512; byteLength >= 0; byteLength -= 512) {
    truncateSync(path, byteLength);
    const error = (await rejects(bench.open(entries), "ERR_WAL_CORRUPT")) as StoreError;
    assert.is(error.details["path"], path);
    await rejects(verify(entry), "ERR_WAL_CORRUPT");
    // A manifest that lists what is there does not help.
    await rejects(bench.open([{ ...entry, byteLength }]), "ERR_WAL_CORRUPT");
  }
  writeFileSync(path, Buffer.concat([whole, Buffer.alloc(PAGE)]));
  await rejects(bench.open(entries), "ERR_WAL_CORRUPT");
  await rejects(verify(entry), "ERR_WAL_CORRUPT");
});

test("a segment that is missing, of another store, newer, another one than is listed, or out of order is refused by name", async () => {
  const made = makeLog(seededRandom(5), { frames: 60, streams: 9, recordsMax: 9, payloadMax: 30 });
  const entries = await bench.merge(made, { segmentBytes: 8000 });
  assert.ok(entries.length > 3);
  const [first, second, third] = entries as [SealedEntry, SealedEntry, SealedEntry];
  const path = sealedPath(bench.directory, second.number);
  const whole = readFileSync(path);

  const foreign = { io: bench.io, pool: bench.pool, directory: bench.directory, storeId: new Uint8Array(16).fill(6) };
  await rejects(SealedLog.open(foreign, entries), "ERR_WAL_FOREIGN");
  await rejects(verifySegment(path, { ...foreign, number: second.number, keyOf }), "ERR_WAL_FOREIGN");

  for (const pageAt of [0, whole.length - PAGE]) {
    const newer = Buffer.from(whole);
    newer.writeUInt16LE(2, pageAt + 4);
    newer.writeUInt32LE(crc32(newer.subarray(pageAt, pageAt + PAGE - 4)), pageAt + PAGE - 4);
    writeFileSync(path, newer);
    await rejects(verify(second), "ERR_WAL_VERSION");
    if (pageAt > 0) await rejects(bench.open(entries), "ERR_WAL_VERSION");
  }
  writeFileSync(path, whole);

  await rejects(bench.open([first, { ...second, hash: third.hash }]), "ERR_WAL_CORRUPT");
  await rejects(bench.open([first, { ...second, lastLsn: second.lastLsn + 1 }]), "ERR_WAL_CORRUPT");
  await rejects(bench.open([first, third]), "ERR_WAL_CORRUPT");
  await rejects(bench.open([second, first]), "ERR_WAL_CORRUPT");
  cpSync(sealedPath(bench.directory, third.number), path);
  await rejects(bench.open([first, { ...third, number: second.number }]), "ERR_WAL_CORRUPT");
  renameSync(path, `${path}.elsewhere`);
  const missing = (await rejects(bench.open(entries), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(missing.details["path"], path);
});

test("a block of another place, though it holds its CRCs, is not believed", async () => {
  const made = makeLog(seededRandom(9), { frames: 40, streams: 3, recordsMax: 1, payloadMax: 0 });
  const entries = await bench.merge({ ...made, frames: made.frames }, { blockBytes: 1 });
  const [entry] = entries as [SealedEntry];
  const path = sealedPath(bench.directory, entry.number);
  const whole = readFileSync(path);
  const starts: number[] = [];
  for (let at = whole.indexOf("VRVB"); at >= 0; at = whole.indexOf("VRVB", at + 1)) starts.push(at);
  assert.is(starts.length, 40);
  const lengthOf = (index: number): number => (starts[index + 1] as number) - (starts[index] as number);
  const [a, b] = [10, [...starts.keys()].find((index) => index > 10 && lengthOf(index) === lengthOf(10)) as number];
  whole.copy(whole, starts[b] as number, starts[a] as number, starts[a + 1] as number);
  writeFileSync(path, whole);
  const log = await bench.open(entries);
  const error = (await rejects(log.frameOf(b + 1), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(error.details["offset"], starts[b]);
  assert.is(error.details["path"], path);
  await log.frameOf(a + 1);
  await log.close();
  await rejects(verify(entry), "ERR_WAL_CORRUPT");
});

test("a read that fails is no damage, names the place, and passes; a file that ends early is damage with its offset", async () => {
  const made = makeLog(seededRandom(9), { frames: 40, streams: 3, recordsMax: 5, payloadMax: 9 });
  const entries = await bench.merge(made, { blockBytes: 500 });
  const log = await bench.open(entries);
  bench.faulty.decide = ({ kind }) => (kind === "read" ? { result: -EIO } : null);
  const failure = (await rejects(log.frameOf(1), "ERR_IO_FAILED")) as StoreError;
  assert.equal([failure.details["errno"], failure.details["path"]], ["EIO", log.segments[0]?.path]);
  await rejects(log.streamHead(Buffer.from("stream-1")), "ERR_IO_FAILED");
  bench.faulty.decide = ({ kind }) => (kind === "read" ? { onlyBytes: 512 } : null);
  const damage = (await rejects(log.frameOf(1), "ERR_WAL_CORRUPT")) as StoreError;
  assert.ok((damage.details["offset"] as number) > 0);
  bench.faulty.decide = () => null;
  assert.is((await log.frameOf(1)).header.firstLsn, 1);
  assert.not((await log.streamHead(Buffer.from("stream-1"))) === null);
  await log.close();
  rmSync(sealedPath(bench.directory, entries[0]?.number as number));
});

// Found by the fuzz's lies: a page that held its CRC and led nowhere was looked through without an end.
test("an LSN page that holds its CRC and leads elsewhere is refused, forwards, backwards and by stream", async () => {
  const made = makeLog(seededRandom(3), { frames: 12, streams: 5, recordsMax: 4, payloadMax: 4, voidEvery: 4 });
  const entries = await bench.merge(made, { blockBytes: 300 });
  const [entry] = entries as [SealedEntry];
  const path = sealedPath(bench.directory, entry.number);
  const whole = readFileSync(path);
  const page = whole.indexOf("VRVL");
  assert.is(page % PAGE, 0);
  const [first, second] = [page + 24, page + 24 + 32];
  const lies: readonly (readonly [at: number, high: number, low: number])[] = [
    [first + 8, 0xffff_ffff, 0xffff_ffff], // an offset that is no number
    [first + 8, 1, 0], // beyond the file
    [second + 8, 0, 0], // in the preamble
    [second, 0x1f_ffff, 0], // LSNs that the segment does not have
    [second, 0, 1], // LSNs of the block before
    [first + 24, 0, 0], // a header's CRC, and a length of nothing
  ];
  for (const [at, high, low] of lies) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(low, at);
    bytes.writeUInt32LE(high, at + 4);
    bytes.writeUInt32LE(crc32(bytes.subarray(page, page + PAGE - 4), crc32(STORE_ID)), page + PAGE - 4);
    writeFileSync(path, bytes);
    const log = await bench.open(entries);
    const ends = [
      async () => {
        for await (const _ of log.frames(0, log.lastLsn));
      },
      async () => {
        for await (const _ of log.framesBackwards(log.lastLsn));
      },
      async () => {
        for await (const _ of log.framesOf(Array.from({ length: log.lastLsn }, (_, index) => index + 1)));
      },
    ];
    let refused = 0;
    for (const end of ends) {
      const outcome = await end().catch((error: StoreError) => error.code);
      assert.ok(outcome === undefined || outcome === "ERR_WAL_CORRUPT", String(outcome));
      if (outcome !== undefined) refused++;
    }
    assert.ok(refused > 0, `${high}:${low} at ${at}`);
    await log.close();
  }
});

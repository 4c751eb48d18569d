/** Opening what a crash, a failing disk or a careless hand has left: the data, a refusal that says where, or a reported cut. */

import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import type { BlockIo } from "../../src/ffi/block-io.js";
import { EIO, ENOMEM, ENOSPC } from "../../src/ffi/errno.js";
import { openIo } from "../../src/ffi/open-io.js";
import { checksum } from "../../src/wal/checksum.js";
import { findLog } from "../../src/wal/find-log.js";
import { decodeFrameHeader, decodePreamble, encodePreamble, frameBytes } from "../../src/wal/format.js";
import { decodeManifest, encodeManifest, type Manifest } from "../../src/wal/manifest.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { faultyIo, isFrame } from "./support/faulty-io.js";
import {
  append,
  copyStore,
  KIBIBYTE,
  openLog,
  readLog,
  recordsOf,
  segmentFiles,
  snapshot,
} from "./support/log-fixture.js";

const BLOCK = 4096;
const SECTOR = 512;
const SEGMENT_BYTES = 16 * KIBIBYTE;
/** Every flip and not one in so many. */
const IS_LONG = process.env["VARVE_FUZZ"] === "all";

const test = suite("wal/open-log");

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const options = { segmentBytes: SEGMENT_BYTES };

/** One append each, waited for. */
async function write(names: readonly string[], from = directory): Promise<string> {
  const { wal } = await openLog(from, options);
  for (const name of names) await append(wal, [name], "now");
  const crashed = copyStore(from);
  await wal.close();
  return crashed;
}

/** Opens, reads and closes. */
async function recover(from: string) {
  const { wal, recovered } = await openLog(from, options);
  const { recovery } = wal;
  assert.equal(await readLog(wal), recovered);
  await wal.close();
  return { records: recovered, recovery };
}

async function refuses(from: string, code: string): Promise<StoreError> {
  const before = snapshot(from);
  const error = (await rejects(openLog(from, options), code)) as StoreError;
  // The lock's file may be made; nothing that was there may be touched.
  const after = snapshot(from);
  for (const [name, { bytes, mtimeMs }] of before) {
    const now = after.get(name);
    assert.ok(now?.bytes.equals(bytes) === true, `${name} was changed`);
    assert.is(now?.mtimeMs, mtimeMs, `${name} was touched`);
  }
  assert.equal(
    [...after.keys()].filter((name) => !before.has(name) && name !== "lock"),
    [],
  );
  return error;
}

function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  writeFileSync(path, bytes);
}

function change(path: string, edit: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  edit(bytes);
  writeFileSync(path, bytes);
}

function newestManifest(from: string): { readonly path: string; readonly manifest: Manifest } {
  const name = readdirSync(from)
    .filter((entry) => /^manifest-\d+$/.test(entry))
    .sort()
    .at(-1) as string;
  const path = join(from, name);
  const decoded = decodeManifest(readFileSync(path));
  if (decoded.kind !== "manifest") throw new Error(`${path} is ${decoded.kind}`);
  return { path, manifest: decoded.manifest };
}

/** The frames of a segment file: where each lies and how long it is. */
function framesOf(path: string): { readonly offset: number; readonly byteLength: number; readonly kind: string }[] {
  const bytes = readFileSync(path);
  const frames: { offset: number; byteLength: number; kind: string }[] = [];
  for (let offset = BLOCK; offset < bytes.length; ) {
    const decoded = decodeFrameHeader(bytes.subarray(offset, offset + 192));
    if (decoded.kind !== "frame") break;
    const byteLength = frameBytes(decoded.header.storedBytes);
    frames.push({ offset, byteLength, kind: decoded.header.kind });
    offset += byteLength;
  }
  return frames;
}

function lastSegmentWithFrames(from: string): string {
  return segmentFiles(from)
    .filter((path) => framesOf(path).length > 0)
    .at(-1) as string;
}

/** Writes that were started are on the disk by then. */
const LANDED_AFTER_MS = 150;

/** What a crash leaves that happens when all these appends are on the device and none of them has been told. */
async function crashInFlight(names: readonly string[], clock?: () => number): Promise<string> {
  let crashed = "";
  const { wal } = await openLog(directory, {
    segmentBytes: 64 * KIBIBYTE,
    ...(clock === undefined ? {} : { clock }),
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => (isFrame(operation) ? "tellLater" : null);
      const crash = (): void => {
        crashed = copyStore(directory);
        faulty.decide = () => null;
        for (const entry of [...faulty.withheld]) entry.release();
      };
      const look = setInterval(() => {
        if (faulty.withheld.length < names.length) return;
        clearInterval(look);
        setTimeout(crash, LANDED_AFTER_MS);
      }, 5);
      return faulty.io;
    },
  });
  await Promise.all(names.map((name) => append(wal, [name], "now")));
  await wal.close();
  return crashed;
}

test("a new store is empty, and again when nothing was written", async () => {
  const first = await recover(directory);
  assert.equal(first.records, []);
  assert.is(first.recovery.row, "@A");
  const second = await recover(directory);
  assert.equal(second.records, []);
  assert.equal(segmentFiles(directory), []);
});

test("a closed store serves without a doubt, a crashed one after its last records were written once more", async () => {
  const crashed = await write(["a", "b", "c"]);
  assert.equal(await recover(directory).then(({ records, recovery }) => [records, recovery.row]), [
    ["a", "b", "c"],
    "@I",
  ]);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a", "b", "c"]);
  assert.is(recovery.row, "@L");
  // Each frame attests the ones before it, so only the last is in doubt.
  assert.is(recovery.attestedLsn, 2);
  assert.is(recovery.rewrittenRecords, 1);
  assert.is(recovery.tornAt, null);
});

test(
  "a frame torn at any sector is cut, reported, and stays away for three generations",
  async () => {
    const { wal } = await openLog(directory, options);
    await append(wal, ["a"], "now");
    await append(wal, ["b".repeat(6000)], "now");
    const crashed = copyStore(directory);
    await wal.close();
    const [path] = segmentFiles(crashed) as [string];
    const last = framesOf(path).at(-1) as { offset: number; byteLength: number };
    assert.is(last.byteLength, 2 * BLOCK);
    const whole = readFileSync(path);
    for (let kept = 0; kept < last.byteLength; kept += SECTOR) {
      const torn = join(temporaryDirectory(), "store");
      cpSync(crashed, torn, { recursive: true });
      const [tornPath] = segmentFiles(torn) as [string];
      change(tornPath, (bytes) => bytes.fill(0, last.offset + kept, last.offset + last.byteLength));
      const records: string[] = ["a"];
      const first = await recover(torn);
      const isWhole = 192 + 8 + 6000 <= kept;
      if (isWhole) records.push("b".repeat(6000));
      assert.equal(first.records, records, `${kept} bytes kept`);
      if (!isWhole && kept > 0) assert.equal(first.recovery.tornAt, { path: tornPath, offset: last.offset });
      // The lost bytes come back, as a device may do it: they must not be believed any more.
      change(tornPath, (bytes) => whole.copy(bytes, last.offset, last.offset, last.offset + last.byteLength));
      for (const name of ["c", "d"]) {
        records.push(name);
        await write([name], torn);
        change(tornPath, (bytes) => whole.copy(bytes, last.offset, last.offset, last.offset + last.byteLength));
        assert.equal((await recover(torn)).records, records, `${kept} bytes kept, then ${name}`);
      }
    }
  },
  { timeoutMs: 60_000 },
);

test("a frame lost behind one that follows it is an orphan's end: both are cut and counted, and LSNs are taken anew", async () => {
  // Two writes in flight at once: the second lands, the first does not.
  let crashed = "";
  const { wal } = await openLog(directory, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      let frameCount = 0;
      const crash = (): void => {
        crashed = copyStore(directory);
        for (const entry of [...faulty.withheld]) entry.release();
      };
      faulty.decide = (operation) => {
        if (!isFrame(operation)) return null;
        frameCount++;
        // By then the third has landed.
        if (frameCount === 3) setTimeout(crash, 300);
        return frameCount === 2 ? "doLater" : null;
      };
      return faulty.io;
    },
  });
  await append(wal, ["a"], "now");
  await Promise.all([append(wal, ["lost"], "now"), append(wal, ["orphan"], "now")]);
  await wal.close();
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a"]);
  assert.is(recovery.orphanFrames, 1);
  assert.ok(recovery.tornAt !== null);
  await write(["new"], crashed);
  assert.equal((await recover(crashed)).records, ["a", "new"]);
});

test("damage below what is attested refuses, says where and which records, and changes nothing", async () => {
  const crashed = await write(["a", "b", "c", "d"]);
  const [first, second] = segmentFiles(crashed) as [string, string];
  const frames = framesOf(first);
  for (const [index, { offset }] of frames.entries()) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(crashed, damaged, { recursive: true, preserveTimestamps: true });
    const [path] = segmentFiles(damaged) as [string];
    flipBit(path, (offset + 192 + 8) * 8 + 3);
    const error = await refuses(damaged, "ERR_WAL_CORRUPT");
    assert.equal(error.details, { path, offset, firstLostLsn: index + 1, lastLostLsn: 3 });
    for (const fact of [path, `offset ${offset}`, `LSN ${index + 1} to 3`])
      assert.ok(error.message.includes(fact), fact);
  }
  assert.is(frames.length, 3);
  assert.is(framesOf(second).length, 1);
});

test("damage in a closed store refuses, in every incarnation, and names the file where it is", async () => {
  await write(["a", "b"]);
  await write(["c"]);
  await write(["d", "e"]);
  const paths = segmentFiles(directory);
  assert.is(paths.length, 3);
  const lost = [
    [0, 1],
    [1, 3],
    [2, 4],
  ] as const;
  for (const [segment, firstLostLsn] of lost) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(directory, damaged, { recursive: true, preserveTimestamps: true });
    const path = segmentFiles(damaged)[segment] as string;
    flipBit(path, (BLOCK + 150) * 8);
    const error = await refuses(damaged, "ERR_WAL_CORRUPT");
    assert.is(error.details["path"], path);
    assert.is(error.details["offset"], BLOCK);
    assert.is(error.details["firstLostLsn"], firstLostLsn);
    assert.is(error.details["lastLostLsn"], 5);
  }
});

test("a store without one of its files refuses and names it, but for a spare manifest and the lock", async () => {
  await write(["a", "b", "c", "d", "e", "f", "g"]);
  await write(["h"]);
  const expected = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const spare = [join(directory, "lock"), newestManifest(directory).path];
  const files = [...snapshot(directory).keys()].filter((name) => existsSync(join(directory, name)));
  for (const name of files) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(directory, damaged, { recursive: true, preserveTimestamps: true });
    if (!name.includes(".") && !name.startsWith("manifest-") && name !== "lock") continue; // a directory
    rmSync(join(damaged, name));
    if (name.endsWith(".wal")) {
      const error = await refuses(damaged, "ERR_WAL_CORRUPT");
      const missing = join(damaged, name);
      const before = segmentFiles(directory)[segmentFiles(directory).indexOf(join(directory, name)) - 1];
      const names = [missing, before === undefined ? "" : join(damaged, "wal", "core-000", basename(before))];
      assert.ok(names.includes(String(error.details["path"])), `${name}: ${error.message}`);
      assert.is(error.details["lastLostLsn"], 8);
    } else {
      const { records } = await recover(damaged);
      assert.equal(records, expected, `without ${name}`);
    }
  }
  assert.ok(spare.every((path) => existsSync(path)));
  const none = join(temporaryDirectory(), "store");
  cpSync(directory, none, { recursive: true });
  for (const name of readdirSync(none)) if (name.startsWith("manifest-")) rmSync(join(none, name));
  await refuses(none, "ERR_WAL_CORRUPT");
});

interface Outcome {
  readonly records: readonly string[];
  readonly error: StoreError | null;
  readonly isReported: boolean;
}

/** Judges stores in place, many a second: reading only, over buffered files. */
class Judge {
  readonly #directory: string;
  readonly #io: BlockIo;
  readonly #pool = new BufferPool(64 * KIBIBYTE, 16);

  constructor(from: string) {
    this.#directory = from;
    this.#io = openIo("buffered", join(from, "lock"));
  }

  async judge(): Promise<Outcome> {
    const records: string[] = [];
    const place = { io: this.#io, pool: this.#pool, directory: this.#directory };
    try {
      const found = await findLog(place, (frame) => records.push(...recordsOf(frame)));
      if (found === "absent") return { records: [], error: null, isReported: false };
      const { tornAt, orphanFrames } = found.report;
      return { records, error: null, isReported: tornAt !== null || orphanFrames > 0 };
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      return { records, error: error as StoreError, isReported: true };
    }
  }

  async close(): Promise<void> {
    await this.#io.close();
    this.#pool.close();
  }
}

const REFUSALS = ["ERR_WAL_CORRUPT", "ERR_WAL_VERSION", "ERR_WAL_FOREIGN"];

/** The same data, a precise refusal, or a reported cut of what nobody attests. Never other data, never another error. */
function accept(
  outcome: Outcome,
  expected: readonly string[],
  attested: number,
  what: string,
): "same" | "refused" | "cut" {
  const { records, error, isReported } = outcome;
  if (error !== null) {
    assert.ok(REFUSALS.includes(error.code), `${what}: ${error.stack}`);
    return "refused";
  }
  assert.equal(records, expected.slice(0, records.length), `${what}: other records`);
  if (records.length === expected.length) return "same";
  assert.ok(records.length >= attested, `${what}: ${records.length} records, ${attested} were attested`);
  assert.ok(isReported, `${what}: cut after ${records.length} records and not reported`);
  return "cut";
}

/** A store of three incarnations: one closed, one crashed and recovered, one crashed. */
async function storeOfMany(): Promise<{ from: string; records: string[]; attested: number }> {
  await write(["a", "b"]);
  const crashed = await write(["c", "d"]);
  const { wal } = await openLog(crashed, options);
  await append(wal, ["e", "f"], "now");
  await append(wal, ["g".repeat(5000)], "now");
  const from = copyStore(crashed);
  await wal.close();
  return { from, records: ["a", "b", "c", "d", "e", "f", "g".repeat(5000)], attested: 6 };
}

test(
  "whatever bit is flipped, the data is the same, refused, or cut at the end with a report",
  async () => {
    const { from, records, attested } = await storeOfMany();
    const judge = new Judge(from);
    assert.is(accept(await judge.judge(), records, attested, "untouched"), "same");
    const outcomes = { same: 0, refused: 0, cut: 0 };
    const started = performance.now();
    const names = [...snapshot(from).keys()].filter((name) => /\.wal$|manifest-/.test(name));
    for (const name of names) {
      const bytes = readFileSync(join(from, name));
      const fd = openSync(join(from, name), "r+");
      // Zeros are many and alike; of them a few will do.
      const step = IS_LONG ? 1 : 61;
      for (let bit = 0; bit < bytes.length * 8; bit += bytes[bit >> 3] === 0 && !IS_LONG ? 1009 : step) {
        const at = bit >> 3;
        const byte = bytes[at] as number;
        writeSync(fd, Buffer.of(byte ^ (1 << (bit & 7))), 0, 1, at);
        outcomes[accept(await judge.judge(), records, attested, `${name} bit ${bit}`)]++;
        writeSync(fd, Buffer.of(byte), 0, 1, at);
      }
      closeSync(fd);
    }
    await judge.close();
    const count = outcomes.same + outcomes.refused + outcomes.cut;
    console.log(`${count} flips in ${Math.round(performance.now() - started)} ms: ${JSON.stringify(outcomes)}`);
    assert.ok(outcomes.refused > 40 && outcomes.cut > 40 && outcomes.same > 40, JSON.stringify(outcomes));
  },
  { timeoutMs: IS_LONG ? 3_600_000 : 60_000 },
);

test("a file truncated at any sector is refused, or what nobody attests is cut with a report", async () => {
  const { from, records, attested } = await storeOfMany();
  const judge = new Judge(from);
  // No segment may follow it, or its emptiness would be damage.
  const newest = lastSegmentWithFrames(from);
  for (const path of segmentFiles(from)) if (path > newest) rmSync(path);
  for (const path of segmentFiles(from)) {
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += SECTOR) {
      truncateSync(path, length);
      const outcome = await judge.judge();
      const what = `${basename(path)} of ${length} bytes`;
      // Of a file that never got its preamble nothing was ever acknowledged: it looks like one that a crash left there.
      if (path === newest && length === 0) assert.equal(outcome.records, records.slice(0, attested), what);
      else accept(outcome, records, attested, what);
      if (path === newest && length >= SECTOR) assert.is(outcome.error?.code, "ERR_WAL_CORRUPT", what);
      writeFileSync(path, whole);
    }
  }
  await judge.close();
});

test(
  "a block zeroed, copied over another or swapped with it is never taken for what it is not",
  async () => {
    const { from, records, attested } = await storeOfMany();
    const judge = new Judge(from);
    const places = segmentFiles(from).flatMap((path) =>
      Array.from({ length: Math.ceil(readFileSync(path).length / BLOCK) }, (_, block) => ({ path, at: block * BLOCK })),
    );
    const blockAt = ({ path, at }: { path: string; at: number }): Buffer => readFileSync(path).subarray(at, at + BLOCK);
    const put = ({ path, at }: { path: string; at: number }, block: Buffer): void => {
      change(path, (bytes) => block.copy(bytes, at));
    };
    // It is the only one that nobody attests, and it alone attests the one before it.
    const lastPath = lastSegmentWithFrames(from);
    const lastOffset = framesOf(lastPath).at(-1)?.offset ?? 0;
    const isLastFrame = ({ path, at }: { path: string; at: number }): boolean => path === lastPath && at >= lastOffset;
    for (const one of places) {
      const original = blockAt(one);
      put(one, Buffer.alloc(BLOCK));
      const what = `${basename(one.path)} at ${one.at}`;
      const outcome = await judge.judge();
      // A lost write at the very end is what a crash looks like, and leaves nothing to report.
      if (isLastFrame(one)) assert.equal(outcome.records, records.slice(0, outcome.records.length), what);
      else if (!original.every((byte) => byte === 0)) accept(outcome, records, attested, `${what} zeroed`);
      put(one, original);
      for (const other of places) {
        if (other === one) continue;
        const otherBlock = blockAt(other);
        put(one, otherBlock);
        if (!isLastFrame(one) || !otherBlock.every((byte) => byte === 0))
          accept(await judge.judge(), records, attested, `${basename(other.path)} at ${other.at} copied to ${what}`);
        put(other, original);
        if (!isLastFrame(one) && !isLastFrame(other))
          accept(await judge.judge(), records, attested, `${basename(other.path)} at ${other.at} swapped with ${what}`);
        put(one, original);
        put(other, otherBlock);
      }
    }
    assert.is(accept(await judge.judge(), records, attested, "put back"), "same");
    await judge.close();
  },
  { timeoutMs: 60_000 },
);

test("a segment of another store refuses by name", async () => {
  await write(["a"]);
  const other = join(temporaryDirectory(), "other");
  await write(["x"], other);
  cpSync(segmentFiles(other)[0] as string, segmentFiles(directory)[0] as string);
  const error = await refuses(directory, "ERR_WAL_FOREIGN");
  assert.is(error.details["path"], segmentFiles(directory)[0]);
});

test("a file that the manifest does not know refuses, and is not removed", async () => {
  await write(["a"]);
  await write(["b"]);
  const [first] = segmentFiles(directory) as [string];
  renameSync(first, first.replace("0000000001", "0000000000"));
  await refuses(directory, "ERR_WAL_CORRUPT");
});

test("an older manifest put back is not believed when the log is newer", async () => {
  await write(["a"]);
  const older = newestManifest(directory);
  const copy = readFileSync(older.path);
  await write(["b"]);
  for (const name of readdirSync(directory)) if (name.startsWith("manifest-")) rmSync(join(directory, name));
  writeFileSync(older.path, copy);
  const error = await refuses(directory, "ERR_WAL_CORRUPT");
  assert.match(error.message, /newer than its manifest/);
});

test("behind a damaged manifest the one before serves, and the report names the damaged one", async () => {
  await write(["a", "b"]);
  const { path } = newestManifest(directory);
  change(path, (bytes) => bytes.fill(0, 40, 50));
  const { records, recovery } = await recover(directory);
  assert.equal(records, ["a", "b"]);
  assert.equal(recovery.damagedManifests, [path]);
});

test("what a newer version wrote refuses as such: manifest, segment or frame, wherever the run ended", async () => {
  const crashed = await write(["a", "b", "c"]);
  const variants: [string, (from: string) => void][] = [
    [
      "manifest",
      (from) => {
        const { path } = newestManifest(from);
        const body = "{}";
        const start = "varve-manifest 4 ";
        const crc = checksum(Buffer.from(start + body))
          .toString(16)
          .padStart(8, "0");
        writeFileSync(path, `${start}${crc}\n${body}\n`);
      },
    ],
    [
      "segment",
      (from) =>
        change(segmentFiles(from)[0] as string, (bytes) => {
          bytes.writeUInt16LE(2, 4);
          bytes.writeUInt32LE(checksum(bytes, 0, 88), 88);
        }),
    ],
    ["frame", (from) => change(segmentFiles(from)[0] as string, (bytes) => makeNewer(bytes, 2 * BLOCK))],
    [
      "frame behind a torn one",
      (from) =>
        change(segmentFiles(from)[0] as string, (bytes) => {
          bytes.fill(0xee, 2 * BLOCK, 2 * BLOCK + 10);
          makeNewer(bytes, 3 * BLOCK);
        }),
    ],
  ];
  for (const [what, edit] of variants) {
    const newer = join(temporaryDirectory(), "store");
    cpSync(crashed, newer, { recursive: true, preserveTimestamps: true });
    edit(newer);
    const error = await refuses(newer, "ERR_WAL_VERSION");
    assert.match(error.message, /newer/, what);
  }
});

function makeNewer(bytes: Buffer, at: number): void {
  bytes.writeUInt16LE(9, at + 4);
  bytes.writeUInt32LE(checksum(bytes, at, at + 188), at + 188);
}

test("a preamble that is damaged in front of frames is damage, one that was torn before its first frame is not", async () => {
  const crashed = await write(["a"]);
  const damaged = join(temporaryDirectory(), "store");
  cpSync(crashed, damaged, { recursive: true, preserveTimestamps: true });
  flipBit(segmentFiles(damaged)[0] as string, 300);
  const error = await refuses(damaged, "ERR_WAL_CORRUPT");
  assert.match(error.message, /preamble/);
  const torn = join(temporaryDirectory(), "store");
  cpSync(crashed, torn, { recursive: true });
  change(segmentFiles(torn)[0] as string, (bytes) => bytes.fill(0, BLOCK));
  flipBit(segmentFiles(torn)[0] as string, 300);
  assert.equal((await recover(torn)).records, []);
});

test("a segment without a preamble in front of another one is damage, at the end it is a writer that was killed", async () => {
  const crashed = await write(["a", "b", "c", "d"]);
  const [, second] = segmentFiles(crashed) as [string, string];
  for (const later of segmentFiles(crashed).slice(2)) rmSync(later);
  const whole = readFileSync(second);
  writeFileSync(second, "");
  const third = second.replace("0000000002", "0000000003");
  writeFileSync(third, "");
  const error = await refuses(crashed, "ERR_WAL_CORRUPT");
  assert.is(error.details["path"], second);
  writeFileSync(second, whole);
  assert.equal((await recover(crashed)).records, ["a", "b", "c", "d"]);
});

test("leftover files of a killed writer are removed when they never held a frame, and only then", async () => {
  const { wal } = await openLog(directory, options);
  for (const name of ["a", "b"]) await append(wal, [name], "now");
  while (segmentFiles(directory).length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const crashed = copyStore(directory);
  await wal.close();
  const [used, prepared] = segmentFiles(crashed) as [string, string];
  assert.is(decodePreamble(readFileSync(prepared).subarray(0, BLOCK)).kind, "preamble");
  const next = await openLog(crashed, options);
  assert.equal(next.recovered, ["a", "b"]);
  assert.ok(existsSync(used));
  // The new incarnation may take the number again, but not the file.
  const decoded = decodePreamble(readFileSync(prepared).subarray(0, BLOCK));
  assert.is(decoded.kind === "preamble" ? decoded.preamble.incarnation : 0, 2);
  await next.wal.close();
});

test("a file with bytes in it that the log does not know is never removed", async () => {
  const crashed = await write(["a"]);
  const stray = join(crashed, "wal", "core-000", "0000000002.wal");
  const block = Buffer.alloc(4 * BLOCK);
  const { manifest } = newestManifest(crashed);
  encodePreamble(block, {
    core: 0,
    storeId: Buffer.from(manifest.storeId, "hex"),
    incarnation: 0,
    segment: 2,
    firstPossibleLsn: 1,
    generation: 1,
    segmentBytes: 4 * BLOCK,
    salt: new Uint8Array(32),
  });
  block.fill(0x55, 2 * BLOCK, 2 * BLOCK + 10);
  writeFileSync(stray, block);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a"]);
  assert.is(recovery.tornAt?.path, stray);
  assert.ok(readFileSync(stray).equals(block));
});

test("recovery that is killed at any step comes to the same when it is done again", async () => {
  const crashed = await write(["a", "b", "c", "d", "e"]);
  const states = new Map<string, string>();
  // Every operation of the recovering writer is a step; a copy of the directory is what a kill there leaves.
  let step = 0;
  const { wal } = await openLog(crashed, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => {
        if (operation.kind !== "read")
          states.set(`${step++} ${operation.kind} at ${operation.fileOffset}`, copyStore(crashed));
        return null;
      };
      return faulty.io;
    },
  });
  states.set("open", copyStore(crashed));
  await wal.close();
  states.set("closed", copyStore(crashed));
  assert.ok(states.size >= 6, [...states.keys()].join());
  for (const [what, state] of states) {
    for (let again = 0; again < 3; again++)
      assert.equal((await recover(state)).records, ["a", "b", "c", "d", "e"], `${what}, time ${again + 1}`);
  }
});

test("recovery that cannot write its manifest leaves everything as it was, and succeeds when it can", async () => {
  const crashed = await write(["a", "b"]);
  const { manifest } = newestManifest(crashed);
  const inTheWay = join(crashed, `manifest-${String(manifest.sequence + 1).padStart(10, "0")}.tmp`);
  cpSync(join(crashed, "wal"), inTheWay, { recursive: true }); // a directory, which cannot be written to
  const error = (await rejects(openLog(crashed, options), "ERR_IO_FAILED")) as StoreError;
  assert.is(error.details["errno"], "EISDIR");
  assert.is(newestManifest(crashed).manifest.sequence, manifest.sequence);
  rmSync(inTheWay, { recursive: true });
  assert.equal((await recover(crashed)).records, ["a", "b"]);
});

test("records written once more keep their LSNs and their time, and come back from either copy", async () => {
  // Three frames in flight at once, so that nobody attests the first two.
  const times = [1, 100, 200, 300, 400, 500];
  const clock = (): number => times.shift() ?? 999;
  const crashed = await crashInFlight(["a", "b", "c"], clock);
  const first = await openLog(crashed, { ...options, segmentBytes: 64 * KIBIBYTE });
  assert.is(first.wal.recovery.row, "@L");
  assert.is(first.wal.recovery.rewrittenRecords, 3);
  const firstTimes = first.frames.map(({ header }) => header.recordedAt);
  assert.equal(firstTimes, [100, 200, 300]);
  await append(first.wal, ["d"], "now");
  await first.wal.close();
  // The first copies are damaged: the second ones serve, with the same times.
  const [oldest] = segmentFiles(crashed) as [string];
  for (const { offset } of framesOf(oldest)) flipBit(oldest, (offset + 200) * 8);
  const second = await openLog(crashed, options);
  assert.equal(second.recovered, ["a", "b", "c", "d"]);
  assert.equal(
    second.frames.slice(0, 3).map(({ header }) => header.recordedAt),
    firstTimes,
  );
  assert.equal(await readLog(second.wal), ["a", "b", "c", "d"]);
  await second.wal.close();
});

test("a torn tail behind records that nobody attests: those are kept, written once more, and the tail is reported", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  const [path] = segmentFiles(crashed) as [string];
  flipBit(path, (3 * BLOCK + 200) * 8);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a", "b"]);
  assert.is(recovery.row, "@M");
  assert.is(recovery.rewrittenRecords, 2);
  assert.equal(recovery.tornAt, { path, offset: 3 * BLOCK });
});

test("no space to write once more what nobody attests: opening says so, and loses nothing then or later", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  // The preamble and one block fit; then the disk is full.
  let allocations = 0;
  const full = openLog(crashed, {
    segmentBytes: 8 * KIBIBYTE,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = ({ kind }) => (kind === "allocate" && ++allocations > 1 ? { result: -ENOSPC } : null);
      return faulty.io;
    },
  });
  await rejects(full, "ERR_WAL_FULL");
  for (let again = 0; again < 2; again++) assert.equal((await recover(crashed)).records, ["a", "b", "c"]);
});

test("what nobody attests cannot be written once more: opening fails for that reason, and loses nothing", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  const short = openLog(crashed, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => (isFrame(operation) ? { onlyBytes: 512 } : null);
      return faulty.io;
    },
  });
  // Not ERR_WAL_OUTCOME_UNKNOWN: nobody has appended anything.
  await rejects(short, "ERR_IO_FAILED");
  assert.equal((await recover(crashed)).records, ["a", "b", "c"]);
});

test("one unreadable block takes only itself: what is before it is served, what is attested behind it refuses", async () => {
  const crashed = await write(["a", "b", "c"]);
  const openWithBadBlock = (badAt: number) =>
    openLog(copyStore(crashed), {
      ...options,
      openIo: (demand, path) => {
        const faulty = faultyIo(openIo(demand, path));
        faulty.decide = ({ kind, fileOffset, length }) =>
          kind === "read" && fileOffset <= badAt && badAt < fileOffset + length ? { result: -EIO } : null;
        return faulty.io;
      },
    });
  const error = (await rejects(openWithBadBlock(2 * BLOCK), "ERR_WAL_CORRUPT")) as StoreError;
  assert.is(error.details["offset"], 2 * BLOCK);
  assert.is(error.details["firstLostLsn"], 2);
  const { wal, recovered } = await openWithBadBlock(3 * BLOCK);
  assert.equal(recovered, ["a", "b"]);
  assert.is(wal.recovery.tornAt?.offset, 3 * BLOCK);
  await wal.close();
});

test("a read that fails for want of memory is no damage: opening fails, and nothing is cut", async () => {
  const crashed = await write(["a", "b", "c"]);
  const failing = openLog(crashed, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = ({ kind, fileOffset }) => (kind === "read" && fileOffset > 0 ? { result: -ENOMEM } : null);
      return faulty.io;
    },
  });
  await rejects(failing, "ERR_IO_FAILED");
  assert.equal((await recover(crashed)).records, ["a", "b", "c"]);
});

test("a manifest that is rolled back by one opening serves the same records as before", async () => {
  await write(["a"]);
  await recover(directory);
  const { path, manifest } = newestManifest(directory);
  assert.ok(encodeManifest(manifest).equals(readFileSync(path)));
  rmSync(path);
  assert.equal((await recover(directory)).records, ["a"]);
});

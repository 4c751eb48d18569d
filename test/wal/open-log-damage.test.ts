/** Opening a log of which any bit, sector or block is not what it was: the same data, a refusal, or a reported cut. */

import { closeSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import type { BlockIo } from "../../src/ffi/block-io.js";
import { EIO, ENOMEM } from "../../src/ffi/errno.js";
import { openIo } from "../../src/ffi/open-io.js";
import { findLog } from "../../src/wal/find-log.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  BLOCK,
  change,
  framesOf,
  lastSegmentWithFrames,
  options,
  recover,
  SECTOR,
  writeAndCrash,
} from "./support/damaged-log.js";
import { faultyIo } from "./support/faulty-io.js";
import { append, copyStore, KIBIBYTE, openLog, recordsOf, segmentFiles, snapshot } from "./support/log-fixture.js";

/** Every flip and not one in so many. */
const IS_LONG = process.env["VARVE_FUZZ"] === "all";

const test = suite("wal/open-log-damage");

let directory = "";

test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const write = (names: readonly string[], from = directory): Promise<string> => writeAndCrash(from, names);

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

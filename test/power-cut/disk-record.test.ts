import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { allCuts, type DiskEntry, decodeRecord, flushedBefore, someCuts, survivors } from "./disk-record.js";

const test = suite("power-cut/disk-record");

const BLOCK = 4096;

function write(block: number, blocks = 1): DiskEntry & { kind: "write" } {
  return { kind: "write", offset: block * BLOCK, bytes: Buffer.alloc(blocks * BLOCK, block) };
}

const FLUSH: DiskEntry = { kind: "flush" };
const MARK: DiskEntry = { kind: "mark", text: "1.0.0 7" };
const ENTRIES = [write(1), FLUSH, write(2), write(3), MARK, FLUSH, write(4)];

function encoded(kind: string, offset: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(24);
  head.write(kind);
  head.writeBigUInt64LE(BigInt(offset), 8);
  head.writeBigUInt64LE(BigInt(bytes.length), 16);
  return Buffer.concat([head, bytes]);
}

test("a record is decoded as it was written, and one that is cut is refused", () => {
  const { bytes } = write(2);
  const none = Buffer.alloc(0);
  const record = Buffer.concat([encoded("W", 8192, bytes), encoded("F", 0, none), encoded("M", 0, Buffer.from("a 1"))]);
  const expected = [{ kind: "write", offset: 8192, bytes }, FLUSH, { kind: "mark", text: "a 1" }];
  assert.equal(decodeRecord(record), expected);
  assert.throws(() => decodeRecord(record.subarray(0, -1)));
  assert.throws(() => decodeRecord(encoded("X", 0, none)));
});

test("before the flush anything is left of a write, after it the whole", () => {
  const random = seededRandom();
  assert.is(flushedBefore(ENTRIES, 4), 2);
  assert.is(flushedBefore(ENTRIES, 5), 2);
  assert.is(flushedBefore(ENTRIES, 6), 6);
  assert.equal(survivors(ENTRIES, { at: 5, kind: "all" }, random), [write(2), write(3)]);
  assert.equal(survivors(ENTRIES, { at: 5, kind: "none" }, random), []);
  assert.equal(survivors(ENTRIES, { at: 6, kind: "all" }, random), []);
  const [whole, part] = survivors(ENTRIES, { at: 5, kind: "torn" }, random);
  assert.equal(whole, write(2));
  assert.ok(part !== undefined && part.bytes.length < BLOCK && part.bytes.length % 512 === 0);
  const counts = new Set(Array.from({ length: 100 }, () => survivors(ENTRIES, { at: 5, kind: "some" }, random).length));
  assert.equal([...counts].sort(), [0, 1, 2]);
});

test("every moment is a cut, in every way where something is in flight", () => {
  const cuts = allCuts(ENTRIES);
  assert.equal(
    cuts.filter(({ kind }) => kind === "all").map(({ at }) => at),
    [0, 1, 2, 3, 4, 6, 7],
  );
  assert.equal(
    cuts.filter(({ kind }) => kind === "torn").map(({ at }) => at),
    [1, 3, 4, 7],
  );
  const some = someCuts(cuts, 6, seededRandom());
  assert.is(some.length, 6);
  assert.equal(
    some.map(({ at }) => at),
    some.map(({ at }) => at).toSorted((a, b) => a - b),
  );
  assert.equal(someCuts(cuts, 1000, seededRandom()), cuts);
});

test("a file system's own first block is never torn", () => {
  const entries: DiskEntry[] = [write(0)];
  const [whole] = survivors(entries, { at: 1, kind: "torn" }, seededRandom());
  assert.is(whole?.bytes.length, BLOCK);
});

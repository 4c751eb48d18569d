import { encodeFrameHeader, STORE_ID_BYTES } from "../../src/wal/format.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { Attestation } from "./attestation.js";

const test = suite("simulation/attestation");
const PATH = "/store/wal/core-000/0000000001.wal";
const BLOCK_BYTES = 4096;

interface Written {
  readonly lsns: readonly [first: number, last: number];
  readonly durable: number;
  readonly incarnation?: number;
}

/** A frame that fills the block of that number. */
function frameOf(block: number, { lsns: [firstLsn, lastLsn], durable, incarnation = 1 }: Written): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES);
  encodeFrameHeader(bytes, {
    kind: "DATA",
    core: 0,
    storeId: new Uint8Array(STORE_ID_BYTES),
    incarnation,
    segment: 1,
    fileOffset: block * BLOCK_BYTES,
    generation: 1,
    firstLsn,
    recordCount: lastLsn - firstLsn + 1,
    storedBytes: 1000,
    previousCrc: 0,
    recordedAt: 1,
    durableLsn: durable,
    bodyCrc: 0,
  });
  return bytes;
}

function write(attestation: Attestation, block: number, written: Written): void {
  attestation.wrote(PATH, block * BLOCK_BYTES, frameOf(block, written));
}

function lose(attestation: Attestation, block: number, written: Written): void {
  attestation.lost(PATH, block * BLOCK_BYTES, frameOf(block, written));
}

/** LSNs 1 to 4 in two frames; what attests the second is not there yet. */
function twoFrames(): Attestation {
  const attestation = new Attestation();
  write(attestation, 1, { lsns: [1, 2], durable: 0 });
  write(attestation, 2, { lsns: [3, 4], durable: 2 });
  return attestation;
}

test("the last write of an incarnation may be gone when the device has lost it, and nothing else may", () => {
  const attestation = twoFrames();
  lose(attestation, 3, { lsns: [5, 6], durable: 4 });
  // The next incarnation gives its LSNs to others, and attests those.
  write(attestation, 4, { lsns: [5, 5], durable: 2, incarnation: 2 });
  write(attestation, 5, { lsns: [6, 7], durable: 5, incarnation: 2 });
  assert.is(attestation.lsn, 5);
  assert.is(attestation.mayBeGone(6, 1), true);
  assert.is(attestation.mayBeGone(4, 1), false);
  assert.is(attestation.mayBeGone(5, 2), false);
  assert.is(attestation.mayBeGone(6, 2), false);
});

test("a lost write that a later one attests is missed, and so is what lies above it", () => {
  const attestation = twoFrames();
  lose(attestation, 3, { lsns: [5, 5], durable: 4 });
  write(attestation, 4, { lsns: [6, 6], durable: 5 });
  assert.is(attestation.mayBeGone(5, 1), false);
  assert.is(attestation.mayBeGone(6, 1), false);
  lose(attestation, 5, { lsns: [7, 7], durable: 5 });
  assert.is(attestation.mayBeGone(7, 1), true);
  attestation.sealed(7, 1, 0);
  assert.is(attestation.mayBeGone(7, 1), false);
});

test("the lost rest of a short write takes its frame, and bit rot takes what nothing attests", () => {
  const short = twoFrames();
  const frame = frameOf(3, { lsns: [5, 6], durable: 4 });
  short.wrote(PATH, 3 * BLOCK_BYTES, frame.subarray(0, 512));
  assert.is(short.mayBeGone(5, 1), false);
  short.lost(PATH, 3 * BLOCK_BYTES + 512, frame.subarray(512));
  assert.is(short.mayBeGone(5, 1), true);
  const rotten = twoFrames();
  rotten.damaged(PATH, 1 * BLOCK_BYTES + 7, 1 * BLOCK_BYTES + 8);
  assert.is(rotten.mayBeGone(1, 1), false);
  rotten.damaged(PATH, 2 * BLOCK_BYTES + 7, 2 * BLOCK_BYTES + 8);
  assert.is(rotten.mayBeGone(3, 1), true);
});

test("a whole frame is there until it is damaged, or a later incarnation had to begin without what is below it", () => {
  const attestation = twoFrames();
  lose(attestation, 3, { lsns: [5, 5], durable: 4 });
  write(attestation, 4, { lsns: [6, 6], durable: 4 });
  const isThere = (lsn: number): boolean => attestation.isThere(lsn, 1);
  assert.equal([4, 5, 6, 7].map(isThere), [true, false, true, false]);
  write(attestation, 5, { lsns: [5, 5], durable: 4, incarnation: 2 });
  assert.equal([4, 5, 6].map(isThere), [true, false, false]);
  assert.is(attestation.isThere(5, 2), true);
  attestation.damaged(PATH, 2 * BLOCK_BYTES + 7, 2 * BLOCK_BYTES + 8);
  assert.is(isThere(4), false);
  attestation.wrote(PATH, 6 * BLOCK_BYTES, frameOf(6, { lsns: [6, 6], durable: 4, incarnation: 2 }).subarray(0, 512));
  assert.is(attestation.isThere(6, 2), false);
});

test("it is known in which incarnation a record was written last", () => {
  const attestation = twoFrames();
  write(attestation, 3, { lsns: [4, 5], durable: 3, incarnation: 3 });
  assert.equal(
    [1, 4, 9].map((lsn) => attestation.incarnationOf(lsn)),
    [1, 3, 0],
  );
});

test("what the device was given was written, whether or not it landed before the power went", () => {
  const attestation = twoFrames();
  attestation.begun(PATH, 3 * BLOCK_BYTES, frameOf(3, { lsns: [6, 7], durable: 4 }));
  attestation.begun(PATH, 4 * BLOCK_BYTES, frameOf(4, { lsns: [8, 7], durable: 4 }));
  assert.equal(
    [5, 6, 7, 8].map((lsn) => attestation.copy().wasBegun(lsn)),
    [false, true, true, false],
  );
  // Nothing attests it, and nobody has to find it there.
  assert.is(attestation.lsn, 2);
  assert.is(attestation.isThere(6, 1), false);
  assert.is(attestation.incarnationOf(6), 0);
});

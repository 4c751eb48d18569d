import { checksum } from "../../src/wal/checksum.js";
import {
  decodeFrameHeader,
  decodePreamble,
  encodeFrameHeader,
  encodePreamble,
  FORMAT_VERSION,
  FRAME_HEADER_BYTES,
  FRAME_KINDS,
  type FrameHeader,
  type FrameStamp,
  frameBytes,
  isAtItsPlace,
  isBodyValid,
  lastRecordCrc,
  PREAMBLE_BYTES,
  RECORD_HEADER_BYTES,
} from "../../src/wal/format.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const HEADER_CRC_AT = 188;
const MAX = Number.MAX_SAFE_INTEGER;

const test = suite("wal/format");

const STAMP: FrameStamp = {
  kind: "DATA",
  core: 3,
  storeId: Uint8Array.from({ length: 16 }, (_, index) => 16 + index),
  incarnation: 7,
  segment: 12,
  fileOffset: 3 * 4096,
  generation: 2,
  firstLsn: 1001,
  recordCount: 5,
  storedBytes: 333,
  previousCrc: 0xdeadbeef,
  recordedAt: 1_763_700_000_123_456,
  durableLsn: 1000,
  bodyCrc: 0xcafebabe,
};

const PREAMBLE = {
  core: 3,
  storeId: STAMP.storeId,
  incarnation: 7,
  segment: 12,
  firstPossibleLsn: 1001,
  generation: 2,
  segmentBytes: 64 * 1024 * 1024,
  salt: Uint8Array.from({ length: 32 }, (_, index) => index),
};

function header(stamp: FrameStamp = STAMP): Buffer {
  const block = Buffer.alloc(4096, 0xaa);
  encodeFrameHeader(block, stamp);
  return block;
}

function decoded(bytes: Buffer): FrameHeader {
  const result = decodeFrameHeader(bytes);
  if (result.kind !== "frame") throw new Error(`decoded as ${result.kind}`);
  return result.header;
}

/** With another byte and a CRC that is right again: what a newer or a hostile writer would have written. */
function forged(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  copy.writeUInt32LE(checksum(copy, 0, HEADER_CRC_AT), HEADER_CRC_AT);
  return copy;
}

/** A DATA body of these records, with the header's fields that describe it. */
function bodyOf(records: readonly Uint8Array[]): { body: Buffer; stamp: FrameStamp } {
  const parts: Buffer[] = [];
  let crc = 0;
  for (const record of records) {
    crc = checksum(record, 0, record.length, crc);
    const head = Buffer.alloc(RECORD_HEADER_BYTES);
    head.writeUInt32LE(record.length, 0);
    head.writeUInt32LE(crc, 4);
    parts.push(head, Buffer.from(record));
  }
  const body = Buffer.concat(parts);
  return { body, stamp: { ...STAMP, recordCount: records.length, storedBytes: body.length, bodyCrc: crc } };
}

test("a header comes back as it was written, at the limits of its numbers too", () => {
  for (const stamp of [
    STAMP,
    { ...STAMP, firstLsn: MAX, durableLsn: MAX, fileOffset: MAX, segment: MAX, incarnation: MAX, recordedAt: MAX },
    { ...STAMP, recordedAt: -MAX, recordCount: 0xffff_ffff, storedBytes: 0xffff_ffff, core: 0xffff, durableLsn: 0 },
    { ...STAMP, recordedAt: -1, firstLsn: 2 ** 32, durableLsn: 2 ** 32 - 1, generation: 0xffff_ffff },
  ]) {
    for (const kind of FRAME_KINDS) {
      const { version, compression, cipher, requiredFlags, optionalFlags, keyId, headerCrc, plainBytes, ...rest } =
        decoded(header({ ...stamp, kind }));
      assert.equal({ ...rest, storeId: Uint8Array.from(rest.storeId) }, { ...stamp, kind });
      assert.equal(
        [version, compression, cipher, requiredFlags, optionalFlags, keyId, plainBytes],
        [FORMAT_VERSION, 0, 0, 0, 0, 0, stamp.storedBytes],
      );
      assert.is(headerCrc, header({ ...stamp, kind }).readUInt32LE(HEADER_CRC_AT));
    }
  }
});

test("every single flipped bit of a header is detected", () => {
  const bytes = header();
  for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodeFrameHeader(flipped).kind, "damaged", `bit ${bit}`);
  }
});

test("zeros are the end, and anything else that is no header is damage", () => {
  assert.is(decodeFrameHeader(Buffer.alloc(FRAME_HEADER_BYTES)).kind, "zero");
  const almost = Buffer.alloc(FRAME_HEADER_BYTES);
  almost[FRAME_HEADER_BYTES - 1] = 1;
  assert.is(decodeFrameHeader(almost).kind, "damaged");
  assert.is(decodeFrameHeader(Buffer.alloc(FRAME_HEADER_BYTES - 1)).kind, "damaged");
  assert.is(decodeFrameHeader(Buffer.alloc(0)).kind, "damaged");
  assert.is(decodeFrameHeader(header().subarray(0, 100)).kind, "damaged");
});

test("an unknown version, kind, compression, cipher or required flag is unsupported, an unknown optional flag is not", () => {
  const changes: readonly [RegExp, (copy: Buffer) => void][] = [
    [/format version 2/, (copy) => copy.writeUInt16LE(2, 4)],
    [/format version 0/, (copy) => copy.writeUInt16LE(0, 4)],
    [/frame kind 0/, (copy) => copy.writeUInt8(0, 6)],
    [/frame kind 6/, (copy) => copy.writeUInt8(6, 6)],
    [/compression 1/, (copy) => copy.writeUInt8(1, 7)],
    [/cipher 255/, (copy) => copy.writeUInt8(255, 8)],
    [/required flags 32768/, (copy) => copy.writeUInt16LE(0x8000, 10)],
  ];
  for (const [reason, change] of changes) {
    const result = decodeFrameHeader(forged(header(), change));
    assert.is(result.kind, "unsupported");
    assert.match((result as { reason: string }).reason, reason);
  }
  const optional = forged(header(), (copy) => copy.writeUInt16LE(0xffff, 12));
  assert.is(decoded(optional).optionalFlags, 0xffff);
});

test("a number that no safe integer holds equals no place and no LSN", () => {
  for (const at of [32, 40, 48]) {
    const result = decoded(forged(header(), (copy) => copy.writeBigUInt64LE(2n ** 53n, at)));
    assert.is(isAtItsPlace(result, STAMP), false);
  }
  const result = decoded(forged(header(), (copy) => copy.writeBigUInt64LE(2n ** 64n - 1n, 64)));
  assert.ok(Number.isNaN(result.firstLsn));
});

test("a header is at its place only in its store, core, incarnation, segment and offset", () => {
  const own = decoded(header());
  assert.is(isAtItsPlace(own, STAMP), true);
  const otherStore = Uint8Array.from(STAMP.storeId).fill(0, 15);
  for (const other of [
    { core: 4 },
    { incarnation: 8 },
    { segment: 13 },
    { fileOffset: 4 * 4096 },
    { storeId: otherStore },
  ])
    assert.is(isAtItsPlace(own, { ...STAMP, ...other }), false);
});

test("a frame takes whole blocks", () => {
  assert.is(frameBytes(0), 4096);
  assert.is(frameBytes(4096 - FRAME_HEADER_BYTES), 4096);
  assert.is(frameBytes(4096 - FRAME_HEADER_BYTES + 1), 8192);
});

test("a body is valid with its records, and its CRC is that of the last one", () => {
  const random = seededRandom(21);
  for (const lengths of [[0], [1], [16, 0, 5], [100, 200, 300, 17]]) {
    const { body, stamp } = bodyOf(lengths.map((length) => random.bytes(length)));
    assert.is(isBodyValid(decoded(header(stamp)), body), true);
    assert.is(lastRecordCrc(body), stamp.bodyCrc);
  }
});

test("every single flipped bit of a body is detected", () => {
  const random = seededRandom(22);
  const { body, stamp } = bodyOf([random.bytes(40), random.bytes(0), random.bytes(33), random.bytes(1)]);
  const own = decoded(header(stamp));
  for (let bit = 0; bit < body.length * 8; bit++) {
    body[bit >> 3] = (body[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(isBodyValid(own, body), false, `bit ${bit}`);
    body[bit >> 3] = (body[bit >> 3] as number) ^ (1 << (bit & 7));
  }
  assert.is(isBodyValid(own, body), true);
});

test("records that do not add up are not believed, whatever their CRCs say", () => {
  const random = seededRandom(23);
  const { body, stamp } = bodyOf([random.bytes(40), random.bytes(20)]);
  const valid = decoded(header(stamp));
  assert.is(isBodyValid(valid, body.subarray(0, -1)), false, "shorter than stored");
  for (const recordCount of [0, 1, 3, 0xffff_ffff])
    assert.is(isBodyValid({ ...valid, recordCount }, body), false, `${recordCount} records`);
  const none = decoded(header({ ...STAMP, recordCount: 0, storedBytes: 0, bodyCrc: 0 }));
  assert.is(isBodyValid(none, Buffer.alloc(0)), false, "DATA without records");
  const hostile = Buffer.from(body);
  hostile.writeUInt32LE(0xffff_ffff, 0);
  assert.is(isBodyValid(valid, hostile), false, "a length behind the end");
});

test("a frame without records has the CRC of its bytes, and no records", () => {
  for (const kind of ["ATTEST", "SEAL"] as const) {
    const own = decoded(header({ ...STAMP, kind, recordCount: 0, storedBytes: 0, bodyCrc: 0 }));
    assert.is(isBodyValid(own, Buffer.alloc(0)), true);
    assert.is(isBodyValid({ ...own, recordCount: 1 }, Buffer.alloc(0)), false);
    assert.is(isBodyValid({ ...own, bodyCrc: 1 }, Buffer.alloc(0)), false);
  }
});

test("a preamble comes back as it was written, and fills its block with zeros", () => {
  const block = Buffer.alloc(PREAMBLE_BYTES, 0xaa);
  encodePreamble(block, PREAMBLE);
  assert.equal(decodePreamble(block), { kind: "preamble", preamble: { version: FORMAT_VERSION, ...PREAMBLE } });
  assert.ok(block.subarray(92).every((byte) => byte === 0));
});

test("every single flipped bit of a preamble is detected", () => {
  const block = Buffer.alloc(PREAMBLE_BYTES);
  encodePreamble(block, PREAMBLE);
  for (let bit = 0; bit < 92 * 8; bit++) {
    const flipped = Buffer.from(block.subarray(0, 512));
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodePreamble(flipped).kind, "damaged", `bit ${bit}`);
  }
});

test("a preamble of zeros was never written, a short one is damaged, one of another version is unsupported", () => {
  assert.is(decodePreamble(Buffer.alloc(PREAMBLE_BYTES)).kind, "zero");
  assert.is(decodePreamble(Buffer.alloc(0)).kind, "zero");
  const block = Buffer.alloc(PREAMBLE_BYTES);
  encodePreamble(block, PREAMBLE);
  assert.is(decodePreamble(block.subarray(0, 91)).kind, "damaged");
  block.writeUInt16LE(2, 4);
  block.writeUInt32LE(checksum(block, 0, 88), 88);
  assert.equal(decodePreamble(block), { kind: "unsupported", reason: "format version 2" });
});

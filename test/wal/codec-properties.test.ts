import fc from "fast-check";
import { checksum } from "../../src/wal/checksum.js";
import {
  decodeFrameHeader,
  decodePreamble,
  encodeFrameHeader,
  encodePreamble,
  FRAME_HEADER_BYTES,
  FRAME_KINDS,
  type FrameHeader,
  type FrameStamp,
  isBodyValid,
  PREAMBLE_BYTES,
  RECORD_HEADER_BYTES,
} from "../../src/wal/format.js";
import { decodeManifest, encodeManifest, type Incarnation, type Manifest } from "../../src/wal/manifest.js";
import { intactRecords, leadingRecords } from "../../src/wal/salvage/intact-records.js";
import { assert } from "../support/assert.js";
import { forAll, hostileBytes, largestAllocation, record } from "../support/property.js";
import { suite } from "../support/suite.js";

const test = suite("wal/codec properties");

const u16 = fc.nat({ max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const lsn = fc.maxSafeNat();
const time = fc.maxSafeInteger();
const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

const stamps: fc.Arbitrary<FrameStamp> = record({
  kind: fc.constantFrom(...FRAME_KINDS),
  core: u16,
  storeId: bytesOf(16),
  incarnation: lsn,
  segment: lsn,
  fileOffset: lsn,
  generation: u32,
  firstLsn: lsn,
  recordCount: u32,
  storedBytes: u32,
  previousCrc: u32,
  recordedAt: time,
  durableLsn: lsn,
  bodyCrc: u32,
});

function headerOf(stamp: FrameStamp): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
  encodeFrameHeader(bytes, stamp);
  return bytes;
}

/** A body as a batch writes it. */
function bodyOf(records: readonly Uint8Array[]): Buffer {
  let crc = 0;
  return Buffer.concat(
    records.map((record) => {
      const bytes = Buffer.alloc(RECORD_HEADER_BYTES + record.length);
      crc = checksum(record, 0, record.length, crc);
      bytes.writeUInt32LE(record.length, 0);
      bytes.writeUInt32LE(crc, 4);
      bytes.set(record, RECORD_HEADER_BYTES);
      return bytes;
    }),
  );
}

const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 12 });

test("a frame's header comes back as it was stamped", () => {
  forAll(stamps, (stamp) => {
    const decoded = decodeFrameHeader(headerOf(stamp));
    if (decoded.kind !== "frame") throw new Error(decoded.kind);
    const { storeId, ...others } = stamp;
    assert.ok(Buffer.from(storeId).equals(decoded.header.storeId));
    for (const [name, value] of Object.entries(others))
      assert.equal(decoded.header[name as keyof FrameHeader], value, name);
  });
});

test("a header with any bit changed is none", () => {
  forAll(fc.tuple(stamps, fc.nat({ max: FRAME_HEADER_BYTES * 8 - 1 })), ([stamp, bit]) => {
    const bytes = headerOf(stamp);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodeFrameHeader(bytes).kind, "damaged");
  });
});

test("a preamble comes back, and with any bit changed it is none", () => {
  const preambles = record({
    core: u16,
    storeId: bytesOf(16),
    incarnation: lsn,
    segment: lsn,
    firstPossibleLsn: lsn,
    generation: u32,
    segmentBytes: fc.nat({ max: 0xffff }).map((blocks) => blocks * 4096),
    salt: bytesOf(32),
  });
  forAll(fc.tuple(preambles, fc.nat({ max: 92 * 8 - 1 })), ([preamble, bit]) => {
    const bytes = Buffer.alloc(PREAMBLE_BYTES);
    encodePreamble(bytes, preamble);
    const decoded = decodePreamble(bytes);
    if (decoded.kind !== "preamble") throw new Error(decoded.kind);
    const { version: _, ...found } = decoded.preamble;
    assert.equal(found, preamble);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodePreamble(bytes).kind, "damaged");
  });
});

/** Incarnations that follow each other, with voids. */
const incarnations: fc.Arbitrary<Incarnation[]> = fc
  .array(
    fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat({ max: 50 }), fc.array(fc.nat({ max: 3 }), { maxLength: 4 })),
    {
      maxLength: 5,
    },
  )
  .map((steps) => {
    let [incarnation, firstLsn] = [0, 1];
    return steps.map(([step, length, cores], index) => {
      incarnation += step;
      const lastLsn = firstLsn + length - 1;
      const voids = length > 4 ? [[firstLsn + 1, firstLsn + 2] as const] : [];
      const isOpen = index === steps.length - 1 && step % 2 === 0;
      const firstSegments = cores.map(() => incarnation);
      const entry = { incarnation, firstLsn, lastLsn: isOpen ? null : lastLsn, firstSegments, voids };
      firstLsn = lastLsn + 1;
      return entry;
    });
  });

const manifests: fc.Arbitrary<Manifest> = record({
  sequence: fc.integer({ min: 1, max: 9_999_999_999 }),
  storeId: bytesOf(16).map((bytes) => Buffer.from(bytes).toString("hex")),
  createdAt: time,
  checkpointLsn: fc.constant(0),
  horizonLsn: fc.constant(0),
  sealed: fc.constant([]),
  incarnations,
}).filter(({ incarnations: all }) => {
  // A core that is left out of a later one would begin at its first segment again.
  const widths = all.map(({ firstSegments }) => firstSegments.length);
  return widths.every((width, index) => width >= (widths[index - 1] ?? 0));
});

test("a manifest comes back, and with any byte changed it is damaged and not of a newer version", () => {
  forAll(fc.tuple(manifests, fc.nat(), fc.integer({ min: 1, max: 255 })), ([manifest, at, change]) => {
    const bytes = encodeManifest(manifest);
    assert.equal(decodeManifest(bytes), { kind: "manifest", manifest });
    const index = at % bytes.length;
    bytes[index] = (bytes[index] as number) ^ change;
    assert.is(decodeManifest(bytes).kind, "damaged");
  });
});

test("a body holds its checksums if and only if nothing of it was changed", () => {
  forAll(fc.tuple(bodies, fc.nat(), fc.integer({ min: 1, max: 255 })), ([records, at, change]) => {
    const body = bodyOf(records);
    const crc = body.readUInt32LE(body.length - (records.at(-1)?.length ?? 0) - 4);
    const stamp = {
      kind: "DATA",
      cipher: 0,
      recordCount: records.length,
      storedBytes: body.length,
      bodyCrc: crc,
    } as FrameHeader;
    assert.ok(isBodyValid(stamp, body));
    const index = at % body.length;
    body[index] = (body[index] as number) ^ change;
    assert.not(isBodyValid(stamp, body));
  });
});

test("of a body in which one record was changed all others are found, and nothing else", () => {
  forAll(fc.tuple(bodies, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 })), ([records, which, at, change]) => {
    const body = bodyOf(records);
    const all = intactRecords(body, records.length);
    assert.equal(
      all.map((range) => body.subarray(range?.[0], range?.[1])),
      records.map((record) => Buffer.from(record)),
    );
    assert.equal(leadingRecords(body), all);
    const index = which % records.length;
    const [start, end] = all[index] as readonly [number, number];
    const offset = start + (at % (end - start));
    body[offset] = (body[offset] as number) ^ change;
    assert.equal(
      intactRecords(body, records.length),
      all.map((range, record) => (record === index ? null : range)),
    );
    assert.equal(leadingRecords(body), all.slice(0, index));
  });
});

test("hostile bytes are refused by every decoder of the log, and nothing large is asked for", () => {
  const header = headerOf({
    kind: "DATA",
    core: 1,
    storeId: Buffer.alloc(16),
    incarnation: 1,
    segment: 1,
    fileOffset: 4096,
    generation: 1,
    firstLsn: 1,
    recordCount: 0xffff_ffff,
    storedBytes: 0xffff_ffff,
    previousCrc: 0,
    recordedAt: 0,
    durableLsn: 0,
    bodyCrc: 0,
  });
  const manifest = encodeManifest({
    sequence: 1,
    storeId: "00".repeat(16),
    createdAt: 0,
    checkpointLsn: 0,
    horizonLsn: 0,
    sealed: [],
    incarnations: [],
  });
  const examples = [header, manifest, bodyOf([Buffer.from("one"), Buffer.from("two")])];
  forAll(
    fc.tuple(hostileBytes(examples), u32),
    ([bytes, recordCount]) => {
      const largest = largestAllocation(() => {
        decodeFrameHeader(bytes);
        decodePreamble(bytes);
        decodeManifest(bytes);
        isBodyValid({ kind: "DATA", recordCount, storedBytes: bytes.length, bodyCrc: 0 } as FrameHeader, bytes);
        intactRecords(bytes, recordCount);
        leadingRecords(bytes);
      });
      assert.ok(largest <= bytes.length + 4096, `${largest} bytes for ${bytes.length}`);
      assert.ok(intactRecords(bytes, recordCount).length <= bytes.length / RECORD_HEADER_BYTES + 1);
    },
    2_000,
  );
});

test("a manifest that holds its checksum and is none is refused", () => {
  const json = fc.oneof(
    fc.json({ maxDepth: 3 }),
    manifests.map((manifest) => JSON.stringify({ ...manifest, sealed: [{}] })),
  );
  forAll(json, (text) => {
    const body = Buffer.from(text);
    const start = Buffer.from("varve-manifest 2 ");
    const crc = checksum(body, 0, body.length, checksum(start)).toString(16).padStart(8, "0");
    const bytes = Buffer.concat([start, Buffer.from(`${crc}\n`), body, Buffer.from("\n")]);
    assert.is(decodeManifest(bytes).kind, "damaged");
  });
});

import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { hashName, type NameHash } from "../../../src/wal/sealed/name-hash.js";
import { readU64, VarintReader, varintBytes, writeVarint } from "../../../src/wal/sealed/number-fields.js";
import { checkPage, finishPage, PAGE_CONTENT_END, PAGE_HEADER_BYTES } from "../../../src/wal/sealed/page.js";
import { type BlockPlace, checkBlockHeader, decodeBlock } from "../../../src/wal/sealed/sealed-block.js";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  decodeBlockHeader,
  decodeRun,
  decodeSealedPreamble,
  encodeBlockHeader,
  encodeRunHeader,
  encodeSealedPreamble,
  PAGE_BYTES,
  RUN_KINDS,
  type SealedRun,
  sealPage,
} from "../../../src/wal/sealed/sealed-format.js";
import { decodeTrailer, encodeTrailer, partsOf, type SealedTrailer } from "../../../src/wal/sealed/sealed-trailer.js";
import { decodeEntry, entryName, entryRanges, findEntry } from "../../../src/wal/sealed/stream-page.js";
import { assert } from "../../support/assert.js";
import { forAll, hostileBytes, largestAllocation, orRefused, record } from "../../support/property.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/sealed/sealed properties");

const STORE_ID = Buffer.alloc(16, 3);
const STORE_CRC = 0x1234_5678;
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const lsn = fc.maxSafeNat();
const bytesOf = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes));

const headers: fc.Arbitrary<BlockHeader> = record({
  compression: fc.nat({ max: 1 }),
  keyId: fc.constant(0),
  firstLsn: lsn,
  lastLsn: lsn,
  fileOffset: lsn,
  number: lsn,
  runCount: u32,
  storedBytes: u32,
  plainBytes: u32,
  bodyCrc: u32,
});

test("numbers come back from varints, which take the bytes that were counted", () => {
  forAll(fc.array(lsn, { minLength: 1, maxLength: 20 }), (values) => {
    const bytes = Buffer.alloc(values.length * 8);
    let end = 0;
    for (const value of values) {
      const next = writeVarint(bytes, end, value);
      assert.is(next - end, varintBytes(value));
      end = next;
    }
    const reader = new VarintReader(bytes, 0, end);
    assert.equal(
      values.map(() => reader.next()),
      values,
    );
    assert.ok(Number.isNaN(reader.next()), "nothing is read behind the end");
  });
});

test("a block's header comes back, and with any bit changed it is none", () => {
  forAll(fc.tuple(headers, fc.nat({ max: BLOCK_HEADER_BYTES * 8 - 1 })), ([header, bit]) => {
    const bytes = Buffer.alloc(BLOCK_HEADER_BYTES);
    encodeBlockHeader(bytes, header, STORE_CRC);
    assert.equal(decodeBlockHeader(bytes, STORE_CRC), { kind: "block", header });
    assert.is(decodeBlockHeader(bytes, STORE_CRC ^ 1).kind, "damaged", "of another store");
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodeBlockHeader(bytes, STORE_CRC).kind, "damaged");
  });
});

const runs: fc.Arbitrary<SealedRun> = record({
  kind: fc.constantFrom(...RUN_KINDS),
  header: record({ firstLsn: lsn, recordCount: u32, recordedAt: fc.maxSafeInteger() }),
  body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  leaf: fc.option(bytesOf(32)),
  goesOn: fc.boolean(),
}).map((run) => ({
  ...run,
  body: run.kind === "data" ? run.body : Buffer.alloc(0),
  leaf: run.kind === "dropped" ? (run.leaf ?? Buffer.alloc(32)) : run.leaf,
  goesOn: run.kind !== "dropped" && run.goesOn,
}));

test("runs come back from the bytes of a block", () => {
  forAll(fc.array(runs, { maxLength: 6 }), (all) => {
    const bytes = Buffer.alloc(all.length * 200);
    let end = 0;
    for (const run of all) {
      end = encodeRunHeader(bytes, end, run);
      end += run.body.copy(bytes, end);
    }
    let at = 0;
    for (const run of all) {
      const decoded = decodeRun(bytes.subarray(0, end), at);
      assert.equal(decoded, run);
      at = (decoded?.body.byteOffset ?? 0) - bytes.byteOffset + run.body.length;
    }
    assert.is(decodeRun(bytes.subarray(0, end), at), null);
  });
});

const trailers: fc.Arbitrary<SealedTrailer> = record({
  storeId: fc.constant(STORE_ID),
  number: lsn,
  firstLsn: lsn,
  lastLsn: lsn,
  lowestRecordedAt: fc.maxSafeInteger(),
  highestRecordedAt: fc.maxSafeInteger(),
  fileBytes: fc.constant(0),
  blocksEnd: fc.nat(),
  recordCount: lsn,
  removedCount: lsn,
  voidCount: lsn,
  plainBytes: lsn,
  blockCount: u32,
  runCount: u32,
  streamCount: u32,
  lsnPageCount: fc.nat({ max: 1000 }),
  bucketCount: u32,
  streamPageCount: fc.nat({ max: 1000 }),
  filterBytes: fc.nat({ max: 100_000 }),
  filterCrc: u32,
  rootCrc: u32,
  hashBefore: bytesOf(32),
  hash: bytesOf(32),
  secret: fc.constant(null),
}).map((trailer) => ({ ...trailer, fileBytes: partsOf(trailer).trailer + PAGE_BYTES }));

test("a trailer comes back from a file of its size and no other", () => {
  forAll(fc.tuple(trailers, fc.nat({ max: PAGE_BYTES * 8 - 1 })), ([trailer, bit]) => {
    const page = Buffer.alloc(PAGE_BYTES);
    encodeTrailer(page, trailer, null);
    assert.equal(decodeTrailer(page, STORE_ID, trailer.fileBytes), { kind: "trailer", trailer });
    assert.is(decodeTrailer(page, STORE_ID, trailer.fileBytes + PAGE_BYTES).kind, "damaged");
    assert.is(decodeTrailer(page, Buffer.alloc(16), trailer.fileBytes).kind, "foreign");
    page[bit >> 3] = (page[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decodeTrailer(page, STORE_ID, trailer.fileBytes).kind, "damaged");
  });
});

test("preambles and pages come back at their places, and with any bit changed they are none", () => {
  const page = record({
    kind: fc.constantFrom("lsns" as const, "names" as const, "postings" as const),
    page: u32,
    number: lsn,
    entryCount: fc.nat({ max: 0xffff }),
    contentEnd: fc.integer({ min: PAGE_HEADER_BYTES, max: PAGE_CONTENT_END }),
    nextPage: u32,
  });
  const bit = fc.nat({ max: PAGE_BYTES * 8 - 1 });
  forAll(fc.tuple(page, lsn, bytesOf(32), bit), ([header, firstLsn, hashBefore, at]) => {
    const bytes = Buffer.alloc(PAGE_BYTES, 1);
    finishPage(bytes, header, STORE_CRC);
    assert.equal(checkPage(bytes, header.kind, header.page, header.number, STORE_CRC), header);
    assert.is(checkPage(bytes, header.kind, header.page ^ 1, header.number, STORE_CRC), null);
    bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7));
    assert.is(checkPage(bytes, header.kind, header.page, header.number, STORE_CRC), null);
    const preamble = { storeId: STORE_ID, number: header.number, firstLsn, hashBefore };
    encodeSealedPreamble(bytes, preamble, null);
    assert.equal(decodeSealedPreamble(bytes, STORE_ID), { kind: "preamble", preamble: { ...preamble, keyId: 0 } });
    bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7));
    assert.is(decodeSealedPreamble(bytes, STORE_ID).kind, "damaged");
  });
});

test("a header that holds its CRC and lies about lengths makes nobody ask for memory", () => {
  forAll(fc.tuple(headers, fc.uint8Array({ maxLength: 200 })), ([header, body]) => {
    const stored = deflateRawSync(body);
    const lying = { ...header, fileOffset: 4096, number: 1, storedBytes: stored.length, bodyCrc: crc32(stored) };
    const place: BlockPlace = {
      path: "x",
      offset: 4096,
      firstLsn: 1,
      lastLsn: 1,
      number: 1,
      storeCrc: STORE_CRC,
      cipher: null,
      bytesLeft: BLOCK_HEADER_BYTES + stored.length,
    };
    const largest = largestAllocation(() => {
      for (const storedBytes of [stored.length, header.storedBytes]) {
        const bytes = Buffer.alloc(BLOCK_HEADER_BYTES);
        encodeBlockHeader(bytes, { ...lying, storedBytes }, STORE_CRC);
        const checked = orRefused(() => checkBlockHeader(bytes, place));
        if (checked !== undefined) orRefused(() => decodeBlock(checked, stored, place));
      }
    });
    assert.ok(largest <= 64 * 1024, `${largest} bytes`);
  });
});

test("a page of streams that holds its CRC and makes no sense is damage, and nothing else", () => {
  const hash: NameHash = { low: 0, high: 0 };
  const name = Buffer.from("account-1");
  hashName(hash, name, 0, name.length);
  // Entries whose hash is the name's, so that they are looked into.
  const entry = fc.uint8Array({ maxLength: 60 }).map((rest) => {
    const bytes = Buffer.alloc(12 + rest.length);
    bytes.writeUInt16LE(bytes.length, 0);
    bytes.writeUInt16LE((rest[0] ?? 0) % 3, 2);
    bytes.writeUInt32LE(hash.low, 4);
    bytes.writeUInt32LE(hash.high, 8);
    bytes.set(rest, 12);
    return bytes;
  });
  const content = fc.oneof(
    hostileBytes([], 400),
    fc.array(entry, { maxLength: 6 }).map((entries) => Buffer.concat(entries)),
  );
  forAll(
    content,
    (bytes) => {
      const page = Buffer.alloc(PAGE_BYTES);
      bytes.copy(page, PAGE_HEADER_BYTES);
      const contentEnd = PAGE_HEADER_BYTES + bytes.length;
      const found = findEntry(page, contentEnd, hash.low, hash.high, name);
      assert.ok(found === null || found === "damaged" || isSound(found), JSON.stringify(found));
      for (const range of entryRanges(page, contentEnd)) {
        if (range === null) break;
        const decoded = decodeEntry(page, range[0], range[1]);
        assert.ok(decoded === null || isSound(decoded), JSON.stringify(decoded));
        const { start, end } = entryName(page, range[0]);
        if (decoded !== null) assert.ok(start <= end && end <= PAGE_BYTES, `${start} to ${end}`);
      }
    },
    2_000,
  );
});

// Found by the property above: the name's length was no safe integer, and comparing it threw a RangeError.
test("an entry whose numbers are none is damage", () => {
  const bytes = Buffer.from([20, 0, 2, 0, 242, 60, 58, 141, 229, 3, 244, 74, 128, 128, 128, 128, 128, 128, 128, 16]);
  const page = Buffer.alloc(PAGE_BYTES);
  bytes.copy(page, PAGE_HEADER_BYTES);
  const [low, high] = [bytes.readUInt32LE(4), bytes.readUInt32LE(8)];
  assert.is(findEntry(page, PAGE_HEADER_BYTES + bytes.length, low, high, Buffer.from("account-1")), "damaged");
});

function isSound({
  count,
  firstVersion,
  lastLsnOffset,
}: {
  count: number;
  firstVersion: number;
  lastLsnOffset: number;
}) {
  return [count, firstVersion, lastLsnOffset].every((value) => Number.isSafeInteger(value) && value >= 0);
}

test("hostile bytes are refused by every decoder of a sealed segment", () => {
  const trailer = Buffer.alloc(PAGE_BYTES);
  forAll(
    fc.tuple(hostileBytes([], 300), fc.nat({ max: 300 })),
    ([bytes, at]) => {
      decodeBlockHeader(bytes, STORE_CRC);
      if (at <= bytes.length) decodeRun(bytes, at);
      decodeTrailer(bytes, STORE_ID, bytes.length);
      decodeSealedPreamble(bytes, STORE_ID);
      checkPage(bytes, "names", 0, 1, STORE_CRC);
      // A page that holds its CRC, with anything in it.
      bytes.copy(trailer, 0);
      sealPage(trailer, 0);
      decodeTrailer(trailer, STORE_ID, PAGE_BYTES);
      decodeSealedPreamble(trailer, STORE_ID);
      assert.ok(Number.isNaN(readU64(Buffer.alloc(8, 0xff), 0)));
    },
    1_000,
  );
});

/** Reading a segment in chunks: frames across their edges, ends, damage, blocks that cannot be read, and memory given back. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AlignedBuffer, BufferPool } from "../../src/ffi/aligned-buffer.js";
import { EIO, ENOMEM } from "../../src/ffi/errno.js";
import { DirectFile, openIo } from "../../src/ffi/index.js";
import { checksum } from "../../src/wal/checksum.js";
import { encodeFrameHeader, FRAME_HEADER_BYTES, frameBytes, RECORD_HEADER_BYTES } from "../../src/wal/format.js";
import { type FrameStep, FrameStream, findHeaders } from "../../src/wal/frame-stream.js";
import { ReadAhead } from "../../src/wal/read-ahead.js";
import { assert, rejects, sameBytes } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type Fault, type FaultyIo, faultyIo, type Operation } from "./support/faulty-io.js";

const BLOCK = 4096;
const CHUNK = 4 * BLOCK;
const STORE_ID = new Uint8Array(16).fill(5);
const PLACE = { storeId: STORE_ID, core: 0, incarnation: 3, segment: 9 };

const test = suite("wal/frame-stream");

let faulty: FaultyIo;
let pool: BufferPool;
let file: DirectFile | null = null;
test.beforeEach(() => {
  pool = new BufferPool(CHUNK, 8);
});
test.afterEach(async () => {
  await file?.close();
  file = null;
  await faulty.io.close();
  assert.is(pool.leasedCount, 0, "buffers were not given back");
  pool.close();
});

async function openFile(bytes: Uint8Array): Promise<DirectFile> {
  const path = join(temporaryDirectory(), "segment");
  writeFileSync(path, bytes);
  faulty = faultyIo(openIo("auto", path));
  file = await DirectFile.open(faulty.io, path, "read");
  return file;
}

/** One DATA frame of a single record, for a place in the file. */
function frame(record: Uint8Array, fileOffset: number, firstLsn: number, storeId = STORE_ID): Buffer {
  const storedBytes = RECORD_HEADER_BYTES + record.length;
  const bytes = Buffer.alloc(frameBytes(storedBytes));
  const crc = checksum(record);
  encodeFrameHeader(bytes, {
    ...PLACE,
    storeId,
    kind: "DATA",
    fileOffset,
    generation: 1,
    firstLsn,
    recordCount: 1,
    storedBytes,
    previousCrc: 0,
    recordedAt: 1,
    durableLsn: firstLsn - 1,
    bodyCrc: crc,
  });
  bytes.writeUInt32LE(record.length, FRAME_HEADER_BYTES);
  bytes.writeUInt32LE(crc, FRAME_HEADER_BYTES + 4);
  bytes.set(record, FRAME_HEADER_BYTES + RECORD_HEADER_BYTES);
  return bytes;
}

function segment(records: readonly Uint8Array[], zeroBlocks = 2): Buffer {
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [index, record] of records.entries()) {
    parts.push(frame(record, offset, index + 1));
    offset += (parts.at(-1) as Buffer).length;
  }
  return Buffer.concat([...parts, Buffer.alloc(zeroBlocks * BLOCK)]);
}

async function readAll(stream: FrameStream): Promise<{ records: Buffer[]; end: FrameStep }> {
  const records: Buffer[] = [];
  for (;;) {
    const step = await stream.next();
    if (step.kind !== "frame") return { records, end: step };
    records.push(step.frame.body.subarray(RECORD_HEADER_BYTES));
  }
}

async function readSegment(bytes: Buffer, decide: (operation: Operation) => Fault = () => null) {
  const opened = await openFile(bytes);
  faulty.decide = decide;
  const stream = new FrameStream(opened, pool, PLACE, 0, bytes.length);
  try {
    return await readAll(stream);
  } finally {
    await stream.close();
  }
}

test("frames of all sizes are read whole, wherever the chunks' edges fall, up to the first zeros", async () => {
  const random = seededRandom();
  const sizes = [
    0,
    1,
    BLOCK - 200,
    BLOCK - 199,
    CHUNK,
    3 * CHUNK + 5,
    ...Array.from({ length: 30 }, () => random.integer(2 * CHUNK)),
  ];
  const records = sizes.map((size) => random.bytes(size));
  const bytes = segment(records);
  const { records: found, end } = await readSegment(bytes);
  assert.is(found.length, records.length);
  for (const [index, record] of records.entries()) sameBytes(found[index] as Buffer, record);
  assert.equal(end, { kind: "end", fileOffset: bytes.length - 2 * BLOCK });
});

test("the end of the file is the end, at a frame's boundary; within a frame it is damage there", async () => {
  const records = [new Uint8Array(100).fill(1), new Uint8Array(2 * CHUNK).fill(2)];
  const whole = segment(records, 0);
  const at = BLOCK;
  assert.equal((await readSegment(whole)).end, { kind: "end", fileOffset: whole.length });
  await file?.close();
  await faulty.io.close();
  for (const length of [whole.length - 1, whole.length - BLOCK, at + BLOCK, at + 512, at + 100]) {
    const { records: found, end } = await readSegment(whole.subarray(0, length));
    assert.is(found.length, 1);
    assert.equal(end, { kind: "damaged", fileOffset: at, foreign: false }, `${length} bytes`);
    await file?.close();
    await faulty.io.close();
  }
  await openFile(Buffer.alloc(BLOCK));
});

test("a frame of another store is told apart from damage", async () => {
  const bytes = Buffer.concat([frame(new Uint8Array(10), 0, 1, new Uint8Array(16).fill(6)), Buffer.alloc(BLOCK)]);
  assert.equal((await readSegment(bytes)).end, { kind: "damaged", fileOffset: 0, foreign: true });
});

test("a block that cannot be read damages its frame and no other", async () => {
  const records = Array.from({ length: 10 }, (_, index) => new Uint8Array(100).fill(index + 1));
  const bytes = segment(records);
  for (const [bad, readable] of [
    [0, 0],
    [5, 5],
    [9, 9],
  ] as const) {
    const { records: found, end } = await readSegment(bytes, ({ kind, fileOffset, length }) =>
      kind === "read" && fileOffset <= bad * BLOCK && bad * BLOCK < fileOffset + length ? { result: -EIO } : null,
    );
    assert.is(found.length, readable);
    assert.equal(end, { kind: "damaged", fileOffset: bad * BLOCK, foreign: false });
    await file?.close();
    await faulty.io.close();
  }
  // One among the zeros is no end and no frame.
  const { records: found, end } = await readSegment(bytes, ({ kind, fileOffset, length }) =>
    kind === "read" && fileOffset <= 11 * BLOCK && 11 * BLOCK < fileOffset + length ? { result: -EIO } : null,
  );
  assert.is(found.length, 10);
  assert.equal(end, { kind: "end", fileOffset: 10 * BLOCK });
});

test("a read that comes back short in the middle of the file is completed", async () => {
  const records = Array.from({ length: 12 }, (_, index) => new Uint8Array(3000).fill(index + 1));
  const { records: found } = await readSegment(segment(records), ({ kind, length }) =>
    kind === "read" && length > BLOCK ? { onlyBytes: length - BLOCK } : null,
  );
  assert.is(found.length, 12);
});

test("a read that fails for another reason throws, and the memory comes back", async () => {
  const bytes = segment([new Uint8Array(5 * CHUNK)]);
  await rejects(
    readSegment(bytes, ({ kind, fileOffset }) => (kind === "read" && fileOffset >= CHUNK ? { result: -ENOMEM } : null)),
    "ERR_IO_FAILED",
  );
});

test("a reader that finds the pool empty reads all the same, through memory of its own", async () => {
  const lent: AlignedBuffer[] = [];
  for (let buffer = pool.take(); buffer !== null; buffer = pool.take()) lent.push(buffer);
  const records = [new Uint8Array(10 * CHUNK).fill(3), new Uint8Array(7).fill(4)];
  const { records: found } = await readSegment(segment(records));
  sameBytes(found[0] as Buffer, records[0] as Uint8Array);
  sameBytes(found[1] as Buffer, records[1] as Uint8Array);
  for (const buffer of lent) pool.release(buffer);
});

test("closing in the middle of a read ends it without a chunk", async () => {
  const opened = await openFile(segment([new Uint8Array(8 * CHUNK)]));
  faulty.decide = () => "tellLater";
  const reads = new ReadAhead(opened, pool, 0, 8 * CHUNK);
  const next = reads.next();
  const closing = reads.close();
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const entry of [...faulty.withheld]) entry.release();
  assert.is(await next, null);
  await closing;
  assert.is(await reads.next(), null);
});

test("behind damage headers are found at their places, and nothing is believed of what lies in a body", async () => {
  // A record that holds a whole frame, at the very place where it lies in the file.
  const inner = frame(new Uint8Array(10).fill(8), 4 * BLOCK, 77);
  const outer = new Uint8Array(3 * BLOCK);
  outer.set(inner, 2 * BLOCK - FRAME_HEADER_BYTES - RECORD_HEADER_BYTES);
  const bytes = Buffer.concat([
    Buffer.alloc(BLOCK, 0x99),
    frame(new Uint8Array(10), BLOCK, 1),
    frame(outer, 2 * BLOCK, 2),
    frame(new Uint8Array(10), 6 * BLOCK, 3),
    frame(new Uint8Array(10), 100 * BLOCK, 4),
    Buffer.alloc(BLOCK),
  ]);
  const opened = await openFile(bytes);
  const lsns: number[] = [];
  const found = await findHeaders(opened, pool, PLACE, 0, bytes.length, (header) => lsns.push(header.firstLsn));
  assert.equal(lsns, [1, 2, 3]);
  assert.equal(found, { nonZeroAt: 0, unsupported: null });
});

test("a block with anything in it is no zero block, however late in the block it comes", async () => {
  const bytes = Buffer.alloc(4 * BLOCK);
  bytes[3 * BLOCK - 1] = 1;
  const opened = await openFile(bytes);
  const found = await findHeaders(opened, pool, PLACE, 0, bytes.length, () => {});
  assert.equal(found, { nonZeroAt: 2 * BLOCK, unsupported: null });
});

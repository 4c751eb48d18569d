import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { coreDirectory, inspectSegment, type SegmentItem, segmentPath } from "../../src/wal/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { HandLog } from "./support/hand-log.js";

const test = suite("wal/inspect-segment");

const BLOCK = 4096;

async function inspect(path: string): Promise<SegmentItem[]> {
  const items: SegmentItem[] = [];
  for await (const item of inspectSegment(path)) items.push(item);
  return items;
}

/** The first segment of a log with four frames of one event each, the second of them large. */
async function makeSegment(): Promise<{ path: string; bytes: Buffer; items: SegmentItem[] }> {
  const store = await openStore(join(temporaryDirectory(), "store"));
  for (const length of [10, 3_000_000, 10, 10])
    await store.append("s", { type: "T", data: "x".repeat(length) }, { durability: "sync" });
  await store.close();
  const path = segmentPath(coreDirectory(store.directory, 0), 1);
  return { path, bytes: readFileSync(path), items: await inspect(path) };
}

function framesOf(items: readonly SegmentItem[]) {
  return items.flatMap((item) => (item.kind === "frame" ? [item] : []));
}

/** Writes changed bytes to a file of their own and inspects that. */
function inspectBytes(bytes: Buffer): Promise<SegmentItem[]> {
  const path = join(temporaryDirectory(), "changed.wal");
  writeFileSync(path, bytes);
  return inspect(path);
}

test("shows preamble, frames and zeros of a whole segment, without a gap", async () => {
  const { items, bytes } = await makeSegment();
  assert.is(items[0]?.kind, "preamble");
  const frames = framesOf(items);
  assert.ok(frames.every(({ body, isAtItsPlace }) => body === "valid" && isAtItsPlace));
  const data = frames.filter(({ header }) => header.kind === "DATA");
  assert.equal(
    data.map(({ header }) => [header.firstLsn, header.recordCount]),
    [
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
    ],
  );
  assert.is(frames.at(-1)?.header.kind, "SEAL");
  let offset = 0;
  for (const item of items) {
    assert.is(item.fileOffset, offset);
    if (item.kind === "zeros") offset += item.byteLength;
    else if (item.kind === "frame") offset += Math.ceil((192 + item.header.storedBytes) / BLOCK) * BLOCK;
    else offset += BLOCK;
  }
  assert.is(offset, bytes.length);
});

test("shows a damaged body and goes on behind it", async () => {
  const { items, bytes } = await makeSegment();
  const large = framesOf(items)[1];
  bytes[(large?.fileOffset ?? 0) + 2_000_000] = 0;
  const changed = await inspectBytes(bytes);
  assert.equal(
    framesOf(changed).map(({ body }) => body),
    framesOf(items).map((_, index) => (index === 1 ? "damaged" : "valid")),
  );
});

test("shows a damaged header as so many bytes, and finds the next one", async () => {
  const { items, bytes } = await makeSegment();
  const third = framesOf(items)[2]?.fileOffset ?? 0;
  bytes[third + 70] = (bytes[third + 70] ?? 0) ^ 1;
  const changed = await inspectBytes(bytes);
  assert.equal(
    changed.filter((item) => item.kind === "damaged"),
    [{ kind: "damaged", fileOffset: third, byteLength: BLOCK }],
  );
  assert.is(framesOf(changed).length, framesOf(items).length - 1);
});

test("shows frames that are not at their place", async () => {
  const { items, bytes } = await makeSegment();
  const [first, , third] = framesOf(items).map(({ fileOffset }) => fileOffset);
  bytes.copyWithin(third ?? 0, first ?? 0, (first ?? 0) + BLOCK);
  const changed = framesOf(await inspectBytes(bytes));
  assert.equal(
    changed.map(({ isAtItsPlace }) => isAtItsPlace),
    framesOf(items).map((_, index) => index !== 2),
  );
});

test("shows a frame that the end of the file cuts off, and files that are no segment", async () => {
  const { items, path } = await makeSegment();
  truncateSync(path, (framesOf(items)[1]?.fileOffset ?? 0) + 2 * BLOCK);
  assert.is(framesOf(await inspect(path)).at(-1)?.body, "cut");
  assert.equal(await inspectBytes(Buffer.alloc(0)), []);
  assert.equal(await inspectBytes(Buffer.from("hello")), [{ kind: "damaged", fileOffset: 0, byteLength: 5 }]);
  assert.equal(await inspectBytes(Buffer.alloc(3 * BLOCK)), [{ kind: "zeros", fileOffset: 0, byteLength: 3 * BLOCK }]);
  await rejects(inspect(join(path, "missing")), "ENOTDIR");
});

test("shows the segment of any core, and takes a frame of another core for one that is not at its place", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(3), log.writer(5)] as const;
  a.data(1, 2);
  a.data(3, 1);
  b.data(4, 1);
  const items = await inspect(a.path);
  assert.ok(
    framesOf(items).every(({ body, isAtItsPlace, header }) => body === "valid" && isAtItsPlace && header.core === 3),
  );
  const bytes = readFileSync(a.path);
  readFileSync(b.path).copy(bytes, BLOCK, BLOCK, 2 * BLOCK);
  const swapped = framesOf(await inspectBytes(bytes));
  assert.equal(
    swapped.map(({ header, isAtItsPlace }) => [header.core, isAtItsPlace]),
    [
      [5, false],
      [3, true],
    ],
  );
});

import { FrameIndex } from "../../src/wal/frame-index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const KIBIBYTE = 1024;

const test = suite("wal/frame-index");

/** Frames of 10 records and 16 KiB; 32 of them in each segment. */
function indexOf(frameCount: number): FrameIndex {
  const index = new FrameIndex();
  for (let frame = 0; frame < frameCount; frame++) {
    const fileOffset = 4 * KIBIBYTE + (frame % 32) * 16 * KIBIBYTE;
    index.add(1 + frame * 10, 1 + Math.floor(frame / 32), fileOffset, fileOffset + 16 * KIBIBYTE);
  }
  return index;
}

test("an empty index knows no place", () => {
  const index = new FrameIndex();
  assert.is(index.before(1), null);
  assert.is(index.endFor(0), null);
  assert.is(index.firstLsnBefore(1), 1);
});

test("reading begins at most 64 KiB before the frame that holds an LSN, in its segment, and never behind it", () => {
  const frameCount = 100;
  const index = indexOf(frameCount);
  for (let lsn = 1; lsn <= frameCount * 10; lsn++) {
    const frame = Math.floor((lsn - 1) / 10);
    const segment = 1 + Math.floor(frame / 32);
    const fileOffset = 4 * KIBIBYTE + (frame % 32) * 16 * KIBIBYTE;
    const found = index.before(lsn);
    assert.is(found?.segment, segment, `LSN ${lsn}`);
    const distance = fileOffset - (found?.fileOffset ?? Number.NaN);
    assert.ok(distance >= 0 && distance < 64 * KIBIBYTE, `LSN ${lsn}: ${distance} bytes before`);
    assert.ok(index.firstLsnBefore(lsn) <= lsn);
  }
});

test("reading ends behind the frame that holds the LSN: at an indexed frame, or where the last one ends", () => {
  const index = indexOf(100);
  for (let lsn = 1; lsn <= 1000; lsn++) {
    const end = index.endFor(lsn);
    assert.ok(end !== null);
    const frame = (end.segment - 1) * 32 + (end.fileOffset - 4 * KIBIBYTE) / (16 * KIBIBYTE);
    assert.ok(1 + frame * 10 > lsn, `LSN ${lsn}`);
    assert.ok(frame * 10 < lsn + 50, `LSN ${lsn}: not far behind it`);
  }
});

test("a log of many small frames takes few entries", () => {
  const index = new FrameIndex();
  for (let frame = 0; frame < 16 * 1024; frame++) {
    index.add(1 + frame, 1, 4 * KIBIBYTE * (1 + frame), 4 * KIBIBYTE * (2 + frame));
  }
  const entries = new Set<number>();
  for (let frame = 0; frame < 16 * 1024; frame++) entries.add(index.before(1 + frame)?.fileOffset ?? 0);
  assert.is(entries.size, 1024, "one entry for each 64 KiB");
});

import { FrameIndex, LogIndex } from "../../src/wal/frame-index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const KIBIBYTE = 1024;

const test = suite("wal/frame-index");

/** Frames of 10 records and 16 KiB; 32 of them in each segment. */
function indexOf(frameCount: number): FrameIndex {
  const index = new FrameIndex();
  for (let frame = 0; frame < frameCount; frame++)
    index.add(1 + frame * 10, 1 + Math.floor(frame / 32), 4 * KIBIBYTE + (frame % 32) * 16 * KIBIBYTE);
  return index;
}

test("an empty index knows no place", () => {
  const index = new FrameIndex();
  assert.is(index.before(1), null);
  assert.is(index.after(0), null);
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

test("reading ends at an indexed frame behind the LSN, and there is none behind the last", () => {
  const index = indexOf(100);
  for (let lsn = 1; lsn <= 1000; lsn++) {
    const after = index.after(lsn);
    if (after === null) {
      assert.ok(lsn > 1000 - 40, `LSN ${lsn} has indexed frames behind it`);
      continue;
    }
    const frame = (after.segment - 1) * 32 + (after.fileOffset - 4 * KIBIBYTE) / (16 * KIBIBYTE);
    assert.ok(1 + frame * 10 > lsn, `LSN ${lsn}`);
  }
});

test("a log of many small frames takes few entries", () => {
  const index = new FrameIndex();
  for (let frame = 0; frame < 16 * 1024; frame++) index.add(1 + frame, 1, 4 * KIBIBYTE * (1 + frame));
  // 64 MiB: one entry for each 64 KiB.
  let entryCount = 0;
  for (let at = index.before(1); at !== null; at = index.after(index.firstLsnBefore(at.fileOffset / 4096)))
    entryCount++;
  assert.is(entryCount, 1024);
});

test("a frame that is no further than what is known changes nothing", () => {
  const index = indexOf(10);
  index.add(1, 7, 4 * KIBIBYTE);
  index.add(41, 7, 4 * KIBIBYTE);
  assert.equal(index.before(1), { segment: 1, fileOffset: 4 * KIBIBYTE });
  assert.is(index.before(95)?.segment, 1);
});

test("a stretch backwards is 64 KiB of each core that wrote there, and idle cores do not lengthen it", () => {
  const index = new LogIndex();
  assert.is(index.stretchBefore(100), 1);
  index.of(7).add(1, 1, 4 * KIBIBYTE);
  // Two cores that take turns: 64 KiB each, one record.
  for (let lsn = 2; lsn <= 201; lsn++) index.of(lsn % 2).add(lsn, 1, 4 * KIBIBYTE + (lsn >> 1) * 64 * KIBIBYTE);
  // As many entries as there are cores known, the idle ones included.
  const coreCount = 8;
  for (let lsn = 20; lsn <= 201; lsn++) assert.is(index.stretchBefore(lsn), lsn - coreCount + 1);
  assert.is(index.stretchBefore(5), 1);
});

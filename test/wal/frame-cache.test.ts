import { FRAMES_MAX, FrameCache } from "../../src/wal/frame-cache.js";
import type { Frame } from "../../src/wal/frame-stream.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("wal/frame-cache");

function frameOf(firstLsn: number, recordCount: number, byteLength = 10): Frame {
  return { header: { firstLsn, recordCount } as Frame["header"], body: Buffer.alloc(byteLength) };
}

test("finds a frame by any LSN in it, and nothing between frames", () => {
  const cache = new FrameCache();
  for (const first of [50, 10, 30, 20]) cache.add(frameOf(first, 5));
  for (let lsn = 0; lsn < 60; lsn++) {
    const first = [10, 20, 30, 50].find((from) => lsn >= from && lsn < from + 5) ?? null;
    assert.is(cache.find(lsn)?.header.firstLsn ?? null, first, `LSN ${lsn}`);
  }
});

test("counts its bytes, and lets the oldest go first", () => {
  const cache = new FrameCache();
  for (let index = 0; index < FRAMES_MAX; index++) cache.add(frameOf(1 + index * 10, 10));
  const bytes = FRAMES_MAX * 10;
  assert.equal([cache.frameCount, cache.byteLength], [FRAMES_MAX, bytes]);
  cache.add(frameOf(1, 10)); // there already
  assert.is(cache.byteLength, bytes);
  cache.add(frameOf(100_001, 10, 7));
  assert.equal([cache.frameCount, cache.byteLength], [FRAMES_MAX, bytes - 3]);
  assert.is(cache.find(5), null);
  assert.is(cache.find(15)?.header.firstLsn, 11);
  const large = 15 * 1024 * 1024;
  cache.add(frameOf(200_001, 1, large));
  assert.is(cache.byteLength, bytes - 3 - 10 + large);
  cache.add(frameOf(300_001, 1, 2 * 1024 * 1024));
  assert.is(cache.find(200_001), null);
  assert.equal([cache.frameCount, cache.byteLength], [1, 2 * 1024 * 1024]);
  cache.clear();
  assert.equal([cache.frameCount, cache.byteLength, cache.find(300_001)], [0, 0, null]);
});

test("in any order of adding it holds what was added last", () => {
  const random = seededRandom();
  const cache = new FrameCache();
  const added: number[] = [];
  for (let step = 0; step < 8000; step++) {
    const first = 1 + random.integer(5000) * 4;
    if (cache.find(first) === null) added.push(first);
    cache.add(frameOf(first, 4));
    const held = added.slice(-FRAMES_MAX);
    assert.is(cache.frameCount, held.length);
    const one = random.pick(held);
    assert.is(cache.find(one + random.integer(4))?.header.firstLsn, one);
  }
});

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { LANE_LONG, laneOffset } from "../../src/wal/control-layout.js";
import { Lanes } from "../../src/wal/lanes.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { type LanesOrder, newSharedLanes, sharedLanes } from "./support/shared-lanes.js";

const WRITER = new URL("./support/lanes-writer.js", import.meta.url);
const SLOTS = 2;
/** Of W, while the writers write. */
const LOOKS = 10_000;
const LSN_MAX = 16 * 1024 * 1024;

const test = suite("wal/lanes");

test("a batch that takes its LSNs in a lane that W has already looked at holds W back all the same", () => {
  const words = sharedLanes(newSharedLanes());
  const writers = new Lanes(words);
  const frame = { lane: 0, epoch: 1, segment: 1, fileOffset: 4096, byteLength: 4096 };
  // Without records it holds nothing back, but W looks at it: the moment at which the other core takes its LSNs.
  writers.begin(1, { ...frame, recordCount: 0 });
  const attestWord = (laneOffset(1, 0) >> 3) + LANE_LONG.recordCount;
  let taken = 0;
  const float64 = new Proxy(words.float64, {
    get(target, key): unknown {
      if (taken === 0 && key === String(attestWord)) {
        writers.begin(0, { ...frame, recordCount: 3 });
        taken = writers.takeLsns(0, 0, 3, 0);
      }
      return Reflect.get(target, key);
    },
  });
  const lanes = new Lanes({ ...words, float64 });
  assert.is(lanes.advanceWatermark(), 0);
  assert.is(taken, 1, "W has looked at the frame without records");
  assert.is(lanes.advanceWatermark(), 0);
  words.bigint64[(laneOffset(0, 0) >> 3) + LANE_LONG.done] = 1n;
  assert.is(lanes.advanceWatermark(), 3);
});

test("while cores take LSNs and finish as fast as they can, W never passes one that is not durable, and arrives at the last", async () => {
  const memory = newSharedLanes();
  const durable = new Uint8Array(new SharedArrayBuffer(LSN_MAX));
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const lanes = new Lanes(sharedLanes(memory));
  const ends = Array.from({ length: SLOTS }, async (_, slot) => {
    const workerData: LanesOrder = { memory, durable, slot, stop };
    const [code] = (await once(new Worker(WRITER, { workerData }), "exit")) as [number];
    assert.is(code, 0);
  });
  let checked = 0;
  let advances = 0;
  const check = (): void => {
    const watermark = lanes.advanceWatermark();
    if (watermark > checked) advances++;
    for (; checked < watermark; checked++) {
      if (Atomics.load(durable, checked + 1) !== 1) throw new Error(`W is ${watermark}, ${checked + 1} is not durable`);
    }
  };
  try {
    while (advances === 0) {
      await new Promise((resolve) => setImmediate(resolve)); // workers are started by this thread
      check();
    }
    for (let looks = 0; looks < LOOKS; looks++) check();
  } finally {
    Atomics.store(stop, 0, 1);
    await Promise.all(ends);
  }
  check();
  assert.ok(advances > 1 && checked > 0);
  assert.is(durable.subarray(1, checked + 1).includes(0), false);
  assert.is(durable.subarray(checked + 1).includes(1), false);
});

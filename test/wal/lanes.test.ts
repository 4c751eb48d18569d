import { once } from "node:events";
import { Worker } from "node:worker_threads";
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

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Lanes } from "../../src/wal/lanes.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { type LanesOrder, newSharedLanes, sharedLanes } from "./support/shared-lanes.js";

const WRITER = new URL("./support/lanes-writer.js", import.meta.url);
const SLOTS = 2;
const BATCHES = 150_000;
const RECORDS_PER_BATCH_MAX = 5;

const test = suite("wal/lanes");

/** Lets the loop turn, so that it hears of ends, after so many looks. */
const LOOKS_PER_TURN = 500;

test("while cores take LSNs and finish as fast as they can, W never passes one that is not durable, and arrives at the last", async () => {
  const memory = newSharedLanes(SLOTS);
  const durable = new Uint8Array(new SharedArrayBuffer(SLOTS * BATCHES * RECORDS_PER_BATCH_MAX + 1));
  const lanes = new Lanes(sharedLanes(memory));
  let runningCount = SLOTS;
  const ends = Array.from({ length: SLOTS }, async (_, slot) => {
    const workerData: LanesOrder = { memory, durable, slot, batches: BATCHES };
    const [code] = (await once(new Worker(WRITER, { workerData }), "exit")) as [number];
    runningCount--;
    assert.is(code, 0);
  });
  let checked = 0;
  const check = (): void => {
    const watermark = lanes.advanceWatermark();
    for (; checked < watermark; checked++) {
      if (Atomics.load(durable, checked + 1) !== 1) throw new Error(`W is ${watermark}, ${checked + 1} is not durable`);
    }
  };
  try {
    while (runningCount > 0) {
      for (let looks = 0; looks < LOOKS_PER_TURN; looks++) check();
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    await Promise.all(ends);
  }
  check();
  assert.is(
    checked,
    durable.reduce((sum, is) => sum + is, 0),
  );
});

/**
 * Appends to a store from several callers at once until it is killed, and says each acknowledgement in a line on its output.
 *
 * Says `ready`, waits for a line `directory round segmentBytes io`, says `opening` and `open`, and then `ack NAME LSN`. Everything is
 * written at once: what was said before the end is in the pipe.
 */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type IoDemand, openStore } from "../../../src/index.js";
import { CALLER_COUNT, planOf } from "../kill-plan.js";
import { appendPlanned } from "../planned-append.js";

/** A round lives for some hundred milliseconds: many are killed in the middle of a checkpoint. */
const CHECKPOINT_PAUSE_MS = 60;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function main(): Promise<void> {
  say("ready");
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const order = (await lines.next()).value as string;
  const [directory, round, segmentBytes, io] = order.split(" ") as [string, string, string, IoDemand];
  say("opening");
  const store = await openStore(directory, {
    segmentBytes: Number(segmentBytes),
    io,
    flushIntervalMs: 3,
    onWaiting: () => {},
  });
  say("open");
  const callers = Array.from({ length: CALLER_COUNT }, async (_, caller) => {
    for (let number = 0; ; number++) {
      const plan = planOf(`${round}.${caller}.${number}`);
      say(`ack ${plan.name} ${await appendPlanned(store, plan)}`);
    }
  });
  const makeCheckpoints = async (): Promise<void> => {
    for (;;) {
      await delay(CHECKPOINT_PAUSE_MS * Math.random());
      await store.checkpoint();
    }
  };
  await Promise.all([...callers, makeCheckpoints()]);
}

await main();

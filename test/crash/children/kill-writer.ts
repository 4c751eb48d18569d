/**
 * Appends to a store from several callers at once until it is killed, and says each acknowledgement in a line on its output.
 *
 * Says `ready`, waits for a line `directory round segmentBytes io`, says `opening` and `open`, and then `ack NAME LSN`. Everything is
 * written at once: what was said before the end is in the pipe.
 */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type AppendResult, type BufferedResult, type IoDemand, openStore, type Store } from "../../../src/index.js";
import { CALLER_COUNT, eventsOf, type PlannedAppend, planOf } from "../kill-plan.js";

/** A round lives for some hundred milliseconds: many are killed in the middle of a checkpoint. */
const CHECKPOINT_PAUSE_MS = 60;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function isBuffered(result: AppendResult | BufferedResult): result is BufferedResult {
  return "epoch" in result;
}

/** Resolves when the append is durable, with the LSN of its last event. */
async function append(store: Store, plan: PlannedAppend): Promise<number> {
  const events = eventsOf(plan);
  const { durability } = plan;
  const of = (stream: string) =>
    events.filter((event) => event.stream === stream).map(({ data }) => ({ type: "Planned", data }));
  const [first, ...others] = plan.parts.map(({ stream }) => stream) as [string, ...string[]];
  if (others.length > 0) {
    const appends = [first, ...others].map((stream) => ({ stream, events: of(stream) }));
    const results = (await store.appendMany(appends, { durability })) as (AppendResult | BufferedResult)[];
    return lsnOf(store, results.at(-1) as AppendResult | BufferedResult);
  }
  const expectedVersion = plan.expectsVersion ? await store.streamVersion(first) : "any";
  return lsnOf(store, await store.append(first, of(first), { durability, expectedVersion }));
}

/** An append of an async mode is acknowledged when its epoch is durable; then some LSN that it does not exceed is known. */
async function lsnOf(store: Store, result: AppendResult | BufferedResult): Promise<number> {
  return isBuffered(result) ? (await store.whenDurable(result.epoch)).lsn : result.lsn;
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
      say(`ack ${plan.name} ${await append(store, plan)}`);
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

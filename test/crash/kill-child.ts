/**
 * The process that is killed: appends without end, and writes a line to its standard output for every append that was acknowledged.
 *
 *     node kill-child.js DIRECTORY SEED ROUND
 *
 * Every event says which append it belongs to, its place in it and how many there are, and carries bytes that follow from that.
 */

import { writeSync } from "node:fs";
import { type EventInput, openStore } from "../../src/index.js";
import { seededRandom } from "../support/seeded-random.js";
import { fillOf } from "./kill-event.js";

const CALLERS = 8;
const STREAMS = 6;
const EVENTS_MAX = 4;
const FILL_BYTES_MAX = 6000;
const SEGMENT_BYTES = 1024 * 1024;

const [directory = "", seed = "1", round = "0"] = process.argv.slice(2);
const random = seededRandom(Number(seed));

const store = await openStore(directory, { segmentBytes: SEGMENT_BYTES });
writeSync(1, "ready\n");

let nextAppend = 0;

function eventsOf(key: string, first: number, count: number, of: number): EventInput[] {
  return Array.from({ length: count }, (_, at) => {
    const index = first + at;
    const bytes = random.integer(FILL_BYTES_MAX);
    return { type: "Killed", data: { key, index, of, fill: fillOf(key, index, bytes) }, id: `${key}/${index}` };
  });
}

async function call(): Promise<never> {
  for (;;) {
    const key = `${round}.${nextAppend++}`;
    const count = 1 + random.integer(EVENTS_MAX);
    const stream = random.integer(STREAMS);
    const durability = random.pick(["sync", "group", "group", "group"] as const);
    if (count > 1 && random.next() < 0.3) {
      // One append over two streams.
      const half = count >>> 1;
      await store.appendMany(
        [
          { stream: `s-${stream}`, events: eventsOf(key, 0, half, count) },
          { stream: `s-${(stream + 1) % STREAMS}`, events: eventsOf(key, half, count - half, count) },
        ],
        { durability },
      );
    } else {
      await store.append(`s-${stream}`, eventsOf(key, 0, count, count), { durability });
    }
    writeSync(1, `${key}\n`);
  }
}

await Promise.all(Array.from({ length: CALLERS }, call));

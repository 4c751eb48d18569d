/**
 * Writes that outlive their process: a writer is killed with an append in flight, another opens the store, and the write lands, and is published, at
 * a chosen moment of that opening. A reader follows all the time.
 *
 * Who does not wait for the locks of segments decides without that append, gives its LSN to another, and the reader has seen both.
 */

import type { Store, StoreReader } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import { dataOf, EVENT_TYPE, History, NOTHING_MISSING } from "./history.js";
import { STORE_DIRECTORY } from "./inspection.js";
import { readLog, seenEvent } from "./read-log.js";
import { SimulatedDisk } from "./simulated-disk.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { World } from "./world.js";

const STREAM = "late";
const SEGMENT_BYTES = 64 * 1024;
/** Longer than the descriptors of a dead process stay open. */
const BURIAL_MS = 20;
const READER_PAUSE_MS = 0.02;
const WATCH_MS = 30;

export interface LateReport {
  /** Whether the write had landed when the second writer had opened the store. */
  readonly landedFirst: boolean;
  /** Whether the append that was in flight is in the log. */
  readonly isKept: boolean;
  /** Events that the reader saw. */
  readonly seen: number;
}

/**
 * @throws Violation. `landUs`: from the begin of the opening on. `hasSurvivor`: a third writer has the store open all the time, so that the dead one is
 *   taken over and nothing is recovered.
 */
export async function runLateWrite(seed: number, landUs: number, hasSurvivor = false): Promise<LateReport> {
  const world = new World(seed, new SimulatedDisk());
  return world.until(lateWrite(world, landUs, hasSurvivor), `a write lands ${landUs} µs late`);
}

async function lateWrite(world: World, landUs: number, hasSurvivor: boolean): Promise<LateReport> {
  const { machine, timeline } = world;
  const history = new History();
  const first = world.start(0, "first");
  const store = await first.varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES });
  const survivor = hasSurvivor
    ? await world.start(3, "survivor").varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES })
    : null;
  await append(store, history, "a");

  const watcher = world.start(1, "reader");
  const reader = await watcher.varve.openReader(STORE_DIRECTORY);
  let seen = 0;
  let isOver = false;
  const following = follow(reader, watcher.process, history, () => isOver).then((count) => {
    seen = count;
  });

  history.attempt("late", [{ stream: STREAM, count: 1 }]);
  store.append(STREAM, { type: EVENT_TYPE, data: dataOf("late", 0, 1) }).catch(() => {});
  await first.process.sleep(0.02); // its batch is sealed and submitted
  const held: (() => void)[] = [];
  machine.heldWrites = held;
  first.process.kill();
  await timeline.sleep(BURIAL_MS * 1000);
  if (held.length !== 1) throw new Error(`${held.length} writes are in flight, not one`);

  let hasLanded = false;
  timeline.plan(landUs, null, () => {
    hasLanded = true;
    for (const land of held) land();
  });
  const second = world.start(2, "second");
  const next = await second.varve.openStore(STORE_DIRECTORY, { segmentBytes: SEGMENT_BYTES });
  const landedFirst = hasLanded;
  await append(next, history, "b");
  await second.process.sleep(WATCH_MS);
  isOver = true;
  await following;
  const events = await readLog(next.readAll());
  const { watermark } = next;
  await next.close();
  await survivor?.close();
  await reader.close();
  history.check(events, watermark, NOTHING_MISSING);
  const isKept = events.some(({ data }) => (data as { readonly name: string }).name === "late");
  return { landedFirst, isKept, seen };
}

async function append(store: Store, history: History, name: string): Promise<void> {
  history.attempt(name, [{ stream: STREAM, count: 1 }]);
  history.acknowledge(name, [await store.append(STREAM, { type: EVENT_TYPE, data: dataOf(name, 0, 1) })]);
}

/** Looks as often as it can; how many events it saw. */
async function follow(
  reader: StoreReader,
  process: SimulatedProcess,
  history: History,
  isOver: () => boolean,
): Promise<number> {
  let lastLsn = 0;
  let count = 0;
  while (!isOver()) {
    await process.sleep(READER_PAUSE_MS);
    try {
      await reader.refresh();
      for await (const event of reader.readAll({ after: lastLsn })) {
        history.see(seenEvent(event));
        lastLsn = event.lsn;
        count++;
      }
    } catch (error) {
      // Between two incarnations nobody may tell what is durable.
      if (!isStoreError(error)) throw error;
    }
  }
  return count;
}

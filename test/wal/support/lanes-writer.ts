/**
 * A core whose batches become durable one after the other, without a log: takes LSNs as a writer does, notes that they are durable, and then
 * stores the done word as the kernel would. Not before: so whoever finds W at an LSN finds the note.
 */

import { workerData } from "node:worker_threads";
import { LANE_COUNT, LANE_LONG, laneOffset } from "../../../src/wal/control-layout.js";
import { Lanes } from "../../../src/wal/lanes.js";
import { type LanesOrder, sharedLanes } from "./shared-lanes.js";

const RECORDS_MAX = 5;
/** So many can be about to take LSNs at once. */
const WRITERS_MAX = 8;

const { memory, durable, slot, stop } = workerData as LanesOrder;
const words = sharedLanes(memory);
const lanes = new Lanes(words);
for (
  let epoch = 1, last = 0;
  Atomics.load(stop, 0) === 0 && last + RECORDS_MAX * WRITERS_MAX < durable.length;
  epoch++
) {
  const lane = epoch % LANE_COUNT;
  const recordCount = 1 + (epoch % RECORDS_MAX);
  lanes.begin(slot, { lane, epoch, recordCount, segment: 1, fileOffset: 4096, byteLength: 4096 });
  let first = -1;
  while (first < 0) first = lanes.takeLsns(slot, lane, recordCount, 0);
  last = first + recordCount - 1;
  for (let lsn = first; lsn <= last; lsn++) Atomics.store(durable, lsn, 1);
  Atomics.store(words.bigint64, (laneOffset(slot, lane) >> 3) + LANE_LONG.done, BigInt(epoch));
}

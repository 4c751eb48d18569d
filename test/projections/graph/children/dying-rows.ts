/** A thread that reads rows for another, and dies after some of them without a word. */

import { workerData } from "node:worker_threads";
import { sideRecords } from "../../../../src/events/index.js";
import { GRAPH_ROWS } from "../../../../src/projections/graph/graph-rows.js";
import { RowRing } from "../../../../src/projections/row-ring.js";
import type { RowThreadOrder } from "../../../../src/projections/row-thread.js";

const PUBLISHED = 2;

const { place, after, through, memory } = workerData as RowThreadOrder;
const ring = new RowRing(GRAPH_ROWS, memory);
let rows = ring.toFill();
let published = 0;
for await (const records of sideRecords(place, after, through)) {
  while (rows?.fill(records) === "full") {
    ring.publish();
    published += 1;
    if (published === PUBLISHED) process.exit(3);
    rows = ring.toFill();
  }
}
throw new Error("the log was too short for that");

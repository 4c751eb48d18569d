/** The end of a row reading in a thread of its own that reads. To be called by the module of a worker, once. */

import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../assert.js";
import { type SidePlace, sideRecords } from "../events/index.js";
import type { RowsFactory } from "./event-rows.js";
import { type RingEnd, RowRing } from "./row-ring.js";

/** What the thread is given. */
export interface RowThreadOrder {
  readonly place: SidePlace;
  readonly after: number;
  readonly through: number;
  readonly memory: SharedArrayBuffer;
}

export async function serveRows(factory: RowsFactory): Promise<void> {
  const port = parentPort;
  assert(!isMainThread && port !== null, "rows are served in a worker");
  const order = workerData as RowThreadOrder;
  const ring = new RowRing(factory, order.memory);
  // Whatever went wrong: who applies the rows reads on from there, finds the same, and says so with its code.
  const end = await fillRows(order, ring, () => port.postMessage(null)).catch((): RingEnd => "given-up");
  ring.end(end);
  port.close();
}

async function fillRows({ place, after, through }: RowThreadOrder, ring: RowRing, tell: () => void): Promise<RingEnd> {
  let rows = ring.toFill();
  const publish = (): void => {
    if (ring.publish()) tell();
  };
  try {
    for await (const records of sideRecords(place, after, through)) {
      for (let filling = rows?.fill(records); filling !== "done"; filling = rows?.fill(records)) {
        if (rows === null || filling === "too-large") return "given-up";
        publish();
        rows = ring.toFill();
      }
    }
    return "complete";
  } finally {
    if (rows !== null && rows.length > 0) publish();
  }
}

/** One thread of the process that fills the store for the recovery benchmark: appends its share and keeps the store open. */

import { type EventInput, openStore } from "../index.js";
import { AppendWindow } from "./append-window.js";
import { BENCH_TYPE, bodyOf, streamOf } from "./bench-event.js";
import { LsnSum } from "./lsn-sum.js";
import { servePeer } from "./peer-parent.js";

export interface FillTask {
  readonly store: string;
  readonly proto: string;
  readonly events: number;
  readonly payloadBytes: number;
  /** Its streams are those of so many callers from the first on. */
  readonly firstCaller: number;
  readonly callers: number;
}

/** What was acknowledged. */
export interface FillReport {
  readonly events: number;
  readonly lsnSum: bigint;
}

const EVENTS_PER_APPEND = 100;
const APPENDS_IN_FLIGHT_MAX = 64;

await servePeer<FillTask, never, FillReport>(async (task, parent) => {
  const store = await openStore(task.store, { schemas: [task.proto] });
  const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
  const sum = new LsnSum();
  const bodies = Array.from({ length: task.callers }, (_, index) =>
    bodyOf(task.firstCaller + index, task.payloadBytes),
  );
  for (let started = 0, turn = 0; started < task.events; turn += 1) {
    const count = Math.min(EVENTS_PER_APPEND, task.events - started);
    const caller = turn % task.callers;
    const event: EventInput = { type: BENCH_TYPE, data: { body: bodies[caller] } };
    await window.whenRoom();
    const append = store
      .append(streamOf(task.firstCaller + caller), new Array<EventInput>(count).fill(event), { durability: "group" })
      .then(({ lsn }) => sum.addRange(lsn, count));
    window.add(append, count, (error) => error);
    started += count;
  }
  await window.whenEmpty();
  parent.tell({ events: sum.count, lsnSum: sum.total });
  // The process is killed with the store open.
  await parent.next();
});

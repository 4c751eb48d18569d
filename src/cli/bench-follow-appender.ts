/** The process of the follow benchmark that appends: one event every few ms, and when each was acknowledged. */

import { setTimeout as delay } from "node:timers/promises";
import { openStore } from "../index.js";
import { servePeer } from "./peer-parent.js";

export interface FollowAppendTask {
  readonly store: string;
  readonly everyMs: number;
}

export interface FollowAppendOrder {
  readonly events: number;
}

/** Times in ns of the monotonic clock, which all processes of a machine share. */
export interface AppendedEvent {
  readonly lsn: number;
  readonly startedNs: bigint;
  readonly acknowledgedNs: bigint;
}

export type FollowAppendReport = readonly AppendedEvent[];

await servePeer<FollowAppendTask, FollowAppendOrder | null, FollowAppendReport>(async (task, parent) => {
  const store = await openStore(task.store);
  try {
    parent.tell([]);
    for (let order = await parent.next(); order !== null; order = await parent.next()) {
      const appended: AppendedEvent[] = [];
      for (let number = 1; number <= order.events; number += 1) {
        await delay(task.everyMs);
        const startedNs = process.hrtime.bigint();
        const { lsn } = await store.append("bench-follow", { type: "varve.bench.Tick", data: { number } });
        appended.push({ lsn, startedNs, acknowledgedNs: process.hrtime.bigint() });
      }
      parent.tell(appended);
    }
  } finally {
    await store.close();
  }
});

/** The process that opens, and so recovers, the store of the recovery benchmark, and then looks at what is there. */

import { openStore } from "../index.js";
import { LsnSum } from "./lsn-sum.js";
import { servePeer } from "./peer-parent.js";

export interface OpenTask {
  readonly store: string;
  readonly proto: string;
}

export interface OpenReport {
  readonly seconds: number;
  /** When the store was open. */
  readonly rssMiB: number;
  /** The most until then. */
  readonly peakRssMiB: number;
  readonly events: number;
  readonly lsnSum: bigint;
  /** Whether every event's LSN was higher than the one before. */
  readonly isRising: boolean;
}

const MEBIBYTE = 1024 * 1024;
const KIBIBYTES_PER_MEBIBYTE = 1024;

await servePeer<OpenTask, never, OpenReport>(async (task, parent) => {
  const startedMs = performance.now();
  const store = await openStore(task.store, { schemas: [task.proto] });
  try {
    const seconds = (performance.now() - startedMs) / 1_000;
    const rssMiB = Math.round(process.memoryUsage.rss() / MEBIBYTE);
    const peakRssMiB = Math.round(process.resourceUsage().maxRSS / KIBIBYTES_PER_MEBIBYTE);
    const sum = new LsnSum();
    let isRising = true;
    let lastLsn = 0;
    for await (const events of store.readBatches(0)) {
      sum.addEach(events);
      for (const { lsn } of events) {
        isRising &&= lsn > lastLsn;
        lastLsn = lsn;
      }
    }
    parent.tell({ seconds, rssMiB, peakRssMiB, events: sum.count, lsnSum: sum.total, isRising });
  } finally {
    await store.close();
  }
});

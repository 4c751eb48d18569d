/** The process that fills a store for the benchmarks of sealed segments: each event's stream, version and data follow from its number. */

import { openStore } from "../index.js";
import { AppendWindow } from "./append-window.js";
import { servePeer } from "./peer-parent.js";
import { dataOf, SEALED_TYPE, streamOfEvent } from "./sealed-event.js";

export interface SealedFillTask {
  readonly store: string;
  readonly events: number;
  readonly streams: number;
  readonly payloadBytes: number;
  /** Whether all of it is sealed in the end; else the store makes no checkpoint. */
  readonly isSealed: boolean;
}

export interface SealedFillReport {
  readonly appendSeconds: number;
  readonly checkpointLsn: number;
}

const APPENDS_IN_FLIGHT_MAX = 4096;

await servePeer<SealedFillTask, never, SealedFillReport>(async (task, parent) => {
  const { events, streams, payloadBytes, isSealed } = task;
  const never = { checkpointWalBytes: 0, checkpointEntries: 0 };
  const store = await openStore(task.store, isSealed ? {} : never);
  try {
    const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
    const startedMs = performance.now();
    for (let number = 0; number < events; number++) {
      await window.whenRoom();
      const event = { type: SEALED_TYPE, data: dataOf(number, payloadBytes) };
      window.add(store.append(streamOfEvent(number, streams), event), 1, (error) => error);
    }
    await window.whenEmpty();
    const appendSeconds = (performance.now() - startedMs) / 1000;
    // Another writer's checkpoint cannot be in the way: there is none.
    while (isSealed && store.stats().checkpointLsn < store.watermark) await store.checkpoint();
    parent.tell({ appendSeconds, checkpointLsn: store.stats().checkpointLsn });
  } finally {
    await store.close();
  }
});

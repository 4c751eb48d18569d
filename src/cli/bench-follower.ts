/** The process of the follow benchmark that subscribes: when each event came. */

import { openReader, openStore } from "../index.js";
import { servePeer } from "./peer-parent.js";

export interface FollowTask {
  readonly store: string;
  /** By what it follows: a store that it could append to as well, or one that is open for reading only. */
  readonly by: "store" | "reader";
}

/** The last event that there will be. */
export interface FollowOrder {
  readonly throughLsn: number;
}

export interface SeenEvent {
  readonly lsn: number;
  readonly seenNs: bigint;
}

export type FollowReport = readonly SeenEvent[];

/** Who has not got an event after this has missed it. */
const GRACE_MS = 2_000;

await servePeer<FollowTask, FollowOrder, FollowReport>(async (task, parent) => {
  const store = task.by === "store" ? await openStore(task.store) : await openReader(task.store);
  try {
    const stop = new AbortController();
    const seen: SeenEvent[] = [];
    let throughLsn = Number.POSITIVE_INFINITY;
    const following = (async (): Promise<void> => {
      for await (const { lsn } of store.subscribe({ after: store.watermark, signal: stop.signal })) {
        seen.push({ lsn, seenNs: process.hrtime.bigint() });
        if (lsn >= throughLsn) break;
      }
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    parent.tell([]);
    ({ throughLsn } = await parent.next());
    const deadline = setTimeout(() => stop.abort(), (seen.at(-1)?.lsn ?? 0) >= throughLsn ? 0 : GRACE_MS);
    await following;
    clearTimeout(deadline);
    parent.tell(seen);
  } finally {
    await store.close();
  }
});

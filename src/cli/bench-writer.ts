/** One of several writers of the append benchmark: a thread or a process that opens the store and runs its share of the load. */

import { openStore } from "../index.js";
import { type AckCounts, AckTimeline } from "./ack-timeline.js";
import { type AppendLoad, AppendRun } from "./bench-append.js";
import type { LatencyCounts } from "./latency-histogram.js";
import { servePeer } from "./peer-parent.js";

/** How a writer blocks its event loop while it is measured. */
export interface BlockPlan {
  readonly blockMs: number;
  readonly everyMs: number;
}

export interface WriterTask {
  readonly store: string;
  readonly proto: string;
  readonly load: AppendLoad;
  readonly firstCaller: number;
  readonly block: BlockPlan | null;
}

export type WriterOrder = "start" | "close";

export type WriterReport =
  | { readonly kind: "ready"; readonly io: WriterIo }
  | { readonly kind: "done"; readonly acks: AckCounts; readonly latencies: LatencyCounts };

/** Which I/O the writer's store uses. */
export interface WriterIo {
  readonly io: string;
  readonly driver: string | null;
  readonly direct: boolean;
  readonly reason: string | null;
}

/** Keeps this thread's event loop from turning, at once and again and again. Returns how to stop. */
function blockLoop({ blockMs, everyMs }: BlockPlan): () => void {
  const block = (): void => {
    const endMs = performance.now() + blockMs;
    while (performance.now() < endMs);
  };
  const first = setImmediate(block);
  const timer = setInterval(block, everyMs);
  return () => {
    clearImmediate(first);
    clearInterval(timer);
  };
}

await servePeer<WriterTask, WriterOrder, WriterReport>(async (task, parent) => {
  const store = await openStore(task.store, { schemas: [task.proto] });
  try {
    const run = new AppendRun(store, task.load, task.firstCaller);
    await run.warmUp();
    const { backend, driver, direct, reason } = store.io;
    parent.tell({ kind: "ready", io: { io: backend, driver, direct, reason } });
    await parent.next();
    const unblock = task.block === null ? null : blockLoop(task.block);
    const timeline = new AckTimeline();
    const histogram = await run.measure(timeline);
    const acks = timeline.end();
    unblock?.();
    parent.tell({ kind: "done", acks, latencies: histogram.toCounts() });
    // The others may still be measuring, and a store that is closed beside them is work.
    await parent.next();
  } finally {
    await store.close();
  }
});

/**
 * Rows read in a thread of its own: the end that asks for them and applies them.
 *
 * Reading the log, checking it and taking its records apart is half of the work of a long replay, and needs nothing of the state. The thread is asked
 * to stop, and never terminated: it closes what it has open.
 */

import { Worker } from "node:worker_threads";
import type { SidePlace } from "../events/index.js";
import type { EventRows, RowsFactory } from "./event-rows.js";
import { RowRing } from "./row-ring.js";
import type { RowThreadOrder } from "./row-thread.js";
import { Wakeup } from "./wakeup.js";

export interface RowRange {
  readonly after: number;
  /** Is durable. */
  readonly through: number;
}

/**
 * The rows of a range, in LSN order. Gives whether they were all: where not, the thread could not go on behind those that it gave, and what follows is
 * to be read here. Throws the signal's reason.
 */
export async function* rowsFromThread(
  place: SidePlace,
  { after, through }: RowRange,
  factory: RowsFactory,
  signal: AbortSignal,
): AsyncGenerator<EventRows, boolean, undefined> {
  const ring = new RowRing(factory);
  const order: RowThreadOrder = { place, after, through, memory: ring.memory };
  const worker = new Worker(factory.thread, { workerData: order, name: "varve-replay" });
  const wakeup = new Wakeup();
  const wake = (): void => wakeup.wake();
  let hasExited = false;
  const exit = new Promise<void>((resolve) => {
    worker.once("exit", () => {
      hasExited = true;
      wake();
      resolve();
    });
  });
  worker.on("message", wake);
  // What it failed with, who reads on finds.
  worker.on("error", wake);
  signal.addEventListener("abort", wake);
  try {
    for (;;) {
      signal.throwIfAborted();
      const rows = ring.toApply();
      if (rows !== null) {
        yield rows;
        ring.free();
        continue;
      }
      ring.await();
      const isOver = hasExited;
      const woken = wakeup.next();
      if (ring.toApply() !== null) continue;
      if (isOver) return ring.ended === "complete";
      await woken;
    }
  } finally {
    signal.removeEventListener("abort", wake);
    ring.stop();
    await exit;
  }
}

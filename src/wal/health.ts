/** How a writer is doing, for whoever decides whether to send it more: a load balancer's probe, a queue's consumer. */

import type { StoreError } from "../errors.js";
import type { WriterStatus } from "./writer-contract.js";

/** From this much of the batches' memory on, appends should come more slowly. */
export const THROTTLE_FILL = 0.85;
/** From this much on nobody should append: `append` is about to wait, and `tryAppend` to refuse. */
export const SUSPEND_FILL = 0.95;
/** A device that syncs takes milliseconds, and seconds when something is wrong with it. */
const STALLED_MS = 1000;

/** A snapshot; it costs no I/O and changes nothing. */
export interface StoreHealth {
  /**
   * - `healthy`: appends are placed at once, and become durable soon.
   * - `throttled`, `suspended`: 85 % and 95 % of the buffers are taken.
   * - `stalled`: something has waited for its durability for more than a second; `blockedBy` says whether for another writer.
   * - `full`: the last attempt found no space on the disk. Appends are refused with `ERR_WAL_FULL`; when there is space, they go on.
   * - `failed`: a write failed; nothing is taken until the store is reopened.
   * - `closed`: or closing.
   */
  readonly status: "healthy" | "throttled" | "suspended" | "stalled" | "full" | "failed" | "closed";
  /** How much of the memory for batches is taken, 0 to 1. */
  readonly bufferFill: number;
  /** Appends that have no place in a batch yet. */
  readonly waitingAppends: number;
  /** How long the oldest batch that is not acknowledged has been under way; 0 when there is none. */
  readonly oldestPendingMs: number;
  /** The core whose batch all wait for, when this writer's own are durable; null: none. */
  readonly blockedBy: number | null;
  /** Why it is `full` or `failed`. */
  readonly reason: string | null;
}

/** What a writer knows of itself. */
export interface WriterCondition {
  readonly status: WriterStatus;
  readonly failure: StoreError | null;
  readonly lackOfSpace: StoreError | null;
  /** Above 1 with a batch that has memory of its own, because it fits no buffer. */
  readonly bufferFill: number;
  readonly oldestPendingMs: number;
  readonly blockedBy: number | null;
}

export function healthOf(condition: WriterCondition, waitingAppends: number): StoreHealth {
  const { status, failure, lackOfSpace, bufferFill, oldestPendingMs, blockedBy } = condition;
  const numbers = { bufferFill: Math.min(1, bufferFill), waitingAppends, oldestPendingMs, blockedBy };
  if (failure !== null) return { status: "failed", ...numbers, reason: failure.message };
  if (status !== "open") return { status: "closed", ...numbers, reason: null };
  if (lackOfSpace !== null) return { status: "full", ...numbers, reason: lackOfSpace.message };
  if (oldestPendingMs >= STALLED_MS) return { status: "stalled", ...numbers, reason: null };
  if (bufferFill >= SUSPEND_FILL) return { status: "suspended", ...numbers, reason: null };
  return { status: bufferFill >= THROTTLE_FILL ? "throttled" : "healthy", ...numbers, reason: null };
}

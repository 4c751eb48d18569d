/** The bare durable write beside which an append benchmark is read, and the readable forms that its figures share. */

import { type IoBaseline, measureBaseline } from "../ffi/index.js";
import type { LatencySummary } from "./latency-histogram.js";

/** Bare writes measured before the load and again after it: the machine is shared, and its speed moves. */
const BASELINE_WRITES_MAX = 1_000;

/** Runs a measurement of so many events between two halves of the baseline. */
export async function besideBaseline<Figures>(
  directory: string,
  events: number,
  measure: () => Promise<Figures>,
): Promise<{ readonly figures: Figures; readonly baseline: IoBaseline }> {
  // A yardstick need not take longer than what it is held against.
  const writeCount = Math.min(events, BASELINE_WRITES_MAX);
  const before = await measureBaseline(directory, writeCount);
  const figures = await measure();
  return { figures, baseline: meanOf(before, await measureBaseline(directory, writeCount)) };
}

function meanOf(before: IoBaseline, after: IoBaseline): IoBaseline {
  const inline = [before.inlineP50Ms, after.inlineP50Ms].filter((ms) => ms !== null);
  return {
    p50Ms: (before.p50Ms + after.p50Ms) / 2,
    inlineP50Ms: inline.length === 0 ? null : inline.reduce((sum, ms) => sum + ms, 0) / inline.length,
  };
}

export function describeBaseline({ p50Ms, inlineP50Ms }: IoBaseline): string {
  const inline = inlineP50Ms === null ? "" : `, ${inlineP50Ms.toFixed(3)} ms inline`;
  return `a bare durable 4 KiB write takes ${p50Ms.toFixed(3)} ms through the event loop${inline}`;
}

export function describeLatency({ p50, p99, p999, max }: LatencySummary): string {
  const [p50Ms, p99Ms, p999Ms, maxMs] = [p50, p99, p999, max].map((ms) => ms.toFixed(3));
  return `p50 ${p50Ms} ms, p99 ${p99Ms} ms, p99.9 ${p999Ms} ms, max ${maxMs} ms`;
}

export function describeFault(fault: string | null): string {
  return fault === null ? "every event was read back as it was appended" : `WRONG: ${fault}`;
}

/**
 * When a writer's appends were acknowledged, ms by ms, so that the rates of several writers can be summed over the time in
 * which all of them ran.
 *
 * Counts are kept by `performance.now`, which every thread begins at another time; what leaves the thread is by the
 * machine's monotonic clock, which all threads and processes share.
 */

import { performance } from "node:perf_hooks";

const FIRST_SLOTS = 4_096;

/** The acknowledgements of one writer in its measured time. Can be sent between threads and processes. */
export interface AckCounts {
  /** Of the monotonic clock, in ms. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** Acknowledged in each ms since `startedMs`. */
  readonly counts: Uint32Array;
}

export class AckTimeline {
  readonly #startedMs = performance.now();
  #counts = new Uint32Array(FIRST_SLOTS);
  #slots = 0;

  /** Counts one acknowledgement at that time of `performance.now`. */
  count(nowMs: number): void {
    const slot = Math.floor(nowMs - this.#startedMs);
    if (slot >= this.#slots) {
      this.#slots = slot + 1;
      if (slot >= this.#counts.length) this.#grow(slot);
    }
    this.#counts[slot] = (this.#counts[slot] as number) + 1;
  }

  #grow(slot: number): void {
    const larger = new Uint32Array(2 ** Math.ceil(Math.log2(slot + 1)));
    larger.set(this.#counts);
    this.#counts = larger;
  }

  /** Ends the measured time now. */
  end(): AckCounts {
    const nowMs = performance.now();
    const offsetMs = monotonicMs() - nowMs;
    const { startedMs, endedMs } = { startedMs: this.#startedMs + offsetMs, endedMs: nowMs + offsetMs };
    return { startedMs, endedMs, counts: this.#counts.slice(0, this.#slots) };
  }
}

export interface CommonRate {
  readonly seconds: number;
  /** Of each writer, in the time common to all. */
  readonly eventsPerSecond: readonly number[];
}

/** The rates in the time from the last start to the first end. */
export function commonRate(timelines: readonly AckCounts[]): CommonRate {
  const startedMs = Math.max(...timelines.map((timeline) => timeline.startedMs));
  const endedMs = Math.min(...timelines.map((timeline) => timeline.endedMs));
  const seconds = (endedMs - startedMs) / 1_000;
  if (seconds <= 0) return { seconds: 0, eventsPerSecond: timelines.map(() => 0) };
  return {
    seconds,
    eventsPerSecond: timelines.map((timeline) => countBetween(timeline, startedMs, endedMs) / seconds),
  };
}

/** A slot that lies in the time only partly counts for that part. */
function countBetween(timeline: AckCounts, fromMs: number, throughMs: number): number {
  let count = 0;
  for (const [slot, acknowledged] of timeline.counts.entries()) {
    const slotMs = timeline.startedMs + slot;
    // The last slot may reach beyond the end, but nothing was acknowledged there.
    const slotEndMs = Math.min(slotMs + 1, timeline.endedMs);
    const share = (Math.min(slotEndMs, throughMs) - Math.max(slotMs, fromMs)) / (slotEndMs - slotMs);
    if (share > 0) count += acknowledged * Math.min(share, 1);
  }
  return count;
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

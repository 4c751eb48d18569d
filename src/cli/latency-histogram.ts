/**
 * Latencies of millions of operations in a fixed 13 KiB: counts in buckets whose width grows with the value.
 *
 * A latency is counted in units of 0.1 µs. Up to 255 units every value has a bucket of its own; from there on each power
 * of two is divided into 128 buckets, so a percentile is at most 0.8 % too high and never too low. The largest value is
 * kept exactly. Recording allocates nothing.
 *
 *     units      0 … 255   256 … 511   512 … 1023   …   up to 2^32 − 1 (429 s; what is above counts as that)
 *     width            1           2            4
 */

import { assert } from "../assert.js";

const UNITS_PER_MS = 10_000;
const UNITS_MAX = 2 ** 32 - 1;
const EXACT_BITS = 8;
// Below a power of two, its buckets are told apart by the bits after the leading one.
const SUB_BUCKETS = 1 << (EXACT_BITS - 1);
const BUCKET_COUNT = (32 - EXACT_BITS) * SUB_BUCKETS + 2 * SUB_BUCKETS;

/** What a histogram has counted, to be sent to another thread or process. */
export interface LatencyCounts {
  readonly counts: Uint32Array;
  readonly maxMs: number;
}

/** Percentiles in ms. */
export interface LatencySummary {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKET_COUNT);
  #count = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  record(latencyMs: number): void {
    assert(latencyMs >= 0, "a latency is a number, and not negative");
    const bucket = bucketOf(Math.min(Math.round(latencyMs * UNITS_PER_MS), UNITS_MAX));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    if (latencyMs > this.#maxMs) this.#maxMs = latencyMs;
  }

  /** Adds what another histogram has counted, here or in another thread or process. */
  add({ counts, maxMs }: LatencyCounts): void {
    for (const [bucket, count] of counts.entries()) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
      this.#count += count;
    }
    this.#maxMs = Math.max(this.#maxMs, maxMs);
  }

  toCounts(): LatencyCounts {
    return { counts: this.#counts, maxMs: this.#maxMs };
  }

  /** The least latency, in ms, that this fraction of all recorded ones does not exceed; 0 when nothing was recorded. */
  percentile(fraction: number): number {
    assert(fraction > 0 && fraction <= 1, "a fraction is above 0 and at most 1");
    const rank = Math.ceil(fraction * this.#count);
    let passed = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      passed += count;
      if (count > 0 && passed >= rank) return Math.min(highestOf(bucket) / UNITS_PER_MS, this.#maxMs);
    }
    return this.#maxMs;
  }

  summary(): LatencySummary {
    return {
      p50: rounded(this.percentile(0.5)),
      p99: rounded(this.percentile(0.99)),
      p999: rounded(this.percentile(0.999)),
      max: rounded(this.#maxMs),
    };
  }
}

function bucketOf(units: number): number {
  const shift = Math.max(0, 32 - EXACT_BITS - Math.clz32(units));
  return shift * SUB_BUCKETS + (units >>> shift);
}

/** The largest number of units that is counted in a bucket. */
function highestOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (bucket - shift * SUB_BUCKETS + 1) * 2 ** shift - 1;
}

/** To tenths of a microsecond, so that printed figures carry no digits that mean nothing. */
function rounded(latencyMs: number): number {
  return Math.round(latencyMs * UNITS_PER_MS) / UNITS_PER_MS;
}

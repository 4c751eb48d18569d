import { LatencyHistogram } from "../../src/cli/latency-histogram.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("cli/latency-histogram");
const FRACTIONS = [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1];

function exactPercentile(sorted: Float64Array, fraction: number): number {
  return sorted[Math.ceil(fraction * sorted.length) - 1] ?? Number.NaN;
}

/** Never below the exact value by more than the rounding to 0.1 µs, and at most 0.8 % above it. */
function assertClose(found: number, exact: number, message: string): void {
  assert.ok(found >= exact - 0.00005 && found <= exact * 1.008 + 0.00005, `${message}: ${found} for ${exact}`);
}

test("percentiles agree with sorting, over seven orders of magnitude", () => {
  const random = seededRandom();
  for (const count of [1, 2, 3, 100, 20_000]) {
    const histogram = new LatencyHistogram();
    const values = Float64Array.from({ length: count }, () => 10 ** (random.next() * 7 - 3));
    for (const value of values) histogram.record(value);
    values.sort();
    for (const fraction of FRACTIONS) {
      assertClose(histogram.percentile(fraction), exactPercentile(values, fraction), `${fraction} of ${count}`);
    }
    assert.is(histogram.count, count);
  }
});

test("every value lies in a bucket that begins right after the one before", () => {
  // Around each power of two, where buckets change their width.
  for (let exponent = 0; exponent < 32; exponent += 1) {
    for (const offset of [-2, -1, 0, 1, 2]) {
      const units = 2 ** exponent + offset;
      if (units < 0 || units >= 2 ** 32) continue;
      const histogram = new LatencyHistogram();
      histogram.record(units / 10_000);
      histogram.record(1e9);
      assertClose(histogram.percentile(0.5), units / 10_000, `${units} units`);
    }
  }
});

test("the largest value is exact, however large", () => {
  const histogram = new LatencyHistogram();
  for (const value of [1, 123_456_789.125, 2]) histogram.record(value);
  assert.is(histogram.summary().max, 123_456_789.125);
  assert.is(histogram.percentile(1), 2 ** 32 / 10_000 - 0.0001);
});

test("a summary has the four figures in ms", () => {
  const histogram = new LatencyHistogram();
  for (let value = 1; value <= 1000; value += 1) histogram.record(value / 1000);
  const { p50, p99, p999, max } = histogram.summary();
  assertClose(p50, 0.5, "p50");
  assertClose(p99, 0.99, "p99");
  assertClose(p999, 0.999, "p999");
  assert.is(max, 1);
});

test("zero is a latency, and nothing recorded is all zeros", () => {
  const histogram = new LatencyHistogram();
  assert.equal(histogram.summary(), { p50: 0, p99: 0, p999: 0, max: 0 });
  histogram.record(0);
  assert.is(histogram.count, 1);
  assert.is(histogram.percentile(1), 0);
});

test("merged histograms are as one", () => {
  const random = seededRandom();
  const [whole, even, odd] = [new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram()];
  for (let index = 0; index < 5000; index += 1) {
    const value = random.next() * 50;
    whole.record(value);
    (index % 2 === 0 ? even : odd).record(value);
  }
  even.add(odd.toCounts());
  for (const fraction of FRACTIONS) assert.is(even.percentile(fraction), whole.percentile(fraction));
  assert.is(even.count, whole.count);
});

test("what is no latency is a bug of the caller", () => {
  const histogram = new LatencyHistogram();
  for (const wrong of [-1, Number.NaN]) assert.throws(() => histogram.record(wrong), /a latency is a number/);
  for (const wrong of [0, 1.1, Number.NaN]) assert.throws(() => histogram.percentile(wrong), /a fraction is/);
});

test("recording allocates nothing", () => {
  const histogram = new LatencyHistogram();
  const record = (): void => {
    for (let index = 0; index < 1_000_000; index += 1) histogram.record((index & 1023) * 0.01);
  };
  record();
  const before = process.memoryUsage().heapUsed;
  record();
  // A box per sample would be 16 MB; what is left is noise of the compiler.
  assert.ok(process.memoryUsage().heapUsed - before < 2_000_000);
});

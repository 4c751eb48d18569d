import { median, percentile } from "../../src/cli/quantiles.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/quantiles");

test("the median lies in the middle, by size and not by spelling", () => {
  assert.is(median([100, 9, 20]), 20);
  assert.is(median([4, 1, 3, 2]), 2.5);
  assert.is(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

test("a percentile is the least figure that so many do not exceed", () => {
  const figures = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(
    [0.001, 0.5, 0.99, 1].map((fraction) => percentile(figures, fraction)),
    [1, 50, 99, 100],
  );
  assert.is(percentile([-3, -5], 0.5), -5);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

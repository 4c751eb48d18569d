import { EventRate } from "../../src/projections/event-rate.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("projections/event-rate");

test("a steady stream shows its rate, from the first moment on", () => {
  const rate = new EventRate(0);
  assert.is(rate.perSecond(0), 0);
  for (let nowMs = 10; nowMs <= 5000; nowMs += 10) {
    rate.add(20, nowMs);
    assert.ok(Math.abs(rate.perSecond(nowMs) - 2000) < 100, `${rate.perSecond(nowMs)} at ${nowMs} ms`);
  }
});

test("silence shows within two windows", () => {
  const rate = new EventRate(0);
  rate.add(1000, 500);
  assert.is(rate.perSecond(1000), 1000);
  assert.is(rate.perSecond(1500), 1000 / 1.5);
  assert.is(rate.perSecond(2000), 0);
  assert.is(rate.perSecond(9000), 0);
});

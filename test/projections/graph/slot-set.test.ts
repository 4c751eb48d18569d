import { SlotSet } from "../../../src/projections/graph/slot-set.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/slot set");

test("a slot is new once, however many there are", () => {
  for (const [count, slotMax] of [
    [10, 5],
    [500, 0x7fffffff],
    [20_000, 30_000],
  ] as const) {
    const random = seededRandom(count);
    const known = new Set<number>();
    const set = new SlotSet();
    for (let turn = 0; turn < count; turn += 1) {
      const slot = 1 + random.integer(slotMax);
      assert.is(set.add(slot), !known.has(slot), `slot ${slot} of ${count}`);
      known.add(slot);
    }
  }
});

import { IdIndex } from "../../../src/projections/graph/id-index.js";
import { Records } from "../../../src/projections/graph/records.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/id-index");
const random = seededRandom();

const IDS = 20_000;

for (const [what, idOf] of [
  ["dense ids", (index: number) => index + 1],
  ["ids from the end of a lease on", (index: number) => 900_000 + index],
  ["ids in blocks, with gaps", (index: number) => 1 + index + Math.floor(index / 256) * 4096],
  ["ids that differ in their high bits only", (index: number) => (index + 1) * 2 ** 38],
  ["ids of another system's clock", (index: number) => 1_700_000_000_000_000 + index * 4096],
  ["ids up to the largest", (index: number) => Number.MAX_SAFE_INTEGER - index],
  ["ids at random", () => 1 + Math.floor(random.next() * (Number.MAX_SAFE_INTEGER - 1))],
] as const) {
  test(`finds every id it was given and no other: ${what}`, () => {
    const records = new Records(8);
    const index = new IdIndex(records, 0);
    const given = new Map<number, number>();
    for (let count = 0; count < IDS; count += 1) {
      const id = idOf(count);
      if (given.has(id)) continue;
      assert.is(index.slotOf(id), 0, `${id} too early`);
      const slot = records.add();
      records.setDouble(slot, 0, id);
      index.insert(slot);
      given.set(id, slot);
    }
    for (const [id, slot] of given) assert.is(index.slotOf(id), slot, `${id}`);
    for (const id of given.keys()) {
      const other = id - 1;
      if (other > 0 && !given.has(other)) assert.is(index.slotOf(other), 0, `${other}`);
    }
  });
}

test("ids far apart do not cost the room between them", () => {
  const records = new Records(8);
  const index = new IdIndex(records, 0);
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 1; count <= IDS; count += 1) {
    const slot = records.add();
    records.setDouble(slot, 0, count * 1_000_000);
    index.insert(slot);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < IDS * 8 + 2_000_000);
});

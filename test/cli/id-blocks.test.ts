import { IdBlocks } from "../../src/cli/id-blocks.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("cli/id-blocks");

test("blocks give ids in order, and take another reservation when theirs are used up", async () => {
  const reserved: number[] = [];
  let next = 100;
  const reserve = async (count: number): Promise<number> => {
    reserved.push(count);
    next += count;
    return next - count;
  };
  const ids = new IdBlocks({ reserveNodeIds: reserve, reserveEdgeIds: reserve });
  assert.equal(reserved, []);
  await ids.ensure({ nodes: 2, edges: 0 });
  assert.equal([ids.nextNodeId(), ids.nextNodeId()], [100, 101]);
  assert.is(ids.ensure({ nodes: 2, edges: 0 }), undefined, "the block has more");
  await ids.ensure({ nodes: 1, edges: 100_000 });
  assert.equal(reserved, [65_536, 100_000]);
  assert.is(ids.nextEdgeId(), 100 + 65_536);
});

test("an id that was not reserved is a bug", () => {
  const ids = new IdBlocks({ reserveNodeIds: async () => 1, reserveEdgeIds: async () => 1 });
  assert.throws(() => ids.nextNodeId(), "reserved");
});

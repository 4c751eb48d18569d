import { join } from "node:path";
import { IdBlocks } from "../../src/cli/id-blocks.js";
import { StreamReservations } from "../../src/cli/id-reservations.js";
import { openStore, type Store } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("cli/id-reservations");

async function withStore(directory: string, work: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore(directory);
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

test("no id is given twice: not to another importer, not after reopening", async () => {
  const directory = join(temporaryDirectory(), "store");
  const firsts: number[] = [];
  await withStore(directory, async (store) => {
    const [one, two] = [new StreamReservations(store), new StreamReservations(store)];
    firsts.push(...(await Promise.all([one.reserveNodeIds(10), two.reserveNodeIds(5), two.reserveNodeIds(5)])));
    assert.is(await one.reserveEdgeIds(7), 1);
  });
  await withStore(directory, async (store) => {
    firsts.push(await new StreamReservations(store).reserveNodeIds(1));
    assert.is(await new StreamReservations(store).reserveEdgeIds(1), 8);
  });
  assert.is(firsts[3], 21);
  assert.is(new Set(firsts).size, 4);
  const taken = new Set<number>();
  for (const [index, count] of [10, 5, 5, 1].entries()) {
    for (let id = firsts[index] ?? 0; id < (firsts[index] ?? 0) + count; id += 1) taken.add(id);
  }
  assert.is(taken.size, 21, "the blocks do not overlap");
});

test("a reservation is durable before its ids are given", async () => {
  await withStore(join(temporaryDirectory(), "store"), async (store) => {
    await new StreamReservations(store).reserveNodeIds(10);
    const events: unknown[] = [];
    for await (const { type, data } of store.readStream("$graph-ids")) events.push(type, data);
    assert.equal(events, ["varve.v1.GraphIdsReserved", { kind: "node", through: 10 }]);
  });
});

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

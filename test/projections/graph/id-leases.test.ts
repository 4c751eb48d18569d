import { join } from "node:path";
import { EventStore } from "../../../src/events/index.js";
import { openStore, type Store } from "../../../src/index.js";
import { graphEventCodecs } from "../../../src/projections/graph/graph-event-codec.js";
import { IdLeases } from "../../../src/projections/graph/id-leases.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/id-leases");

async function withStore(directory: string, work: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore(directory);
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

test("no id is given twice: not to another writer, not after reopening", async () => {
  const directory = join(temporaryDirectory(), "store");
  const firsts: number[] = [];
  await withStore(directory, async (store) => {
    const otherStore = await EventStore.open(directory, {}, graphEventCodecs); // as another process would have
    const other = new IdLeases(otherStore);
    firsts.push(...(await Promise.all([store.reserveNodeIds(10), other.reserve("node", 5), store.reserveNodeIds(5)])));
    assert.is(await other.reserve("edge", 7), 1);
    await otherStore.close();
  });
  await withStore(directory, async (store) => {
    firsts.push(await store.reserveNodeIds(1));
    assert.is(await store.reserveEdgeIds(1), 8);
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
    await store.reserveNodeIds(10);
    const events: unknown[] = [];
    for await (const { type, data } of store.readStream("$graph-ids")) events.push(type, data);
    assert.equal(events, ["varve.v1.GraphIdsReserved", { kind: "node", through: 10 }]);
  });
});

test("single ids come out of blocks that grow, and never repeat", async () => {
  const store = await EventStore.open(join(temporaryDirectory(), "store"), {}, graphEventCodecs);
  const leases = new IdLeases(store);
  const taken = new Set<number>();
  for (let count = 0; count < 1000; count++) taken.add(await leases.take("node"));
  assert.is(taken.size, 1000);
  assert.is(await store.streamVersion("$graph-ids"), 3, "256, 512 and 1,024 ids were reserved");
  await store.close();
});

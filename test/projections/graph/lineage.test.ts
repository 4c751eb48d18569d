import { join } from "node:path";
import { type Graph, openReader, openStore, type Store } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { firstPage } from "../../support/first-page.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/lineage");

interface Filled {
  readonly store: Store;
  readonly graph: Graph;
  readonly id: number;
  /** Of: creation, a raise from 10 on, a new name, a raise from 20 on, a note that is taken away again. */
  readonly lsns: readonly number[];
}

async function filled(directory: string): Promise<Filled> {
  const store = await openStore(directory);
  const graph = await store.graph();
  const properties = { name: "Ann", salary: 100, note: "new" };
  const { id, lsn } = await graph.createNode({ label: "Person", properties, validFrom: 0 });
  const lsns = [lsn];
  for (const [changed, validFrom] of [
    [{ salary: 110 }, 10],
    [{ name: "Anna" }, 0],
    [{ salary: 120 }, 20],
    [{ note: null }, 0],
  ] as const) {
    lsns.push((await graph.patchNode(id, changed, { validFrom })).lsn);
  }
  return { store, graph, id, lsns };
}

test("a property leads to the event that set or removed it, at that valid and recorded time", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { store, graph, id, lsns } = await filled(directory);
  await using _ = store;
  await using reader = await openReader(directory);
  for (const each of [graph, await reader.graph()]) {
    const lsnOf = async (property: string, validAt: number, lsn = each.lsn): Promise<number | undefined> => {
      const found = await each.lineage("node", id, { property, validAt, recordedAt: { lsn } });
      assert.is(found.event?.lsn, found.lsn ?? undefined);
      assert.is(found.truncatedBefore, null);
      return lsns.indexOf(found.lsn ?? -1);
    };
    assert.equal(await Promise.all([5, 15, 25].map((at) => lsnOf("salary", at))), [0, 1, 3]);
    assert.equal(await Promise.all([5, 15, 25].map((at) => lsnOf("name", at))), [2, 2, 2]);
    assert.equal(await Promise.all([5, 15, 25].map((at) => lsnOf("note", at))), [4, 4, 4]);
    assert.is(await lsnOf("salary", 25, lsns[2]), 1);
    assert.is(await lsnOf("name", 25, lsns[1]), 0);
    assert.is(await lsnOf("never", 25), 0, "made without it");
    const whole = await each.lineage("node", id, { validAt: 25 });
    assert.equal([whole.lsn, whole.version?.lsn, whole.event?.type], [lsns[4], lsns[4], "varve.v1.NodePatched"]);
    assert.equal(whole.version?.properties["salary"], 120);
    const nothing = { version: null, lsn: null, event: null, provenance: null, truncatedBefore: null };
    assert.equal(await each.lineage("node", id, { validAt: -5 }), nothing);
    assert.equal(await each.lineage("edge", 77), nothing);
  }
});

test("a replaced or newly put version is where its properties come from", async () => {
  await using store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  const node = { label: "Person", properties: { name: "Ann" } };
  const { id } = await graph.createNode({ ...node, validFrom: 0 });
  const replaced = await graph.replaceNode(id, { name: "Ann" }, { validFrom: 10 });
  await graph.patchNode(id, { age: 3 }, { validFrom: 0 });
  const put = await graph.putNode(id, { ...node, validFrom: 20 });
  const lineage = async (validAt: number) => (await graph.lineage("node", id, { property: "name", validAt })).lsn;
  assert.equal([await lineage(12), await lineage(25)], [replaced.lsn, put.lsn]);
  const edge = await graph.createEdge({ label: "KNOWS", source: id, target: id, validFrom: 0 });
  assert.equal((await graph.lineage("edge", edge.id)).event?.data, {
    id: edge.id,
    label: "KNOWS",
    properties: Object.create(null),
    validFrom: 0,
    source: id,
    target: id,
  });
});

test("where a purge or a truncation has cut the way back, that is said", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { store, graph, id, lsns } = await filled(directory);
  await using _ = store;
  const horizon = graph.recordedAtOf(lsns[2] ?? 0) ?? 0;
  const purge = await graph.purge({ recordedBefore: horizon });
  const found = await graph.lineage("node", id, { property: "salary", validAt: 5 });
  assert.equal([found.lsn, found.event, found.version?.lsn], [null, null, lsns[4]]);
  assert.is(found.truncatedBefore, horizon);
  assert.equal((await graph.lineage("node", id, { property: "salary", validAt: 25 })).lsn, lsns[3]);
  await store.checkpoint();
  // Only whole segments are dropped.
  await store.append("other", { type: "Other", data: {} });
  await store.checkpoint();
  const { horizon: dropped } = await store.truncateBefore(purge.lsn + 1, { archive: "none" });
  assert.ok(dropped >= purge.lsn, `${dropped}`);
  const lost = await graph.lineage("node", id, { property: "salary", validAt: 25 });
  assert.equal([lost.lsn, lost.event], [null, null]);
});

test("questions that make no sense are refused", async () => {
  await using store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  await rejects(graph.lineage("node", 1, { key: "x" } as object), (error) => error instanceof TypeError);
  await rejects(graph.lineage("node", 0), (error) => error instanceof TypeError);
  await rejects(graph.lineage("tree" as "node", 1), (error) => error instanceof TypeError);
  await rejects(graph.lineage("node", 1, { property: 3 } as object), (error) => error instanceof TypeError);
  await rejects(graph.lineage("node", 1, { recordedAt: { lsn: 99 } }), (error) => error instanceof RangeError);
  await rejects(graph.lineage("node", 1, { validAt: 2 ** 60 }), "ERR_GRAPH_INVALID_PERIOD");
});

test("a cursor over changes goes on in another process's place, after a checkpoint and a restart", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { store, graph, id, lsns } = await filled(directory);
  const first = firstPage(graph.changes({ limit: 2 }));
  assert.equal(
    first.changes.map(({ lsn, kind, id: of, change }) => [lsn, kind, of, change]),
    [lsns[0], lsns[1]].map((lsn) => [lsn, "node", id, "asserted"]),
  );
  await store.checkpoint();
  await store.close();
  await using again = await openStore(directory);
  const reopened = await again.graph();
  const rest = firstPage(reopened.changes({ after: first.next }));
  assert.equal(
    rest.changes.map(({ lsn }) => lsn),
    lsns.slice(2),
  );
  assert.is(reopened.current().lsn, reopened.lsn);
  const { lsn } = await reopened.deleteNode(id);
  assert.equal(
    firstPage(reopened.changes({ after: rest.next })).changes.map((change) => [change.lsn, change.change]),
    [[lsn, "deleted"]],
  );
  assert.is(reopened.lsnAt(reopened.recordedAtOf(lsn) ?? 0), lsn);
  assert.equal(reopened.versionAt("node", id, { validAt: 5 }).version?.properties["name"], "Anna");
  assert.is(
    reopened.between("node", id, { valid: { from: 10, to: 20 }, recorded: { from: { lsn } } }).toArray().length,
    1,
  );
  const node = { kind: "node", id } as const;
  assert.is(reopened.overlaps(node, node).toArray()[0]?.validFrom, 0);
});

import { type Graph, openReader, openStore, type Store } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/graph-commands");

const YEAR = (year: number): number => Date.UTC(year, 0, 1) * 1000;

let store: Store;
let graph: Graph;

test.beforeEach(async () => {
  store = await openStore(temporaryDirectory());
  graph = await store.graph();
});

test.afterEach(() => store.close());

test("a command resolves when the graph reflects it, and history survives corrections", async () => {
  const ann = await graph.createNode({ label: "Person", properties: { salary: 100 }, validFrom: YEAR(2020) });
  await graph.patchNode(ann.id, { salary: 120 }, { validFrom: YEAR(2021) });
  const { lsn } = await graph.patchNode(ann.id, { salary: 110 }, { validFrom: YEAR(2020), validTo: YEAR(2021) });
  assert.is(graph.lsn, lsn);
  const salaryAt = (validAt: number, at: number): unknown =>
    graph.asOf({ validAt, recordedAt: { lsn: at } }).node(ann.id)?.properties["salary"];
  assert.equal(
    [
      salaryAt(YEAR(2020), ann.lsn),
      salaryAt(YEAR(2020), lsn),
      salaryAt(YEAR(2022), ann.lsn),
      salaryAt(YEAR(2022), lsn),
    ],
    [100, 110, 100, 120],
  );
  await graph.deleteNode(ann.id, { validFrom: YEAR(2023) });
  assert.is(graph.asOf({ validAt: YEAR(2024) }).node(ann.id), undefined);
  assert.is(graph.asOf({ validAt: YEAR(2022) }).node(ann.id)?.properties["salary"], 120);
});

test("what the graph can see is wrong is refused before anything is written", async () => {
  const node = await graph.createNode({ label: "Person" });
  const before = store.watermark;
  await rejects(() => graph.patchNode(999_999, { a: 1 }), "ERR_GRAPH_NOT_FOUND");
  await rejects(() => graph.createEdge({ label: "KNOWS", source: node.id, target: 999_999 }), "ERR_GRAPH_NO_ENDS");
  await rejects(() => graph.createNode({ label: "P", validFrom: 2, validTo: 1 }), "ERR_GRAPH_INVALID_PERIOD");
  await rejects(
    () => graph.createNode({ label: "P", colour: "red" } as never),
    (error) => error instanceof TypeError && error.message.includes("colour"),
  );
  const reservations = await store.streamVersion("$graph-ids");
  assert.is(await store.streamVersion("graph"), 1);
  assert.ok(store.watermark - before <= 1, "at most ids were reserved");
  assert.ok(reservations <= 2);
});

test("a node with edges goes only with them", async () => {
  const [a, b] = [await graph.createNode({ label: "P" }), await graph.createNode({ label: "P" })];
  const edge = await graph.createEdge({ label: "KNOWS", source: a.id, target: b.id });
  await rejects(
    () => graph.deleteNode(a.id),
    (error) => (error as { details?: { edges?: number } }).details?.edges === 1,
  );
  await graph.deleteNode(a.id, { detach: true });
  assert.is(graph.asOf().edge(edge.id), undefined);
  // What is before the deletion stays in force, what is after it was known until then.
  assert.is(graph.history("edge", edge.id).toArray().length, 2);
});

test("of two commands that exclude each other one fails with its code, although both were well when they were given", async () => {
  const node = await graph.createNode({ label: "P" });
  const outcomes = await Promise.allSettled([graph.retractNode(node.id), graph.retractNode(node.id)]);
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.is(failed.length, 1);
  assert.is((failed[0] as PromiseRejectedResult).reason.code, "ERR_GRAPH_NOT_FOUND");
  assert.is(graph.rejectedCount, 1);
});

test("ids never repeat, not even after reopening without the graph's checkpoint", async () => {
  const first = await graph.createNode({ label: "P" });
  const { directory } = store;
  await store.close();
  store = await openStore(directory);
  graph = await store.graph();
  const second = await graph.createNode({ label: "P" });
  assert.ok(second.id > first.id);
});

test("a graph that is read only refuses commands, and reads the same", async () => {
  const node = await graph.createNode({ label: "P", properties: { name: "Ann" } });
  await store.close();
  const reader = await openReader(store.directory);
  try {
    const read = await reader.graph();
    assert.is(read.asOf().node(node.id)?.properties["name"], "Ann");
    await rejects(() => read.createNode({ label: "P" }), "ERR_STORE_READ_ONLY");
  } finally {
    await reader.close();
  }
});

test("a command that depends on an event the graph has not reached yet waits for it", async () => {
  const id = await store.reserveNodeIds(1);
  const { lsn } = await store.append("elsewhere", {
    type: "varve.v1.NodeCreated",
    data: { id, label: "P", properties: {} },
  });
  assert.ok(graph.lsn < lsn, "the graph lags");
  await graph.patchNode(id, { name: "Ann" });
  assert.is(graph.asOf().node(id)?.properties["name"], "Ann");
});

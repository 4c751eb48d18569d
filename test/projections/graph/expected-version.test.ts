import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Graph, openStore, type Store } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/expected-version");

let store: Store;
let graph: Graph;

test.beforeEach(async () => {
  store = await openStore(join(temporaryDirectory(), "store"));
  graph = await store.graph();
});

test.afterEach(() => store.close());

const node = { label: "Person", properties: { n: 0 }, validFrom: 0 };

test("a command that expects the version that is there is carried out, and another is refused before anything is written", async () => {
  const ann = await graph.createNode(node);
  assert.is(graph.versionOf("node", ann.id), ann.lsn);
  const { lsn } = await graph.patchNode(ann.id, { n: 1 }, { expectedVersion: ann.lsn });
  assert.is(graph.versionOf("node", ann.id), lsn);
  const { watermark } = store;
  const error = await rejects(
    graph.patchNode(ann.id, { n: 2 }, { expectedVersion: ann.lsn }),
    "ERR_GRAPH_VERSION_CONFLICT",
  );
  const { expected, actual } = (error as Error & { details: { expected: number; actual: number } }).details;
  assert.equal([expected, actual, store.watermark], [ann.lsn, lsn, watermark]);
  assert.match(error.message, `its version is ${lsn}, not ${ann.lsn}`);
});

test("every command about an entity that may be there takes one, and 0 means that none ever was", async () => {
  const conflict = "ERR_GRAPH_VERSION_CONFLICT";
  const id = await store.reserveNodeIds(2);
  await rejects(graph.putNode(id, { ...node, expectedVersion: 5 }), conflict);
  const put = await graph.putNode(id, { ...node, expectedVersion: 0 });
  await rejects(graph.putNode(id, { ...node, expectedVersion: 0 }), conflict);
  await graph.putNode(id + 1, node);
  const edge = await graph.createEdge({ label: "KNOWS", source: id, target: id + 1, validFrom: 0 });
  // The node's version is its own: an edge does not change it.
  assert.is(graph.versionOf("node", id), put.lsn);
  const wrong = { expectedVersion: edge.lsn + 7 };
  await rejects(graph.replaceNode(id, {}, wrong), conflict);
  await rejects(graph.deleteNode(id, wrong), conflict);
  await rejects(graph.retractNode(id, { ...wrong, detach: true }), conflict);
  await rejects(graph.putEdge(edge.id, { label: "KNOWS", source: id, target: id + 1, ...wrong }), conflict);
  await rejects(graph.patchEdge(edge.id, {}, wrong), conflict);
  await rejects(graph.replaceEdge(edge.id, {}, wrong), conflict);
  await rejects(graph.deleteEdge(edge.id, wrong), conflict);
  await rejects(graph.retractEdge(edge.id, wrong), conflict);
  let { lsn } = await graph.patchEdge(edge.id, { a: 1 }, { expectedVersion: edge.lsn });
  ({ lsn } = await graph.replaceEdge(edge.id, { b: 1 }, { expectedVersion: lsn }));
  ({ lsn } = await graph.deleteEdge(edge.id, { expectedVersion: lsn, validFrom: 10 }));
  ({ lsn } = await graph.retractEdge(edge.id, { expectedVersion: lsn }));
  assert.is(graph.versionOf("edge", edge.id), lsn);
  const isTypeError = (error: Error) => error instanceof TypeError;
  for (const expectedVersion of [-1, 0.5, "1", null]) {
    await rejects(graph.patchNode(id, {}, { expectedVersion } as object), isTypeError);
  }
  await rejects(graph.createNode({ ...node, expectedVersion: 0 } as typeof node), isTypeError);
  await rejects(() => graph.versionOf("tree" as "node", 1), isTypeError);
  await rejects(() => graph.versionOf("node", 0), isTypeError);
});

test("a change at another valid time is a change, and a detached edge is changed with its node", async () => {
  const [a, b] = [await graph.createNode(node), await graph.createNode(node)];
  const edge = await graph.createEdge({ label: "KNOWS", source: a.id, target: b.id, validFrom: 0 });
  const later = await graph.patchNode(a.id, { n: 5 }, { validFrom: 1_000, validTo: 1_001 });
  await rejects(
    graph.patchNode(a.id, { n: 6 }, { validFrom: 2_000, expectedVersion: a.lsn }),
    "ERR_GRAPH_VERSION_CONFLICT",
  );
  await graph.patchNode(a.id, { n: 6 }, { validFrom: 2_000, expectedVersion: later.lsn });
  const gone = await graph.deleteNode(a.id, { validFrom: 500, detach: true });
  assert.equal([graph.versionOf("edge", edge.id), graph.versionOf("node", b.id)], [gone.lsn, b.lsn]);
});

test("of two that expect the same version one wins, although both were well when they were given", async () => {
  const ann = await graph.createNode(node);
  const outcomes = await Promise.allSettled(
    [1, 2, 3].map((n) => graph.patchNode(ann.id, { n }, { validFrom: 0, expectedVersion: ann.lsn })),
  );
  const codes = outcomes.map((each) => (each.status === "rejected" ? each.reason.code : "won"));
  assert.equal(codes.toSorted(), ["ERR_GRAPH_VERSION_CONFLICT", "ERR_GRAPH_VERSION_CONFLICT", "won"]);
  assert.is(graph.asOf().node(ann.id)?.properties["n"], codes.indexOf("won") + 1);
  const [first] = graph.rejections;
  assert.equal(first?.details, { expected: ann.lsn, actual: graph.versionOf("node", ann.id) });
});

test("a purge does not change a version, and neither do a checkpoint and replay", async () => {
  const [kept, gone] = [await graph.createNode(node), await graph.createNode(node)];
  const cut = await graph.deleteNode(kept.id, { validFrom: 10 });
  const deleted = await graph.deleteNode(gone.id, { validFrom: 0 });
  const versions = (of: Graph) => [kept, gone].map(({ id }) => of.versionOf("node", id));
  assert.equal(versions(graph), [cut.lsn, deleted.lsn]);
  await graph.purge({ recordedBefore: graph.recordedAtOf(graph.lsn) ?? 0 });
  assert.is(graph.purgedVersions, 2);
  assert.equal(versions(graph), [cut.lsn, deleted.lsn]);
  await rejects(
    graph.patchNode(kept.id, {}, { validFrom: 0, expectedVersion: kept.lsn }),
    "ERR_GRAPH_VERSION_CONFLICT",
  );
  const { directory } = store;
  await store.checkpoint();
  await store.close();
  for (const replays of [false, true]) {
    if (replays) rmSync(join(directory, "projections"), { recursive: true });
    await using again = await openStore(directory);
    assert.equal(versions(await again.graph()), [cut.lsn, deleted.lsn]);
  }
  store = await openStore(directory);
  graph = await store.graph();
  const patched = await graph.patchNode(kept.id, { n: 9 }, { validFrom: 0, expectedVersion: cut.lsn });
  const back = await graph.putNode(gone.id, { ...node, expectedVersion: deleted.lsn });
  assert.equal(versions(graph), [patched.lsn, back.lsn]);
});

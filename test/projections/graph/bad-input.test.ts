/** Every query and command against periods that hold nothing, times beyond the safe range, ids that are none, and walks without a bound. */

import { join } from "node:path";
import { type Graph, openStore, type Store } from "../../../src/index.js";
import { assert, rejects } from "../../support/assert.js";
import { firstPage } from "../../support/first-page.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/bad-input");

const PERIOD = "ERR_GRAPH_INVALID_PERIOD";
const isTypeError = (error: Error): boolean => error instanceof TypeError;
const isRangeError = (error: Error): boolean => error instanceof RangeError;

/** Two nodes, 1 and 2, with an edge each way: walks could run in circles. */
async function filled(): Promise<{ store: Store; graph: Graph; edge: number }> {
  const store = await openStore(join(temporaryDirectory(), "store"));
  const graph = await store.graph();
  const ids: number[] = [];
  for (const n of [1, 2]) ids.push((await graph.createNode({ label: "A", properties: { n }, validFrom: 0 })).id);
  assert.equal(ids, [1, 2]);
  const { id } = await graph.createEdge({ label: "E", source: 1, target: 2, validFrom: 0 });
  await graph.createEdge({ label: "E", source: 2, target: 1, validFrom: 0 });
  return { store, graph, edge: id };
}

test("no command takes a period that holds nothing or lies beyond the safe range, and nothing is written", async () => {
  const { store, graph, edge } = await filled();
  await using _ = store;
  await graph.addConstraint({ kind: "unique", label: "A", property: "n" });
  const before = store.watermark;
  const periods: readonly object[] = [
    ...[{ validFrom: 5, validTo: 5 }, { validFrom: 6, validTo: 5 }, { validFrom: 2 ** 53 }, { validFrom: -(2 ** 53) }],
    // The default begin is now.
    ...[{ validTo: 5 }, { validTo: 2 ** 53 }, { validFrom: 0.5 }, { validFrom: Number.NaN }],
  ];
  const properties = { n: 3 };
  for (const period of periods) {
    for (const [name, run] of Object.entries({
      createNode: () => graph.createNode({ label: "A", properties, ...period }),
      createEdge: () => graph.createEdge({ label: "E", source: 1, target: 2, ...period }),
      putNode: () => graph.putNode(1, { label: "A", properties, ...period }),
      putEdge: () => graph.putEdge(edge, { label: "E", source: 1, target: 2, ...period }),
      patchNode: () => graph.patchNode(1, properties, period),
      patchEdge: () => graph.patchEdge(edge, properties, period),
      replaceNode: () => graph.replaceNode(1, properties, period),
      replaceEdge: () => graph.replaceEdge(edge, properties, period),
      deleteNode: () => graph.deleteNode(1, { ...period, detach: true }),
      deleteEdge: () => graph.deleteEdge(edge, period),
      upsertNode: () => graph.upsertNode({ label: "A", key: "n", properties, ...period }),
      batch: () => graph.batch((batch) => batch.patchNode(1, properties, period)),
    })) {
      await rejects(run, PERIOD).catch((error: Error) => {
        throw new Error(`${name} ${JSON.stringify(period)}: ${error.message}`);
      });
    }
  }
  assert.is(store.watermark, before);
});

test("no query takes such a time, nor a window that holds nothing", async () => {
  const { store, graph } = await filled();
  await using _ = store;
  const node = { kind: "node", id: 1 } as const;
  for (const time of [2 ** 53, -(2 ** 53), 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const ask of [
      ...[() => graph.asOf({ validAt: time }), () => graph.asOf({ recordedAt: time })],
      ...[() => graph.versionAt("node", 1, { validAt: time }), () => graph.versionAt("node", 1, { recordedAt: time })],
      () => graph.between("node", 1, { valid: { from: time } }).toArray(),
      () => graph.between("node", 1, { valid: { to: time } }).toArray(),
      () => graph.between("node", 1, { recorded: { from: time } }).toArray(),
      () => graph.between("node", 1, { recorded: { to: time } }).toArray(),
      ...[() => graph.during({ valid: { from: time } }), () => graph.during({ recordedAt: time })],
      () => graph.overlaps(node, node, { recordedAt: time }).toArray(),
      ...[() => firstPage(graph.changes({ recordedFrom: time })), () => firstPage(graph.changes({ recordedTo: time }))],
      ...[() => graph.lsnAt(time), () => graph.lineage("node", 1, { validAt: time })],
      ...[() => graph.nameSnapshot("x", { validAt: time }), () => graph.purge({ recordedBefore: time })],
    ]) {
      await rejects(ask, PERIOD);
    }
  }
  for (const [from, to] of [
    [5, 5],
    [6, 5],
  ] as const) {
    await rejects(() => graph.between("node", 1, { valid: { from, to } }).toArray(), PERIOD);
    await rejects(() => graph.between("node", 1, { recorded: { from, to } }).toArray(), PERIOD);
    await rejects(() => graph.during({ valid: { from, to } }), PERIOD);
    await rejects(() => firstPage(graph.changes({ recordedFrom: from, recordedTo: to })), PERIOD);
  }
  await rejects(() => graph.between("node", 1, { recorded: { from: { lsn: 2 }, to: { lsn: 2 } } }).toArray(), PERIOD);
  await rejects(() => graph.between("node", 1, { recorded: { from: { lsn: 2 }, to: { lsn: 1 } } }).toArray(), PERIOD);
  for (const ask of [
    ...[
      () => graph.between("node", 1, {}).toArray(),
      () => graph.between("node", 1, { valid: { form: 1 } as never }).toArray(),
    ],
    () => graph.between("node", 1, { recorded: { form: 1 } as never }).toArray(),
    () => graph.between("node", 1, { recorded: null as never }).toArray(),
    ...[
      () => firstPage(graph.changes({ after: null as never })),
      () => firstPage(graph.changes({ limit: null as never })),
    ],
  ]) {
    await rejects(ask, isTypeError);
  }
});

test("an LSN that is still to come is out of range everywhere", async () => {
  const { store, graph } = await filled();
  await using _ = store;
  const recordedAt = { lsn: graph.lsn + 1 };
  const node = { kind: "node", id: 1 } as const;
  for (const ask of [
    ...[() => graph.asOf({ recordedAt }), () => graph.during({ recordedAt })],
    ...[() => graph.versionAt("node", 1, { recordedAt }), () => graph.overlaps(node, node, { recordedAt }).toArray()],
    () => graph.between("node", 1, { recorded: { from: recordedAt } }).toArray(),
    ...[() => firstPage(graph.changes({ after: recordedAt.lsn })), () => graph.recordedAtOf(recordedAt.lsn)],
    ...[() => graph.lineage("node", 1, { recordedAt }), () => graph.nameSnapshot("x", { recordedAt })],
  ]) {
    await rejects(ask, isRangeError);
  }
});

test("a command on an id that never was is refused, a query of one finds nothing, and what is no id is misuse", async () => {
  const { store, graph } = await filled();
  await using _ = store;
  const before = store.watermark;
  const commands = (id: number): (() => Promise<unknown>)[] => [
    ...[() => graph.patchNode(id, {}), () => graph.replaceNode(id, {}), () => graph.deleteNode(id)],
    ...[() => graph.retractNode(id), () => graph.patchEdge(id, {}), () => graph.replaceEdge(id, {})],
    ...[() => graph.deleteEdge(id), () => graph.retractEdge(id)],
  ];
  const edges = (id: number): (() => Promise<unknown>)[] => [
    () => graph.createEdge({ label: "E", source: id, target: 1 }),
    () => graph.putEdge(99, { label: "E", source: 1, target: id }),
  ];
  const view = graph.asOf();
  const queries = (id: number): (() => unknown)[] => [
    ...[() => view.node(id), () => view.edge(id), () => view.edges(id), () => view.degree(id)],
    ...[() => view.neighbors(id), () => view.traverse(id, { maxDepth: 2 }), () => view.shortestPath(id, 1)],
    ...[() => view.shortestPath(1, id), () => view.subgraph(id, { hops: 1 }).nodes, () => view.match().from(id)],
    ...[
      () => graph.during().match().from(id),
      () => graph.history("node", id).toArray(),
      () => graph.history("edge", id).toArray(),
    ],
    ...[() => graph.versionAt("edge", id).version, () => graph.between("node", id, { valid: {} }).toArray()],
    () => graph.overlaps({ kind: "node", id }, { kind: "edge", id: 1 }).toArray(),
  ];
  for (const run of commands(77)) await rejects(run, "ERR_GRAPH_NOT_FOUND");
  for (const run of edges(77)) await rejects(run, "ERR_GRAPH_NO_ENDS");
  for (const ask of queries(77)) {
    const found = ask() as Iterable<unknown> | number | null | undefined;
    assert.equal(typeof found === "object" && found !== null ? [...found] : (found ?? 0) || [], []);
  }
  assert.is((await graph.lineage("node", 77)).version, null);
  for (const wrong of [0, -1, 1.5, 2 ** 53, "1", null, undefined] as never[]) {
    for (const run of [...commands(wrong), ...edges(wrong), ...queries(wrong)]) await rejects(run, isTypeError);
    await rejects(() => graph.lineage("node", wrong), isTypeError);
  }
  await rejects(() => graph.history("nodes" as never, 1).toArray(), isTypeError);
  await rejects(() => graph.diff(view, null as never), isTypeError);
  await rejects(() => graph.diff({} as never, view), isTypeError);
  assert.is(store.watermark, before);
});

test("no walk goes round in circles: those that could ask for a bound", async () => {
  const { store, graph } = await filled();
  await using _ = store;
  const view = graph.asOf();
  for (const ask of [
    ...[() => view.traverse(1, {} as never), () => view.traverse(1, undefined as never)],
    ...[() => view.subgraph(1, {} as never), () => view.subgraph(1, undefined as never)],
    ...[() => view.traverse(1, { maxDepth: Number.POSITIVE_INFINITY }), () => view.subgraph(1, { hops: 0 })],
    () => view.shortestPath(1, 2, { maxDepth: 0 }),
  ]) {
    await rejects(ask, isTypeError);
  }
  const far = 2 ** 31;
  assert.equal(
    Array.from(view.traverse(1, { maxDepth: far }), ({ id }) => id),
    [2],
  );
  assert.is(view.subgraph(1, { hops: far }).edges.length, 2);
  assert.is(view.shortestPath(1, 2)?.edges.length, 1);
  assert.is([...view.match().out().out().out()].length, 0, "each edge once in a row");
});

test("a vector of another size, a key that is taken and a reference that is none are refused before anything is written", async () => {
  const { store, graph, edge } = await filled();
  await using _ = store;
  await graph.addConstraint({ kind: "unique", label: "A", property: "n" });
  await graph.addConstraint({ kind: "unique", label: "A", property: ["p", "q"] });
  await graph.addConstraint({ kind: "unique", entity: "edge", label: "E", property: "n" });
  await graph.addConstraint({ kind: "required", entity: "edge", label: "F", property: "n" });
  await graph.defineVectors({ label: "V", property: "v", dimensions: 2 });
  await graph.patchNode(1, { p: 1, q: 1 }, { validFrom: 0 });
  await graph.patchEdge(edge, { n: 1 }, { validFrom: 0 });
  const before = store.watermark;
  const ends = { source: 1, target: 2, validFrom: 0 };
  const vectors: readonly unknown[] = [
    Float32Array.of(1),
    Float32Array.of(1, 2, 3),
    Float32Array.of(1, Number.NaN),
    [1, 2],
    "1,2",
  ];
  for (const v of vectors) {
    const properties = { v } as never;
    const code =
      v instanceof Float32Array && v.length === 2 ? "ERR_GRAPH_INVALID_PROPERTY" : "ERR_GRAPH_INVALID_VECTOR";
    const isRefused = Array.isArray(v) ? "ERR_GRAPH_INVALID_PROPERTY" : code;
    await rejects(() => graph.createNode({ label: "V", properties }), isRefused);
    await rejects(() => graph.batch((batch) => void batch.createNode({ label: "V", properties })), isRefused);
  }
  for (const [run, code] of [
    [() => graph.createNode({ label: "A", properties: { n: 1 }, validFrom: 0 }), "ERR_GRAPH_NOT_UNIQUE"],
    [() => graph.createNode({ label: "A", properties: { p: 1, q: 1 }, validFrom: 0 }), "ERR_GRAPH_NOT_UNIQUE"],
    [() => graph.putNode(2, { label: "A", properties: { n: 1 }, validFrom: 0 }), "ERR_GRAPH_NOT_UNIQUE"],
    [() => graph.createEdge({ label: "E", properties: { n: 1 }, ...ends }), "ERR_GRAPH_NOT_UNIQUE"],
    [() => graph.createEdge({ label: "F", properties: {}, ...ends }), "ERR_GRAPH_REQUIRED_PROPERTY"],
    [() => graph.putEdge(edge, { label: "F", properties: { n: 2 }, ...ends }), "ERR_GRAPH_EDGE_FIXED"],
    [() => graph.createEdge({ label: "E", ...ends, validTo: 5, validFrom: -5, target: 3 }), "ERR_GRAPH_NO_ENDS"],
    [() => graph.upsertNode({ label: "B", key: "n", properties: { n: 1 } }), "ERR_GRAPH_CONSTRAINT_NOT_FOUND"],
    [() => graph.upsertNode({ label: "A", key: "n", properties: { n: null } }), "ERR_GRAPH_INVALID_PROPERTY"],
    [() => graph.batch((batch) => batch.patchNode(77, {})), "ERR_GRAPH_NOT_FOUND"],
    [() => graph.batch((batch) => void batch.createEdge({ label: "E", source: 1, target: 77 })), "ERR_GRAPH_NO_ENDS"],
    [() => graph.addConstraint({ kind: "unique", label: "A", property: "n" }), "ERR_GRAPH_CONSTRAINT_EXISTS"],
    [() => graph.removeConstraint({ kind: "unique", label: "B", property: "n" }), "ERR_GRAPH_CONSTRAINT_NOT_FOUND"],
    [() => graph.snapshot("none"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND"],
    [() => graph.removeSnapshot("none"), "ERR_GRAPH_SNAPSHOT_NOT_FOUND"],
    [() => graph.removeVectors({ label: "A", property: "v" }), "ERR_GRAPH_VECTORS_NOT_FOUND"],
    [() => graph.purge({ recordedBefore: (Date.now() + 1e6) * 1000 }), "ERR_GRAPH_HORIZON"],
  ] as const) {
    await rejects(run, code).catch((error: Error) => {
      throw new Error(`${run}: ${error.message}`);
    });
  }
  assert.equal([store.watermark, graph.rejectedCount], [before, 0]);
});

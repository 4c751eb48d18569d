import { rmSync } from "node:fs";
import { join } from "node:path";
import { type FindQuery, type Graph, openReader, openStore } from "../../../src/index.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { randomHistory } from "../../model/model-history.js";
import { assert, rejects } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/range-find");

const COUNT = 3_000;
const isTypeError = (error: Error): boolean => error instanceof TypeError;

/** Persons with an age, a name and a time, each of which changes once; every tenth has no age. */
function people(): TestEvent[] {
  const random = seededRandom(5);
  const properties = (): Record<string, unknown> => ({
    ...(random.integer(10) > 0 && { age: random.integer(100) }),
    name: `person-${random.integer(500)}`,
    since: 1_700_000_000_000_000 + random.integer(1e9),
  });
  return Array.from({ length: COUNT * 2 }, (_, index) => {
    const id = 1 + (index % COUNT);
    const type = index < COUNT ? "NodeCreated" : "NodePatched";
    const label = index < COUNT ? { label: id % 3 === 0 ? "Robot" : "Person" } : {};
    const validFrom = index < COUNT ? 0 : 1_000;
    return { lsn: index + 1, recordedAt: index, type, data: { id, ...label, properties: properties(), validFrom } };
  });
}

const QUERIES: readonly FindQuery[] = [
  { label: "Person", where: { age: { gte: 18, lt: 21 } } },
  { label: "Person", where: { age: { gte: 18, lt: 21 } }, orderBy: "age" },
  { label: "Person", where: { age: { gt: 90 }, name: { gte: "person-1", lt: "person-2" } }, orderBy: "name" },
  { label: "Robot", orderBy: "since", descending: true, limit: 20 },
  { label: "Person", where: { age: 33 }, orderBy: "since" },
  { label: "Person", where: { since: { lte: 1_700_000_500_000_000 } }, orderBy: "since", limit: 5 },
  { label: "Person", where: { age: { lte: 60 } }, orderBy: "name", descending: true, limit: 700 },
  { where: { age: { gte: 99 } }, orderBy: "age", descending: true },
  { label: "Nobody", where: { age: { gte: 0 } }, orderBy: "age" },
];
const INDEXED = ["age", "name", "since"];
const POINTS = [
  { validAt: 500 },
  { validAt: 2_000 },
  { validAt: 2_000, recordedAt: { lsn: COUNT } },
  { validAt: 2_000, recordedAt: { lsn: COUNT + 1_000 } },
];

function answersOf(state: GraphState): unknown[] {
  const views = POINTS.map((point) => state.asOf(point));
  return views.flatMap((view) => QUERIES.map((query) => Array.from(view.find(query), ({ id, lsn }) => [id, lsn])));
}

test("ranges and orders give the same over an index and by a scan, at every time", () => {
  const events = people();
  const plain = new GraphState({ clock: () => 0 });
  for (const event of events) plain.apply(rawEvent(event));
  const expected = answersOf(plain);
  assert.ok(expected.filter((answer) => (answer as unknown[]).length > 0).length > 20);

  const kept = new GraphState({ clock: () => 0 });
  const build = (state: GraphState, slotCountMax: number): void => {
    for (const label of ["Person", "Robot"]) {
      for (const property of INDEXED) while (!state.buildIndex({ label, property, kind: "range" }, slotCountMax));
    }
  };
  build(kept, 1);
  for (const event of events) kept.apply(rawEvent(event));
  assert.equal(answersOf(kept), expected, "kept from the start");
  build(plain, 700);
  assert.equal(answersOf(plain), expected, "built at the end");
});

test("a find in an order that is left lying goes on while events are applied, and they do not enter it", () => {
  const events = people();
  const state = new GraphState({ clock: () => 0 });
  while (!state.buildIndex({ label: "Person", property: "since", kind: "range" }, COUNT));
  for (const event of events.slice(0, COUNT)) state.apply(rawEvent(event));
  const query: FindQuery = { label: "Person", orderBy: "since" };
  const view = state.asOf({ validAt: 2_000 });
  const expected = Array.from(view.find(query), ({ id }) => id);
  const found = view.find(query)[Symbol.iterator]();
  const given = Array.from({ length: 100 }, () => found.next().value?.id);
  for (const event of events.slice(COUNT)) state.apply(rawEvent(event));
  assert.equal([...given, ...Array.from(found, ({ id }) => id)], expected);
});

test("a purge while a sorted answer is being read leaves out what it took", () => {
  const state = new GraphState({ clock: () => 0 });
  const data = { label: "A", properties: { n: 1 }, validFrom: 0 };
  for (const lsn of [1, 2, 3])
    state.apply(rawEvent({ lsn, recordedAt: lsn, type: "NodeCreated", data: { id: lsn, ...data } }));
  const found = state.asOf({ validAt: 5 }).find({ label: "A", orderBy: "n" })[Symbol.iterator]();
  assert.is(found.next().value?.id, 1);
  state.apply(rawEvent({ lsn: 4, recordedAt: 4, type: "NodeRetracted", data: { id: 2 } }));
  state.apply(rawEvent({ lsn: 5, recordedAt: 5, type: "GraphPurged", data: { recordedBefore: 4 } }));
  assert.equal(
    Array.from(found, ({ id }) => id),
    [3],
  );
});

test("values of all kinds have one order, and a range is of one kind", () => {
  const values = [
    ...[null, false, true, Number.NEGATIVE_INFINITY, -5, -0.5, 0, 0.5, 1, 1e300, Number.POSITIVE_INFINITY, Number.NaN],
    ...["", "B", "a", "aa", "é", "\uffee", "\u{1f600}", new Uint8Array(), Uint8Array.of(0), Uint8Array.of(1)],
  ];
  for (const isIndexed of [false, true]) {
    const state = new GraphState({ clock: () => 0 });
    if (isIndexed) while (!state.buildIndex({ label: "A", property: "p", kind: "range" }, 100));
    // Created in another order than theirs.
    for (const [index] of values.entries()) {
      const at = (index * 7) % values.length;
      const node = { id: at + 1, label: "A", properties: { p: values[at] }, validFrom: 0 };
      state.apply(rawEvent({ lsn: index + 1, recordedAt: 0, type: "NodeCreated", data: node }));
    }
    const find = (query: FindQuery): unknown[] =>
      Array.from(state.asOf({ validAt: 1 }).find({ label: "A", ...query }), ({ properties }) => properties["p"]);
    assert.equal(find({ orderBy: "p" }), values);
    assert.equal(find({ orderBy: "p", descending: true }), values.toReversed());
    assert.equal(find({ where: { p: { gte: 0 } }, orderBy: "p" }), [0, 0.5, 1, 1e300, Number.POSITIVE_INFINITY]);
    assert.equal(find({ where: { p: { lt: "aa" } }, orderBy: "p" }), ["", "B", "a"]);
    assert.equal(find({ where: { p: { gt: "\uffee" } } }), ["\u{1f600}"]);
    assert.equal(find({ where: { p: { gt: Uint8Array.of() } }, orderBy: "p" }), values.slice(-2));
  }
});

test("a time is a number of µs, and -0 is 0 in an order and in a range", () => {
  const state = new GraphState({ clock: () => 0 });
  while (!state.buildIndex({ label: "A", property: "n", kind: "range" }, 1));
  for (const [index, n] of [-0, 0, -0].entries()) {
    const data = { id: index + 1, label: "A", properties: { n }, validFrom: 0 };
    state.apply(rawEvent({ lsn: index + 1, recordedAt: 0, type: "NodeCreated", data }));
  }
  const ids = (query: FindQuery): number[] => Array.from(state.asOf({ validAt: 1 }).find(query), ({ id }) => id);
  assert.equal(ids({ label: "A", where: { n: { gte: 0 } }, orderBy: "n" }), [1, 2, 3]);
  assert.equal(ids({ label: "A", where: { n: { lte: -0 } } }), [1, 2, 3]);
  assert.equal(ids({ label: "A", where: { n: -0 } }), [1, 3], "equality goes by what is stored");
});

async function agesOf(graph: Graph, query: FindQuery): Promise<unknown[]> {
  return Array.from(graph.asOf().find(query), ({ properties }) => properties["age"]);
}

test("a store's index follows what is written, and is built again by whoever opens the store and wants it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const query: FindQuery = { label: "Person", where: { age: { gte: 20 } }, orderBy: "age" };
  {
    await using store = await openStore(directory);
    const graph = await store.graph();
    await graph.createNode({ label: "Person", properties: { age: 40 } });
    await graph.index({ label: "Person", property: "age", kind: "range" });
    await graph.index({ label: "Person", property: "age", kind: "range" });
    await graph.index({ label: "Person", property: "age" });
    const young = await graph.createNode({ label: "Person", properties: { age: 19 } });
    await graph.createNode({ label: "Person", properties: { age: 20.5 } });
    assert.equal(await agesOf(graph, query), [20.5, 40]);
    await graph.patchNode(young.id, { age: 20 });
    assert.equal(await agesOf(graph, query), [20, 20.5, 40]);
    await graph.deleteNode(young.id);
    assert.equal(await agesOf(graph, query), [20.5, 40]);
    await store.checkpoint();
    await using reader = await openReader(directory);
    const read = await reader.graph();
    await read.index({ label: "Person", property: "age", kind: "range" });
    assert.equal(await agesOf(read, { ...query, descending: true }), [40, 20.5]);
  }
  rmSync(join(directory, "projections"), { recursive: true });
  await using store = await openStore(directory);
  const graph = await store.graph();
  await graph.index({ label: "Person", property: "age", kind: "range" });
  assert.equal(await agesOf(graph, query), [20.5, 40]);
});

test("ranges narrow patterns and walks as well", () => {
  const state = new GraphState({ clock: () => 0 });
  const events = randomHistory(seededRandom(1), 0).concat(
    [1, 2, 3, 4].map((id) => ({
      ...{ lsn: id, recordedAt: 0, type: "NodeCreated" },
      data: { id, label: "A", properties: { n: id }, validFrom: 0 },
    })),
    [1, 2, 3].map((id) => ({
      ...{ lsn: 4 + id, recordedAt: 0, type: "EdgeCreated" },
      data: { id, label: "NEXT", source: id, target: id + 1, validFrom: 0 },
    })),
  );
  for (const event of events) state.apply(rawEvent(event));
  const view = state.asOf({ validAt: 1 });
  const rows = [
    ...view
      .match()
      .label("A")
      .where({ n: { gte: 2 } })
      .out("NEXT")
      .where({ n: { lt: 4 } }),
  ];
  assert.equal(
    rows.map(({ nodes }) => nodes.map(({ id }) => id)),
    [[2, 3]],
  );
  assert.equal(
    Array.from(view.traverse(1, { maxDepth: 9, where: { n: { lte: 3 } } }), ({ id }) => id),
    [2, 3],
  );
  assert.is(view.subgraph(4, { hops: 9, where: { n: { gt: 1 } } }).nodes.length, 3);
});

test("edges are followed by what they hold themselves, wherever a query follows edges", () => {
  const state = new GraphState({ clock: () => 0 });
  for (const id of [1, 2, 3]) {
    state.apply(rawEvent({ lsn: id, recordedAt: 0, type: "NodeCreated", data: { id, label: "A", validFrom: 0 } }));
  }
  for (const [index, [source, target, weight]] of [
    [1, 2, 5],
    [2, 3, 7],
    [1, 3, 9],
  ].entries()) {
    const data = { id: index + 1, label: "E", source, target, properties: { weight }, validFrom: 0 };
    state.apply(rawEvent({ lsn: 4 + index, recordedAt: 0, type: "EdgeCreated", data }));
  }
  const view = state.asOf({ validAt: 1 });
  const ids = (all: Iterable<{ readonly id: number }>): number[] => Array.from(all, ({ id }) => id);
  const edgeWhere = { weight: { lt: 8 } };
  assert.equal([ids(view.edges(1, { edgeWhere })), ids(view.edges(1, { edgeWhere: { weight: 9 } }))], [[1], [3]]);
  assert.equal([ids(view.neighbors(1, { edgeWhere })), view.degree(3, { edgeWhere })], [[2], 1]);
  assert.equal(
    Array.from(view.traverse(1, { maxDepth: 2, edgeWhere }), ({ id, depth }) => [id, depth]),
    [
      [2, 1],
      [3, 2],
    ],
  );
  assert.equal(ids(view.shortestPath(1, 3, { edgeWhere })?.edges ?? []), [1, 2]);
  assert.is(view.shortestPath(1, 3, { edgeWhere: { weight: { gt: 9 } } }), null);
  assert.equal(ids(view.subgraph(1, { hops: 2, edgeWhere }).edges), [1, 2]);
  assert.equal(ids(view.match().from(1).out("E", edgeWhere).ends()), [2]);
  assert.equal(ids(state.during().match().from(1).out("E", { weight: 9 }).ends()), [3]);
  assert.throws(() => view.edges(1, { edgeWhere: { weight: {} } }), /no bound/);
  assert.throws(() => view.match().out("E", 7 as never), /where must be an object/);
});

test("a range of nothing is refused, and so is an option that is none", async () => {
  const view = new GraphState({ clock: () => 0 }).asOf();
  for (const range of [
    ...[{}, { gte: 5, lt: 5 }, { gt: 5, lte: 5 }, { gt: 5, lt: 5 }, { gte: 5, lte: 4 }, { gte: "b", lt: "a" }],
    ...[{ gte: 1, lt: "a" }, { gte: 1, gt: 0 }, { lte: 1, lt: 2 }, { gte: null }, { lt: true }, { lt: Number.NaN }],
    ...[{ gte: new Date(0) }, { gte: "\ud800" }, Object.create(null)],
  ]) {
    await rejects(() => view.find({ where: { a: range as never } }), "ERR_GRAPH_INVALID_RANGE");
    await rejects(() => view.match().where({ a: range as never }), "ERR_GRAPH_INVALID_RANGE");
    await rejects(() => view.traverse(1, { maxDepth: 1, where: { a: range as never } }), "ERR_GRAPH_INVALID_RANGE");
    await rejects(() => view.subgraph(1, { hops: 1, where: { a: range as never } }), "ERR_GRAPH_INVALID_RANGE");
  }
  await rejects(() => view.find({ where: { a: new Date(0) as never } }), "ERR_GRAPH_INVALID_PROPERTY");
  await rejects(() => view.find({ where: { a: [1] as never } }), "ERR_GRAPH_INVALID_PROPERTY");
  for (const [query, message] of [
    [{ where: { a: { above: 1 } } }, 'where "a": unknown option "above"'],
    [{ orderBy: "" }, "orderBy must be a non-empty string"],
    [{ orderBy: 1 }, "orderBy must be a non-empty string"],
    [{ descending: true }, "descending goes with orderBy"],
    [{ orderBy: "a", descending: 1 }, "descending must be a boolean"],
    [{ limit: 0 }, "limit must be a positive safe integer, not 0"],
    [{ order: "a" }, 'find: unknown option "order"'],
  ] as const) {
    await rejects(
      () => view.find(query as never),
      (error) => isTypeError(error) && error.message === message,
    );
  }
  await using store = await openStore(temporaryDirectory());
  const graph = await store.graph();
  const definition = { label: "A", property: "a", kind: "hash" };
  await rejects(graph.index(definition as never), (error) => isTypeError(error) && /kind must be/.test(error.message));
});

import { isStoreError } from "../../../src/errors.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { GraphView } from "../../../src/projections/graph/graph-view.js";
import type { DefinedVectors, VectorMetric, VectorStorage } from "../../../src/projections/graph/vector-definition.js";
import { VectorIndex } from "../../../src/projections/graph/vector-index.js";
import { loadVectorPeer } from "../../../src/projections/graph/vector-peer.js";
import {
  EXACT_NODES_CLOSED_MAX,
  EXACT_NODES_MAX,
  type NearNode,
} from "../../../src/projections/graph/vector-search.js";
import { assert } from "../../support/assert.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/vector-search");

const DIMENSIONS = 8;
const NODES = 1_600;
const REFERENCE = { label: "Doc", property: "embedding" };
const LAST_TIME = 40;

interface Variant {
  readonly metric: VectorMetric;
  readonly storage: VectorStorage;
}

function randomVector(random: SeededRandom, isUnit: boolean): Float32Array {
  const vector = Float32Array.from({ length: DIMENSIONS }, () => random.next() * 2 - 1);
  const length = Math.hypot(...vector);
  return isUnit ? vector.map((value) => value / length) : vector;
}

function definedEvent({ metric, storage }: Variant): TestEvent {
  const numbers = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };
  const data = { ...REFERENCE, dimensions: DIMENSIONS, metric, storage, ...numbers };
  return { lsn: 1, recordedAt: 0, type: "GraphVectorsDefined", data };
}

/** Every node once, then corrections of all kinds; times are whole numbers. */
function history(random: SeededRandom, variant: Variant): TestEvent[] {
  const events: TestEvent[] = [definedEvent(variant)];
  const isUnit = variant.storage === "i8";
  const add = (type: string, data: TestEvent["data"]): void => {
    const lsn = events.length + 1;
    events.push({ lsn, recordedAt: Math.floor(lsn / 200), type, data });
  };
  const embedding = (): Float32Array => randomVector(random, isUnit);
  for (let id = 1; id <= NODES; id += 1) {
    const label = random.integer(20) === 0 ? "Other" : "Doc";
    const properties = { group: id % 3, ...(random.integer(15) > 0 && { embedding: embedding() }) };
    add("NodeCreated", { id, label, properties, validFrom: random.integer(4) });
  }
  for (let count = 0; count < NODES; count += 1) {
    const id = 1 + random.integer(NODES);
    const from = random.integer(LAST_TIME - 1);
    const period = { validFrom: from, ...(random.integer(2) === 0 && { validTo: from + 1 + random.integer(10) }) };
    const shape = random.integer(10);
    if (shape < 4) add("NodePatched", { id, properties: { embedding: embedding() }, ...period });
    else if (shape < 5) add("NodePatched", { id, properties: { group: 7 }, ...period });
    else if (shape < 6) add("NodePatched", { id, properties: { embedding: null }, ...period });
    else if (shape < 7) add("NodeReplaced", { id, properties: { group: 1, embedding: embedding() }, ...period });
    else if (shape < 8) add("NodePut", { id, label: "Doc", properties: { embedding: embedding() }, ...period });
    else if (shape < 9) add("NodeDeleted", { id, ...period });
    else if (random.integer(60) === 0) add("GraphPurged", { recordedBefore: Math.floor(events.length / 400) });
    else add("NodeRetracted", { id });
  }
  return events;
}

/** All that could be an answer, the nearest first: by what the view says of each node, and nothing else. */
function everyNear(
  view: GraphView,
  { metric }: Variant,
  vector: Float32Array,
  isWanted: (id: number, group: unknown) => boolean,
): NearNode[] {
  const near: NearNode[] = [];
  for (let id = 1; id <= NODES; id += 1) {
    const node = view.node(id);
    const held = node?.properties["embedding"];
    if (node?.label !== "Doc" || !(held instanceof Float32Array) || !isWanted(id, node.properties["group"])) continue;
    near.push({ id, distance: distanceBetween(metric, vector, held) });
  }
  return near.sort((a, b) => a.distance - b.distance || a.id - b.id);
}

function distanceBetween(metric: VectorMetric, a: Float32Array, b: Float32Array): number {
  const sum = (value: (at: number) => number): number =>
    Array.from(a.keys()).reduce((total, at) => total + value(at), 0);
  const dot = sum((at) => (a[at] as number) * (b[at] as number));
  if (metric === "dot") return -dot;
  if (metric === "l2") return Math.sqrt(sum((at) => ((a[at] as number) - (b[at] as number)) ** 2));
  return 1 - dot / (Math.sqrt(sum((at) => (a[at] as number) ** 2)) * Math.sqrt(sum((at) => (b[at] as number) ** 2)));
}

const isClose = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;

/** Asks at points all over both axes, and requires what is certain; gives which share of the nearest was found. */
function recallOf(state: GraphState, variant: Variant, random: SeededRandom): number {
  const k = 10;
  let found = 0;
  let wanted = 0;
  for (let turn = 0; turn < 9; turn += 1) {
    const lsn = turn % 3 === 0 ? state.lsn : NODES + random.integer(state.lsn - NODES);
    const view = state.asOf({ validAt: random.integer(LAST_TIME + 4), recordedAt: { lsn } });
    const vector = randomVector(random, false);
    const query = { ...REFERENCE, vector, k };

    const all = everyNear(view, variant, vector, () => true);
    requireSame(view.nearest({ ...query, exact: true }), all.slice(0, k));
    const distances = new Map(all.map(({ id, distance }) => [id, distance]));
    const near = view.nearest(query);
    assert.is(near.length, Math.min(k, all.length));
    assert.is(new Set(near.map(({ id }) => id)).size, near.length);
    for (const { id, distance } of near) assert.ok(isClose(distance, distances.get(id) ?? Number.NaN), `node ${id}`);
    assert.equal(
      near,
      [...near].sort((a, b) => a.distance - b.distance || a.id - b.id),
    );
    const nearest = new Set(all.slice(0, k).map(({ id }) => id));
    found += near.filter(({ id }) => nearest.has(id)).length;
    wanted += nearest.size;

    const ids = Array.from({ length: 200 }, () => 1 + random.integer(NODES * 2));
    const among = everyNear(view, variant, vector, (id) => ids.includes(id)).slice(0, k);
    requireSame(view.nearest({ ...query, among: ids }), among);
    const grouped = everyNear(view, variant, vector, (_, group) => group === 7);
    const where = view.nearest({ ...query, where: { group: 7 } });
    assert.is(where.length, Math.min(k, grouped.length));
    for (const { id } of where) assert.ok(grouped.some((each) => each.id === id));
  }
  return found / wanted;
}

function requireSame(actual: readonly NearNode[], expected: readonly NearNode[]): void {
  assert.is(actual.length, expected.length);
  for (const [at, { id, distance }] of actual.entries()) {
    // Two that are equally near but for the last bit may have changed places.
    const other = expected[at] as NearNode;
    assert.ok(isClose(distance, other.distance), `node ${id} at ${distance}, not ${other.id} at ${other.distance}`);
  }
}

function only<Item>(items: readonly Item[]): Item {
  assert.is(items.length, 1);
  return items[0] as Item;
}

const definedIn = (state: GraphState): DefinedVectors => only(state.vectors);

async function openIndex(state: GraphState): Promise<VectorIndex> {
  const definition = definedIn(state);
  const index = new VectorIndex(definition, loadVectorPeer().create(definition), 1);
  state.tables.vectors.open(index);
  return index;
}

function buildAll(state: GraphState, index: VectorIndex): void {
  while (!state.tables.vectors.build(index, state.tables, performance.now() + 20));
}

const VARIANTS: readonly Variant[] = [
  { metric: "cosine", storage: "f32" },
  { metric: "cosine", storage: "i8" },
  { metric: "l2", storage: "f32" },
  { metric: "l2", storage: "i8" },
  { metric: "dot", storage: "f32" },
  { metric: "dot", storage: "i8" },
];

for (const variant of VARIANTS) {
  test(`${variant.metric}, ${variant.storage}: whatever the index is built from, only what a view has is found, and nearly all of it`, async () => {
    const random = seededRandom(7);
    const events = history(random, variant);
    const clock = (): number => LAST_TIME;
    const isFirst = variant === VARIANTS[0];
    for (const openedAt of isFirst ? [1, NODES + 300, events.length] : [NODES + 300]) {
      const state = new GraphState({ clock });
      let index: VectorIndex | null = null;
      for (const event of events) {
        state.apply(rawEvent(event));
        if (event.lsn !== openedAt) continue;
        index = await openIndex(state);
        // The rest of the nodes is entered later, while others come.
        state.tables.vectors.build(index, state.tables, performance.now() + 1);
      }
      assert.is(state.rejections.filter(({ code }) => code === "ERR_GRAPH_INVALID_VECTOR").length, 0);
      const recall = recallOf(state, variant, random);
      assert.ok(recall > 0.999 || index?.isComplete === true, "what is incomplete is not believed");
      buildAll(state, index as VectorIndex);
      assert.ok(recallOf(state, variant, random) > 0.93);
    }
  });
}

test("an index is asked, and not all nodes compared, where there are many", async () => {
  const random = seededRandom(3);
  const state = new GraphState();
  for (const event of history(random, { metric: "l2", storage: "f32" })) state.apply(rawEvent(event));
  const index = await openIndex(state);
  buildAll(state, index);
  let asked = 0;
  const original = index.search.bind(index);
  index.search = (...args) => {
    asked += 1;
    return original(...args);
  };
  const vector = randomVector(random, false);
  const near = state.asOf().nearest({ ...REFERENCE, vector });
  assert.is(asked, 1);
  assert.is(near.length, 10);
  assert.ok(state.tables.labelled[0]?.length ?? 0 > EXACT_NODES_MAX);
  // More than an eighth of all, and ids: those are compared one by one.
  state.asOf().nearest({ ...REFERENCE, vector, k: 400 });
  state.asOf().nearest({ ...REFERENCE, vector, among: [1, 2, 3] });
  assert.is(asked, 1);
});

test("a purge takes out of the index what no version holds any more, and nothing else", async () => {
  const random = seededRandom(5);
  const state = new GraphState();
  const events = history(random, { metric: "cosine", storage: "f32" }).filter(({ type }) => type !== "GraphPurged");
  for (const event of events) state.apply(rawEvent(event));
  const index = await openIndex(state);
  buildAll(state, index);
  const before = index.count;
  const recordedBefore = Math.floor(events.length / 200);
  const lsn = (events.at(-1)?.lsn ?? 0) + 1;
  state.apply(rawEvent({ lsn, recordedAt: recordedBefore + 1, type: "GraphPurged", data: { recordedBefore } }));
  const held = new Set<string>();
  for (let id = 1; id <= NODES; id += 1) {
    for (const { label, properties } of state.history("node", id).toArray()) {
      if (label === "Doc" && properties["embedding"] instanceof Float32Array)
        held.add(`${id} ${properties["embedding"]}`);
    }
  }
  assert.is(index.count, held.size);
  assert.ok(index.count < before);
  assert.ok(recallOf(state, { metric: "cosine", storage: "f32" }, random) > 0.93);
});

test("what is no vector of the defined size is rejected at its own LSN, before the definition and on other labels it is not", () => {
  const state = new GraphState();
  const apply = (type: string, data: TestEvent["data"]): string => {
    state.apply(rawEvent({ lsn: state.lsn + 1, recordedAt: 0, type, data }));
    return state.rejectionAt(state.lsn)?.code ?? "";
  };
  const wrong = [Float32Array.of(1, 2), "text", 5, true, Uint8Array.of(1), new Float32Array(DIMENSIONS)];
  const good = new Float32Array(DIMENSIONS).fill(0.5);
  assert.is(apply("NodeCreated", { id: 1, label: "Doc", properties: { embedding: "before" }, validFrom: 0 }), "");
  assert.is(apply("GraphVectorsDefined", definedEvent({ metric: "cosine", storage: "f32" }).data), "");
  assert.is(
    apply("GraphVectorsDefined", definedEvent({ metric: "dot", storage: "f32" }).data),
    "ERR_GRAPH_VECTORS_EXISTS",
  );
  for (const embedding of wrong) {
    const properties = { embedding };
    for (const type of ["NodePatched", "NodeReplaced"])
      assert.is(apply(type, { id: 1, properties, validFrom: 0 }), "ERR_GRAPH_INVALID_VECTOR");
    for (const type of ["NodeCreated", "NodePut"])
      assert.is(apply(type, { id: 9, label: "Doc", properties, validFrom: 0 }), "ERR_GRAPH_INVALID_VECTOR");
    assert.is(apply("NodePut", { id: 2, label: "Other", properties, validFrom: 0 }), "");
    assert.is(apply("NodePatched", { id: 2, properties, validFrom: 0 }), "");
  }
  assert.is(apply("NodePatched", { id: 1, properties: { embedding: good }, validFrom: 5 }), "");
  assert.is(apply("NodePatched", { id: 1, properties: { embedding: null }, validFrom: 9 }), "");
  // Bears the label only from 20 on.
  assert.is(apply("NodePut", { id: 2, label: "Doc", properties: {}, validFrom: 20 }), "");
  const properties = { embedding: 1 };
  assert.is(apply("NodePatched", { id: 2, properties, validFrom: 10, validTo: 20 }), "");
  assert.is(apply("NodePatched", { id: 2, properties, validFrom: 10, validTo: 21 }), "ERR_GRAPH_INVALID_VECTOR");
  const query = { ...REFERENCE, vector: good };
  requireSame(state.asOf({ validAt: 6 }).nearest(query), [{ id: 1, distance: 0 }]);
  assert.equal(state.asOf({ validAt: 4 }).nearest(query), []);
  assert.equal(state.asOf({ validAt: 9 }).nearest(query), []);
  assert.is(apply("GraphVectorsRemoved", REFERENCE), "");
  assert.is(apply("GraphVectorsRemoved", REFERENCE), "ERR_GRAPH_VECTORS_NOT_FOUND");
  assert.is(apply("NodePatched", { id: 1, properties: { embedding: "again" }, validFrom: 0 }), "");
  assert.throws(
    () => state.asOf().nearest(query),
    (error: unknown) => isStoreError(error, "ERR_GRAPH_VECTORS_NOT_FOUND"),
  );
});

test("vectors that cannot be compared are rejected by the metric and storage that they are for", () => {
  const codeOf = (variant: Variant, vector: number[]): string => {
    const state = new GraphState();
    const defined = definedEvent(variant);
    state.apply(rawEvent({ ...defined, data: { ...defined.data, dimensions: 2 } }));
    const data = { id: 1, label: "Doc", properties: { embedding: Float32Array.from(vector) }, validFrom: 0 };
    state.apply(rawEvent({ lsn: 2, recordedAt: 0, type: "NodeCreated", data }));
    return state.rejectionAt(2)?.code ?? "";
  };
  for (const metric of ["cosine", "l2", "dot"] as const) {
    assert.is(codeOf({ metric, storage: "f32" }, [1e30, 1e30]), "ERR_GRAPH_INVALID_VECTOR");
    assert.is(codeOf({ metric, storage: "f32" }, [3, 4]), "");
    assert.is(codeOf({ metric, storage: "i8" }, [0.6, 0.8]), "");
    const isCosine = metric === "cosine";
    assert.is(codeOf({ metric, storage: "f32" }, [0, 0]), isCosine ? "ERR_GRAPH_INVALID_VECTOR" : "");
    assert.is(codeOf({ metric, storage: "i8" }, [3, 4]), isCosine ? "" : "ERR_GRAPH_INVALID_VECTOR");
  }
});

test("definitions outlive a checkpoint, and an event of a definition that cannot be is rejected", () => {
  const state = new GraphState();
  state.apply(rawEvent(definedEvent({ metric: "dot", storage: "i8" })));
  const again = GraphState.decode(Array.from(state.encode(), (piece) => piece.slice()));
  assert.equal(again.vectors, state.vectors);
  assert.is(only(again.vectors).definedBy, 1);
  const event = rawEvent({ ...definedEvent({ metric: "dot", storage: "i8" }), lsn: 2 });
  // The metric's number is another one.
  const at = event.bytes.lastIndexOf(0x20);
  assert.is(event.bytes[at + 1], 2);
  event.bytes[at + 1] = 9;
  again.apply(event);
  assert.is(again.rejectionAt(2)?.code, "ERR_GRAPH_VECTORS_DEFINITION");
});

test("questions that make no sense are refused", () => {
  const state = new GraphState();
  state.apply(rawEvent(definedEvent({ metric: "cosine", storage: "f32" })));
  const view = state.asOf();
  const vector = new Float32Array(DIMENSIONS).fill(1);
  for (const bad of [
    [],
    [1, 2],
    Array(DIMENSIONS).fill(0),
    Array(DIMENSIONS).fill(Number.NaN),
    Array(DIMENSIONS).fill(1e39),
  ]) {
    for (const each of [bad, Float32Array.from(bad)]) {
      assert.throws(
        () => view.nearest({ ...REFERENCE, vector: each }),
        (error: unknown) => isStoreError(error, "ERR_GRAPH_INVALID_VECTOR"),
      );
    }
  }
  const misuse: readonly object[] = [
    { vector, k: 0 },
    { vector, k: 1.5 },
    { vector, k: 10_001 },
    { vector: "text" },
    { vector: ["1"] },
    { vector, exact: 1 },
    { vector, among: 5 },
    { vector, among: [0] },
    { vector, where: 5 },
    { vector, limit: 5 },
    { vector, label: "" },
    { vector, property: 7 },
  ];
  for (const options of misuse) {
    assert.throws(
      () => view.nearest({ ...REFERENCE, ...options } as never),
      (error: unknown) => error instanceof TypeError,
      JSON.stringify(options),
    );
  }
  assert.equal(view.nearest({ ...REFERENCE, vector }), []);
  assert.equal(view.nearest({ ...REFERENCE, vector: [...vector], among: [1, 2] }), []);
});

test("many nodes are not compared one by one unless that is asked for, while no index is open", () => {
  const state = new GraphState();
  state.apply(rawEvent(definedEvent({ metric: "l2", storage: "f32" })));
  const embedding = new Float32Array(DIMENSIONS).fill(1);
  for (let id = 1; id <= EXACT_NODES_CLOSED_MAX + 1; id += 1) {
    const data = { id, label: "Doc", properties: { embedding, group: id % 4 }, validFrom: 0 };
    state.apply(rawEvent({ lsn: id + 1, recordedAt: 0, type: "NodeCreated", data }));
    if (id === EXACT_NODES_CLOSED_MAX)
      assert.is(state.asOf().nearest({ ...REFERENCE, vector: embedding, k: 2 }).length, 2);
  }
  const view = state.asOf();
  assert.throws(
    () => view.nearest({ ...REFERENCE, vector: embedding }),
    (error: unknown) => isStoreError(error, "ERR_GRAPH_VECTORS_CLOSED"),
  );
  assert.equal(view.nearest({ ...REFERENCE, vector: embedding, k: 2, exact: true }), [
    { id: 1, distance: 0 },
    { id: 2, distance: 0 },
  ]);
  assert.is(view.nearest({ ...REFERENCE, vector: embedding, among: [20_001, 5] }).length, 2);
  while (!state.buildIndex({ label: "Doc", property: "group" }, 10_000));
  assert.equal(view.nearest({ ...REFERENCE, vector: embedding, k: 1, where: { group: 3 } }), [{ id: 3, distance: 0 }]);
});

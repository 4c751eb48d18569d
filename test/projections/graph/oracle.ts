/** Compares every query of the graph with the naive model. Each check throws where they differ. */

import type { GraphEdge, GraphNode } from "../../../src/projections/graph/entity.js";
import type { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { GraphView } from "../../../src/projections/graph/graph-view.js";
import type { Properties, PropertyValue } from "../../../src/projections/graph/property.js";
import { assert } from "../../support/assert.js";
import type { SeededRandom } from "../../support/seeded-random.js";
import { type NaiveGraph, type NaiveValue, POINTS } from "./naive-graph.js";
import { EDGE_IDS, EDGE_LABELS, KEYS, NODE_IDS, NODE_LABELS } from "./random-history.js";

type Direction = "out" | "in" | "both";
type Entity = GraphNode | GraphEdge;

/** Everything a view answers, as text: two texts are equal exactly when the answers are. */
export function answersOf(view: GraphView): string {
  const answers = [
    NODE_IDS.map((id) => view.node(id)),
    EDGE_IDS.map((id) => view.edge(id)),
    NODE_IDS.map((id) => [...view.edges(id)]),
    NODE_IDS.map((id) => [...view.neighbors(id)]),
    NODE_LABELS.map((label) => [...view.find({ label })]),
    NODE_IDS.map((id) => [...view.traverse(id, { maxDepth: 3 })]),
  ];
  return JSON.stringify(answers, (_, value) =>
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : value,
  );
}

export function checkView(view: GraphView, model: NaiveGraph, random: SeededRandom): void {
  const { validAt: v, lsn: r } = view;
  for (const id of NODE_IDS)
    checkEntity(view.node(id), model.visibleAt("node", id, v, r), `node ${id} at (${v}, ${r})`);
  for (const id of EDGE_IDS)
    checkEntity(view.edge(id), model.visibleAt("edge", id, v, r), `edge ${id} at (${v}, ${r})`);
  for (const id of NODE_IDS) {
    for (const direction of ["out", "in", "both"] as const) {
      const label = random.integer(2) === 0 ? undefined : random.pick(EDGE_LABELS);
      checkAround(view, model, id, direction, label);
    }
  }
  checkFind(view, model, random);
}

function checkEntity(found: Entity | undefined, expected: NaiveValue | null, where: string): void {
  if (expected === null) {
    assert.is(found, undefined, where);
    return;
  }
  assert.ok(found, `${where} is missing`);
  assert.is(found?.label, expected.label, where);
  assert.is(found?.lsn, expected.lsn, where);
  assert.is(propertiesText(found?.properties ?? {}), propertiesText(Object.fromEntries(expected.properties)), where);
}

function propertiesText(properties: object): string {
  return JSON.stringify(Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function visibleEdges(model: NaiveGraph, view: GraphView, id: number, direction: Direction, label?: string) {
  return [...model.edgesById.values()].filter(
    (edge) =>
      ((direction !== "in" && edge.source === id) || (direction !== "out" && edge.target === id)) &&
      (label === undefined || edge.label === label) &&
      model.visibleAt("edge", edge.id, view.validAt, view.lsn) !== null,
  );
}

function otherEnd(edge: { source: number; target: number }, id: number): number {
  return edge.source === id ? edge.target : edge.source;
}

function checkAround(
  view: GraphView,
  model: NaiveGraph,
  id: number,
  direction: Direction,
  label: string | undefined,
): void {
  const query = { direction, ...(label !== undefined && { label }) };
  const expected = visibleEdges(model, view, id, direction, label);
  const where = `around ${id} ${JSON.stringify(query)} at (${view.validAt}, ${view.lsn})`;
  const edges = [...view.edges(id, query)];
  assert.equal(edges.map(endsText).sort(), expected.map(endsText).sort(), where);
  const neighbors = [...new Set(expected.map((edge) => otherEnd(edge, id)))].sort();
  assert.equal(Array.from(view.neighbors(id, query), (node) => node.id).sort(), neighbors, where);
  const maxDepth = 1 + (id % 3);
  const steps = [...view.traverse(id, { ...query, maxDepth })];
  assert.equal(
    steps.map((step) => `${step.depth} ${step.id}`).sort(),
    distances(model, view, id, direction, label, maxDepth),
    where,
  );
  for (const step of steps) {
    const over = model.edgesById.get(step.edge);
    assert.ok(over !== undefined && otherEnd(over, step.from) === step.id, where);
  }
}

function endsText({
  id,
  label,
  source,
  target,
}: {
  id: number;
  label: string;
  source: number;
  target: number;
}): string {
  return `${id} ${label} ${source} ${target}`;
}

/** How far every other node is, by relaxing all edges as often as there are nodes. */
function distances(
  model: NaiveGraph,
  view: GraphView,
  start: number,
  direction: Direction,
  label: string | undefined,
  maxDepth: number,
): string[] {
  if (model.visibleAt("node", start, view.validAt, view.lsn) === null) return [];
  const depths = new Map([[start, 0]]);
  for (let depth = 1; depth <= maxDepth; depth += 1) {
    for (const [id, at] of [...depths]) {
      if (at !== depth - 1) continue;
      for (const edge of visibleEdges(model, view, id, direction, label)) {
        const other = otherEnd(edge, id);
        if (!depths.has(other)) depths.set(other, depth);
      }
    }
  }
  depths.delete(start);
  return Array.from(depths, ([id, depth]) => `${depth} ${id}`).sort();
}

function checkFind(view: GraphView, model: NaiveGraph, random: SeededRandom): void {
  const some = NODE_IDS.map((id) => model.visibleAt("node", id, view.validAt, view.lsn));
  const key = random.pick(KEYS);
  const value = random.pick(some)?.properties.get(key) ?? null;
  const where: Properties = Object.create(null);
  where[key] = value as PropertyValue;
  for (const label of [undefined, ...NODE_LABELS]) {
    const expected = [...model.nodeIds].filter((id) => {
      const node = model.visibleAt("node", id, view.validAt, view.lsn);
      return node !== null && (label === undefined || node.label === label);
    });
    const query = label === undefined ? {} : { label };
    assert.equal(Array.from(view.find(query), (node) => node.id).sort(), expected.sort(), `find ${label}`);
    const matching = expected.filter(
      (id) => model.visibleAt("node", id, view.validAt, view.lsn)?.properties.get(key) === value,
    );
    assert.equal(
      Array.from(view.find({ ...query, where }), (node) => node.id).sort(),
      matching.sort(),
      `find ${label} where`,
    );
  }
}

/** The rectangles of an entity cover exactly the points where the model has a value, each once, with that value. */
export function checkHistory(state: GraphState, model: NaiveGraph, kind: "node" | "edge", id: number): void {
  const rectangles: Entity[] = kind === "node" ? state.history("node", id) : state.history("edge", id);
  for (const [index, each] of rectangles.entries()) {
    const before = rectangles[index - 1];
    if (before !== undefined) {
      assert.ok(before.lsn < each.lsn || (before.lsn === each.lsn && before.validFrom < each.validFrom), "order");
    }
    assert.is(each.recordedFrom, model.timeOf(each.lsn));
    assert.is(each.recordedTo, each.supersededBy === null ? null : model.timeOf(each.supersededBy));
  }
  for (let r = 0; r <= model.lsn; r += 1) {
    for (const v of POINTS) {
      const where = `${kind} ${id} at (${v}, ${r})`;
      const containing = rectangles.filter((each) => contains(each, v, r));
      assert.ok(containing.length <= 1, `${where}: ${containing.length} rectangles overlap`);
      checkEntity(containing[0], model.valueAt(kind, id, v, r), where);
    }
  }
}

export function contains(each: Entity, v: number, r: number): boolean {
  return (
    each.validFrom <= v &&
    v < (each.validTo ?? Number.POSITIVE_INFINITY) &&
    each.lsn <= r &&
    r < (each.supersededBy ?? Number.POSITIVE_INFINITY)
  );
}

export function checkDiff(state: GraphState, model: NaiveGraph, before: GraphView, after: GraphView): void {
  const found = Array.from(state.diff(before, after), ({ kind, change, before: old, after: now }) => {
    return `${kind} ${(old ?? now)?.id} ${change} ${old?.lsn} ${now?.lsn}`;
  });
  const expected: string[] = [];
  for (const [kind, ids] of [
    ["node", NODE_IDS],
    ["edge", EDGE_IDS],
  ] as const) {
    for (const id of ids) {
      const old = model.visibleAt(kind, id, before.validAt, before.lsn);
      const now = model.visibleAt(kind, id, after.validAt, after.lsn);
      const change = old === null ? "added" : now === null ? "removed" : "changed";
      if (old !== now && valueText(old) !== valueText(now))
        expected.push(`${kind} ${id} ${change} ${old?.lsn} ${now?.lsn}`);
    }
  }
  assert.equal(found.sort(), expected.sort(), "diff");
}

function valueText(value: NaiveValue | null): string {
  return value === null ? "" : value.label + propertiesText(Object.fromEntries(value.properties));
}

/** The graph's queries over the naive model: one function for each, as plainly as it can be said. */

import type { EdgeQuery } from "../../src/projections/graph/edge-filter.js";
import type { GraphEdge, GraphNode } from "../../src/projections/graph/entity.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { GraphChange, HistoryOptions } from "../../src/projections/graph/graph-history.js";
import type { NodeQuery } from "../../src/projections/graph/node-filter.js";
import type { FindQuery } from "../../src/projections/graph/ordered-find.js";
import type { Properties } from "../../src/projections/graph/property.js";
import type { PathQuery } from "../../src/projections/graph/shortest-path.js";
import type { SubgraphQuery } from "../../src/projections/graph/subgraph.js";
import type { TraverseQuery, TraverseStep } from "../../src/projections/graph/traversal.js";
import { type NaiveEdge, type NaiveGraph, type NaiveRectangle, type NaiveValue, sameContent } from "./naive-graph.js";
import { naiveMatches, naiveOrder } from "./naive-range.js";

/** A point of both axes. */
export class NaiveView {
  readonly model: NaiveGraph;
  readonly validAt: number;
  readonly lsn: number;
  /** The last LSN when the view was made: later events do not show in what it says of a rectangle's end. */
  readonly known: number;

  constructor(model: NaiveGraph, validAt: number, lsn: number, known: number) {
    this.model = model;
    this.validAt = validAt;
    this.lsn = lsn;
    this.known = known;
  }

  value(kind: EntityKind, id: number): NaiveValue | null {
    return this.model.visibleAt(kind, id, this.validAt, this.lsn);
  }

  node(id: number): GraphNode | undefined {
    return this.value("node", id) === null ? undefined : nodeOf(this.model, id, this.#rectangle("node", id));
  }

  edge(id: number): GraphEdge | undefined {
    return this.value("edge", id) === null ? undefined : edgeOf(this.model, id, this.#rectangle("edge", id));
  }

  /** The last created first; with both directions those that leave before those that come in. */
  edgesAt(id: number, { direction = "both", label }: EdgeQuery = {}): NaiveEdge[] {
    const visible = [...this.model.edgesById.values()]
      .reverse()
      .filter((edge) => (label === undefined || edge.label === label) && this.value("edge", edge.id) !== null);
    const out = direction === "in" ? [] : visible.filter(({ source }) => source === id);
    const into = direction === "out" ? [] : visible.filter(({ target }) => target === id);
    return [...new Set([...out, ...into])];
  }

  edges(id: number, query: EdgeQuery = {}): (GraphEdge | undefined)[] {
    return this.edgesAt(id, query).map((edge) => this.edge(edge.id));
  }

  neighbors(id: number, query: EdgeQuery = {}): (GraphNode | undefined)[] {
    const others = this.edgesAt(id, query).map((edge) => otherEnd(edge, id));
    return [...new Set(others)].map((other) => this.node(other));
  }

  /** In the order of the nodes' creation. */
  find(query: NodeQuery): (GraphNode | undefined)[] {
    return [...this.model.nodeIds].filter((id) => this.#matches(id, query)).map((id) => this.node(id));
  }

  /** Those that have a property, in its order; of equal ones the first created first. The other way round is just that. */
  findInOrder({ orderBy, descending = false, limit, ...query }: FindQuery & { orderBy: string }) {
    const heldBy = (node: GraphNode | undefined) => node?.properties[orderBy];
    const having = this.find(query).filter((node) => heldBy(node) !== undefined);
    having.sort((a, b) => naiveOrder(heldBy(a) ?? null, heldBy(b) ?? null));
    if (descending) having.reverse();
    return having.slice(0, limit);
  }

  /** Breadth first. What does not match is not walked through either. */
  traverse(
    start: number,
    { maxDepth, limit = Number.POSITIVE_INFINITY, nodeLabel, where, ...query }: TraverseQuery,
  ): TraverseStep[] {
    const steps: TraverseStep[] = [];
    if (this.value("node", start) === null) return steps;
    const onto = { ...(nodeLabel !== undefined && { label: nodeLabel }), ...(where !== undefined && { where }) };
    const depths = new Map([[start, 0]]);
    // A map gives what is added meanwhile, too, in the order in which it was added.
    for (const [from, depth] of depths) {
      if (depth === maxDepth) break;
      for (const edge of this.edgesAt(from, query)) {
        const id = otherEnd(edge, from);
        if (depths.has(id) || !this.#matches(id, onto)) continue;
        depths.set(id, depth + 1);
        steps.push({ id, depth: depth + 1, edge: edge.id, from });
      }
    }
    return steps.slice(0, limit);
  }

  /** Back over the steps of a traversal. */
  shortestPath(from: number, to: number, { maxDepth = Number.POSITIVE_INFINITY, ...query }: PathQuery) {
    if (this.value("node", from) === null || this.value("node", to) === null) return null;
    const steps = new Map(this.traverse(from, { ...query, maxDepth }).map((step) => [step.id, step]));
    const nodes = [to];
    const edges: number[] = [];
    for (let at = to; at !== from; ) {
      const step = steps.get(at);
      if (step === undefined) return null;
      edges.unshift(step.edge);
      nodes.unshift(step.from);
      at = step.from;
    }
    return { nodes: nodes.map((id) => this.node(id)), edges: edges.map((id) => this.edge(id)) };
  }

  /** Edges by id. */
  subgraph(start: number, { hops, limit = Number.POSITIVE_INFINITY, ...query }: SubgraphQuery) {
    const steps = this.traverse(start, { ...query, maxDepth: hops });
    const all = this.value("node", start) === null ? [] : [start, ...steps.map(({ id }) => id)];
    const ids = all.slice(0, limit);
    const inside = [...this.model.edgesById.values()].filter(
      ({ id, label, source, target }) =>
        (query.label === undefined || label === query.label) &&
        ids.includes(source) &&
        ids.includes(target) &&
        this.value("edge", id) !== null,
    );
    const edges = inside.sort((a, b) => a.id - b.id).map(({ id }) => this.edge(id));
    return { nodes: ids.map((id) => this.node(id)), edges, complete: ids.length === all.length };
  }

  /** What can be reached from the first that is in none yet; the largest first. */
  components(label?: string): number[][] {
    const left = [...this.model.nodeIds].filter((id) => this.value("node", id) !== null);
    const found: number[][] = [];
    for (const id of left) {
      if (found.some((component) => component.includes(id))) continue;
      const query = { maxDepth: left.length, ...(label !== undefined && { label }) };
      const reached = this.traverse(id, query).map((step) => step.id);
      found.push(left.filter((each) => each === id || reached.includes(each)));
    }
    return found.sort((a, b) => b.length - a.length);
  }

  /** So many rounds of the formula. */
  pageRank(label: string | undefined, damping: number, rounds: number): Map<number, number> {
    const ids = [...this.model.nodeIds].filter((id) => this.value("node", id) !== null);
    const query = { direction: "out" as const, ...(label !== undefined && { label }) };
    let ranks = new Map(ids.map((id) => [id, 1 / ids.length]));
    for (let round = 0; round < rounds; round += 1) {
      const next = new Map(ids.map((id) => [id, (1 - damping) / ids.length]));
      for (const [id, rank] of ranks) {
        const targets = this.edgesAt(id, query).map(({ target }) => target);
        const over = targets.length === 0 ? ids : targets;
        for (const target of over) next.set(target, (next.get(target) ?? 0) + (damping * rank) / over.length);
      }
      ranks = next;
    }
    return ranks;
  }

  #matches(id: number, query: NodeQuery): boolean {
    return naiveMatches(this.value("node", id), query);
  }

  #rectangle(kind: EntityKind, id: number): NaiveRectangle {
    const { validAt: v, lsn: r } = this;
    const found = this.model
      .rectangles(kind, id, this.known)
      .filter(({ from, to, value, until }) => from <= v && v < to && value.lsn <= r && r < until);
    if (found.length !== 1) throw new Error(`the model has ${found.length} rectangles of ${kind} ${id} at one point`);
    return found[0] as NaiveRectangle;
  }
}

/** What a history tells, without `coalesce` over both axes: that joins in no one order (see compare.ts). */
export function naiveHistory(
  model: NaiveGraph,
  kind: EntityKind,
  id: number,
  now: number,
  { at, coalesce = false }: HistoryOptions,
): GraphNode[] {
  let all = model.rectangles(kind, id, model.lsn).filter(({ until }) => until > model.purgedThrough);
  if (at === "valid") all = all.filter(({ until }) => until === Number.POSITIVE_INFINITY);
  if (at === "recorded") all = all.filter(({ from, to }) => from <= now && now < to);
  if (at !== undefined && coalesce) all = joinedAlong(all, at);
  return all.map((each) => (kind === "node" ? nodeOf(model, id, each) : edgeOf(model, id, each)));
}

/** Rectangles that touch along one axis and hold the same, as one: both along it, what they share across it. */
function joinedAlong(all: readonly NaiveRectangle[], axis: "valid" | "recorded"): NaiveRectangle[] {
  const place = ({ from, value }: NaiveRectangle): number => (axis === "valid" ? from : value.lsn);
  const joined: NaiveRectangle[] = [];
  for (const next of all.toSorted((a, b) => place(a) - place(b))) {
    const last = joined.at(-1);
    const touches = last !== undefined && (axis === "valid" ? last.to === next.from : last.until === next.value.lsn);
    if (!touches || !sameContent(last.value, next.value)) {
      joined.push(next);
      continue;
    }
    const value = axis === "valid" && next.value.lsn > last.value.lsn ? next.value : last.value;
    joined[joined.length - 1] =
      axis === "valid"
        ? { from: last.from, to: next.to, value, until: Math.min(last.until, next.until) }
        : { from: Math.max(last.from, next.from), to: Math.min(last.to, next.to), value, until: next.until };
  }
  return joined.sort((a, b) => a.value.lsn - b.value.lsn || a.from - b.from);
}

/** The rectangle that contains a point, whether an edge's ends are there or not. */
export function naiveVersion(model: NaiveGraph, kind: EntityKind, id: number, v: number, r: number): GraphNode | null {
  const at = model.rectangles(kind, id, model.lsn).find(({ from, to, value, until }) => {
    return from <= v && v < to && value.lsn <= r && r < until;
  });
  return at === undefined ? null : kind === "node" ? nodeOf(model, id, at) : edgeOf(model, id, at);
}

/** The rectangles that overlap a window. */
export function naiveBetween(
  model: NaiveGraph,
  kind: EntityKind,
  id: number,
  window: {
    readonly valid?: { readonly from: number; readonly to: number };
    readonly recorded: { readonly from: { readonly lsn: number }; readonly to: { readonly lsn: number } };
  },
): GraphNode[] {
  const { from, to } = window.valid ?? { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  const { from: first, to: last } = window.recorded;
  return naiveHistory(model, kind, id, 0, {}).filter(
    (each) =>
      each.validFrom < to &&
      from < (each.validTo ?? Number.POSITIVE_INFINITY) &&
      each.lsn < last.lsn &&
      first.lsn < (each.supersededBy ?? Number.POSITIVE_INFINITY),
  );
}

/** Which entities each LSN asserted, or only took away somewhere: by what was there before and is there after. */
export function naiveChanges(model: NaiveGraph, after: number): string[] {
  const changes: string[] = [];
  const look = (kind: EntityKind, id: number): void => {
    const bounds = model.bounds(kind, id);
    for (let lsn = after + 1; lsn <= model.lsn; lsn += 1) {
      const asserted = bounds.some((v) => model.valueAt(kind, id, v, lsn)?.lsn === lsn);
      const gone = bounds.some(
        (v) => model.valueAt(kind, id, v, lsn) === null && model.valueAt(kind, id, v, lsn - 1) !== null,
      );
      if (asserted || gone) changes.push(`${lsn} ${kind} ${id} ${asserted ? "asserted" : "deleted"}`);
    }
  };
  for (const id of model.nodeIds) look("node", id);
  for (const id of model.edgesById.keys()) look("edge", id);
  return changes;
}

export function naiveDiff(before: NaiveView, after: NaiveView): GraphChange[] {
  const { model } = before;
  const nodes = Array.from(model.nodeIds, (id) => changeOf("node", before, after, id));
  const edges = Array.from(model.edgesById.keys(), (id) => changeOf("edge", before, after, id));
  return [...nodes, ...edges].filter((change) => change !== null);
}

function changeOf(kind: EntityKind, before: NaiveView, after: NaiveView, id: number): GraphChange | null {
  const old = before.value(kind, id);
  const now = after.value(kind, id);
  if (old === now || (old !== null && now !== null && sameContent(old, now))) return null;
  const change = old === null ? "added" : now === null ? "removed" : "changed";
  return kind === "node"
    ? { kind, change, before: before.node(id) ?? null, after: after.node(id) ?? null }
    : { kind, change, before: before.edge(id) ?? null, after: after.edge(id) ?? null };
}

function otherEnd({ source, target }: NaiveEdge, id: number): number {
  return source === id ? target : source;
}

export function nodeOf(model: NaiveGraph, id: number, { from, to, value, until }: NaiveRectangle): GraphNode {
  const properties: Properties = Object.create(null);
  for (const [key, each] of value.properties) properties[key] = each;
  const isOpen = until === Number.POSITIVE_INFINITY;
  return {
    id,
    label: value.label,
    properties,
    validFrom: from,
    validTo: to === Number.POSITIVE_INFINITY ? null : to,
    recordedFrom: model.timeOf(value.lsn),
    recordedTo: isOpen ? null : model.timeOf(until),
    lsn: value.lsn,
    supersededBy: isOpen ? null : until,
  };
}

export function edgeOf(model: NaiveGraph, id: number, rectangle: NaiveRectangle): GraphEdge {
  const { source, target } = model.edgesById.get(id) as NaiveEdge;
  return { ...nodeOf(model, id, rectangle), source, target };
}

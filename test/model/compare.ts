/**
 * Every query of the graph beside the naive one.
 *
 * A query of a view is one entry of `VIEW_QUERIES`: it asks both, and yields what they answered. A new query of the graph wants a naive
 * function in naive-view.ts and an entry here.
 */

import type { Graph } from "../../src/index.js";
import type { EdgeQuery } from "../../src/projections/graph/edge-filter.js";
import type { GraphNode } from "../../src/projections/graph/entity.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { HistoryOptions } from "../../src/projections/graph/graph-history.js";
import type { AsOf } from "../../src/projections/graph/graph-point.js";
import type { GraphResults } from "../../src/projections/graph/graph-results.js";
import type { GraphView } from "../../src/projections/graph/graph-view.js";
import type { PropertyConditions } from "../../src/projections/graph/node-filter.js";
import type { Properties } from "../../src/projections/graph/property.js";
import type { TraverseQuery } from "../../src/projections/graph/traversal.js";
import { firstPage } from "../support/first-page.js";
import { duringQueries, matchQueries, overlapQueries } from "./axes-queries.js";
import type { Choices } from "./model-history.js";
import { saidConstraint } from "./naive-constraints.js";
import type { NaiveGraph } from "./naive-graph.js";
import { NaiveView, naiveBetween, naiveChanges, naiveDiff, naiveHistory, naiveVersion } from "./naive-view.js";
import { rangeQueries, someRange } from "./range-queries.js";

/** A `GraphState`, or the graph of a store. */
export type AskedGraph = Pick<
  Graph,
  | "asOf"
  | "constraints"
  | "counts"
  | "diff"
  | "during"
  | "history"
  | "lsn"
  | "purgedVersions"
  | "rejectedCount"
  | "rejections"
  | "snapshot"
  | "snapshots"
  | "truncatedBefore"
  | "versionOf"
>;

/** What may be asked about. */
export interface Subjects {
  readonly nodeIds: readonly number[];
  readonly edgeIds: readonly number[];
  readonly nodeLabels: readonly string[];
  readonly edgeLabels: readonly string[];
  readonly keys: readonly string[];
}

/** What is asked along the axes: a state's `chronicle`, or the graph of a store. */
export type AskedChronicle = Pick<Graph, "between" | "changes" | "overlaps" | "versionAt">;

export type Answer = readonly [question: string, found: unknown, expected: unknown];
type ViewQuery = (view: GraphView, naive: NaiveView, subjects: Subjects, random: Choices) => Iterable<Answer>;

export class Difference extends Error {
  override readonly name = "Difference";

  constructor(question: string, found: unknown, expected: unknown) {
    super(`${question}\n  the graph: ${textOf(found)}\n  the model: ${textOf(expected)}`);
  }
}

const DIRECTIONS = ["out", "in", "both"] as const;

/** A label, or none, or one that nothing bears. */
function someLabel(random: Choices, labels: readonly string[]): { label?: string } {
  const at = random.integer(labels.length * 2 + 1);
  return at === 0 ? { label: "Nothing" } : at > labels.length ? {} : { label: labels[at - 1] as string };
}

const VIEW_QUERIES: Readonly<Record<string, ViewQuery>> = {
  *node(view, naive, { nodeIds }) {
    for (const id of [...nodeIds, 77]) yield [`node(${id})`, view.node(id), naive.node(id)];
  },
  *edge(view, naive, { edgeIds }) {
    for (const id of [...edgeIds, 77]) yield [`edge(${id})`, view.edge(id), naive.edge(id)];
  },
  *edges(view, naive, { nodeIds, edgeLabels }, random) {
    for (const id of nodeIds) {
      const query = someEdgeQuery(naive, edgeLabels, random);
      yield [`edges(${id}, ${textOf(query)})`, [...view.edges(id, query)], naive.edges(id, query)];
    }
  },
  *neighbors(view, naive, { nodeIds, edgeLabels }, random) {
    for (const id of nodeIds) {
      const query = someEdgeQuery(naive, edgeLabels, random);
      yield [`neighbors(${id}, ${textOf(query)})`, [...view.neighbors(id, query)], naive.neighbors(id, query)];
    }
  },
  *find(view, naive, { nodeIds, nodeLabels, keys }, random) {
    yield ["find({})", [...view.find({})], naive.find({})];
    const where: Properties = Object.create(null);
    // Mostly what some node has there, a null too.
    for (const key of [random.pick(keys), ...(random.integer(3) === 0 ? [random.pick(keys)] : [])]) {
      const properties = naive.value("node", random.pick(nodeIds))?.properties;
      where[key] = properties?.get(key) ?? (properties?.has(key) === true ? null : 1);
    }
    for (const query of [someLabel(random, nodeLabels), { ...someLabel(random, nodeLabels), where }]) {
      const found = [...view.find(query)];
      yield [`find(${JSON.stringify(query)})`, found.sort(byId), naive.find(query).sort(byId)];
    }
  },
  *traverse(view, naive, subjects, random) {
    for (const id of subjects.nodeIds) {
      const query = {
        ...someSteps(naive, subjects, random),
        maxDepth: 1 + random.integer(4),
        ...(random.integer(3) === 0 && { limit: 1 + random.integer(3) }),
      };
      yield [`traverse(${id}, ${textOf(query)})`, [...view.traverse(id, query)], naive.traverse(id, query)];
    }
  },
  ranges: rangeQueries,
  match: matchQueries,
  *degree(view, naive, { nodeIds, edgeLabels }, random) {
    for (const id of nodeIds) {
      const query = someEdgeQuery(naive, edgeLabels, random);
      yield [`degree(${id}, ${textOf(query)})`, view.degree(id, query), naive.edgesAt(id, query).length];
    }
  },
  *shortestPath(view, naive, { nodeIds, edgeLabels }, random) {
    for (const from of nodeIds) {
      const [to, maxDepth] = [random.pick(nodeIds), 1 + random.integer(3)];
      const label = random.integer(2) === 0 ? {} : someLabel(random, edgeLabels);
      const query = { direction: random.pick(DIRECTIONS), ...label, ...(random.integer(2) === 0 && { maxDepth }) };
      const question = `shortestPath(${from}, ${to}, ${JSON.stringify(query)})`;
      yield [question, view.shortestPath(from, to, query), naive.shortestPath(from, to, query)];
    }
  },
  *subgraph(view, naive, subjects, random) {
    const id = random.pick(subjects.nodeIds);
    const limit = random.integer(2) === 0 ? {} : { limit: 1 + random.integer(3) };
    const query = { ...someSteps(naive, subjects, random), hops: 1 + random.integer(3), ...limit };
    const { nodes, edges, complete } = view.subgraph(id, query);
    const expected = naive.subgraph(id, query);
    const sortedEdges = [...edges].sort(byId);
    yield [`subgraph(${id}, ${textOf(query)})`, { nodes, edges: sortedEdges, complete }, expected];
  },
  *components(view, naive, { edgeLabels }, random) {
    const query = someLabel(random, edgeLabels);
    const found = Array.from(view.components(query), ({ nodes }) => nodes);
    yield [`components(${JSON.stringify(query)})`, found, naive.components(query.label)];
  },
  *pageRank(view, naive, { edgeLabels }, random) {
    const query = { ...someLabel(random, edgeLabels), damping: 0.7, iterations: 1 + random.integer(5), tolerance: 0 };
    const found = new Map(Array.from(view.pageRank(query), ({ id, rank }) => [id, rank]));
    const expected = naive.pageRank(query.label, query.damping, query.iterations);
    const far = [...expected].filter(([id, rank]) => Math.abs((found.get(id) ?? -1) - rank) > RANK_TOLERANCE);
    const question = `pageRank(${JSON.stringify(query)})`;
    yield [`${question}: ids and ranks that are others`, far, []];
    yield [`${question}: how many`, found.size, expected.size];
  },
};

/** Sums are made in another order. */
const RANK_TOLERANCE = 1e-9;

function someEdgeQuery(naive: NaiveView, edgeLabels: readonly string[], random: Choices): EdgeQuery {
  return {
    direction: random.pick(DIRECTIONS),
    ...someLabel(random, edgeLabels),
    ...(random.integer(3) === 0 && { edgeWhere: someEdgeWhere(naive, random) }),
  };
}

/** Mostly what some edge has there. */
function someEdgeWhere(naive: NaiveView, random: Choices): PropertyConditions {
  const held = [...naive.model.edgesById.keys()].flatMap((id) => [...(naive.value("edge", id)?.properties ?? [])]);
  if (held.length === 0) return { name: { gte: 0 } };
  const [key, value] = random.pick(held);
  const wanted = random.integer(2) === 0 ? value : someRange(random, [value]);
  return Object.assign(Object.create(null), Object.fromEntries([[key, wanted]]));
}

function someSteps(
  naive: NaiveView,
  { nodeIds, nodeLabels, edgeLabels, keys }: Subjects,
  random: Choices,
): Omit<TraverseQuery, "maxDepth" | "limit"> {
  const onto = someLabel(random, nodeLabels);
  const where: Properties = Object.create(null);
  const key = random.pick(keys);
  where[key] = naive.value("node", random.pick(nodeIds))?.properties.get(key) ?? 1;
  return {
    direction: random.pick(DIRECTIONS),
    ...(random.integer(2) === 0 && someLabel(random, edgeLabels)),
    ...(random.integer(3) === 0 && onto.label !== undefined && { nodeLabel: onto.label }),
    ...(random.integer(4) === 0 && { where }),
    ...(random.integer(3) === 0 && { edgeWhere: someEdgeWhere(naive, random) }),
  };
}

// With a label, nodes come in the order in which they first bore it, as far as that is known: a set.
function byId(a: GraphNode | undefined, b: GraphNode | undefined): number {
  return (a?.id ?? 0) - (b?.id ?? 0);
}

export class Comparison {
  /** How many answers were compared. */
  count = 0;
  readonly model: NaiveGraph;
  readonly #graph: AskedGraph;
  readonly #subjects: Subjects;
  readonly #random: Choices;
  readonly #chronicle: AskedChronicle;

  constructor(graph: AskedGraph, chronicle: AskedChronicle, model: NaiveGraph, subjects: Subjects, random: Choices) {
    this.#graph = graph;
    this.#chronicle = chronicle;
    this.model = model;
    this.#subjects = subjects;
    this.#random = random;
  }

  same(question: string, found: unknown, expected: unknown): void {
    this.count += 1;
    if (!sameAnswer(found, expected)) throw new Difference(question, found, expected);
  }

  /** What the state itself says: its place, its counts and what was refused. */
  state(): void {
    const { model } = this;
    const graph = this.#graph;
    this.same("lsn", graph.lsn, model.lsn);
    this.same("counts", graph.counts, { nodes: model.nodeIds.size, edges: model.edgesById.size });
    this.same("rejections", graph.rejections, model.rejections);
    this.same("rejectedCount", graph.rejectedCount, model.rejections.length);
    this.same("truncatedBefore", graph.truncatedBefore, model.horizon);
    this.same("purgedVersions", graph.purgedVersions, model.purgedVersions);
    const constraints = graph.constraints.map(({ addedBy: _, ...constraint }) => constraint);
    this.same("constraints", constraints, model.constraints.map(saidConstraint));
    for (const id of this.#subjects.nodeIds)
      this.same(`versionOf("node", ${id})`, graph.versionOf("node", id), model.versionOf("node", id, model.lsn));
    for (const id of this.#subjects.edgeIds)
      this.same(`versionOf("edge", ${id})`, graph.versionOf("edge", id), model.versionOf("edge", id, model.lsn));
    this.same("snapshots", graph.snapshots, [...model.snapshots.values()]);
  }

  /** What the named points answer. */
  snapshots(): void {
    const { model } = this;
    for (const { name, validAt, lsn } of model.snapshots.values())
      this.view(this.#graph.snapshot(name), new NaiveView(model, validAt, lsn, model.lsn), { lsn });
  }

  /** A view at a point and the same of the model; `clock` is what the wall clock shows. */
  views(point: AsOf, clock: number): [GraphView, NaiveView] {
    const { model } = this;
    const view = this.#graph.asOf(point);
    const { recordedAt } = point;
    const lsn =
      recordedAt === undefined ? model.lsn : typeof recordedAt === "number" ? model.lsnAt(recordedAt) : recordedAt.lsn;
    // Asked for a time, the graph may answer with a later LSN as long as nothing of its own is between.
    this.same(`the last event of its own as of ${textOf(point)}`, model.lastHeeded(view.lsn), model.lastHeeded(lsn));
    if (typeof recordedAt !== "number") this.same(`lsn as of ${textOf(point)}`, view.lsn, lsn);
    // As of an event of another stream it has the time of its own last event, or what is nearer to the truth.
    const isBetween = model.timeOf(model.lastHeeded(lsn)) <= view.recordedAt && view.recordedAt <= model.timeOf(lsn);
    this.same(`recordedAt ${view.recordedAt} as of ${textOf(point)} is between`, isBetween, true);
    this.same(`validAt as of ${textOf(point)}`, view.validAt, point.validAt ?? Math.max(clock, view.recordedAt));
    return [view, new NaiveView(model, view.validAt, lsn, model.lsn)];
  }

  /** All queries of a view. One that lies before the horizon of a purge says so, and has nothing that is not so. */
  view(view: GraphView, naive: NaiveView, askedAt: AsOf["recordedAt"]): void {
    const where = `as of (${naive.validAt}, LSN ${naive.lsn})`;
    const isBefore = this.model.liesBeforeHorizon(view.lsn, typeof askedAt === "number" ? askedAt : null);
    this.same(`truncatedBefore ${where}`, view.truncatedBefore, isBefore ? this.model.horizon : null);
    if (isBefore) {
      for (const id of this.#subjects.nodeIds)
        this.same(`node(${id})?.lsn ${where}`, view.node(id)?.lsn, view.node(id) && naive.node(id)?.lsn);
      return;
    }
    for (const query of Object.values(VIEW_QUERIES)) {
      for (const [question, found, expected] of query(view, naive, this.#subjects, this.#random))
        this.same(`${question} ${where}`, found, expected);
    }
  }

  /** Versions and windows of every entity, and what changed. */
  chronicle(validTimes: readonly number[]): void {
    const { model } = this;
    const random = this.#random;
    const entities = [
      ...this.#subjects.nodeIds.map((id) => ["node", id] as const),
      ...this.#subjects.edgeIds.map((id) => ["edge", id] as const),
    ];
    for (const [kind, id] of entities) {
      const point = { validAt: random.pick(validTimes), recordedAt: { lsn: random.integer(model.lsn + 1) } };
      const { version, truncatedBefore } = this.#chronicle.versionAt(kind, id, point);
      const isBefore = model.liesBeforeHorizon(point.recordedAt.lsn, null);
      const question = `versionAt("${kind}", ${id}, ${textOf(point)})`;
      this.same(`${question}.truncatedBefore`, truncatedBefore, isBefore ? model.horizon : null);
      if (!isBefore) this.same(question, version, naiveVersion(model, kind, id, point.validAt, point.recordedAt.lsn));
      const first = random.integer(model.lsn);
      const [from = 0, to = 0] = [random.pick(validTimes), random.pick(validTimes)].sort((a, b) => a - b);
      const window = {
        ...(from < to && { valid: { from, to } }),
        recorded: { from: { lsn: first }, to: { lsn: first + 1 + random.integer(model.lsn - first) } },
      };
      const found = [...this.#chronicle.between(kind, id, window)];
      this.same(`between("${kind}", ${id}, ${textOf(window)})`, found, naiveBetween(model, kind, id, window));
    }
    for (const [question, overlaps, expected] of overlapQueries(this.#chronicle, model, this.#subjects, random))
      this.same(question, overlaps, expected);
    for (const [question, rows, expected] of duringQueries(this.#graph, model, this.#subjects, validTimes, random))
      this.same(question, rows, expected);
    const after = model.horizonLsn + random.integer(model.lsn - model.horizonLsn + 1);
    const page = firstPage(this.#chronicle.changes({ after, limit: 10_000 }));
    const changes = page.changes.map(({ lsn, kind, id, change }) => `${lsn} ${kind} ${id} ${change}`).sort();
    this.same(`changes({ after: ${after} })`, changes, naiveChanges(model, after).sort());
  }

  /** What is in force at each of the points and LSNs, by the LSN of its assertion. */
  grid(validTimes: readonly number[], lsns: Iterable<number>): void {
    const { model } = this;
    for (const lsn of lsns) {
      for (const validAt of validTimes) {
        const view = this.#graph.asOf({ validAt, recordedAt: { lsn } });
        const mayLack = model.liesBeforeHorizon(lsn, null);
        const check = (kind: EntityKind, id: number, found: GraphNode | undefined): void => {
          this.count += 1;
          const expected = model.visibleAt(kind, id, validAt, lsn)?.lsn;
          if (found?.lsn !== expected && !(mayLack && found === undefined))
            throw new Difference(`${kind} ${id} at (${validAt}, LSN ${lsn})`, found, expected);
        };
        for (const id of this.#subjects.nodeIds) check("node", id, view.node(id));
        for (const id of this.#subjects.edgeIds) check("edge", id, view.edge(id));
      }
    }
  }

  /** Every history of every entity. */
  histories(clock: number): void {
    const now = Math.max(clock, this.model.timeOf(this.model.lsn));
    for (const id of this.#subjects.nodeIds) this.#history("node", id, now, (o) => this.#graph.history("node", id, o));
    for (const id of this.#subjects.edgeIds) this.#history("edge", id, now, (o) => this.#graph.history("edge", id, o));
  }

  diff(before: readonly [GraphView, NaiveView], after: readonly [GraphView, NaiveView]): void {
    if (before[0].truncatedBefore !== null || after[0].truncatedBefore !== null) return;
    const [a, b] = [before[1], after[1]];
    const question = `diff of (${a.validAt}, LSN ${a.lsn}) and (${b.validAt}, LSN ${b.lsn})`;
    this.same(question, [...this.#graph.diff(before[0], after[0])], naiveDiff(a, b));
  }

  #history(kind: EntityKind, id: number, now: number, ask: (options: HistoryOptions) => GraphResults<GraphNode>): void {
    const isKnown = kind === "node" ? this.model.nodeIds.has(id) : this.model.edgesById.has(id);
    for (const options of [
      {},
      { at: "valid" },
      { at: "valid", coalesce: true },
      { at: "recorded" },
      { at: "recorded", coalesce: true },
    ] as const) {
      const question = `history("${kind}", ${id}, ${JSON.stringify(options)})`;
      const found = ask(options);
      this.same(question, [...found], isKnown ? naiveHistory(this.model, kind, id, now, options) : []);
      const truncated = "at" in options && options.at === "valid" ? null : this.model.horizon;
      this.same(`${question}.truncatedBefore`, found.truncatedBefore, truncated);
    }
    const whole = isKnown ? naiveHistory(this.model, kind, id, now, {}) : [];
    const problem = coalescingProblem(ask({ coalesce: true }).toArray(), whole);
    this.same(`history("${kind}", ${id}, { coalesce: true })`, problem, null);
  }
}

/**
 * What is wrong with rectangles that were joined on both axes, or null. In which order they are joined is not promised: together they must
 * cover what the single ones cover, with the same content, each at most once, and no two may be left that make one rectangle.
 */
function coalescingProblem(joined: readonly GraphNode[], single: readonly GraphNode[]): string | null {
  for (const each of single) {
    const [around, ...more] = joined.filter((all) => overlap(all, each));
    if (around === undefined || more.length > 0) return `${textOf(each)} is in ${more.length + Number(!!around)}`;
    const isWhole =
      around.validFrom <= each.validFrom &&
      endOf(around.validTo) >= endOf(each.validTo) &&
      around.lsn <= each.lsn &&
      endOf(around.supersededBy) >= endOf(each.supersededBy);
    if (!isWhole || !sameContents(around, each)) return `${textOf(around)} is not around ${textOf(each)}`;
  }
  for (const all of joined) {
    const inside = single.filter((each) => overlap(all, each));
    const starts = inside.flatMap(({ validTo }) => [all.validFrom, endOf(validTo)]);
    const lsns = inside.flatMap(({ supersededBy }) => [all.lsn, endOf(supersededBy)]);
    const isCovered = starts.every((v) =>
      lsns.every((r) => !contains(all, v, r) || inside.some((each) => contains(each, v, r))),
    );
    if (!isCovered || inside.length === 0) return `${textOf(all)} covers what nothing covers`;
    const other = joined.find((each) => each !== all && makeOne(all, each));
    if (other !== undefined) return `${textOf(all)} and ${textOf(other)} make one`;
  }
  return isOrdered(joined) ? null : `the order of ${textOf(joined)}`;
}

function contains(each: GraphNode, v: number, r: number): boolean {
  return each.validFrom <= v && v < endOf(each.validTo) && each.lsn <= r && r < endOf(each.supersededBy);
}

function endOf(bound: number | null): number {
  return bound ?? Number.POSITIVE_INFINITY;
}

function overlap(a: GraphNode, b: GraphNode): boolean {
  return (
    a.validFrom < endOf(b.validTo) &&
    b.validFrom < endOf(a.validTo) &&
    a.lsn < endOf(b.supersededBy) &&
    b.lsn < endOf(a.supersededBy)
  );
}

function makeOne(a: GraphNode, b: GraphNode): boolean {
  if (!sameContents(a, b)) return false;
  const sameRecorded = a.lsn === b.lsn && a.supersededBy === b.supersededBy;
  const sameValid = a.validFrom === b.validFrom && a.validTo === b.validTo;
  return (sameRecorded && a.validTo === b.validFrom) || (sameValid && a.supersededBy === b.lsn);
}

function sameContents(a: GraphNode, b: GraphNode): boolean {
  return a.label === b.label && sameAnswer(a.properties, b.properties);
}

function isOrdered(list: readonly GraphNode[]): boolean {
  return list.every((each, index) => {
    const before = list[index - 1];
    return (
      before === undefined || before.lsn < each.lsn || (before.lsn === each.lsn && before.validFrom < each.validFrom)
    );
  });
}

/** Deep equality; the order of keys means nothing. */
function sameAnswer(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  const [ours, theirs] = [Object.entries(a), b as Readonly<Record<string, unknown>>];
  if (Array.isArray(a) !== Array.isArray(b) || ours.length !== Object.keys(b).length) return false;
  return ours.every(([key, value]) => Object.hasOwn(theirs, key) && sameAnswer(value, theirs[key]));
}

export function textOf(value: unknown): string {
  return (
    JSON.stringify(value, (_, each: unknown) =>
      each instanceof Uint8Array ? `0x${Buffer.from(each).toString("hex")}` : Object.is(each, -0) ? "-0" : each,
    ) ?? "undefined"
  );
}

/** Patterns, overlaps, lineage and named points beside the naive ones. */

import type { RecordedEvent } from "../../src/events/index.js";
import type { Graph } from "../../src/index.js";
import type { Chronicle } from "../../src/projections/graph/chronicle.js";
import type { GraphView } from "../../src/projections/graph/graph-view.js";
import { lineageOf } from "../../src/projections/graph/lineage.js";
import type { NodeQuery } from "../../src/projections/graph/node-filter.js";
import type { Answer, Subjects } from "./compare.js";
import type { Choices } from "./model-history.js";
import {
  type NaiveReference,
  type NaiveStep,
  naiveDuring,
  naiveLineage,
  naiveOverlaps,
  naiveRows,
} from "./naive-axes.js";
import type { NaiveGraph } from "./naive-graph.js";
import type { NaiveView } from "./naive-view.js";
import { someRange } from "./range-queries.js";

const DIRECTIONS = ["out", "in", "both"] as const;
const STEPS_MAX = 3;

function someNodeQuery({ nodeLabels, keys }: Subjects, random: Choices): NodeQuery {
  const where = Object.assign(Object.create(null), Object.fromEntries([[random.pick(keys), someRange(random)]]));
  return {
    ...(random.integer(3) === 0 && { label: random.pick(nodeLabels) }),
    ...(random.integer(5) === 0 && { where }),
  };
}

export function someSteps(subjects: Subjects, random: Choices): NaiveStep[] {
  return Array.from({ length: random.integer(STEPS_MAX + 1) }, () => ({
    direction: random.pick(DIRECTIONS),
    ...(random.integer(2) === 0 && { edge: random.pick(subjects.edgeLabels) }),
    onto: someNodeQuery(subjects, random),
  }));
}

/** What patterns are built of. */
interface Buildable<Self> {
  label(label: string): Self;
  where(conditions: NonNullable<NodeQuery["where"]>): Self;
  out(label?: string): Self;
  in(label?: string): Self;
  both(label?: string): Self;
}

export function built<Match extends Buildable<Match>>(
  match: Match,
  start: NodeQuery,
  steps: readonly NaiveStep[],
): Match {
  const narrowed = (to: Match, { label, where }: NodeQuery): Match => {
    const labelled = label === undefined ? to : to.label(label);
    return where === undefined ? labelled : labelled.where(where);
  };
  return steps.reduce(
    (before, { direction, edge, onto }) => narrowed(before[direction](edge), onto),
    narrowed(match, start),
  );
}

/** Every way through some patterns. */
export function* matchQueries(
  view: GraphView,
  naive: NaiveView,
  subjects: Subjects,
  random: Choices,
): Generator<Answer, void, undefined> {
  for (let round = 0; round < 2; round += 1) {
    const start = someNodeQuery(subjects, random);
    const steps = someSteps(subjects, random);
    const text = JSON.stringify([start, ...steps]);
    const match = built(view.match(), start, steps);
    const found = Array.from(match, ({ nodes, edges }) =>
      JSON.stringify([nodes, edges].map((all) => all.map(({ id }) => id))),
    );
    const rows = naiveRows(naive, start, steps);
    // Where a label is wanted, nodes begin in the order in which they first bore it: a set.
    const expected = rows.map(({ nodes, edges }) => JSON.stringify([nodes, edges]));
    yield [`match ${text}`, found.toSorted(), expected.toSorted()];
    const whole = [...match].map(({ nodes, edges }) => [nodes, edges]);
    const entities = whole.map(([nodes = [], edges = []]) => [
      nodes.map(({ id }) => naive.node(id)),
      edges.map(({ id }) => naive.edge(id)),
    ]);
    yield [`the entities of match ${text}`, whole, entities];
    const ends = Array.from(match.ends(), ({ id }) => id).sort();
    yield [`the ends of match ${text}`, ends, [...new Set(rows.map(({ nodes }) => nodes.at(-1)))].sort()];
    const from = random.pick(subjects.nodeIds);
    const fromOne = [...match.from(from).limit(2)].length;
    const ofOne = rows.filter(({ nodes }) => nodes[0] === from).length;
    yield [`match ${text} from ${from}, at most two`, fromOne, Math.min(2, ofOne)];
  }
}

export type AskedOverlaps = Pick<Graph, "overlaps">;

function references({ nodeIds, edgeIds }: Subjects): NaiveReference[] {
  return [
    ...nodeIds.map((id) => ({ kind: "node", id }) as const),
    ...edgeIds.map((id) => ({ kind: "edge", id }) as const),
  ];
}

/** Overlaps of every entity with some other, as some LSN knew them. */
export function* overlapQueries(
  graph: AskedOverlaps,
  model: NaiveGraph,
  subjects: Subjects,
  random: Choices,
): Generator<Answer, void, undefined> {
  const all = references(subjects);
  for (const a of all) {
    const b = random.pick(all);
    const lsn = random.integer(model.lsn + 1);
    const question = `overlaps(${JSON.stringify(a)}, ${JSON.stringify(b)}, LSN ${lsn})`;
    const found = graph.overlaps(a, b, { recordedAt: { lsn } });
    const isBefore = model.liesBeforeHorizon(lsn, null);
    yield [`${question}.truncatedBefore`, found.truncatedBefore, isBefore ? model.horizon : null];
    const isKnown = [a, b].every(({ kind, id }) => (kind === "node" ? model.nodeIds : model.edgesById).has(id));
    if (!isBefore) yield [question, [...found], isKnown ? naiveOverlaps(model, a, b, lsn) : []];
  }
}

export type AskedDuring = Pick<Graph, "during">;

/** Patterns over stretches of valid time, as some LSN knew them. */
export function* duringQueries(
  graph: AskedDuring,
  model: NaiveGraph,
  subjects: Subjects,
  validTimes: readonly number[],
  random: Choices,
): Generator<Answer, void, undefined> {
  for (let round = 0; round < DURINGS; round += 1) {
    const start = someNodeQuery(subjects, random);
    const steps = someSteps(subjects, random);
    const lsn = random.integer(model.lsn + 1);
    const [from = 0, to = 0] = [random.pick(validTimes), random.pick(validTimes)].sort((a, b) => a - b);
    const valid = random.pick([{}, { from }, { to }, from < to ? { from, to } : { from, to: null }]);
    const during = graph.during({ valid, recordedAt: { lsn } });
    const question = `during(${JSON.stringify(valid)}, LSN ${lsn}) match ${JSON.stringify([start, ...steps])}`;
    const isBefore = model.liesBeforeHorizon(lsn, null);
    yield [`${question}.truncatedBefore`, during.truncatedBefore, isBefore ? model.horizon : null];
    if (isBefore) continue;
    const found = Array.from(built(during.match(), start, steps), (row) => {
      const ids = { nodes: row.nodes.map(({ id }) => id), edges: row.edges.map(({ id }) => id) };
      return { key: `${JSON.stringify(ids)} ${row.validFrom}`, row };
    });
    const inOrder = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);
    yield [question, found.sort(inOrder), naiveDuring(model, start, steps, lsn, valid).sort(inOrder)];
  }
}

const DURINGS = 4;
const LINEAGES = 20;

/** Which event made a property, at some points of some entities; the events are read from the model's list. */
export async function* lineageQueries(
  chronicle: Chronicle,
  model: NaiveGraph,
  subjects: Subjects,
  validTimes: readonly number[],
  random: Choices,
): AsyncGenerator<Answer, void, undefined> {
  const log = {
    horizon: 0,
    async *readAll({ after = 0 }: { readonly after?: number }) {
      const { lsn, type, data } = model.eventAt(after + 1);
      yield { lsn, type: `varve.v1.${type}`, data } as unknown as RecordedEvent;
    },
  };
  for (let round = 0; round < LINEAGES; round += 1) {
    const reference = random.pick(references(subjects));
    const { kind, id } = reference;
    const property = random.pick(subjects.keys);
    const validAt = random.pick(validTimes);
    const lsn = random.integer(model.lsn + 1);
    if (model.liesBeforeHorizon(lsn, null)) continue;
    const question = `lineage(${kind} ${id}, ${property}, ${validAt}, LSN ${lsn})`;
    const point = { validAt, recordedAt: { lsn } };
    const found = await lineageOf(chronicle, log, kind, id, { ...point, property });
    const version = model.valueAt(kind, id, validAt, lsn);
    yield [`${question}.version.lsn`, found.version?.lsn, version?.lsn];
    yield [`${question}.lsn`, found.lsn, naiveLineage(model, reference, property, validAt, lsn)];
    yield [`${question}.event.lsn`, found.event?.lsn ?? null, found.lsn];
    const whole = await lineageOf(chronicle, log, kind, id, point);
    yield [`${question} as a whole`, whole.lsn, version?.lsn ?? null];
  }
}

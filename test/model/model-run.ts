/** One history through the graph's state and through the model, with every query compared on the way and at the end. */

import { encodeGraphEvent } from "../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../src/projections/graph/graph-state.js";
import type { GraphView } from "../../src/projections/graph/graph-view.js";
import type { IndexDefinition } from "../../src/projections/graph/indexed-property.js";
import type { RawEvent } from "../../src/projections/graph/raw-event.js";
import { rawEvent, type TestEvent } from "../projections/graph/raw-events.js";
import { chance } from "../simulation/chance.js";
import { Comparison, type Subjects, textOf } from "./compare.js";
import { HistoryInMemory } from "./history-in-memory.js";
import {
  type Choices,
  EDGE_IDS,
  EDGE_LABELS,
  KEYS,
  type ModelStep,
  NODE_IDS,
  NODE_LABELS,
  randomSteps,
} from "./model-history.js";
import { NaiveGraph } from "./naive-graph.js";
import type { NaiveView } from "./naive-view.js";

export const SUBJECTS: Subjects = {
  nodeIds: NODE_IDS,
  edgeIds: EDGE_IDS,
  nodeLabels: NODE_LABELS,
  edgeLabels: EDGE_LABELS,
  keys: KEYS,
};

/** What is asked of a history. `all` is for shrinking: then nothing hangs on which points were chosen. */
export type Thoroughness = "some" | "all";

const VIEWS_PER_HISTORY = 10;
const DIFFS_PER_HISTORY = 4;
/** Before one event in so many, an index is begun. */
const INDEX_STRIDE = 4;
/** Of the LSNs, every which is looked at along the whole valid axis. */
const GRID_STRIDE = 2;

/** The history of a number under a seed. */
export function stepsOf(seed: number, number: number): ModelStep[] {
  return randomSteps(chance(seed, `history ${number}`));
}

/** Throws a `Difference` where the graph and the model differ; gives the number of answers that were compared. */
export function runHistory(
  steps: readonly ModelStep[],
  seed: number,
  thoroughness: Thoroughness = "some",
  change = (event: TestEvent): TestEvent => event,
): number {
  const random = chance(seed, "questions");
  const model = new NaiveGraph();
  let now = 0;
  const clock = (): number => now;
  let state = new GraphState({ clock });
  // Of what goes through checkpoints: the same without. Where history is moved it has other bytes, and answers the same.
  const isWhole = steps.every(({ moves }) => moves === null);
  const straight = isWhole && steps.some(({ reload }) => reload) ? new GraphState({ clock }) : null;
  const files = new HistoryInMemory();
  let comparison = new Comparison(state, state.chronicle, model, SUBJECTS, random);
  let compared = 0;
  const kept: KeptView[] = [];
  const raw = steps.map(({ event }) => rawEvent(change(event)));
  for (const [index, step] of steps.entries()) {
    now = step.clock;
    if (step.moves !== null) files.move(state, Math.max(0, state.lsn - step.moves));
    if (step.reload) {
      state = reloaded(state, clock, random, files);
      compared += comparison.count;
      comparison = new Comparison(state, state.chronicle, model, SUBJECTS, random);
      kept.length = 0; // They are views of the state before.
    }
    if (random.integer(INDEX_STRIDE) === 0) buildSomeIndex(state, random);
    foresee(comparison, state, model, step.event, now);
    // A hint about any events, even such as are not next, must make no difference.
    if (random.integer(4) === 0) state.prepare(raw, index + random.integer(raw.length - index), raw.length);
    state.apply(raw[index] as RawEvent);
    straight?.apply(raw[index] as RawEvent);
    model.apply(step.event);
    if (thoroughness === "some" && random.integer(steps.length) >= VIEWS_PER_HISTORY) continue;
    comparison.state();
    const point = somePoint(random, model);
    const [view, naive] = comparison.views(point, now);
    comparison.view(view, naive, point.recordedAt);
    kept.push({ view, naive, askedAt: point.recordedAt });
  }
  comparison.state();
  if (straight !== null) comparison.same("the checkpoint's bytes", bytesOf(state), bytesOf(straight));
  // What was made earlier is fixed: events that came later do not enter it, and a purge that touches it shows.
  for (const { view, naive, askedAt } of kept) comparison.view(view, naive, askedAt);
  comparison.snapshots();
  comparison.histories(now);
  const points = pointsOf(model, steps);
  comparison.chronicle(points.valid);
  comparison.grid(points.valid, lsnsOf(model, thoroughness, random));
  const pairs = Array.from({ length: DIFFS_PER_HISTORY }, () => [0, 1].map(() => somePoint(random, model)));
  for (const [before = {}, after = {}] of pairs)
    comparison.diff(comparison.views(before, now), comparison.views(after, now));
  if (kept.length > 0) {
    const [before, after] = [random.pick(kept), random.pick(kept)];
    comparison.diff([before.view, before.naive], [after.view, after.naive]);
  }
  for (const recordedAt of points.recorded) comparison.views({ validAt: 0, recordedAt }, now);
  if (thoroughness === "all") askEverything(comparison, points, now);
  return compared + comparison.count;
}

/** Begins an index, or builds some more of it: what is asked must be the same with it. */
function buildSomeIndex(state: GraphState, random: Choices): void {
  state.buildIndex(someIndex(random), random.pick([1, 2, 100]));
}

export function someIndex(random: Choices): Required<IndexDefinition> {
  const kind = random.pick(["equality", "range", "range"] as const);
  return { label: random.pick(NODE_LABELS), property: random.pick(KEYS), kind };
}

interface KeptView {
  readonly view: GraphView;
  readonly naive: NaiveView;
  readonly askedAt: number | { readonly lsn: number } | undefined;
}

function bytesOf(state: GraphState): Buffer {
  return Buffer.concat([...state.encode()].map((piece) => Buffer.from(piece)));
}

/** The state out of its checkpoint, whose bytes come in pieces. */
function reloaded(state: GraphState, clock: () => number, random: Choices, files: HistoryInMemory): GraphState {
  const bytes = bytesOf(state);
  const cut = random.integer(bytes.length);
  return GraphState.decode([bytes.subarray(0, cut), bytes.subarray(cut)], { clock, openHistory: files.open });
}

/** What the graph says of an event before it is written is what becomes of it when it is recorded now. */
function foresee(comparison: Comparison, state: GraphState, model: NaiveGraph, event: TestEvent, now: number): void {
  if (event.type === "Other") return;
  const type = `varve.v1.${event.type}`;
  const found = state.foresee(type, encodeGraphEvent(type, event.data));
  const recordedAt = Math.max(now, model.timeOf(model.lsn));
  comparison.same(`foresee ${textOf(event)}`, found, model.refusalOf(event, recordedAt, model.lsn));
}

/** Every bound of a valid period and every recorded time, and what lies beside them. */
export function pointsOf(model: NaiveGraph, steps: readonly ModelStep[]): { valid: number[]; recorded: number[] } {
  const nodes = NODE_IDS.flatMap((id) => model.bounds("node", id));
  const edges = EDGE_IDS.flatMap((id) => model.bounds("edge", id));
  return {
    valid: besides([...nodes, ...edges, ...steps.slice(-1).map((step) => step.clock)]),
    recorded: besides(steps.map(({ event }) => event.recordedAt)),
  };
}

function besides(times: readonly number[]): number[] {
  const all = new Set(times.flatMap((time) => [time - 1, time, time + 1]));
  return [...all].filter(Number.isSafeInteger).sort((a, b) => a - b);
}

function lsnsOf(model: NaiveGraph, thoroughness: Thoroughness, random: Choices): number[] {
  const all = Array.from({ length: model.lsn + 1 }, (_, lsn) => lsn);
  const stride = thoroughness === "all" ? 1 : GRID_STRIDE;
  const first = random.integer(stride);
  return all.filter((lsn) => lsn % stride === first || lsn === model.lsn);
}

type Point = { readonly validAt?: number; readonly recordedAt?: number | { readonly lsn: number } };

function somePoint(random: Choices, model: NaiveGraph): Point {
  const bounds = [...NODE_IDS.flatMap((id) => model.bounds("node", id)), 0];
  const validAt = random.pick(bounds) + random.integer(3) - 1;
  const lsn = random.integer(model.lsn + 1);
  const recordedAt = model.timeOf(Math.max(1, lsn)) + random.integer(3) - 1;
  return {
    ...(Number.isSafeInteger(validAt) && random.integer(5) > 0 && { validAt }),
    ...[{}, { recordedAt: { lsn } }, { recordedAt }][random.integer(3)],
  };
}

function askEverything(comparison: Comparison, points: { valid: number[]; recorded: number[] }, now: number): void {
  const { model } = comparison;
  const lsns = Array.from({ length: model.lsn + 1 }, (_, lsn) => ({ lsn }));
  const views = points.valid.flatMap((validAt) =>
    [...lsns, ...points.recorded].map((recordedAt) => ({ validAt, recordedAt })),
  );
  for (const point of views) comparison.view(...comparison.views(point, now), point.recordedAt);
}

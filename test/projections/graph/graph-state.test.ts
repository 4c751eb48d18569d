import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { GraphView } from "../../../src/projections/graph/graph-view.js";
import { assert } from "../../support/assert.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { NaiveGraph, POINTS } from "./naive-graph.js";
import { answersOf, checkDiff, checkHistory, checkView, contains } from "./oracle.js";
import { EDGE_IDS, NODE_IDS, randomHistory } from "./random-history.js";
import { rawEvent, rawPayload, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/graph-state");

const HISTORIES = Number(process.env["GRAPH_HISTORIES"] ?? 60);
const random = seededRandom();
// The clock of the tests stands where no event is.
const clock = () => -1000;

interface KeptView {
  readonly view: GraphView;
  readonly answers: string;
}

function compare(history: readonly TestEvent[], feed: (state: GraphState, event: TestEvent) => void): void {
  const state = new GraphState({ clock });
  const model = new NaiveGraph();
  const kept: KeptView[] = [];
  for (const event of history) {
    feed(state, event);
    model.apply(event);
    assert.is(state.rejectionAt(event.lsn)?.code, model.rejected.get(event.lsn), `LSN ${event.lsn} ${event.type}`);
    if (random.integer(4) === 0) {
      const view = someView(state, random);
      checkView(view, model, random);
      kept.push({ view, answers: answersOf(view) });
    }
  }
  assert.is(state.rejectedCount, model.rejected.size);
  for (const { view, answers } of kept) assert.is(answersOf(view), answers, `a view at (${view.validAt}, ${view.lsn})`);
  for (const id of NODE_IDS) checkHistory(state, model, "node", id);
  for (const id of EDGE_IDS) checkHistory(state, model, "edge", id);
  for (let round = 0; round < 5; round += 1) checkDiff(state, model, someView(state, random), someView(state, random));
}

function someView(state: GraphState, from: SeededRandom): GraphView {
  const validAt = from.pick(POINTS);
  const shape = from.integer(3);
  if (shape === 0) return state.asOf({ validAt });
  return state.asOf({ validAt, recordedAt: shape === 1 ? from.integer(24) : { lsn: from.integer(state.lsn + 1) } });
}

test(
  "answers every query as the naive model does, on random histories",
  () => {
    for (let round = 0; round < HISTORIES; round += 1) {
      compare(randomHistory(random, 10 + random.integer(50)), (state, event) => state.apply(rawEvent(event)));
    }
  },
  { timeoutMs: 30_000 + HISTORIES * 1000 },
);

/** One history, and of what is in force which event made it: apart from the other queries, because events are read asynchronously. */

import { GraphState } from "../../src/projections/graph/graph-state.js";
import { rawEvent } from "../projections/graph/raw-events.js";
import { chance } from "../simulation/chance.js";
import { lineageQueries } from "./axes-queries.js";
import { Comparison } from "./compare.js";
import type { ModelStep } from "./model-history.js";
import { pointsOf, SUBJECTS } from "./model-run.js";
import { NaiveGraph } from "./naive-graph.js";

/** Throws a `Difference`; gives the number of answers that were compared. */
export async function runLineage(steps: readonly ModelStep[], seed: number): Promise<number> {
  const random = chance(seed, "lineage");
  const model = new NaiveGraph();
  const state = new GraphState({ clock: () => 0 });
  for (const { event } of steps) {
    state.apply(rawEvent(event));
    model.apply(event);
  }
  const comparison = new Comparison(state, state.chronicle, model, SUBJECTS, random);
  const { valid } = pointsOf(model, steps);
  for await (const answer of lineageQueries(state.chronicle, model, SUBJECTS, valid, random))
    comparison.same(...answer);
  return comparison.count;
}

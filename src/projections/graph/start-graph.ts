/** Starts the graph on a store or a reader: its projection, caught up, and the reads around it. */

import { assert } from "../../assert.js";
import type { EventFeed } from "../event-feed.js";
import type { ProjectionRunner } from "../runner.js";
import { startProjection } from "../start-projection.js";
import type { EventLog } from "./event-log.js";
import { Graph } from "./graph.js";
import { type GraphCommandStore, GraphCommands, type IdSource } from "./graph-commands.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import { GRAPH_PROJECTION } from "./graph-projection.js";
import { GraphState } from "./graph-state.js";
import { HistoryKeeper } from "./history-keeper.js";
import type { RawEvent } from "./raw-event.js";
import { RunningGraph } from "./running-graph.js";
import { VectorKeeper } from "./vector-keeper.js";

export interface StartedGraph {
  readonly graph: Graph;
  readonly runner: RunningGraph;
}

/** How a store runs its graph. */
export interface GraphOptions {
  /**
   * How many days superseded versions stay in memory, 0 or more, before the last event: older ones go to files beside the graph's checkpoint when it
   * is written, if they are at least a sixteenth of what is in memory. What asks for them reads them from there, and blocks for it. Default:
   * nothing is moved; what was before stays where it is.
   */
  readonly historyInMemoryDays?: number;
}

/** The days, or null. Throws TypeError. */
export function historyDaysOf(options: GraphOptions): number | null {
  checkKnownKeys("graph", checkRecord("graph", options), ["historyInMemoryDays"]);
  const { historyInMemoryDays: days } = options;
  if (days === undefined) return null;
  if (typeof days !== "number" || !(days >= 0) || !Number.isFinite(days))
    throw new TypeError("historyInMemoryDays must be a finite number, 0 or more");
  return days;
}

/** `writing` is what commands need, and null on a store that is open for reading only. */
export async function startGraph(
  feed: EventFeed<RawEvent> & EventLog,
  writing: { readonly store: GraphCommandStore; readonly ids: IdSource } | null,
  historyInMemoryDays: number | null = null,
): Promise<StartedGraph> {
  const vectors = new VectorKeeper(feed);
  const history = new HistoryKeeper(feed, historyInMemoryDays);
  const { pieces } = GRAPH_PROJECTION;
  assert(pieces !== undefined, "the graph is saved in pieces");
  let running: ProjectionRunner<GraphState, RawEvent> | null = null;
  const runner = await startProjection(feed, {
    ...GRAPH_PROJECTION,
    init: () => {
      vectors.discard();
      // When this is to serve at once, a subject was forgotten of whom the former state has something.
      queueMicrotask(() => running !== null && history.closeAllBut(running.state));
      return history.attend(new GraphState());
    },
    encode: (state) => {
      vectors.saveBeside();
      return state.encode();
    },
    pieces: {
      ...pieces,
      load: () => {
        const load = GraphState.load({ openHistory: (id, pages) => history.open(id, pages) });
        return {
          whole: (bytesLeft) => load.whole(bytesLeft),
          changes: (bytesLeft) => load.changes(bytesLeft),
          finish: () => history.attend(load.finish()),
        };
      },
      beforeSave: (state, facts) => history.beforeSave(state, facts),
      afterSave: (state) => history.afterSave(state),
    },
  });
  running = runner;
  vectors.attend(runner);
  const started = new RunningGraph(runner, vectors, history, feed.readOnly);
  try {
    await runner.whenCaughtUp();
  } catch (error) {
    await started.close();
    throw error;
  }
  const commands = writing === null ? null : new GraphCommands(writing.store, runner, writing.ids);
  return { graph: new Graph(runner, feed, commands, vectors), runner: started };
}

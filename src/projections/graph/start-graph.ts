/** Starts the graph on a store or a reader: its projection, caught up, and the reads around it. */

import type { EventFeed } from "../event-feed.js";
import { startProjection } from "../start-projection.js";
import type { EventLog } from "./event-log.js";
import { Graph } from "./graph.js";
import { type GraphCommandStore, GraphCommands, type IdSource } from "./graph-commands.js";
import { GRAPH_PROJECTION } from "./graph-projection.js";
import { GraphState } from "./graph-state.js";
import type { RawEvent } from "./raw-event.js";
import { RunningGraph } from "./running-graph.js";
import { VectorKeeper } from "./vector-keeper.js";

export interface StartedGraph {
  readonly graph: Graph;
  readonly runner: RunningGraph;
}

/** `writing` is what commands need, and null on a store that is open for reading only. */
export async function startGraph(
  feed: EventFeed<RawEvent> & EventLog,
  writing: { readonly store: GraphCommandStore; readonly ids: IdSource } | null,
): Promise<StartedGraph> {
  const vectors = new VectorKeeper(feed);
  const runner = await startProjection(feed, {
    ...GRAPH_PROJECTION,
    init: () => {
      vectors.discard();
      return new GraphState();
    },
    encode: (state) => {
      vectors.saveBeside();
      return state.encode();
    },
  });
  vectors.attend(runner);
  try {
    await runner.whenCaughtUp();
  } catch (error) {
    await runner.close();
    throw error;
  }
  const commands = writing === null ? null : new GraphCommands(writing.store, runner, writing.ids);
  return { graph: new Graph(runner, feed, commands, vectors), runner: new RunningGraph(runner, vectors) };
}

/** The graph as a projection: what the runner needs to keep a `GraphState` in step with the log. */

import type { RowProjection } from "../event-rows.js";
import type { Projection } from "../projection.js";
import { GRAPH_ROWS, type GraphRows } from "./graph-rows.js";
import { GraphState } from "./graph-state.js";
import type { RawEvent } from "./raw-event.js";

const ROWS: RowProjection<GraphState, GraphRows> = {
  ...GRAPH_ROWS,
  apply: (state, rows, from, end) => state.applyRows(rows, from, end),
};

export const GRAPH_PROJECTION: Projection<GraphState, RawEvent> = {
  name: "graph",
  // 2: purges. 3: named snapshots. 4: constraints, expected versions, upserts, batches and vectors.
  version: 4,
  // Every event moves the graph's LSN and time, whatever its type.
  handles: "all",
  init: () => new GraphState(),
  prepare: (state, events, from, to) => state.prepare(events, from, to),
  apply: (state, event) => {
    state.apply(event);
    return state;
  },
  rows: ROWS as RowProjection<GraphState>,
  encode: (state) => state.encode(),
  decode: async (chunks) => {
    const all: Uint8Array[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return GraphState.decode(all);
  },
  pieces: {
    load: () => GraphState.load(),
    changes: (state) => state.changes(),
    saved: (state) => state.markSaved(),
  },
};

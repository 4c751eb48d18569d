/** What is derived of a store's events while it is open: projections, sinks and the graph. */

import type { EventMap, RecordedEvent } from "../events/index.js";
import type { Graph } from "./graph/graph.js";
import type { GraphOptions } from "./graph/start-graph.js";
import type { ProjectOptions } from "./inline-projections.js";
import type { Projection } from "./projection.js";
import type { ProjectionRunner } from "./runner.js";
import type { Sink, SinkOptions } from "./sink.js";
import type { SinkRunner } from "./sink-runner.js";

/** The part of `Store` that is about what is derived. */
export interface StoreProjections<Events extends EventMap> {
  /**
   * Starts a projection, which resumes from its checkpoint and follows the store until it or the store is closed.
   *
   * @throws TypeError for a definition or option that is not what it should be
   * @throws StoreError `ERR_PROJECTION_RUNNING`; with `inline` also what `whenProcessed` throws: then it does not run
   *
   * @example
   * ```ts
   * const balances = await store.project(balancesProjection, { inline: true });
   * await store.append("account-42", deposited);
   * balances.state.get("account-42"); // with the deposit
   * ```
   */
  project<State>(
    projection: Projection<State, RecordedEvent<Events>>,
    options?: ProjectOptions<State, RecordedEvent<Events>>,
  ): Promise<ProjectionRunner<State, RecordedEvent<Events>>>;

  /**
   * Feeds a read model that lives elsewhere, in a database that commits its rows and its position together: exactly once. Closed with the store.
   *
   * @throws TypeError for a wrong sink or option
   * @throws StoreError `ERR_PROJECTION_RUNNING` when something of this name runs, `ERR_PROJECTION_FAILED` when its position cannot be read, or is none of
   *   this store's
   */
  sink(sink: Sink<RecordedEvent<Events>>, options?: SinkOptions): Promise<SinkRunner<RecordedEvent<Events>>>;

  /**
   * The bi-temporal graph, caught up with the watermark of now and following it. The first call builds it, from its checkpoint if there is one, and
   * says how.
   *
   * @throws TypeError for a wrong option, and for another one than it runs with
   *
   * @example
   * ```ts
   * const graph = await store.graph({ historyInMemoryDays: 90 });
   * ```
   */
  graph(options?: GraphOptions): Promise<Graph>;

  /** Reserves node ids in a row, durably, for events that the caller makes itself; resolves with the first. */
  reserveNodeIds(count: number): Promise<number>;

  /** Reserves edge ids in a row, durably, for events that the caller makes itself; resolves with the first. */
  reserveEdgeIds(count: number): Promise<number>;
}

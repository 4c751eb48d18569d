/** The graph of an open store: the projection's state, kept in step with the log, behind the reads that users make. */

import type { ProjectionRunner } from "../runner.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import type { GraphChange, HistoryOptions } from "./graph-history.js";
import type { AsOf, GraphState } from "./graph-state.js";
import type { GraphView } from "./graph-view.js";
import type { RawEvent } from "./raw-event.js";
import type { Rejection } from "./rejection-list.js";

export class Graph {
  readonly #runner: ProjectionRunner<GraphState, RawEvent>;

  /** @internal Use `store.graph()`. */
  constructor(runner: ProjectionRunner<GraphState, RawEvent>) {
    this.#runner = runner;
  }

  /** The last LSN that the graph reflects. */
  get lsn(): number {
    return this.#runner.state.lsn;
  }

  /** How many nodes and edges the graph ever knew. */
  get counts(): { readonly nodes: number; readonly edges: number } {
    return this.#runner.state.counts;
  }

  /** The most recent events that the graph's rules refused, the oldest first; they changed nothing. */
  get rejections(): readonly Rejection[] {
    return this.#runner.state.rejections;
  }

  /** How many events were refused in all. */
  get rejectedCount(): number {
    return this.#runner.state.rejectedCount;
  }

  /**
   * One consistent view: what held at `validAt`, as the store knew it at `recordedAt`. Both default to now. Later events do not enter it.
   *
   * @throws RangeError for an LSN that was not applied yet; StoreError `ERR_GRAPH_INVALID_PERIOD` for a time outside ±(2^53 − 1) µs.
   *
   * @example
   * ```ts
   * const graph = await store.graph();
   * graph.asOf({ validAt: Date.UTC(2024, 0, 1) * 1000 }).node(alice.id)?.properties;
   * ```
   */
  asOf(point: AsOf = {}): GraphView {
    return this.#runner.state.asOf(point);
  }

  /** Everything the graph knows or knew about a node or an edge: its rectangles in the order (recordedFrom, validFrom). */
  history(kind: "node", id: number, options?: HistoryOptions): GraphNode[];
  history(kind: "edge", id: number, options?: HistoryOptions): GraphEdge[];
  history(kind: "node" | "edge", id: number, options?: HistoryOptions): GraphNode[] {
    return kind === "node"
      ? this.#runner.state.history(kind, id, options)
      : this.#runner.state.history(kind, id, options);
  }

  /** What is different in the second view: entities that exist in one only, or hold something else. One at a time. */
  diff(before: GraphView, after: GraphView): Generator<GraphChange, void, undefined> {
    return this.#runner.state.diff(before, after);
  }

  /** Resolves once the graph reflects this LSN, for reading one's own writes. */
  whenApplied(lsn: number): Promise<void> {
    return this.#runner.whenProcessed(lsn);
  }
}

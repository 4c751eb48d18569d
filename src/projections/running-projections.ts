/** What is derived of an open store here and now: the projections that run, the sinks that are fed, and the graph. */

import type { EventMap, EventStore, RecordedEvent } from "../events/index.js";
import type { Graph } from "./graph/graph.js";
import { GRAPH_PROJECTION } from "./graph/graph-projection.js";
import { IdLeases } from "./graph/id-leases.js";
import { type GraphOptions, historyDaysOf, type StartedGraph, startGraph } from "./graph/start-graph.js";
import { checkedInline, InlineProjections, type ProjectOptions } from "./inline-projections.js";
import type { Projection } from "./projection.js";
import type { ProjectionRunner } from "./runner.js";
import type { Sink, SinkOptions } from "./sink.js";
import { SinkRunner } from "./sink-runner.js";
import { startProjection } from "./start-projection.js";
import type { StoreProjections } from "./store-projections.js";

/** What is asked of a projection that runs, whatever its state is. */
type RunningProjection = Pick<
  ProjectionRunner<unknown, RecordedEvent>,
  "status" | "checkpoint" | "close" | "whenForgotten"
>;

export class RunningProjections<Events extends EventMap> implements StoreProjections<Events> {
  readonly #events: EventStore;
  readonly #runners = new Map<string, RunningProjection>();
  readonly #sinks = new Map<string, { close(): Promise<void> }>();
  readonly #idLeases: IdLeases;
  readonly #inline = new InlineProjections();
  #graph: Promise<StartedGraph> | null = null;
  #graphDays: number | null = null;

  constructor(events: EventStore) {
    this.#events = events;
    this.#idLeases = new IdLeases(events);
  }

  /** Those that appends wait for. */
  get inline(): InlineProjections {
    return this.#inline;
  }

  async project<State>(
    projection: Projection<State, RecordedEvent<Events>>,
    { inline, ...options }: ProjectOptions<State, RecordedEvent<Events>> = {},
  ): Promise<ProjectionRunner<State, RecordedEvent<Events>>> {
    const isWaitedFor = checkedInline(inline);
    const feed = this.#events as unknown as Parameters<typeof startProjection<State, RecordedEvent<Events>>>[0];
    const runner = await startProjection(feed, projection, options);
    this.#runners.set(projection.name, runner);
    if (isWaitedFor) await this.#inline.begin(runner, this.#events.watermark);
    return runner;
  }

  async sink(sink: Sink<RecordedEvent<Events>>, options?: SinkOptions): Promise<SinkRunner<RecordedEvent<Events>>> {
    const feed = this.#events as unknown as Parameters<typeof SinkRunner.start<RecordedEvent<Events>>>[0];
    const runner = await SinkRunner.start(feed, sink, options);
    this.#sinks.set(sink.name, runner);
    return runner;
  }

  async graph(options: GraphOptions): Promise<Graph> {
    const days = historyDaysOf(options);
    if (this.#graph === null) this.#graphDays = days;
    else if (days !== null && days !== this.#graphDays)
      throw new TypeError("graph: it runs already, with another historyInMemoryDays");
    this.#graph ??= startGraph(this.#events, { store: this.#events, ids: this.#idLeases }, days);
    const { graph, runner } = await this.#graph;
    this.#runners.set(GRAPH_PROJECTION.name, runner);
    return graph;
  }

  reserveNodeIds(count: number): Promise<number> {
    return this.#idLeases.reserve("node", count);
  }

  reserveEdgeIds(count: number): Promise<number> {
    return this.#idLeases.reserve("edge", count);
  }

  /** Saves the state of each that runs, and tells which LSN it reflects. */
  async save(): Promise<{ readonly name: string; readonly lsn: number }[]> {
    const saved: { name: string; lsn: number }[] = [];
    for (const [name, runner] of this.#runners) {
      if (runner.status !== "closed") saved.push({ name, lsn: await runner.checkpoint() });
    }
    return saved;
  }

  /** Resolves once no state and no file of those that run has anything of these keys, which were forgotten at that LSN. */
  async whenForgotten(lsn: number, keyIds: readonly string[]): Promise<void> {
    await this.#graph?.catch(() => {}); // it can be starting, and is among the runners then
    await Promise.all(Array.from(this.#runners.values(), (runner) => runner.whenForgotten(lsn, keyIds)));
  }

  /** Closes them one after the other; the first that fails ends it. */
  async close(): Promise<void> {
    for (const sink of this.#sinks.values()) await sink.close();
    for (const runner of this.#runners.values()) await runner.close();
  }
}

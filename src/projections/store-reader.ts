/** The store opened for reading only: the same reads as `Store`, and nothing that writes. */

import type {
  CoreState,
  EventMap,
  EventReader,
  IoDescription,
  LsnRange,
  ReadAllOptions,
  ReadStreamOptions,
  RecordedEvent,
  RecoveryReport,
  SubscribeOptions,
} from "../events/index.js";

import type { Graph } from "./graph/graph.js";
import { type StartedGraph, startGraph } from "./graph/start-graph.js";

/** A store that is read beside its writer, or without one. Made by `openReader`. */
export class StoreReader<Events extends EventMap = EventMap> {
  readonly #events: EventReader;
  #graph: Promise<StartedGraph> | null = null;
  #closing: Promise<void> | null = null;

  /** @internal Use `openReader`. */
  constructor(events: EventReader) {
    this.#events = events;
  }

  get directory(): string {
    return this.#events.directory;
  }

  get storeId(): string {
    return this.#events.storeId;
  }

  /** The highest LSN that the log attested as durable when it was last looked at. */
  get watermark(): number {
    return this.#events.watermark;
  }

  get io(): IoDescription {
    return this.#events.io;
  }

  /** What reading the log found. */
  get recovery(): RecoveryReport {
    return this.#events.recovery;
  }

  /**
   * Of a store that is being written: what every writer that was attached since the log was recovered tells of itself: its slot (`core`), how often that was attached
   * (`generation`), whether it is still there, and what it has had acknowledged.
   */
  cores(): readonly CoreState[] {
    return this.#events.cores();
  }

  /** LSNs that writers took and died with, first and last of each range: no event has them, and none ever will. Ascending. */
  get voids(): readonly LsnRange[] {
    return this.#events.voids;
  }

  stats(): { readonly lastLsn: number; readonly segments: number; readonly streams: number } {
    return this.#events.stats();
  }

  streamVersion(stream: string): number {
    return this.#events.streamVersion(stream);
  }

  /** Looks whether a writer has gone on; true when there is more to read. */
  refresh(): Promise<boolean> {
    return this.#events.refresh();
  }

  readStream(stream: string, options?: ReadStreamOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readStream(stream, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  readAll(options?: ReadAllOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readAll(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /** Follows the store for as long as somebody calls `refresh`. */
  subscribe(options?: SubscribeOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.subscribe(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /** The events after an LSN up to the watermark of now, in LSN order, batch by batch as they were written: the fastest way to read. */
  readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterableIterator<readonly RecordedEvent<Events>[]> {
    return this.#events.readBatches(after, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      readonly RecordedEvent<Events>[]
    >;
  }

  /** The bi-temporal graph as of the watermark; it follows when `refresh` finds more. Written to no file. */
  async graph(): Promise<Graph> {
    this.#graph ??= startGraph(this.#events, null);
    return (await this.#graph).graph;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const started = await this.#graph?.catch(() => null); // whoever asked for it has heard
    await started?.runner.close();
    await this.#events.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

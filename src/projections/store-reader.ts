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
  SealedVerification,
  SubscribeOptions,
  VerifySealedOptions,
} from "../events/index.js";
import {
  type AllPageOptions,
  type Page,
  readAllPage,
  readStreamPage,
  type StreamPageOptions,
} from "../events/index.js";
import type { Aggregate, AggregateOptions, AggregateResult } from "./aggregate.js";
import type { Graph } from "./graph/graph.js";
import { type StartedGraph, startGraph } from "./graph/start-graph.js";
import { findProjection, listProjections, type ProjectionFiles } from "./projection-files.js";
import { StreamAggregator } from "./stream-aggregator.js";

/** A store that is read beside its writers, or without any. Made by `openReader`. */
export class StoreReader<Events extends EventMap = EventMap> {
  readonly #events: EventReader;
  readonly #aggregator: StreamAggregator;
  #graph: Promise<StartedGraph> | null = null;
  #closing: Promise<void> | null = null;

  /** @internal Use `openReader`. */
  constructor(events: EventReader) {
    this.#events = events;
    this.#aggregator = new StreamAggregator(events);
  }

  get directory(): string {
    return this.#events.directory;
  }

  get storeId(): string {
    return this.#events.storeId;
  }

  /** W as it was when the store was last looked at, by `refresh` or because somebody listens: the highest LSN that is read. */
  get watermark(): number {
    return this.#events.watermark;
  }

  /**
   * The last LSN that a truncation of the log has dropped, as far as the reader knows; 0: none. Reading in the order of the log can begin
   * after it: `readAll({ after: reader.horizon })`.
   */
  get horizon(): number {
    return this.#events.horizon;
  }

  get io(): IoDescription {
    return this.#events.io;
  }

  /** What reading the log found. */
  get recovery(): RecoveryReport {
    return this.#events.recovery;
  }

  /**
   * Of a store that is being written, what every writer that was attached since the log was recovered tells of itself: its slot (`core`),
   * how often that was attached (`generation`), whether it is still there, and what it has had acknowledged. Else nothing.
   */
  cores(): readonly CoreState[] {
    return this.#events.cores();
  }

  /**
   * LSNs that writers took and died with, first and last of each range, ascending: no event has them, and none ever will. As the
   * store's manifest said when it was last looked at.
   */
  get voids(): readonly LsnRange[] {
    return this.#events.voids;
  }

  /**
   * Reads every byte of what is sealed and checks it: checksums, that no LSN is missing, the hash chain, and the index of streams against the
   * events. With an anchor (`store.anchor()`) also that this is the history which the anchor is of: the chain has the anchor's value at the
   * anchor's LSN.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` with path, offset and LSNs of the first thing that is wrong; `ERR_IO_FAILED`
   * @throws StoreError `ERR_ANCHOR_INVALID`, `ERR_ANCHOR_SIGNATURE`: what was given is no anchor, or not the key's; nothing was read
   * @throws StoreError `ERR_ANCHOR_FOREIGN`, `ERR_ANCHOR_ROLLED_BACK`, `ERR_ANCHOR_FORKED`: the store does not have that history
   * @throws StoreError `ERR_LOG_TRUNCATED`: what the anchor is of was dropped, and nothing is left to compare
   * @throws TypeError for a wrong option
   */
  verifySealed(options?: VerifySealedOptions): Promise<SealedVerification> {
    return this.#events.verifySealed(options);
  }

  stats(): { readonly lastLsn: number; readonly segments: number; readonly tailStreams: number } {
    return this.#events.stats();
  }

  /**
   * The stream's version up to the reader's watermark, which is the number of its events; 0 for a stream that does not exist. Reads at most
   * a few pages: where the stream is sealed and was not looked at lately.
   */
  streamVersion(stream: string): Promise<number> {
    return this.#events.streamVersion(stream);
  }

  /**
   * Looks whether writers have gone on; true when there is more to read. Not needed while somebody subscribes or a graph runs on the
   * reader: then it follows by itself.
   */
  refresh(): Promise<boolean> {
    return this.#events.refresh();
  }

  /** A stream's events by version, forwards or backwards, up to the reader's watermark of the moment when reading is asked for. */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readStream(stream, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /** Folds a stream up to the reader's watermark, as `Store.aggregateStream` does. It reads snapshots, and writes none. */
  aggregateStream<State>(
    stream: string,
    aggregate: Aggregate<State, RecordedEvent<Events>>,
    options?: AggregateOptions,
  ): Promise<AggregateResult<State>> {
    return this.#aggregator.aggregate(stream, aggregate, options);
  }

  /** All events in LSN order, forwards or backwards, up to the reader's watermark of the moment when reading is asked for. */
  readAll(options?: ReadAllOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readAll(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /** One page of a stream, with the options of the next one. */
  readStreamPage(stream: string, options?: StreamPageOptions): Promise<Page<RecordedEvent<Events>, StreamPageOptions>> {
    return readStreamPage((more) => this.readStream(stream, more), options);
  }

  /** One page of all events in LSN order, with the options of the next one. */
  readAllPage(options?: AllPageOptions): Promise<Page<RecordedEvent<Events>, AllPageOptions>> {
    return readAllPage((more) => this.readAll(more), options);
  }

  /**
   * All events after an LSN, then every new one that writers have had acknowledged: without anybody calling `refresh`. Behind damage, once two
   * looks a tenth of a second apart have found it in the same place, it throws what `refresh` would: `ERR_WAL_CORRUPT` with path, offset and LSNs.
   */
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

  /** The bi-temporal graph as of the watermark. It follows the writers, and saves nothing. On a damaged log it fails, and says so to who waits. */
  async graph(): Promise<Graph> {
    this.#graph ??= startGraph(this.#events, null);
    return (await this.#graph).graph;
  }

  /** The projections that have files in the store, with how far each saved state is: without their code, and beside whoever runs them. */
  projections(): Promise<ProjectionFiles[]> {
    return listProjections(this.#events);
  }

  /** One of `projections`. Throws ERR_PROJECTION_NOT_FOUND. */
  projectionFiles(name: string): Promise<ProjectionFiles> {
    return findProjection(this.#events, name);
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

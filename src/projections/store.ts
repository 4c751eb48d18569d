/** The store as users hold it: events, projections and the graph over one directory. */

import {
  type AllPageOptions,
  type Anchor,
  type AnchorOptions,
  type AppendOptions,
  type AppendResult,
  attest,
  type BackupOptions,
  type BackupReport,
  type BufferedResult,
  type CheckpointReport,
  type CoreState,
  checkedAttestationKey,
  type DeleteStreamOptions,
  type Durability,
  type EventInput,
  type EventMap,
  type EventStore,
  type EventStoreOptions,
  type EventStoreStats,
  type ForgetAttestation,
  type ForgetOptions,
  type IoDescription,
  type KeySource,
  type Page,
  type ReadAllOptions,
  type ReadStreamOptions,
  type RecordedEvent,
  type RecoveryReport,
  type RetainStreamOptions,
  type RetentionChange,
  readAllPage,
  readStreamPage,
  refusalOf,
  type ScavengeReport,
  type StoreHealth,
  type StreamAppend,
  type StreamPageOptions,
  type StreamRetention,
  type SubscribeOptions,
  type TombstoneStreamOptions,
  type TruncateBeforeOptions,
  type TruncateStreamOptions,
  type TruncationReport,
} from "../events/index.js";
import type { Aggregate, AggregateOptions, AggregateResult } from "./aggregate.js";
import { CommandHandler } from "./command-handler.js";
import type { Decider, HandleOptions, HandleResult } from "./decider.js";
import { dropCheckpoints } from "./drop-checkpoints.js";
import type { Graph } from "./graph/graph.js";
import type { GraphOptions } from "./graph/start-graph.js";
import type { ProjectOptions } from "./inline-projections.js";
import type { Projection } from "./projection.js";
import type { ProjectionRunner } from "./runner.js";
import { RunningProjections } from "./running-projections.js";
import type { Sink, SinkOptions } from "./sink.js";
import type { SinkRunner } from "./sink-runner.js";
import type { BufferedAppendOptions, StoreEvents } from "./store-events.js";
import type { StoreForgetting } from "./store-forgetting.js";
import type { StoreCheckpoint, StoreMaintenance } from "./store-maintenance.js";
import type { StoreProjections } from "./store-projections.js";
import { StreamAggregator } from "./stream-aggregator.js";

/** How a store is opened. */
export type StoreOptions = EventStoreOptions;

/**
 * An open store. Made by `openStore`. What its methods do is written where they are declared: `StoreEvents`, `StoreProjections`,
 * `StoreMaintenance`, `StoreForgetting`.
 */
export class Store<Events extends EventMap = EventMap>
  implements StoreEvents<Events>, StoreProjections<Events>, StoreMaintenance, StoreForgetting
{
  readonly #events: EventStore;
  readonly #projections: RunningProjections<Events>;
  readonly #aggregator: StreamAggregator;
  readonly #commands: CommandHandler<Events>;
  #closing: Promise<void> | null = null;

  /** @internal Use `openStore`. */
  constructor(events: EventStore) {
    this.#events = events;
    this.#projections = new RunningProjections(events);
    this.#aggregator = new StreamAggregator(events);
    this.#commands = new CommandHandler({
      aggregate: (stream, aggregate, options) => this.aggregateStream(stream, aggregate, options),
      append: (stream, events, options) => this.append(stream, events, options),
      streamVersion: (stream) => this.streamVersion(stream),
    });
  }

  /** The store's directory, without symbolic links. */
  get directory(): string {
    return this.#events.directory;
  }

  /** 32 hexadecimal digits, given to the store when it was created. */
  get storeId(): string {
    return this.#events.storeId;
  }

  /** W: the highest LSN that is durable with all below it, whoever wrote them, and so visible; 0 when the store is empty. */
  get watermark(): number {
    return this.#events.watermark;
  }

  /**
   * The last LSN that a truncation of the log has dropped, as far as this process knows; 0: none. Reading in the order of the log can begin
   * after it: `readAll({ after: store.horizon })`.
   */
  get horizon(): number {
    return this.#events.horizon;
  }

  /** Which I/O the store uses, and why not a better one. */
  get io(): IoDescription {
    return this.#events.io;
  }

  /** What opening found and did; nothing, with the row `"attached"`, where other writers had the store open. */
  get recovery(): RecoveryReport {
    return this.#events.recovery;
  }

  /**
   * What every writer that was attached since the log was recovered tells of itself: its slot (`core`), how often that was attached
   * (`generation`), whether it is still there, and what it has had acknowledged.
   */
  cores(): readonly CoreState[] {
    return this.#events.cores();
  }

  /** How this writer is doing: for a health probe, or to append more slowly before `append` has to wait. Costs no I/O. */
  health(): StoreHealth {
    return this.#events.health();
  }

  stats(): EventStoreStats {
    return this.#events.stats();
  }

  streamVersion(stream: string): Promise<number> {
    return this.#events.streamVersion(stream);
  }

  append(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options: BufferedAppendOptions,
  ): Promise<BufferedResult>;
  append(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options?: AppendOptions,
  ): Promise<AppendResult>;
  append(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options?: AppendOptions,
  ): Promise<AppendResult | BufferedResult> {
    const refusal = refusalOf(stream);
    if (refusal !== null) return Promise.reject<AppendResult>(refusal);
    const appending = this.#events.append(stream, events as EventInput, options);
    return this.#projections.inline.behind(appending);
  }

  tryAppend(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options?: AppendOptions,
  ): Promise<AppendResult> {
    const refusal = refusalOf(stream);
    if (refusal !== null) return Promise.reject(refusal);
    const appending = this.#events.tryAppend(stream, events as EventInput, options) as Promise<AppendResult>;
    return this.#projections.inline.behind(appending);
  }

  appendMany(
    appends: readonly StreamAppend<EventInput<Events>>[],
    options?: { readonly durability?: Durability },
  ): Promise<AppendResult[]> {
    const many = appends as readonly StreamAppend[];
    // What is no array is refused below.
    const refusal = Array.isArray(many) ? many.map((append) => refusalOf(append?.stream)).find(Boolean) : null;
    if (refusal) return Promise.reject(refusal);
    const appending = this.#events.appendMany(many, options) as Promise<AppendResult[]>;
    return this.#projections.inline.behind(appending);
  }

  readStream(stream: string, options?: ReadStreamOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readStream(stream, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  aggregateStream<State>(
    stream: string,
    aggregate: Aggregate<State, RecordedEvent<Events>>,
    options?: AggregateOptions,
  ): Promise<AggregateResult<State>> {
    return this.#aggregator.aggregate(stream, aggregate, options);
  }

  handle<State, Command>(
    stream: string,
    decider: Decider<State, Command, Events>,
    command: Command,
    options?: HandleOptions,
  ): Promise<HandleResult<Events>> {
    return this.#commands.handle(stream, decider, command, options);
  }

  readAll(options?: ReadAllOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readAll(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  readStreamPage(stream: string, options?: StreamPageOptions): Promise<Page<RecordedEvent<Events>, StreamPageOptions>> {
    return readStreamPage((more) => this.readStream(stream, more), options);
  }

  readAllPage(options?: AllPageOptions): Promise<Page<RecordedEvent<Events>, AllPageOptions>> {
    return readAllPage((more) => this.readAll(more), options);
  }

  subscribe(options?: SubscribeOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.subscribe(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterableIterator<readonly RecordedEvent<Events>[]> {
    return this.#events.readBatches(after, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      readonly RecordedEvent<Events>[]
    >;
  }

  flush(): Promise<void> {
    return this.#events.flush();
  }

  whenDurable(epoch: number): Promise<{ readonly lsn: number }> {
    return this.#events.whenDurable(epoch);
  }

  project<State>(
    projection: Projection<State, RecordedEvent<Events>>,
    options?: ProjectOptions<State, RecordedEvent<Events>>,
  ): Promise<ProjectionRunner<State, RecordedEvent<Events>>> {
    return this.#projections.project(projection, options);
  }

  sink(sink: Sink<RecordedEvent<Events>>, options?: SinkOptions): Promise<SinkRunner<RecordedEvent<Events>>> {
    return this.#projections.sink(sink, options);
  }

  graph(options: GraphOptions = {}): Promise<Graph> {
    return this.#projections.graph(options);
  }

  reserveNodeIds(count: number): Promise<number> {
    return this.#projections.reserveNodeIds(count);
  }

  reserveEdgeIds(count: number): Promise<number> {
    return this.#projections.reserveEdgeIds(count);
  }

  async checkpoint(): Promise<StoreCheckpoint> {
    const lsn = this.watermark;
    return { lsn, projections: await this.#projections.save(), log: await this.#events.checkpoint() };
  }

  compact(): Promise<CheckpointReport | null> {
    return this.#events.compact();
  }

  anchor(options?: AnchorOptions): Promise<Anchor> {
    return this.#events.anchor(options);
  }

  backup(directory: string, options?: BackupOptions): Promise<BackupReport> {
    return this.#events.backup(directory, options);
  }

  truncateStream(stream: string, options: TruncateStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.truncateStream(stream, options);
  }

  deleteStream(stream: string, options?: DeleteStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.deleteStream(stream, options);
  }

  tombstoneStream(stream: string, options?: TombstoneStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.tombstoneStream(stream, options);
  }

  retainStream(stream: string, options: RetainStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.retainStream(stream, options);
  }

  deleteStreams(prefix: string): Promise<RetentionChange> {
    return this.#events.retention.deleteStreams(prefix);
  }

  tombstoneStreams(prefix: string): Promise<RetentionChange> {
    return this.#events.retention.tombstoneStreams(prefix);
  }

  streamRetention(stream: string): Promise<StreamRetention> {
    return this.#events.retention.of(stream);
  }

  scavenge(): Promise<ScavengeReport> {
    return this.#events.retention.scavenge();
  }

  async truncateBefore(lsn: number, options: TruncateBeforeOptions): Promise<TruncationReport> {
    await this.#projections.save();
    return this.#events.retention.truncateBefore(lsn, options);
  }

  async forget(subject: string, options: ForgetOptions = {}): Promise<ForgetAttestation> {
    const key = checkedAttestationKey(options);
    const forgetting = await this.#events.forget(subject);
    const { directory, stateCiphers } = this.#events;
    await dropCheckpoints(directory, forgetting.keyIds, stateCiphers);
    await this.#aggregator.settled();
    await this.#projections.whenForgotten(forgetting.lsn, forgetting.keyIds);
    return attest(this.storeId, forgetting, key);
  }

  rotateKey(key: KeySource): Promise<number> {
    return this.#events.rotateKey(key);
  }

  /** Closes the projections, writes what is buffered, seals what this writer wrote and frees its place. The second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#projections.close();
    } finally {
      await this.#aggregator.settled();
      await this.#events.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

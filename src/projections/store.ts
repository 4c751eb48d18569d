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
import { GRAPH_PROJECTION } from "./graph/graph-projection.js";
import { IdLeases } from "./graph/id-leases.js";
import { type GraphOptions, historyDaysOf, type StartedGraph, startGraph } from "./graph/start-graph.js";
import { checkedInline, InlineProjections, type ProjectOptions } from "./inline-projections.js";
import type { Projection } from "./projection.js";
import type { ProjectionRunner } from "./runner.js";
import type { Sink, SinkOptions } from "./sink.js";
import { SinkRunner } from "./sink-runner.js";
import { startProjection } from "./start-projection.js";
import { StreamAggregator } from "./stream-aggregator.js";

/** How a store is opened. */
export type StoreOptions = EventStoreOptions;

/** What `checkpoint` did. */
export interface StoreCheckpoint {
  /** W when it was called. */
  readonly lsn: number;
  /** What was sealed; null when another writer was making a checkpoint, which seals the log as well. */
  readonly log: CheckpointReport | null;
  /** Each running projection with the LSN that its saved state reflects. */
  readonly projections: readonly { readonly name: string; readonly lsn: number }[];
}

/** Options of an append that resolves before it is durable. */
export interface BufferedAppendOptions extends AppendOptions {
  readonly durability: "async" | "asyncBatched";
}

/** What the store asks of a projection that runs on it, whatever its state is. */
type RunningProjection = Pick<
  ProjectionRunner<unknown, RecordedEvent>,
  "status" | "checkpoint" | "close" | "whenForgotten"
>;

/** An open store. Made by `openStore`. */
export class Store<Events extends EventMap = EventMap> {
  readonly #events: EventStore;
  readonly #runners = new Map<string, RunningProjection>();
  readonly #sinks = new Map<string, { close(): Promise<void> }>();
  readonly #idLeases: IdLeases;
  readonly #aggregator: StreamAggregator;
  readonly #commands: CommandHandler<Events>;
  readonly #inline = new InlineProjections();
  #graph: Promise<StartedGraph> | null = null;
  #graphDays: number | null = null;
  #closing: Promise<void> | null = null;

  /** @internal Use `openStore`. */
  constructor(events: EventStore) {
    this.#events = events;
    this.#idLeases = new IdLeases(events);
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

  /**
   * The stream's version, which is the number of its visible events, whoever wrote them; 0 for a stream that does not exist.
   * Reads at most a few pages: where the stream is sealed and nobody has written to it since the store was opened by its first writer.
   */
  streamVersion(stream: string): Promise<number> {
    return this.#events.streamVersion(stream);
  }

  /**
   * Appends one event or several to a stream, all or none.
   *
   * Resolves as the durability says: with `"sync"` and `"group"` when the events survive a power cut. Appending the same event ids
   * again at the same expected version answers as the first time, with `duplicate: true`; with `"any"`, the stream's newest 1,000
   * ids are looked at. Waits while the buffers are full, and while the stream's newest events are another writer's and not durable yet:
   * versions are judged over all writers, and never by what can still be lost.
   *
   * @throws TypeError for wrong types and unknown options.
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT`, `ERR_EVENTS_INVALID_STREAM`, `ERR_EVENTS_INVALID_EVENT`, `ERR_EVENTS_SCHEMA`,
   *   `ERR_EVENTS_DUPLICATE_ID`, `ERR_WAL_TOO_LARGE`, `ERR_WAL_FULL`: nothing was written.
   * @throws StoreError `ERR_STREAM_TOMBSTONED`: nothing was written, and nothing ever will be to this stream.
   * @throws StoreError `ERR_WAL_BUSY`: another writer is alive, has the stream, and did not go on for `busyWaitMs`; or no buffer came free
   *   for so long. Nothing was written.
   * @throws StoreError `ERR_WAL_OUTCOME_UNKNOWN`: a write failed, of this writer or another; whether the events exist is known after
   *   reopening.
   * @throws StoreError for an event with a `subject`: `ERR_KEY_MISSING` without `encryption.subjectKeys`; `ERR_WAL_FULL`, `ERR_IO_FAILED`,
   *   `ERR_STORE_BUSY` when its key could not be made. Nothing was written.
   * @throws StoreError `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`
   *
   * @example
   * ```ts
   * const { version, lsn } = await store.append("account-42", { type: "Deposited", data: { cents: 500 } }, { expectedVersion: 3 });
   * ```
   */
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
    return this.#inline.isEmpty ? appending : this.#inline.behind(appending);
  }

  /**
   * `append` that does not wait for a buffer.
   *
   * @throws StoreError `ERR_WAL_BUFFER_FULL` when all buffers are taken; nothing was written.
   */
  tryAppend(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options?: AppendOptions,
  ): Promise<AppendResult> {
    const refusal = refusalOf(stream);
    if (refusal !== null) return Promise.reject(refusal);
    const appending = this.#events.tryAppend(stream, events as EventInput, options) as Promise<AppendResult>;
    return this.#inline.isEmpty ? appending : this.#inline.behind(appending);
  }

  /**
   * Appends to several streams, each once, all or nothing. Results come in the order given.
   *
   * @throws as `append`
   *
   * @example
   * ```ts
   * await store.appendMany([
   *   { stream: "account-42", events: withdrawn, expectedVersion: 4 },
   *   { stream: "account-7", events: deposited, expectedVersion: 9 },
   * ]);
   * ```
   */
  appendMany(
    appends: readonly StreamAppend<EventInput<Events>>[],
    options?: { readonly durability?: Durability },
  ): Promise<AppendResult[]> {
    const many = appends as readonly StreamAppend[];
    // What is no array is refused below.
    const refusal = Array.isArray(many) ? many.map((append) => refusalOf(append?.stream)).find(Boolean) : null;
    if (refusal) return Promise.reject(refusal);
    const appending = this.#events.appendMany(many, options) as Promise<AppendResult[]>;
    return this.#inline.isEmpty ? appending : this.#inline.behind(appending);
  }

  /**
   * A stream's events by version, forwards or backwards. The stream's end is where it is when reading is asked for, whoever wrote it.
   *
   * A writer that attached beside others has not read the log: its first stream read reads what is not sealed, and later ones what others wrote
   * since. Of what is sealed only the blocks with the stream's events are read.
   */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readStream(stream, options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /**
   * Folds a stream into a state: from its snapshot on, where the aggregate keeps some and a usable one is there, else from its first event.
   * With a snapshot and without it the answer is the same: one that is damaged, of another version, ahead of the log, or of events that were
   * truncated, deleted or forgotten since is not used. What `evolve` throws, this rejects with.
   *
   * @throws TypeError, RangeError for a wrong definition or option, and where `evolve` returns no state
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT`, `ERR_EVENTS_INVALID_STREAM`, `ERR_STREAM_TOMBSTONED`, `ERR_KEY_MISSING`, `ERR_STORE_CLOSED`
   *
   * @example
   * ```ts
   * const { state, version } = await store.aggregateStream("account-42", account);
   * if (state.cents >= 200) await store.append("account-42", withdrawn, { expectedVersion: version });
   * ```
   */
  aggregateStream<State>(
    stream: string,
    aggregate: Aggregate<State, RecordedEvent<Events>>,
    options?: AggregateOptions,
  ): Promise<AggregateResult<State>> {
    return this.#aggregator.aggregate(stream, aggregate, options);
  }

  /**
   * Handles a command: folds the stream, lets the decider decide, and appends what it says at the version that it was decided by. When somebody
   * else was faster it does so once more, with the newer state, up to `attempts` times. Commands of one stream take turns within this process.
   * Resolves when the events are durable.
   *
   * @throws what `decide` and `evolve` throw: nothing was written
   * @throws TypeError, RangeError for a wrong decider or option, and where `decide` returns no events
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` when the stream is not as `expectedVersion` says, or others were faster every time; and as
   *   `aggregateStream` and `append`
   *
   * @example
   * ```ts
   * const { version, lsn } = await store.handle("account-42", account, { withdraw: 200 });
   * ```
   */
  handle<State, Command>(
    stream: string,
    decider: Decider<State, Command, Events>,
    command: Command,
    options?: HandleOptions,
  ): Promise<HandleResult<Events>> {
    return this.#commands.handle(stream, decider, command, options);
  }

  /**
   * All events in LSN order, forwards or backwards. Ends at the watermark of now. What streams were to forget is delivered until it is removed
   * from the disk (`scavenge`), and so are the store's own events, whose streams begin with `$`.
   *
   * @throws StoreError `ERR_LOG_TRUNCATED`, with the `horizon`, where the log was truncated above `after`: forwards at once, backwards when
   *   reading arrives there
   */
  readAll(options?: ReadAllOptions): AsyncIterableIterator<RecordedEvent<Events>> {
    return this.#events.readAll(options) as AsyncIterableIterator<unknown> as AsyncIterableIterator<
      RecordedEvent<Events>
    >;
  }

  /**
   * One page of a stream, with the options of the next one.
   *
   * @example
   * ```ts
   * const page = await store.readStreamPage("account-42", { limit: 20, direction: "backwards" });
   * if (page.hasMore) console.log((await store.readStreamPage("account-42", page.next ?? {})).events);
   * ```
   */
  readStreamPage(stream: string, options?: StreamPageOptions): Promise<Page<RecordedEvent<Events>, StreamPageOptions>> {
    return readStreamPage((more) => this.readStream(stream, more), options);
  }

  /** One page of all events in LSN order, with the options of the next one. */
  readAllPage(options?: AllPageOptions): Promise<Page<RecordedEvent<Events>, AllPageOptions>> {
    return readAllPage((more) => this.readAll(more), options);
  }

  /**
   * All events after an LSN, then every new one as soon as it is durable: no gap, no duplicate, nothing buffered. Ends when the store
   * closes, throws the signal's reason when that aborts.
   *
   * @example
   * ```ts
   * for await (const event of store.subscribe({ after: lastLsn, signal })) console.log(event.lsn, event.type);
   * ```
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

  /** Writes what the async modes have buffered; resolves when it is durable. */
  flush(): Promise<void> {
    return this.#events.flush();
  }

  /** Resolves when every append that answered with this epoch is durable, with an LSN that none of their events exceeds. */
  whenDurable(epoch: number): Promise<{ readonly lsn: number }> {
    return this.#events.whenDurable(epoch);
  }

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
  async project<State>(
    projection: Projection<State, RecordedEvent<Events>>,
    { inline, ...options }: ProjectOptions<State, RecordedEvent<Events>> = {},
  ): Promise<ProjectionRunner<State, RecordedEvent<Events>>> {
    const isWaitedFor = checkedInline(inline);
    const feed = this.#events as unknown as Parameters<typeof startProjection<State, RecordedEvent<Events>>>[0];
    const runner = await startProjection(feed, projection, options);
    this.#runners.set(projection.name, runner);
    if (isWaitedFor) await this.#inline.begin(runner, this.watermark);
    return runner;
  }

  /**
   * Feeds a read model that lives elsewhere, in a database that commits its rows and its position together: exactly once. Closed with the store.
   *
   * @throws TypeError for a wrong sink or option
   * @throws StoreError `ERR_PROJECTION_RUNNING` when something of this name runs, `ERR_PROJECTION_FAILED` when its position cannot be read, or is none of
   *   this store's
   */
  async sink(sink: Sink<RecordedEvent<Events>>, options?: SinkOptions): Promise<SinkRunner<RecordedEvent<Events>>> {
    const feed = this.#events as unknown as Parameters<typeof SinkRunner.start<RecordedEvent<Events>>>[0];
    const runner = await SinkRunner.start(feed, sink, options);
    this.#sinks.set(sink.name, runner);
    return runner;
  }

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
  async graph(options: GraphOptions = {}): Promise<Graph> {
    const days = historyDaysOf(options);
    if (this.#graph === null) this.#graphDays = days;
    else if (days !== null && days !== this.#graphDays)
      throw new TypeError("graph: it runs already, with another historyInMemoryDays");
    this.#graph ??= startGraph(this.#events, { store: this.#events, ids: this.#idLeases }, days);
    const { graph, runner } = await this.#graph;
    this.#runners.set(GRAPH_PROJECTION.name, runner);
    return graph;
  }

  /** Reserves node ids in a row, durably, for events that the caller makes itself; resolves with the first. */
  reserveNodeIds(count: number): Promise<number> {
    return this.#idLeases.reserve("node", count);
  }

  /** Reserves edge ids in a row, durably, for events that the caller makes itself; resolves with the first. */
  reserveEdgeIds(count: number): Promise<number> {
    return this.#idLeases.reserve("edge", count);
  }

  /**
   * Saves the state of every running projection with the LSN it reflects, then seals the log up to the watermark and removes the files of
   * the log that nobody needs any more. Appends and reads go on meanwhile.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   * @throws StoreError `ERR_PROJECTION_CHECKPOINT`
   */
  async checkpoint(): Promise<StoreCheckpoint> {
    const lsn = this.watermark;
    return { lsn, projections: await this.#saveProjections(), log: await this.#events.checkpoint() };
  }

  async #saveProjections(): Promise<{ readonly name: string; readonly lsn: number }[]> {
    const saved: { name: string; lsn: number }[] = [];
    for (const [name, runner] of this.#runners) {
      if (runner.status !== "closed") saved.push({ name, lsn: await runner.checkpoint() });
    }
    return saved;
  }

  /**
   * Seals the log up to the watermark and makes one segment of each stretch of small ones, which a checkpoint does only when there are
   * eight of a size; null when another writer is making a checkpoint. Not needed but for a store that will be read only from now on.
   *
   * @throws as `checkpoint`
   */
  compact(): Promise<CheckpointReport | null> {
    return this.#events.compact();
  }

  /**
   * Seals the log, and resolves with the head of its hash chain: a few strings and numbers, to be kept where who can write the store cannot.
   * `openReader(dir).verifySealed({ anchor })` and `varve verify --anchor` tell later whether the store still has this history.
   *
   * The anchor is of everything that was acknowledged when this was called, and perhaps of more: `lsn` says. Its hash tells nothing of the
   * events of an encrypted store; of another one it lets somebody check a guess at all of them.
   *
   * @throws TypeError for a wrong option, or a key that is no private Ed25519 key
   * @throws StoreError as `checkpoint`
   *
   * @example
   * ```ts
   * const anchor = await store.anchor({ signWith: readFileSync("anchor-key.pem", "utf8") });
   * await writeFile("/elsewhere/shop.anchor.json", JSON.stringify(anchor));
   * ```
   */
  anchor(options?: AnchorOptions): Promise<Anchor> {
    return this.#events.anchor(options);
  }

  /**
   * Makes a backup of the store in another directory, or brings the one there up to date, while this store and others are written to.
   *
   * The backup holds exactly the events up to one LSN (`report.lsn`), among them all that were acknowledged when this was called: a checkpoint
   * seals them first. Only sealed segments that the backup does not have are copied; each is read back and its hashes are checked. The
   * backup's manifest comes last: whatever interrupts this leaves the former backup as it was. The directory must be absent, empty, or
   * a backup of this store whose log is the beginning of this one.
   *
   * A backup can be read by `openReader` and checked by `varve verify`. Who opens it for writing makes a store of its own of it, and no backup
   * goes into it any more. `restoreStore` makes a store of it.
   *
   * @throws TypeError for a wrong argument or option
   * @throws StoreError `ERR_STORE_EXISTS`, `ERR_WAL_FOREIGN`, `ERR_BACKUP_DIVERGED`: the directory was not touched
   * @throws StoreError `ERR_WAL_CORRUPT` naming the file of this store that is damaged, `ERR_IO_FAILED`, `ERR_STORE_BUSY`, `ERR_WAL_FAILED`,
   *   `ERR_STORE_CLOSED`, `ERR_KEY_MISSING` for a key that another writer went over to; the signal's reason: the former backup is as it was
   *
   * @example
   * ```ts
   * const { lsn, copiedSegments } = await store.backup("/mnt/backup/shop");
   * ```
   */
  backup(directory: string, options?: BackupOptions): Promise<BackupReport> {
    return this.#events.backup(directory, options);
  }

  /**
   * Forgets a stream's events below a version: from now on nobody who reads the stream sees them. From the disk they go with the next
   * `scavenge`; until then `readAll` and `subscribe` to all still deliver them. It cannot be taken back, and the stream keeps its versions.
   *
   * @throws RangeError when the stream has no such version
   * @throws StoreError `ERR_EVENTS_INVALID_STREAM`, `ERR_STREAM_TOMBSTONED`, or what `append` throws for a log that takes no event
   */
  truncateStream(stream: string, options: TruncateStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.truncateStream(stream, options);
  }

  /**
   * Forgets a stream's events, all that there are when it is called, as `truncateStream` does. The stream can be written to again, as
   * `"absent"` or at its version, and goes on with the next version: none is ever used twice. An event that another writer appends at the same
   * moment is kept, unless `expectedVersion` is a version: then the deletion is refused.
   *
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` when the stream is not as expected, or has no events; and as `truncateStream`
   */
  deleteStream(stream: string, options?: DeleteStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.deleteStream(stream, options);
  }

  /**
   * Ends a stream for good: from now on reading it and appending to it, by whatever writer, is refused with `ERR_STREAM_TOMBSTONED`. Its name
   * cannot be used again. The events go from the disk with the next `scavenge`.
   *
   * @throws StoreError `ERR_EVENTS_VERSION_CONFLICT`, and as `truncateStream`
   */
  tombstoneStream(stream: string, options?: TombstoneStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.tombstoneStream(stream, options);
  }

  /**
   * Says how much of a stream is kept, instead of what was said before; without bounds everything is. What is beyond them nobody sees who reads
   * the stream; from the disk it goes with the next `scavenge`.
   *
   * @throws TypeError, RangeError for a wrong bound; StoreError as `truncateStream`
   *
   * @example
   * ```ts
   * await store.retainStream("sensor-7", { maxAgeMs: 30 * 24 * 3_600_000, maxCount: 100_000 });
   * ```
   */
  retainStream(stream: string, options: RetainStreamOptions): Promise<RetentionChange> {
    return this.#events.retention.retainStream(stream, options);
  }

  /**
   * Forgets all events so far of all streams whose names begin so, as `deleteStream` does; they can be written to again. `"absent"` is not said
   * of them, though: they go on at their versions.
   *
   * @throws StoreError as `truncateStream`; an empty prefix, or one that begins with `$`, is no name
   */
  deleteStreams(prefix: string): Promise<RetentionChange> {
    return this.#events.retention.deleteStreams(prefix);
  }

  /**
   * Ends all streams for good whose names begin so, those to come included. An append that another writer makes at the same moment can still be
   * placed behind it in the log; nobody sees it by its stream.
   *
   * @throws StoreError as `deleteStreams`
   */
  tombstoneStreams(prefix: string): Promise<RetentionChange> {
    return this.#events.retention.tombstoneStreams(prefix);
  }

  /** What was said of a stream so far: what of it is gone, and what is kept. */
  streamRetention(stream: string): Promise<StreamRetention> {
    return this.#events.retention.of(stream);
  }

  /**
   * Takes from the disk what streams were to forget: seals the log, and writes those sealed segments anew that lose events. Other events, their
   * LSNs and the hash chain stay what they are; a projection that is rebuilt afterwards sees only what is left. One at a time over all writers:
   * it waits for others up to `busyWaitMs`.
   *
   * @throws StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: nothing was removed
   */
  scavenge(): Promise<ScavengeReport> {
    return this.#events.retention.scavenge();
  }

  /**
   * Drops the sealed segments that lie wholly below an LSN, of all streams, when every one of them was archived. Before that it saves the running
   * projections and seals the log. From then on reading in the order of the log from before `horizon` is refused with `ERR_LOG_TRUNCATED`: by
   * readers, subscribers, and projections that would have to be rebuilt. Streams keep their versions, and begin with what is left. Closing the
   * store waits for the archive.
   *
   * @throws RangeError for an LSN above the watermark + 1; what `archive` throws
   * @throws StoreError as `scavenge`, and `ERR_PROJECTION_CHECKPOINT`: nothing was dropped
   *
   * @example
   * ```ts
   * await store.truncateBefore(1_000_000, { archive: ({ path }) => copyFile(path, join("/archive", basename(path))) });
   * ```
   */
  async truncateBefore(lsn: number, options: TruncateBeforeOptions): Promise<TruncationReport> {
    await this.#saveProjections();
    return this.#events.retention.truncateBefore(lsn, options);
  }

  /**
   * Forgets a subject: destroys every key that its events were encrypted by, in the file of subject keys and in the memory of this process, then says
   * so in the log, then has projections drop what they derived, here and wherever they run: each that has handled such an event removes its
   * checkpoints and is rebuilt from the log without them. From then on these events read as `forgotten`, by whomever; their streams keep
   * their versions, and the log its LSNs. An append that is under way is forgotten with it; a later one gets a new key, and is a new beginning.
   *
   * Asked again it answers the same. Killed in between, the key is destroyed or is not; who opens the store next for writing logs what is missing.
   *
   * @throws TypeError for a wrong argument or option
   * @throws StoreError `ERR_EVENTS_INVALID_EVENT` for a subject that none can be; `ERR_KEY_MISSING` without `encryption.subjectKeys`; `ERR_IO_FAILED`
   *   when the file could not be written durably: open the store anew, and ask again; `ERR_STORE_BUSY`, and what `append` throws: ask again
   *
   * @example
   * ```ts
   * const { keyIds, lsn } = await store.forget("person-7");
   * ```
   */
  async forget(subject: string, options: ForgetOptions = {}): Promise<ForgetAttestation> {
    const key = checkedAttestationKey(options);
    const forgetting = await this.#events.forget(subject);
    const { directory, stateCiphers } = this.#events;
    await dropCheckpoints(directory, forgetting.keyIds, stateCiphers);
    await this.#aggregator.settled();
    await this.#graph?.catch(() => {}); // it can be starting, and is among the runners then
    await Promise.all(
      Array.from(this.#runners.values(), (runner) => runner.whenForgotten(forgetting.lsn, forgetting.keyIds)),
    );
    return attest(this.storeId, forgetting, key);
  }

  /**
   * Encrypts what this writer writes from now on by another key, and resolves with the number that the store has given it. What is there stays as
   * it is: both keys are needed until `rekeyStore` was done. Give the key to every other writer and reader first, in `otherKeys`: one that
   * meets it and does not have it answers `ERR_KEY_MISSING`.
   *
   * @throws TypeError for what is no source of a key
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG` (also where the store is not encrypted), `ERR_STORE_BUSY`, `ERR_IO_FAILED`,
   *   `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: the former key goes on
   */
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
      for (const sink of this.#sinks.values()) await sink.close();
      for (const runner of this.#runners.values()) await runner.close();
    } finally {
      await this.#aggregator.settled();
      await this.#events.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

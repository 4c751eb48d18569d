/** What a store does with events: appending them, reading them, following them, and folding streams. */

import type {
  AllPageOptions,
  AppendOptions,
  AppendResult,
  BufferedResult,
  Durability,
  EventInput,
  EventMap,
  Page,
  ReadAllOptions,
  ReadStreamOptions,
  RecordedEvent,
  StreamAppend,
  StreamPageOptions,
  SubscribeOptions,
} from "../events/index.js";
import type { Aggregate, AggregateOptions, AggregateResult } from "./aggregate.js";
import type { Decider, HandleOptions, HandleResult } from "./decider.js";

/** Options of an append that resolves before it is durable. */
export interface BufferedAppendOptions extends AppendOptions {
  readonly durability: "async" | "asyncBatched";
}

/** The part of `Store` that is about events. */
export interface StoreEvents<Events extends EventMap> {
  /**
   * The stream's version, which is the number of its visible events, whoever wrote them; 0 for a stream that does not exist.
   * Reads at most a few pages: where the stream is sealed and nobody has written to it since the store was opened by its first writer.
   */
  streamVersion(stream: string): Promise<number>;

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

  /**
   * `append` that does not wait for a buffer.
   *
   * @throws StoreError `ERR_WAL_BUFFER_FULL` when all buffers are taken; nothing was written.
   */
  tryAppend(
    stream: string,
    events: EventInput<Events> | readonly EventInput<Events>[],
    options?: AppendOptions,
  ): Promise<AppendResult>;

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
  ): Promise<AppendResult[]>;

  /**
   * A stream's events by version, forwards or backwards. The stream's end is where it is when reading is asked for, whoever wrote it.
   *
   * A writer that attached beside others has not read the log: its first stream read reads what is not sealed, and later ones what others wrote
   * since. Of what is sealed only the blocks with the stream's events are read.
   */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterableIterator<RecordedEvent<Events>>;

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
  ): Promise<AggregateResult<State>>;

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
  ): Promise<HandleResult<Events>>;

  /**
   * All events in LSN order, forwards or backwards. Ends at the watermark of now. What streams were to forget is delivered until it is removed
   * from the disk (`scavenge`), and so are the store's own events, whose streams begin with `$`.
   *
   * @throws StoreError `ERR_LOG_TRUNCATED`, with the `horizon`, where the log was truncated above `after`: forwards at once, backwards when
   *   reading arrives there
   */
  readAll(options?: ReadAllOptions): AsyncIterableIterator<RecordedEvent<Events>>;

  /**
   * One page of a stream, with the options of the next one.
   *
   * @example
   * ```ts
   * const page = await store.readStreamPage("account-42", { limit: 20, direction: "backwards" });
   * if (page.hasMore) console.log((await store.readStreamPage("account-42", page.next ?? {})).events);
   * ```
   */
  readStreamPage(stream: string, options?: StreamPageOptions): Promise<Page<RecordedEvent<Events>, StreamPageOptions>>;

  /** One page of all events in LSN order, with the options of the next one. */
  readAllPage(options?: AllPageOptions): Promise<Page<RecordedEvent<Events>, AllPageOptions>>;

  /**
   * All events after an LSN, then every new one as soon as it is durable: no gap, no duplicate, nothing buffered. Ends when the store
   * closes, throws the signal's reason when that aborts.
   *
   * @example
   * ```ts
   * for await (const event of store.subscribe({ after: lastLsn, signal })) console.log(event.lsn, event.type);
   * ```
   */
  subscribe(options?: SubscribeOptions): AsyncIterableIterator<RecordedEvent<Events>>;

  /** The events after an LSN up to the watermark of now, in LSN order, batch by batch as they were written: the fastest way to read. */
  readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterableIterator<readonly RecordedEvent<Events>[]>;

  /** Writes what the async modes have buffered; resolves when it is durable. */
  flush(): Promise<void>;

  /** Resolves when every append that answered with this epoch is durable, with an LSN that none of their events exceeds. */
  whenDurable(epoch: number): Promise<{ readonly lsn: number }>;
}

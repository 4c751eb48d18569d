/** The event store: streams of events over one log, open for writing. */

import { StoreError } from "../errors.js";
import {
  checkOptionNames,
  choiceOption,
  type Frame,
  type IoDemand,
  type IoDescription,
  integerOption,
  type RecoveryReport,
  Wal,
  type WalStats,
} from "../wal/index.js";
import { Appender, type AppendOptions, DURABILITIES, type StreamAppend } from "./appender.js";
import type { AppendResult, BufferedResult } from "./batch-ledger.js";
import type { Durability, EventInput } from "./event.js";
import type { EventCursor } from "./event-cursor.js";
import { EventSource, type ReadAllOptions, type ReadStreamOptions, type SubscribeOptions } from "./event-source.js";
import { checkStreamName, EventPreparer } from "./prepare-event.js";
import { EventDecoder, type StoredEvent } from "./recorded-event.js";
import { type PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { StreamIndex } from "./stream-index.js";
import { StreamReplay } from "./stream-replay.js";

const MEBIBYTE = 1024 * 1024;

export interface EventStoreOptions {
  /** When appends resolve unless they say otherwise. Default `"group"`. */
  readonly durability?: Durability;
  /** How long the async modes may keep an event in memory only. Default 10 ms. */
  readonly flushIntervalMs?: number;
  /** .proto files whose message types events can have. */
  readonly schemas?: readonly string[];
  /** Refuse events of types that no schema has. Default false: they are stored as JSON. */
  readonly strictSchemas?: boolean;
  /** Which I/O to demand. Default `"auto"`: the best that works here; `store.io` says which. */
  readonly io?: IoDemand;
  /** Size of a segment of the log. Default 64 MiB; an append can be as large as half of it, and 32 MiB at most. */
  readonly segmentBytes?: number;
  /** How long to wait for the writes of a killed owner that are still in flight. Default 30,000. */
  readonly busyWaitMs?: number;
  /** Told the file for whose writes in flight opening waits. Default: a process warning. */
  readonly onWaiting?: (path: string) => void;
}

const OPTION_NAMES = [
  "durability",
  "flushIntervalMs",
  "schemas",
  "strictSchemas",
  "io",
  "segmentBytes",
  "busyWaitMs",
  "onWaiting",
] as const satisfies readonly (keyof EventStoreOptions)[];
const IO_DEMANDS = ["auto", "uring", "threadpool", "buffered"] as const;
const SEGMENT_BYTES = { min: 64 * 1024, max: 1024 * MEBIBYTE, default: 64 * MEBIBYTE };
const FLUSH_INTERVAL_MS = { min: 1, max: 60_000, default: 10 };
const BUSY_WAIT_MS = { min: 0, max: 3_600_000, default: 30_000 };

export interface EventStoreStats extends WalStats {
  readonly streams: number;
}

function warnOfWaiting(path: string): void {
  process.emitWarning(`waiting for the writes that a killed owner left in flight to ${path}`, {
    code: "VARVE_WAITING",
  });
}

function checkedOptions(options: EventStoreOptions) {
  if (typeof options !== "object" || options === null) throw new TypeError("openStore: options must be an object");
  checkOptionNames(options, OPTION_NAMES, "openStore");
  const { schemas = [], strictSchemas = false, onWaiting = warnOfWaiting } = options;
  if (!Array.isArray(schemas) || schemas.some((file) => typeof file !== "string")) {
    throw new TypeError("option schemas must be an array of file names");
  }
  if (typeof strictSchemas !== "boolean") throw new TypeError("option strictSchemas must be true or false");
  if (typeof onWaiting !== "function") throw new TypeError("option onWaiting must be a function");
  const segmentBytes = integerOption(options.segmentBytes, "segmentBytes", SEGMENT_BYTES);
  if (segmentBytes % 4096 !== 0) throw new RangeError("option segmentBytes must be a multiple of 4096");
  return {
    durability: choiceOption(options.durability, "durability", DURABILITIES, "group"),
    io: choiceOption(options.io, "io", IO_DEMANDS, "auto"),
    flushIntervalMs: integerOption(options.flushIntervalMs, "flushIntervalMs", FLUSH_INTERVAL_MS),
    busyWaitMs: integerOption(options.busyWaitMs, "busyWaitMs", BUSY_WAIT_MS),
    segmentBytes,
    schemas: schemas as readonly string[],
    strictSchemas,
    onWaiting,
  };
}

export class EventStore {
  readonly readOnly = false;
  readonly #wal: Wal;
  readonly #index: StreamIndex;
  readonly #appender: Appender;
  /** Lost batches that an earlier `flush` told of. */
  #toldLossCount = 0;
  readonly #source: EventSource;

  /** `codecs` are the payload codecs of event types that come with Varve. */
  static async open(
    directory: string,
    options: EventStoreOptions,
    codecs: ReadonlyMap<string, PayloadCodec>,
  ): Promise<EventStore> {
    if (typeof directory !== "string" || directory === "")
      throw new TypeError("a store needs the name of its directory");
    const checked = checkedOptions(options);
    const registry = SchemaRegistry.load(checked.schemas, codecs, checked.strictSchemas);
    const index = new StreamIndex();
    const replay = new StreamReplay(index);
    const wal = await Wal.open(directory, checked, (frame: Frame) => replay.addFrame(frame));
    return new EventStore(wal, index, registry, checked.durability);
  }

  private constructor(wal: Wal, index: StreamIndex, registry: SchemaRegistry, durability: Durability) {
    this.#wal = wal;
    this.#index = index;
    this.#source = new EventSource(wal, index, new EventDecoder(registry, wal.storeId), () => wal.status === "closed");
    const readIds = this.#source.readIds.bind(this.#source);
    this.#appender = new Appender(wal, index, new EventPreparer(registry), durability, readIds);
  }

  get directory(): string {
    return this.#wal.directory;
  }

  get storeId(): string {
    return Buffer.from(this.#wal.storeId).toString("hex");
  }

  get watermark(): number {
    return this.#wal.watermark;
  }

  get io(): IoDescription {
    return this.#wal.io;
  }

  get recovery(): RecoveryReport {
    return this.#wal.recovery;
  }

  stats(): EventStoreStats {
    return { ...this.#wal.stats, streams: this.#index.streamCount };
  }

  streamVersion(stream: string): number {
    const head = this.#index.get(stream);
    if (head === undefined) checkStreamName(stream);
    return head?.durableVersion ?? 0;
  }

  append(
    stream: string,
    events: EventInput | readonly EventInput[],
    options?: AppendOptions,
  ): Promise<AppendResult | BufferedResult> {
    return this.#appender.append(stream, events, options, true);
  }

  tryAppend(
    stream: string,
    events: EventInput | readonly EventInput[],
    options?: AppendOptions,
  ): Promise<AppendResult | BufferedResult> {
    return this.#appender.append(stream, events, options, false);
  }

  appendMany(
    appends: readonly StreamAppend[],
    options?: { readonly durability?: Durability },
  ): Promise<(AppendResult | BufferedResult)[]> {
    return this.#appender.appendMany(appends, options);
  }

  readStream(stream: string, options?: ReadStreamOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.readStream(stream, options);
  }

  readAll(options?: ReadAllOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.readAll(options);
  }

  subscribe(options?: SubscribeOptions): EventCursor<StoredEvent> {
    this.#checkOpen();
    return this.#source.subscribe(options);
  }

  readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    this.#checkOpen();
    return this.#source.readBatches(after, options);
  }

  onAdvance(listener: (watermark: number) => void): () => void {
    return this.#wal.onAdvance(listener);
  }

  #checkOpen(): void {
    if (this.#wal.status === "closed") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
  }

  /**
   * Writes what the async modes have buffered; resolves when it is durable.
   *
   * @throws StoreError `ERR_WAL_FULL`, `ERR_WAL_FAILED`, `ERR_WAL_OUTCOME_UNKNOWN` when some of what was buffered since the last call was
   * not written; `ERR_STORE_CLOSED`
   */
  async flush(): Promise<void> {
    this.#wal.assertWritable();
    const { lostBatches } = this.#appender;
    const toldBefore = this.#toldLossCount;
    await this.#wal.flush();
    this.#toldLossCount = lostBatches.count;
    if (lostBatches.count > toldBefore) throw lostBatches.newest;
  }

  /**
   * Resolves when every append of that epoch is durable, with an LSN that none of them exceeds.
   *
   * @throws StoreError `ERR_WAL_FULL`, `ERR_WAL_FAILED`, `ERR_WAL_OUTCOME_UNKNOWN` when they were not written; `ERR_STORE_CLOSED`
   * @throws RangeError when no append has answered with that epoch
   */
  async whenDurable(epoch: number): Promise<{ readonly lsn: number }> {
    if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 1) {
      throw new TypeError("whenDurable takes the epoch that an append answered with");
    }
    if (epoch > this.#wal.durableEpoch) await this.#wal.flush();
    const error = this.#appender.lostBatches.errorOf(epoch);
    if (error !== null) throw error;
    if (epoch > this.#wal.durableEpoch) {
      this.#wal.assertWritable();
      throw new RangeError(`no append has had the epoch ${epoch} yet`);
    }
    return { lsn: this.#wal.watermark };
  }

  close(): Promise<void> {
    return this.#wal.close();
  }
}

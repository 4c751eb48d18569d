/**
 * Appending: checks, judges the expected version, encodes into the writer's open batch.
 *
 * Everything that can refuse an append happens before the batch is touched; from there on nothing throws. The events of one append, over
 * however many streams, lie in one batch, which is one frame, so they are durable together or not at all.
 */

import { StoreError } from "../errors.js";
import { type Batch, checkOptionNames, choiceOption, type SealDemand, type Wal } from "../wal/index.js";
import {
  type AppendRequest,
  checkExpectedVersion,
  duplicateIds,
  judge,
  prepareRequest,
  repetitionOf,
} from "./append-request.js";
import {
  type AppendResult,
  BatchLedger,
  type BufferedResult,
  resultOf,
  type StreamPart,
  StreamWaiter,
} from "./batch-ledger.js";
import { encodeEnvelope, type PreparedEvent } from "./envelope.js";
import type { Durability, EventInput, ExpectedVersion } from "./event.js";
import { LostBatches } from "./lost-batches.js";
import type { EventPreparer } from "./prepare-event.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

/** How an append is made. */
export interface AppendOptions {
  /** What the stream must be, appends of this store that are not durable yet included. Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
  /** Default: the store's. */
  readonly durability?: Durability;
}

/** One stream's share of `appendMany`. */
export interface StreamAppend<Event = EventInput> {
  /** 1 to 1,024 bytes of UTF-8. */
  readonly stream: string;
  /** At least one. */
  readonly events: Event | readonly Event[];
  /** Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
}

export const DURABILITIES: readonly Durability[] = ["sync", "group", "async", "asyncBatched"];
const APPEND_OPTIONS = ["expectedVersion", "durability"] as const;
const STREAM_APPEND_FIELDS = ["stream", "events", "expectedVersion"] as const;
const SEAL_DEMANDS: Readonly<Record<Durability, SealDemand>> = {
  sync: "now",
  group: "turn",
  async: "later",
  asyncBatched: "turn",
};

/** Whether an append answers before it is durable. */
function isBuffered(durability: Durability): boolean {
  return durability === "async" || durability === "asyncBatched";
}

/** Appends that wait for a buffer; one more is refused. */
const WAITING_APPENDS_MAX = 65_536;

/** Reads the ids of durable events of one stream from the log. */
export type ReadIds = (head: StreamHead, firstVersion: number, count: number) => Promise<string[]>;

/** An append on its general way. It is answered directly, not through further promises, so that appends resolve in the order of their LSNs. */
interface PendingAppend {
  readonly requests: readonly AppendRequest[];
  readonly durability: Durability;
  readonly resolve: (results: (AppendResult | BufferedResult)[]) => void;
  readonly reject: (error: Error) => void;
}

/** What putting an append into a batch came to. */
type Placed =
  | { readonly kind: "placed"; readonly ledger: BatchLedger; readonly parts: readonly StreamPart[] }
  | { readonly kind: "noRoom" }
  | { readonly kind: "duplicate"; readonly results: AppendResult[] }
  /** The same ids are in a batch that is not durable yet. */
  | { readonly kind: "pendingDuplicate" }
  /** The ids may be in the stream, further back than is remembered. */
  | {
      readonly kind: "askLog";
      readonly request: AppendRequest;
      readonly head: StreamHead;
      readonly firstVersion: number;
    };

export class Appender {
  readonly #wal: Wal;
  readonly #index: StreamIndex;
  readonly #preparer: EventPreparer;
  readonly #durability: Durability;
  readonly #readIds: ReadIds;
  /** The ledger of the open batch. */
  #ledger: BatchLedger | null = null;
  readonly #waiting: PendingAppend[] = [];
  readonly #lostBatches = new LostBatches();
  /** Set by `#capture`: the two functions of the promise that was just made, without a closure for each. */
  #resolve: (result: AppendResult) => void = () => {};
  #reject: (error: StoreError) => void = () => {};

  constructor(wal: Wal, index: StreamIndex, preparer: EventPreparer, durability: Durability, readIds: ReadIds) {
    this.#wal = wal;
    this.#index = index;
    this.#preparer = preparer;
    this.#durability = durability;
    this.#readIds = readIds;
  }

  /** Batches that were not written, which the async modes had answered for already. */
  get lostBatches(): LostBatches {
    return this.#lostBatches;
  }

  readonly #capture = (resolve: (result: AppendResult) => void, reject: (error: StoreError) => void): void => {
    this.#resolve = resolve;
    this.#reject = reject;
  };

  append(
    stream: string,
    events: EventInput | readonly EventInput[],
    options: AppendOptions | undefined,
    wait: boolean,
  ): Promise<AppendResult | BufferedResult> {
    try {
      if (options !== undefined) checkAppendOptions(options);
      const durability = options?.durability ?? this.#durability;
      this.#wal.assertWritable();
      if (this.#waiting.length === 0) {
        const answer = this.#appendOne(stream, events, options?.expectedVersion, durability);
        if (answer !== null) return answer;
      }
      const requests = [prepareRequest(this.#index, this.#preparer, stream, events, options?.expectedVersion)];
      return new Promise((resolve, reject) => {
        const one = (results: (AppendResult | BufferedResult)[]): void =>
          resolve(results[0] as AppendResult | BufferedResult);
        this.#begin({ requests, durability, resolve: one, reject }, wait);
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /**
   * The common case without the arrays of the general one: one event without an id for a stream that exists. Null, with nothing
   * changed, when it is not that.
   */
  #appendOne(
    stream: string,
    events: EventInput | readonly EventInput[],
    expected: ExpectedVersion = "any",
    durability: Durability,
  ): Promise<AppendResult | BufferedResult> | null {
    const head = this.#index.get(stream);
    const event = Array.isArray(events) ? (events as readonly EventInput[])[0] : (events as EventInput);
    if (head === undefined || event === undefined || (Array.isArray(events) && events.length > 1)) return null;
    if ((event as EventInput | null)?.id !== undefined) return null;
    if (expected !== "any") checkExpectedVersion(expected);
    const prepared = this.#preparer.prepareShared(event);
    judge(head, expected);
    const byteLengthMax = head.field.length + prepared.byteLengthMax;
    if (byteLengthMax > this.#wal.appendBytesMax) return null;
    const batch = this.#wal.batchFor(1, byteLengthMax, durability === "sync");
    if (batch === null) return null;
    const ledger = this.#ledgerOf(batch);
    return this.#answerOne(ledger, writeEvents(ledger, head, prepared, null), durability);
  }

  #answerOne(ledger: BatchLedger, part: StreamPart, durability: Durability): Promise<AppendResult | BufferedResult> {
    const demand = SEAL_DEMANDS[durability];
    if (isBuffered(durability)) {
      const result = bufferedResult(part, ledger);
      this.#wal.demand(ledger.batch, demand);
      return Promise.resolve(result);
    }
    const promise = new Promise<AppendResult>(this.#capture);
    ledger.wait(new StreamWaiter(part, this.#resolve, this.#reject));
    this.#wal.demand(ledger.batch, demand);
    return promise;
  }

  appendMany(
    appends: readonly StreamAppend[],
    options: { readonly durability?: Durability } | undefined,
  ): Promise<(AppendResult | BufferedResult)[]> {
    try {
      if (!Array.isArray(appends))
        throw new TypeError("appendMany takes an array of { stream, events, expectedVersion }");
      if (options !== undefined) checkOptionNames(options, ["durability"], "appendMany");
      const durability = choiceOption(options?.durability, "durability", DURABILITIES, this.#durability);
      this.#wal.assertWritable();
      const requests = (appends as readonly StreamAppend[]).map((append) => {
        checkOptionNames(append, STREAM_APPEND_FIELDS, "appendMany");
        const { stream, events, expectedVersion } = append;
        return prepareRequest(this.#index, this.#preparer, stream, events, expectedVersion);
      });
      if (new Set(requests.map((request) => request.stream)).size < requests.length) {
        throw new TypeError("appendMany takes each stream once");
      }
      if (requests.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => this.#begin({ requests, durability, resolve, reject }, true));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Places the append now, or has it wait. Throws for what the caller must hear. */
  #begin(append: PendingAppend, wait: boolean): void {
    if (this.#waiting.length === 0) {
      const placed = this.#place(append.requests, append.durability);
      if (this.#answer(append, placed)) return;
      if (!wait && placed.kind === "noRoom") throw bufferFull("the buffers are full");
    } else if (!wait) {
      throw bufferFull("other appends wait for a buffer already");
    }
    this.#wait(append);
  }

  /** Answers an append that is placed, as its durability says, or that had been made before. False: it has to wait. */
  #answer({ durability, resolve, reject }: PendingAppend, placed: Placed): boolean {
    if (placed.kind === "duplicate") {
      resolve(placed.results);
      return true;
    }
    if (placed.kind !== "placed") return false;
    const { ledger, parts } = placed;
    const demand = SEAL_DEMANDS[durability];
    if (isBuffered(durability)) {
      resolve(parts.map((part) => bufferedResult(part, ledger)));
    } else {
      const committed = (firstLsn: number): void => resolve(parts.map((part) => resultOf(part, firstLsn)));
      ledger.wait({ committed, failed: reject });
    }
    this.#wal.demand(ledger.batch, demand);
    return true;
  }

  /** Puts the requests into one batch, or says why not. Throws for what the caller must hear; then nothing was changed. */
  #place(requests: readonly AppendRequest[], durability: Durability): Placed {
    const heads = requests.map((request) => this.#index.get(request.stream) ?? this.#index.add(request.stream));
    let isPlaced = false;
    try {
      const placed = this.#placeAt(heads, requests, durability);
      isPlaced = placed.kind === "placed";
      return placed;
    } finally {
      if (!isPlaced) for (const head of heads) this.#index.drop(head);
    }
  }

  #placeAt(heads: readonly StreamHead[], requests: readonly AppendRequest[], durability: Durability): Placed {
    let eventCount = 0;
    let byteLengthMax = 0;
    const duplicates: AppendResult[] = [];
    for (let index = 0; index < requests.length; index++) {
      const request = requests[index] as AppendRequest;
      const head = heads[index] as StreamHead;
      const repetition = repetitionOf(head, request);
      if (repetition.kind === "pending") return { kind: "pendingDuplicate" };
      if (repetition.kind === "askLog") return { kind: "askLog", request, head, firstVersion: repetition.firstVersion };
      if (repetition.kind === "repeated") {
        duplicates.push(repetition.result);
        continue;
      }
      judge(head, request.expectedVersion);
      for (const event of request.events) byteLengthMax += head.field.length + event.byteLengthMax;
      eventCount += request.events.length;
    }
    if (duplicates.length === requests.length) return { kind: "duplicate", results: duplicates };
    if (duplicates.length > 0) {
      const { stream } = requests[0] as AppendRequest;
      throw duplicateIds(stream, "some of these streams have their events already, others not");
    }
    const { appendBytesMax } = this.#wal;
    if (byteLengthMax > appendBytesMax) {
      const message = `the append takes up to ${byteLengthMax} bytes; a frame holds ${appendBytesMax}`;
      throw new StoreError("ERR_WAL_TOO_LARGE", message, { byteLength: byteLengthMax, appendBytesMax });
    }
    const batch = this.#wal.batchFor(eventCount, byteLengthMax, durability === "sync");
    if (batch === null) return { kind: "noRoom" };
    const ledger = this.#ledgerOf(batch);
    const parts = requests.map(({ events }, index) => {
      const [first, ...others] = events;
      return writeEvents(ledger, heads[index] as StreamHead, first as PreparedEvent, others);
    });
    return { kind: "placed", ledger, parts };
  }

  #ledgerOf(batch: Batch): BatchLedger {
    if (this.#ledger === null || this.#ledger.batch !== batch) {
      this.#ledger = new BatchLedger(batch, this.#lostBatches);
      batch.tickets.push(this.#ledger);
    }
    return this.#ledger;
  }

  /** Waits for its turn, behind those that wait already. */
  #wait(append: PendingAppend): void {
    if (this.#waiting.length === WAITING_APPENDS_MAX) {
      throw bufferFull(`${WAITING_APPENDS_MAX} appends wait for a buffer already`);
    }
    this.#waiting.push(append);
    if (this.#waiting.length === 1) void this.#serveWaiting();
  }

  /** Serves the waiting appends in order, as many as there is room for at once, so that the queue empties and the fast path is back. */
  async #serveWaiting(): Promise<void> {
    const queue = this.#waiting;
    let served = 0;
    while (served < queue.length) {
      const append = queue[served] as PendingAppend;
      try {
        this.#wal.assertWritable();
        const placed = this.#place(append.requests, append.durability);
        if (this.#answer(append, placed)) {
          served++;
          continue;
        }
        queue.splice(0, served);
        served = 0;
        if (placed.kind === "noRoom") await this.#wal.whenRoom();
        else if (placed.kind === "pendingDuplicate") await this.#wal.flush();
        else if (placed.kind === "askLog") await this.#askLog(placed);
      } catch (error) {
        append.reject(error as Error);
        served++;
      }
    }
    queue.length = 0;
  }

  async #askLog({ request, head, firstVersion }: Extract<Placed, { readonly kind: "askLog" }>): Promise<void> {
    await this.#wal.flush();
    const { events } = request;
    if (firstVersion + events.length - 1 > head.durableVersion) return; // an append before it failed: the stream is shorter now
    const ids = await this.#readIds(head, firstVersion, events.length);
    request.logAnswer = { firstVersion, isSame: events.every((event, index) => event.id === ids[index]) };
  }
}

/** Writes the events' envelopes into the batch, which has the room. */
function writeEvents(
  ledger: BatchLedger,
  head: StreamHead,
  first: PreparedEvent,
  others: readonly PreparedEvent[] | null,
): StreamPart {
  const recordIndex = ledger.batch.recordCount;
  const firstVersion = head.version + 1;
  writeEvent(ledger, head, first);
  if (others !== null) for (const event of others) writeEvent(ledger, head, event);
  return { firstVersion, eventCount: head.version - firstVersion + 1, recordIndex };
}

function writeEvent(ledger: BatchLedger, head: StreamHead, event: PreparedEvent): void {
  const { batch } = ledger;
  batch.addRecord(encodeEnvelope(batch.bytes, batch.recordOffset, head.field, head.version + 1, event));
  ledger.enter(head);
  if (event.id !== null) head.rememberId(event.id, head.version);
}

function bufferedResult(part: StreamPart, ledger: BatchLedger): BufferedResult {
  ledger.answerEarly();
  return { version: part.firstVersion + part.eventCount - 1, epoch: ledger.batch.epoch };
}

function checkAppendOptions(options: AppendOptions): void {
  if (typeof options !== "object" || options === null) checkOptionNames(options, APPEND_OPTIONS, "append");
  for (const name in options) {
    if (name !== "expectedVersion" && name !== "durability") checkOptionNames(options, APPEND_OPTIONS, "append");
  }
  const { durability } = options;
  if (durability !== undefined && !Object.hasOwn(SEAL_DEMANDS, durability)) {
    choiceOption(durability, "durability", DURABILITIES, "group");
  }
}

function bufferFull(message: string): StoreError {
  return new StoreError("ERR_WAL_BUFFER_FULL", message);
}

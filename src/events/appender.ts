/**
 * Appending: checks, judges the expected version, encodes into the writer's open batch.
 *
 * Everything that can refuse an append happens before the batch is touched; from there to the ticket nothing throws. The events of one
 * append, over however many streams, lie in one batch, which is one frame, so they are durable together or not at all.
 */

import { StoreError } from "../errors.js";
import { type Batch, checkOptionNames, choiceOption, type Wal } from "../wal/index.js";
import { encodeEnvelope, type PreparedEvent } from "./envelope.js";
import type { Durability, EventInput, ExpectedVersion } from "./event.js";
import {
  type AppendResult,
  type BufferedResult,
  PendingAppend,
  PendingStreamAppend,
  StreamPart,
} from "./pending-append.js";
import { checkStreamName, type EventPreparer } from "./prepare-event.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

export interface AppendOptions {
  /** Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
  /** Default: the store's. */
  readonly durability?: Durability;
}

/** One stream's share of `appendMany`. */
export interface StreamAppend<Event = EventInput> {
  readonly stream: string;
  readonly events: Event | readonly Event[];
  /** Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
}

export const DURABILITIES = ["sync", "group", "async", "asyncBatched"] as const satisfies readonly Durability[];
const APPEND_OPTIONS = ["expectedVersion", "durability"] as const;
const STREAM_APPEND_FIELDS = ["stream", "events", "expectedVersion"] as const;

/** Appends that wait for a buffer; one more is refused. */
const WAITING_APPENDS_MAX = 65_536;

interface PreparedPart {
  readonly stream: string;
  readonly expectedVersion: ExpectedVersion;
  readonly events: readonly PreparedEvent[];
  readonly hasIds: boolean;
  /** What the log says of these ids, when they are older than those that are remembered: asked at most once. */
  logAnswer: AppendResult | "different" | null;
}

/** Reads the ids of durable events of one stream from the log. */
export type ReadIds = (head: StreamHead, firstVersion: number, count: number) => Promise<string[]>;

/** What putting an append into a batch came to. */
type Placed =
  | { readonly kind: "placed"; readonly batch: Batch; readonly parts: readonly StreamPart[] }
  | { readonly kind: "noRoom" }
  | { readonly kind: "duplicate"; readonly results: AppendResult[] }
  /** The same ids are in a batch that is not durable yet. */
  | { readonly kind: "pendingDuplicate" }
  /** The ids may be in the stream, further back than is remembered. */
  | { readonly kind: "askLog"; readonly part: PreparedPart; readonly head: StreamHead };

export class Appender {
  readonly #wal: Wal;
  readonly #index: StreamIndex;
  readonly #preparer: EventPreparer;
  readonly #durability: Durability;
  readonly #readIds: ReadIds;
  #waitingCount = 0;
  #waitingTurn: Promise<unknown> = Promise.resolve();
  /** Set by `#capture`: the two functions of the promise that was just made, without a closure for each. */
  #resolve: ((result: AppendResult) => void) | null = null;
  #reject: ((error: StoreError) => void) | null = null;

  constructor(wal: Wal, index: StreamIndex, preparer: EventPreparer, durability: Durability, readIds: ReadIds) {
    this.#wal = wal;
    this.#index = index;
    this.#preparer = preparer;
    this.#durability = durability;
    this.#readIds = readIds;
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
      const part = this.#prepare(stream, events, options?.expectedVersion);
      this.#wal.assertWritable();
      if (this.#waitingCount === 0) {
        const placed = this.#place([part], durability);
        if (placed.kind === "placed") return this.#commitOne(placed, durability);
        if (placed.kind === "duplicate") return Promise.resolve(placed.results[0] as AppendResult);
      }
      if (!wait) throw bufferFull("the buffers are full");
      return this.#afterWaiting([part], durability).then((results) => results[0] as AppendResult | BufferedResult);
    } catch (error) {
      return Promise.reject(error as Error);
    }
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
      const parts = (appends as readonly StreamAppend[]).map((append) => {
        checkOptionNames(append, STREAM_APPEND_FIELDS, "appendMany");
        return this.#prepare(append.stream, append.events, append.expectedVersion);
      });
      if (new Set(parts.map((part) => part.stream)).size < parts.length) {
        throw new TypeError("appendMany takes each stream once");
      }
      this.#wal.assertWritable();
      if (parts.length === 0) return Promise.resolve([]);
      if (this.#waitingCount === 0) {
        const placed = this.#place(parts, durability);
        if (placed.kind === "placed") return this.#commitMany(placed, durability);
        if (placed.kind === "duplicate") return Promise.resolve(placed.results);
      }
      return this.#afterWaiting(parts, durability);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #prepare(
    stream: string,
    events: EventInput | readonly EventInput[],
    expectedVersion: ExpectedVersion = "any",
  ): PreparedPart {
    // A stream that exists has a name that was checked.
    if (this.#index.get(stream) === undefined) checkStreamName(stream);
    checkExpectedVersion(expectedVersion);
    const list = Array.isArray(events) ? (events as readonly EventInput[]) : [events as EventInput];
    if (list.length === 0) throw new TypeError("an append needs at least one event");
    const prepared = list.map((event) => this.#preparer.prepare(event));
    const hasIds = prepared.some((event) => event.id !== null);
    if (hasIds) checkOwnIds(prepared, stream);
    return { stream, expectedVersion, events: prepared, hasIds, logAnswer: null };
  }

  /** Puts the parts into one batch, or says why not. Throws for what the caller must hear; then nothing was changed. */
  #place(parts: readonly PreparedPart[], durability: Durability): Placed {
    const heads = parts.map((part) => this.#index.get(part.stream) ?? this.#index.add(part.stream));
    try {
      return this.#placeAt(heads, parts, durability);
    } catch (error) {
      for (const head of heads) this.#index.drop(head);
      throw error;
    }
  }

  #placeAt(heads: readonly StreamHead[], parts: readonly PreparedPart[], durability: Durability): Placed {
    let eventCount = 0;
    let byteLengthMax = 0;
    const duplicates: AppendResult[] = [];
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index] as PreparedPart;
      const head = heads[index] as StreamHead;
      const repeated = part.hasIds ? repeatedAppend(head, part) : null;
      if (repeated === "pending") return { kind: "pendingDuplicate" };
      if (repeated === "askLog") return { kind: "askLog", part, head };
      if (repeated !== null) {
        duplicates.push(repeated);
        continue;
      }
      judge(head, part.expectedVersion);
      for (const event of part.events) byteLengthMax += head.field.length + event.byteLengthMax;
      eventCount += part.events.length;
    }
    if (duplicates.length === parts.length) return { kind: "duplicate", results: duplicates };
    if (duplicates.length > 0) {
      throw duplicateIds(
        (parts[0] as PreparedPart).stream,
        "some of these streams have their events already, others not",
      );
    }
    const { appendBytesMax } = this.#wal;
    if (byteLengthMax > appendBytesMax) {
      const message = `the append takes up to ${byteLengthMax} bytes; a frame holds ${appendBytesMax}`;
      throw new StoreError("ERR_WAL_TOO_LARGE", message, { byteLength: byteLengthMax, appendBytesMax });
    }
    const batch = this.#wal.batchFor(eventCount, byteLengthMax, durability === "sync");
    if (batch === null) return { kind: "noRoom" };
    return { kind: "placed", batch, parts: parts.map((part, index) => write(batch, heads[index] as StreamHead, part)) };
  }

  #commitOne(placed: Placed & { kind: "placed" }, durability: Durability): Promise<AppendResult | BufferedResult> {
    const part = placed.parts[0] as StreamPart;
    if (durability === "sync" || durability === "group") {
      const promise = new Promise<AppendResult>(this.#capture);
      const ticket = new PendingStreamAppend(part, this.#resolve, this.#reject);
      this.#wal.add(placed.batch, ticket, durability === "sync" ? "now" : "turn");
      return promise;
    }
    this.#wal.add(placed.batch, new PendingStreamAppend(part, null, null), "later");
    return Promise.resolve({ version: part.head.version, epoch: placed.batch.epoch });
  }

  #commitMany(placed: Placed & { kind: "placed" }, durability: Durability): Promise<(AppendResult | BufferedResult)[]> {
    const { batch, parts } = placed;
    if (durability === "sync" || durability === "group") {
      return new Promise((resolve, reject) => {
        this.#wal.add(batch, new PendingAppend(parts, resolve, reject), durability === "sync" ? "now" : "turn");
      });
    }
    this.#wal.add(batch, new PendingAppend(parts, null, null), "later");
    return Promise.resolve(parts.map((part) => ({ version: part.head.version, epoch: batch.epoch })));
  }

  /** Waits for a buffer, behind those that waited before. */
  #afterWaiting(parts: readonly PreparedPart[], durability: Durability): Promise<(AppendResult | BufferedResult)[]> {
    if (this.#waitingCount === WAITING_APPENDS_MAX) {
      throw bufferFull(`${WAITING_APPENDS_MAX} appends wait for a buffer already`);
    }
    this.#waitingCount++;
    const turn = this.#waitingTurn.then(() => this.#placeWhenRoom(parts, durability));
    // The next one's turn comes when this one has its place, whatever becomes of it.
    this.#waitingTurn = turn.then(
      () => {},
      () => {},
    );
    return turn.then((answer) => answer.results);
  }

  /** The results are wrapped, so that the turn ends with the placing and not with the writing. */
  async #placeWhenRoom(
    parts: readonly PreparedPart[],
    durability: Durability,
  ): Promise<{ readonly results: Promise<(AppendResult | BufferedResult)[]> }> {
    try {
      for (;;) {
        this.#wal.assertWritable();
        const placed = this.#place(parts, durability);
        if (placed.kind === "placed") return { results: this.#commitMany(placed, durability) };
        if (placed.kind === "duplicate") return { results: Promise.resolve(placed.results) };
        if (placed.kind === "noRoom") await this.#wal.whenRoom();
        else if (placed.kind === "pendingDuplicate") await this.#wal.flush();
        else await this.#askLog(placed.part, placed.head);
      }
    } finally {
      this.#waitingCount--;
    }
  }

  async #askLog(part: PreparedPart, head: StreamHead): Promise<void> {
    await this.#wal.flush();
    const first = expectedFirstVersion(part.expectedVersion) as number;
    const result = duplicateResult(head, first, part.events.length);
    if (result === null) return; // an append before it failed: the stream is shorter now
    const ids = await this.#readIds(head, first, part.events.length);
    part.logAnswer = part.events.every((event, index) => event.id === ids[index]) ? result : "different";
  }
}

/** The version that the append's first event would have, where the caller says it. */
function expectedFirstVersion(expected: ExpectedVersion): number | null {
  if (expected === "absent") return 1;
  return typeof expected === "number" ? expected + 1 : null;
}

/** @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` */
function judge(head: StreamHead, expected: ExpectedVersion): void {
  if (expected === "any") return;
  const { name, version } = head;
  const fits = expected === "exists" ? version > 0 : expected === "absent" ? version === 0 : version === expected;
  if (fits) return;
  const message = `stream ${name} is at version ${version}, expected ${expected}`;
  throw new StoreError("ERR_EVENTS_VERSION_CONFLICT", message, { stream: name, expected, actual: version });
}

/** Writes the part's envelopes into the batch, which has the room. */
function write(batch: Batch, head: StreamHead, part: PreparedPart): StreamPart {
  const { events } = part;
  const recordIndex = batch.recordCount;
  const firstVersion = head.version + 1;
  for (let index = 0; index < events.length; index++) {
    const event = events[index] as PreparedEvent;
    const version = firstVersion + index;
    batch.addRecord(encodeEnvelope(batch.bytes, batch.recordOffset, head.field, version, event));
    if (event.id !== null) head.rememberId(event.id, version);
  }
  head.version += events.length;
  return new StreamPart(head, firstVersion, events.length, recordIndex);
}

function checkAppendOptions(options: AppendOptions): void {
  for (const name in options) {
    if (name !== "expectedVersion" && name !== "durability") checkOptionNames(options, APPEND_OPTIONS, "append");
  }
  const { durability } = options;
  if (durability !== undefined && durability !== "group") choiceOption(durability, "durability", DURABILITIES, "group");
}

function checkExpectedVersion(expected: ExpectedVersion): void {
  if (expected === "any" || expected === "exists" || expected === "absent") return;
  if (typeof expected !== "number" || !Number.isSafeInteger(expected) || expected < 0) {
    throw new TypeError(`expectedVersion must be a version ≥ 0, "any", "exists" or "absent", not ${String(expected)}`);
  }
}

function checkOwnIds(events: readonly PreparedEvent[], stream: string): void {
  const seen = new Set<string>();
  for (const { id } of events) {
    if (id === null) continue;
    if (seen.has(id)) throw duplicateIds(stream, `the id ${id} stands twice in one append`);
    seen.add(id);
  }
}

/**
 * The result of the append that wrote these very ids before; null when it is a new one; `"pending"` when that append is not durable
 * yet; `"askLog"` when only the log can tell, because the version is further back than ids are remembered.
 */
function repeatedAppend(head: StreamHead, part: PreparedPart): AppendResult | "pending" | "askLog" | null {
  const { events, expectedVersion, logAnswer } = part;
  if (logAnswer !== null) return logAnswer === "different" ? null : logAnswer;
  const versions = events.map(({ id }) => (id === null ? undefined : head.recentIds?.get(id)));
  const expectedFirst = expectedFirstVersion(expectedVersion);
  if (versions.every((version) => version === undefined)) {
    const allHaveIds = events.every(({ id }) => id !== null);
    const mayBeOlder = expectedFirst !== null && allHaveIds && expectedFirst + events.length - 1 <= head.version;
    return mayBeOlder ? "askLog" : null;
  }
  const first = versions[0];
  const inOrder = first !== undefined && versions.every((version, index) => version === first + index);
  if (!inOrder || (expectedFirst !== null && first !== expectedFirst)) {
    throw duplicateIds(head.name, "some of these event ids are in the stream, but not as this append");
  }
  return duplicateResult(head, first, events.length) ?? "pending";
}

/** Null when the events are not durable yet. */
function duplicateResult(head: StreamHead, firstVersion: number, eventCount: number): AppendResult | null {
  const version = firstVersion + eventCount - 1;
  const lsn = head.lsns[version - 1];
  return lsn === undefined ? null : { version, lsn, created: firstVersion === 1, duplicate: true };
}

function duplicateIds(stream: string, message: string): StoreError {
  return new StoreError("ERR_EVENTS_DUPLICATE_ID", message, { stream });
}

function bufferFull(message: string): StoreError {
  return new StoreError("ERR_WAL_BUFFER_FULL", message);
}

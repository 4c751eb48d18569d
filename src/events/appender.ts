/**
 * Appending: checks, and puts events into the writer's open batch.
 *
 * Everything that can refuse an append happens before the batch is touched; from there on nothing throws. The events of one append, over
 * however many streams, lie in one batch, which is one frame, so they are durable together or not at all.
 */

import { StoreError } from "../errors.js";
import { checkOptionNames, choiceOption, type SealDemand, type Wal } from "../wal/index.js";
import { AppendPlacer, type Placed, writeEvent } from "./append-placer.js";
import { AppendQueue, type Retry } from "./append-queue.js";
import {
  type AppendRequest,
  checkExpectedVersion,
  guardRequest,
  isAsExpected,
  prepareRequest,
} from "./append-request.js";
import {
  type AppendResult,
  type BatchLedger,
  type BufferedResult,
  EventWaiter,
  resultOf,
  type StreamPart,
} from "./batch-ledger.js";
import type { Durability, EventInput, ExpectedVersion } from "./event.js";
import { HeadClaims, LOCKED, type Obstacle } from "./head-claims.js";
import { LedgerBook } from "./ledger-book.js";
import type { LostBatches } from "./lost-batches.js";
import type { EventPreparer } from "./prepare-event.js";
import type { StreamGuard } from "./retention.js";
import type { RetentionGate } from "./retention-gate.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";
import { refuseSubjects, type Subjects } from "./subjects.js";

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

/** How the appender reads the log. */
export interface StreamHistory {
  /** False: certainly nothing of the stream is sealed. */
  mayBeSealed(stream: string): boolean;
  /** Resolves when all is known that was said of streams up to W. */
  learnRetention(): Promise<void>;
  /** Resolves when the base of the head is known: the version with which its stream is sealed. */
  findBase(head: StreamHead): Promise<void>;
  /** Resolves when every event that is visible now is indexed or sealed. */
  catchUp(): Promise<void>;
  /** Has the head remember the newest ids of its stream, where it knows none. */
  loadIds(head: StreamHead): Promise<void>;
  /** The ids of events of a stream, all of which are visible, and the LSN of the last. */
  readIds(
    stream: string,
    firstVersion: number,
    count: number,
  ): Promise<{ readonly ids: string[]; readonly lastLsn: number }>;
}

/** What a store is opened with, as far as it concerns appending. */
export interface AppenderOptions {
  readonly durability: Durability;
  readonly busyWaitMs: number;
}

/** An append on its general way. It is answered directly, not through further promises, so that appends resolve in the order of their LSNs. */
interface PendingAppend {
  readonly requests: readonly AppendRequest[];
  readonly heads: readonly StreamHead[];
  readonly durability: Durability;
  readonly isAlone: boolean;
  readonly resolve: (results: (AppendResult | BufferedResult)[]) => void;
  readonly reject: (error: Error) => void;
  /** Since when it has found one lock or another taken; 0: it has not. */
  lockedSinceMs: number;
}

export class Appender {
  readonly #wal: Wal;
  readonly #index: StreamIndex;
  readonly #preparer: EventPreparer;
  readonly #options: AppenderOptions;
  readonly #history: StreamHistory;
  readonly #gate: RetentionGate;
  readonly #claims: HeadClaims;
  readonly #book: LedgerBook;
  readonly #placer: AppendPlacer;
  readonly #queue: AppendQueue<PendingAppend>;
  /** Null: events with a subject are refused. */
  subjects: Subjects | null = null;
  /** Set by `#capture`: the two functions of the promise that was just made, without a closure for each. */
  #resolve: (result: AppendResult) => void = () => {};
  #reject: (error: StoreError) => void = () => {};

  constructor(
    wal: Wal,
    index: StreamIndex,
    preparer: EventPreparer,
    options: AppenderOptions,
    gate: RetentionGate,
    history: StreamHistory,
  ) {
    this.#wal = wal;
    this.#gate = gate;
    this.#index = index;
    this.#preparer = preparer;
    this.#options = options;
    this.#history = history;
    this.#claims = new HeadClaims(wal);
    this.#book = new LedgerBook(index, this.#claims);
    this.#placer = new AppendPlacer(wal, this.#claims, this.#book, gate, ({ name }) => history.mayBeSealed(name));
    this.#queue = new AppendQueue(
      (append) => this.#attempt(append),
      () => wal.whenRoom(),
      options.busyWaitMs,
    );
  }

  /** Batches that were not written, which the async modes had answered for already. */
  get lostBatches(): LostBatches {
    return this.#book.lostBatches;
  }

  /** Appends that have no place in a batch yet. */
  get waitingCount(): number {
    return this.#queue.length;
  }

  /** The stream's version for readers, over all writers; null when it is the one with which it is sealed. */
  async visibleVersion(stream: string): Promise<number | null> {
    for (;;) {
      const version = this.#claims.visibleVersion(stream, this.#index.get(stream));
      if (typeof version !== "object" || version === null) return version;
      await this.#claims.passed(version);
      assertReadable(this.#wal.status);
    }
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
      const durability = options?.durability ?? this.#options.durability;
      this.#wal.assertWritable();
      if (!this.#queue.awaitsRoom) {
        const answer = this.#appendOne(stream, events, options?.expectedVersion, durability);
        if (answer !== null) return answer;
      }
      const requests = [prepareRequest(this.#index, this.#preparer, stream, events, options?.expectedVersion)];
      const begin = (): Promise<AppendResult | BufferedResult> =>
        new Promise((resolve, reject) => {
          const one = (results: (AppendResult | BufferedResult)[]): void =>
            resolve(results[0] as AppendResult | BufferedResult);
          this.#begin(requests, durability, { resolve: one, reject }, wait);
        });
      return this.#sealed(requests)?.then(begin) ?? begin();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /**
   * The common case without the arrays of the general one: one event without an id for a stream that this writer was the last to write to.
   * Null, with nothing changed, when it is not that, or when it has to wait, or will be refused.
   */
  #appendOne(
    stream: string,
    events: EventInput | readonly EventInput[],
    expected: ExpectedVersion = "any",
    durability: Durability,
  ): Promise<AppendResult | BufferedResult> | null {
    const head = this.#index.get(stream);
    const event = Array.isArray(events) ? (events as readonly EventInput[])[0] : (events as EventInput);
    if (head === undefined || head.claimedEpoch === 0 || head.waitingCount > 0) return null;
    const wasFree = this.#claims.isFree(head);
    if (this.#gate.isAnythingSaidOf(stream)) return null;
    if (event === undefined || (Array.isArray(events) && events.length > 1)) return null;
    if ((event as EventInput | null)?.id !== undefined) return null;
    if (expected !== "any") {
      checkExpectedVersion(expected);
      if (!isAsExpected(head.claimedVersion, expected)) return null;
    }
    const prepared = this.#preparer.prepareShared(event);
    if (prepared.subject !== null) return null;
    const byteLengthMax = head.field.length + prepared.byteLengthMax;
    if (byteLengthMax > this.#wal.appendBytesMax) return null;
    const batch = this.#wal.batchFor(1, byteLengthMax, durability === "sync");
    if (batch === null) return null;
    // What ran while the event was prepared can have appended too.
    const version = head.claimedVersion;
    if (head.waitingCount > 0 || !isAsExpected(version, expected)) return null;
    // Whoever tombstones a stream takes its head away from who claimed it last, so that extending the claim fails.
    if (head.claimedEpoch === 0 || head.isClaimOwed || !this.#gate.isCurrent) return null;
    if (!this.#book.extend(head, batch, wasFree)) return null;
    const ledger = this.#book.of(batch);
    const recordIndex = batch.recordCount;
    writeEvent(ledger, head, version + 1, prepared);
    return this.#answerOne(ledger, version + 1, recordIndex, durability);
  }

  #answerOne(
    ledger: BatchLedger,
    version: number,
    recordIndex: number,
    durability: Durability,
  ): Promise<AppendResult | BufferedResult> {
    const { batch } = ledger;
    const demand = SEAL_DEMANDS[durability];
    if (isBuffered(durability)) {
      ledger.answerEarly();
      this.#wal.demand(batch, demand);
      return Promise.resolve({ version, epoch: batch.epoch });
    }
    const promise = new Promise<AppendResult>(this.#capture);
    ledger.wait(new EventWaiter(version, recordIndex, this.#resolve, this.#reject));
    this.#wal.demand(batch, demand);
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
      const durability = choiceOption(options?.durability, "durability", DURABILITIES, this.#options.durability);
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
      const begin = (): Promise<(AppendResult | BufferedResult)[]> =>
        new Promise((resolve, reject) => this.#begin(requests, durability, { resolve, reject }, true));
      return this.#sealed(requests)?.then(begin) ?? begin();
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Has the content of events with a subject encrypted: null when it is, else they wait for a key that is made for them. */
  #sealed(requests: readonly AppendRequest[]): Promise<void> | null {
    if (this.subjects !== null) return this.subjects.seal(requests);
    refuseSubjects(requests);
    return null;
  }

  /** Appends one event, durably, if another stream is what it is expected to be at that moment; nothing is written to that one. */
  appendGuarded(stream: string, event: EventInput, guard: StreamGuard | null): Promise<AppendResult> {
    try {
      this.#wal.assertWritable();
      const requests = [prepareRequest(this.#index, this.#preparer, stream, event)];
      if (guard !== null) requests.push(guardRequest(guard.stream, guard.expectedVersion));
      return new Promise((resolve, reject) => {
        const one = (results: (AppendResult | BufferedResult)[]): void => resolve(results[0] as AppendResult);
        this.#begin(requests, "group", { resolve: one, reject }, true);
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Places the append now, or has it wait. Throws for what the caller must hear. */
  #begin(
    requests: readonly AppendRequest[],
    durability: Durability,
    answer: Pick<PendingAppend, "resolve" | "reject">,
    wait: boolean,
  ): void {
    const heads = requests.map(({ stream }) => this.#index.get(stream) ?? this.#index.add(stream));
    const append = { requests, heads, durability, isAlone: durability === "sync", ...answer, lockedSinceMs: 0 };
    try {
      if (this.#queue.awaitsRoom && !wait) throw bufferFull("other appends wait for a buffer already");
      const isHeld = this.#queue.holds(heads);
      const retry = isHeld ? null : this.#attempt(append);
      if (!isHeld && retry === null) return;
      if (retry === "room" && !wait) throw bufferFull("the buffers are full");
      this.#queue.add(append, retry);
    } finally {
      for (const head of heads) this.#index.drop(head);
    }
  }

  /** Tries to make the append; says when it is worth to try again. Throws for what the caller must hear. */
  #attempt(append: PendingAppend): Retry {
    this.#wal.assertWritable();
    for (const head of append.heads) this.#index.refreshed(head);
    const placed = this.#placer.place(append);
    switch (placed.kind) {
      case "placed":
        this.#answer(append, placed);
        return null;
      case "duplicate":
        append.resolve(placed.results);
        return null;
      case "noRoom":
        return "room";
      case "blocked":
        return this.#passed(append, placed.obstacle);
      case "unheard":
        return this.#learnRetention(append);
      case "sealed":
        return this.#findBases(placed.heads);
      case "unread":
        return this.#readIds(append);
      case "askLog":
        return this.#askLog(placed);
    }
  }

  /** Answers an append that is placed, as its durability says. */
  #answer(append: PendingAppend, { ledger, parts }: Extract<Placed, { readonly kind: "placed" }>): void {
    const { durability, resolve, reject } = append;
    const demand = SEAL_DEMANDS[durability];
    if (isBuffered(durability)) {
      resolve(parts.map((part) => bufferedResult(part, ledger)));
    } else {
      const committed = (firstLsn: number): void => resolve(parts.map((part) => resultOf(part, firstLsn)));
      ledger.wait({ committed, failed: reject });
    }
    this.#wal.demand(ledger.batch, demand);
  }

  #passed(append: PendingAppend, obstacle: Obstacle): Promise<void> {
    if (obstacle.kind !== "locked") {
      append.lockedSinceMs = 0;
    } else {
      const nowMs = performance.now();
      if (append.lockedSinceMs === 0) append.lockedSinceMs = nowMs;
      else if (nowMs - append.lockedSinceMs > this.#options.busyWaitMs) throw headBusy(append);
    }
    return this.#claims.passed(obstacle);
  }

  /** What another writer says at this moment is heard when it is durable. */
  async #learnRetention(append: PendingAppend): Promise<void> {
    await this.#wal.flush();
    await this.#history.learnRetention();
    this.#wal.assertWritable();
    if (!this.#gate.isCurrent) await this.#passed(append, LOCKED);
    else append.lockedSinceMs = 0;
  }

  async #findBases(heads: readonly StreamHead[]): Promise<void> {
    await Promise.all(heads.map((head) => this.#history.findBase(head)));
  }

  async #catchUp(): Promise<void> {
    await this.#wal.flush();
    await this.#history.catchUp();
  }

  async #readIds({ requests, heads }: PendingAppend): Promise<void> {
    await this.#catchUp();
    for (const [index, head] of heads.entries())
      if (requests[index]?.hasIds === true) await this.#history.loadIds(head);
  }

  async #askLog({ request, head, firstVersion }: Extract<Placed, { readonly kind: "askLog" }>): Promise<void> {
    await this.#catchUp();
    const { events } = request;
    this.#index.refreshed(head);
    if (firstVersion + events.length - 1 > head.indexedVersion) return; // an append before it failed: the stream is shorter now
    const { ids, lastLsn } = await this.#history.readIds(head.name, firstVersion, events.length);
    request.logAnswer = { firstVersion, isSame: events.every((event, index) => event.id === ids[index]), lastLsn };
  }
}

function assertReadable(status: Wal["status"]): void {
  if (status === "closed") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
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
  // Asking the list takes 30 ns, an append a microsecond.
  const isKnown =
    durability === undefined ||
    durability === "group" ||
    durability === "sync" ||
    durability === "async" ||
    durability === "asyncBatched";
  if (!isKnown) choiceOption(durability, "durability", DURABILITIES, "group");
}

function bufferFull(message: string): StoreError {
  return new StoreError("ERR_WAL_BUFFER_FULL", message);
}

function headBusy({ requests }: PendingAppend): StoreError {
  const streams = requests.map(({ stream }) => stream).join(", ");
  const message = `another writer holds the head of ${streams} and does not go on; nothing was written`;
  return new StoreError("ERR_WAL_BUSY", message, { streams });
}

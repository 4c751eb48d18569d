/**
 * One writer of the chaos test: opens the store, appends from several callers at once, closes and opens again when it is told to, and says
 * what happens in lines:
 *
 *     opening LIFE            open LIFE MS recovered|attached         retry LIFE CODE         closed LIFE
 *     ack NAME LSN:VERSION…   durable NAME LSN (of an append that was buffered; LSN is a bound)
 *     refused CODE [NAME]     stall MS (the longest so far)           fail JSON
 *
 * Each line is written at once and before the caller's next append: what was said before a kill is in the pipe.
 */

import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import {
  type AppendResult,
  type BufferedResult,
  type Durability,
  type ExpectedVersion,
  isStoreError,
  openStore,
  type Store,
  type StoreError,
} from "../../../src/index.js";
import {
  type ChaosPart,
  eventsOf,
  type LeaveOrder,
  numbersFrom,
  onceName,
  onceStream,
  privateStream,
  raceStream,
  receiptOf,
  SHARED_STREAMS,
  type WriterTask,
} from "../chaos-plan.js";

const BURST_MAX = 12;
const CONFLICT_TRIES_MAX = 6;
const CHECKPOINT_PAUSE_MS = 1000;
const OPEN_RETRY_MS = 20;
const STALL_STEP_MS = 5;

/** Writes the whole line, however the pipe takes it. */
export function sayOn(fd: number, line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

export function failureLine(error: unknown): string {
  const { stack = String(error), code, details } = error as Partial<StoreError>;
  return `fail ${JSON.stringify({ stack, code, details })}`;
}

/** What an append came to. */
type Outcome<Result> =
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "conflict"; readonly stream: string; readonly actual: number }
  /** Held up by another writer; nothing was written. */
  | { readonly kind: "busy" }
  /** The store closes; whether it was written does not matter. */
  | { readonly kind: "closed" };

interface Caller {
  readonly place: number;
  readonly privateStream: string;
  readonly onceStream: string;
  /** The version after the last append that answered; null before the first one since opening. */
  privateVersion: number | null;
  onceVersion: number;
  /** Whether what it appends to its once-stream may have got through before. */
  mayRepeatOnce: boolean;
  next: number;
}

export class ChaosWriter {
  readonly #task: WriterTask;
  readonly #say: (line: string) => void;
  readonly #random: () => number;
  readonly #callers: readonly Caller[];
  #life = "";
  #openings = 0;
  #store: Store | null = null;
  #leaving: LeaveOrder | null = null;
  #closing: Promise<void> | null = null;
  #outstanding = 0;
  #progressAtMs = 0;
  #stallMsMax = 0;

  constructor(task: WriterTask, say: (line: string) => void) {
    this.#task = task;
    this.#say = say;
    this.#random = numbersFrom(task.seed);
    this.#callers = Array.from({ length: task.callers }, (_, place) => {
      const stream = onceStream(task.writer, place);
      return {
        place,
        privateStream: privateStream(task.writer, place),
        onceStream: stream,
        privateVersion: null,
        onceVersion: task.onceVersions[stream] ?? 0,
        mayRepeatOnce: true,
        next: 0,
      };
    });
  }

  /** Resolves when it was told to stop and has closed the store. */
  async run(): Promise<void> {
    for (;;) {
      const store = await this.#open();
      const calls = this.#callers.map((caller) => this.#call(store, caller));
      await Promise.all([...calls, this.#makeCheckpoints(store)]);
      const leaving = this.#leaving as LeaveOrder; // or the callers would not have ended
      this.#closing ??= store.close();
      await this.#closing;
      this.#closing = null;
      this.#store = null;
      this.#say(`closed ${this.#life}`);
      if (leaving.leave === "stop") return;
      await delay(leaving.restMs);
      // A stop that came meanwhile must not be lost.
      if ((this.#leaving as LeaveOrder).leave === "stop") return;
      this.#leaving = null;
    }
  }

  /** A stop is never taken back by a reopening. */
  leave(how: LeaveOrder): void {
    if (this.#leaving?.leave === "stop") return;
    this.#leaving = how;
    if (how.drain || this.#store === null || this.#closing !== null) return;
    this.#closing = this.#store.close();
    this.#closing.catch(() => {}); // `run` awaits it too, and throws
  }

  async #open(): Promise<Store> {
    const { directory, life, segmentBytes, busyWaitMs } = this.#task;
    this.#life = `${life}.${this.#openings++}`;
    this.#say(`opening ${this.#life}`);
    const startedMs = performance.now();
    for (;;) {
      try {
        this.#store = await openStore(directory, { segmentBytes, busyWaitMs, flushIntervalMs: 3, onWaiting: () => {} });
        break;
      } catch (error) {
        if (!isStoreError(error, "ERR_STORE_BUSY")) throw error;
        this.#say(`retry ${this.#life} ${error.code}`);
        await delay(OPEN_RETRY_MS);
      }
    }
    const how = this.#store.recovery.row === "attached" ? "attached" : "recovered";
    this.#say(`open ${this.#life} ${(performance.now() - startedMs).toFixed(0)} ${how}`);
    for (const caller of this.#callers) {
      caller.privateVersion = null;
      caller.mayRepeatOnce = true;
      caller.next = 0;
    }
    return this.#store;
  }

  async #call(store: Store, caller: Caller): Promise<void> {
    const { pauseMs } = this.#task;
    while (this.#leaving === null) {
      // A few appends one behind the other, then a pause for all of them.
      const burst = 1 + this.#integer(BURST_MAX);
      for (let count = 0; count < burst && this.#leaving === null; count++) await this.#appendSomething(store, caller);
      await delay(burst * pauseMs * 2 * this.#random());
    }
  }

  /** Now and then, whoever else makes one: they kill each other in the middle of it. */
  async #makeCheckpoints(store: Store): Promise<void> {
    while (this.#leaving === null) {
      await delay(CHECKPOINT_PAUSE_MS * this.#random());
      if (this.#leaving !== null || this.#integer(4) > 0) continue;
      try {
        await store.checkpoint();
      } catch (error) {
        const mayBeClosed = isStoreError(error, "ERR_STORE_CLOSED") && this.#leaving !== null;
        if (!mayBeClosed && !isStoreError(error, "ERR_STORE_BUSY")) throw error;
      }
    }
  }

  #integer(maxExclusive: number): number {
    return Math.floor(this.#random() * maxExclusive);
  }

  #shared(): string {
    return SHARED_STREAMS[this.#integer(SHARED_STREAMS.length)] as string;
  }

  #durability(): Durability {
    return this.#integer(8) === 0 ? "sync" : "group";
  }

  #nameFor(caller: Caller): string {
    return `${this.#life}.${caller.place}.${caller.next++}`;
  }

  #appendSomething(store: Store, caller: Caller): Promise<void> {
    const chance = this.#integer(100);
    if (chance < 25) return this.#appendShared(store, caller);
    if (chance < 45) return this.#appendAtVersion(store, caller);
    if (chance < 60) return this.#appendPrivate(store, caller);
    if (chance < 66) return this.#appendFresh(store, caller);
    if (chance < 71) return this.#race(store, caller);
    if (chance < 85) return this.#appendOverStreams(store, caller);
    if (chance < 95) return this.#appendOnce(store, caller);
    return this.#appendBuffered(store, caller);
  }

  /**
   * Does it, and meters how long the writer has waited for an acknowledgement. Throws what no append may come to. `name` is null where
   * an append of that name can be there already: then a refusal proves nothing.
   */
  async #try<Result>(name: string | null, work: () => Promise<Result>): Promise<Outcome<Result>> {
    if (this.#outstanding++ === 0) this.#progressAtMs = performance.now();
    try {
      const result = await work();
      const now = performance.now();
      const stallMs = now - this.#progressAtMs;
      this.#progressAtMs = now;
      if (stallMs > this.#stallMsMax + STALL_STEP_MS) {
        this.#stallMsMax = stallMs;
        this.#say(`stall ${stallMs.toFixed(0)}`);
      }
      return { kind: "done", result };
    } catch (error) {
      if (!isStoreError(error)) throw error;
      if (error.code === "ERR_STORE_CLOSED" && this.#leaving !== null) return { kind: "closed" };
      if (error.code !== "ERR_EVENTS_VERSION_CONFLICT" && error.code !== "ERR_WAL_BUSY") throw error;
      this.#say(`refused ${error.code}${name === null ? "" : ` ${name}`}`);
      if (error.code === "ERR_WAL_BUSY") return { kind: "busy" };
      const { stream, actual } = error.details;
      return { kind: "conflict", stream: stream as string, actual: actual as number };
    } finally {
      this.#outstanding--;
    }
  }

  /** One stream's append; acknowledged before it returns. */
  async #append(
    store: Store,
    name: string,
    part: ChaosPart,
    expectedVersion: ExpectedVersion,
    hasId: boolean,
    mayBeThere = false,
  ): Promise<Outcome<AppendResult>> {
    const [events] = eventsOf(name, [part], hasId) as [ReturnType<typeof eventsOf>[number]];
    const durability = this.#durability();
    const outcome = await this.#try(mayBeThere ? null : name, () =>
      store.append(part.stream, events, { expectedVersion, durability }),
    );
    if (outcome.kind === "done") this.#say(`ack ${receiptOf(name, [outcome.result])}`);
    return outcome;
  }

  #events(stream: string): ChaosPart {
    return { stream, events: 1 + this.#integer(3) };
  }

  async #appendShared(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    requireNew(name, await this.#append(store, name, this.#events(this.#shared()), "any", this.#integer(4) === 0));
  }

  async #appendAtVersion(store: Store, caller: Caller): Promise<void> {
    const stream = this.#shared();
    let expected = await store.streamVersion(stream);
    for (let tries = 0; tries < CONFLICT_TRIES_MAX; tries++) {
      const name = this.#nameFor(caller);
      const part = this.#events(stream);
      const hasId = this.#integer(2) === 0;
      const outcome = await this.#append(store, name, part, expected, hasId);
      if (outcome.kind === "conflict") {
        expected = outcome.actual;
        continue;
      }
      if (requireNew(name, outcome) !== null && hasId && this.#integer(3) === 0) {
        // The very same again, as after a lost answer: must be recognised, and say the same.
        const again = await this.#append(store, name, part, expected, hasId, true);
        if (again.kind === "conflict" || (again.kind === "done" && !again.result.duplicate)) {
          throw new Error(`${name} was appended to ${stream} a second time: ${JSON.stringify(again)}`);
        }
      }
      return;
    }
  }

  /** What nobody else appends to: no conflict but for the first guess after opening. */
  async #privateVersion(store: Store, caller: Caller): Promise<number> {
    return caller.privateVersion ?? (await store.streamVersion(caller.privateStream));
  }

  #requirePrivate(name: string, caller: Caller, actual: number): void {
    if (caller.privateVersion !== null) {
      const { privateStream: stream, privateVersion } = caller;
      throw new Error(
        `${name}: ${stream} is at version ${actual}, and this caller, its only one, left it at ${privateVersion}`,
      );
    }
    caller.privateVersion = actual;
  }

  async #appendPrivate(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    const part = this.#events(caller.privateStream);
    const expected = await this.#privateVersion(store, caller);
    const outcome = await this.#append(store, name, part, expected, this.#integer(4) === 0);
    if (outcome.kind === "conflict") return this.#requirePrivate(name, caller, outcome.actual);
    const result = requireNew(name, outcome);
    if (result === null) return;
    caller.privateVersion = expected + part.events;
    if (result.version !== caller.privateVersion) throw new Error(`${name}: at version ${result.version}`);
  }

  async #appendFresh(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    const part = this.#events(`fresh-${name}`);
    const outcome = await this.#append(store, name, part, "absent", false);
    const result = requireNew(name, outcome);
    if (result === null) return;
    if (!result.created) throw new Error(`${name}: its stream is new, and yet it was there`);
    if (this.#integer(4) > 0) return;
    const again = this.#nameFor(caller);
    const refused = await this.#append(store, again, part, "absent", false);
    if (refused.kind === "done") throw new Error(`${again}: ${part.stream} was there, and taken for absent`);
  }

  async #race(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    const outcome = await this.#append(store, name, this.#events(raceStream(Date.now())), "absent", false);
    if (outcome.kind !== "conflict") requireNew(name, outcome);
  }

  async #appendOverStreams(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    const hasId = this.#integer(4) === 0;
    const expectedPrivate = await this.#privateVersion(store, caller);
    const streams = new Set([caller.privateStream, this.#shared()]);
    for (let more = this.#integer(3); more > 0; more--) streams.add(this.#shared());
    const parts = [...streams].map((stream) => this.#events(stream));
    if (this.#integer(2) === 0) parts.reverse();
    const expectations: ExpectedVersion[] = [];
    for (const { stream } of parts) {
      if (stream === caller.privateStream) expectations.push(expectedPrivate);
      else expectations.push(this.#integer(3) === 0 ? await store.streamVersion(stream) : "any");
    }
    const events = eventsOf(name, parts, hasId);
    const appends = parts.map(({ stream }, index) => ({
      stream,
      events: events[index] as (typeof events)[number],
      expectedVersion: expectations[index] as ExpectedVersion,
    }));
    const outcome = await this.#try(name, () => store.appendMany(appends, { durability: this.#durability() }));
    if (outcome.kind === "conflict" && outcome.stream === caller.privateStream) {
      return this.#requirePrivate(name, caller, outcome.actual);
    }
    if (outcome.kind !== "done") return;
    this.#say(`ack ${receiptOf(name, outcome.result)}`);
    const index = parts.findIndex(({ stream }) => stream === caller.privateStream);
    caller.privateVersion = (outcome.result[index] as AppendResult).version;
    if (caller.privateVersion !== expectedPrivate + (parts[index] as ChaosPart).events) {
      throw new Error(`${name}: ${caller.privateStream} is at version ${caller.privateVersion} after it`);
    }
  }

  /** Tries the next version of its once-stream, which a writer before it may have got through without anybody hearing of it. */
  async #appendOnce(store: Store, caller: Caller): Promise<void> {
    const version = caller.onceVersion + 1;
    const name = onceName(caller.onceStream, version);
    const part = { stream: caller.onceStream, events: 1 };
    const expected = this.#integer(2) === 0 ? "any" : caller.onceVersion;
    const outcome = await this.#append(store, name, part, expected, true, true);
    if (outcome.kind === "conflict") throw new Error(`${name}: the stream is at version ${outcome.actual} already`);
    if (outcome.kind !== "done") return;
    const { duplicate, version: actual } = outcome.result;
    if (actual !== version) throw new Error(`${name} has version ${actual}`);
    if (duplicate && !caller.mayRepeatOnce) throw new Error(`${name} was never tried before, and yet it was there`);
    if (!duplicate) caller.mayRepeatOnce = false;
    caller.onceVersion = version;
  }

  async #appendBuffered(store: Store, caller: Caller): Promise<void> {
    const name = this.#nameFor(caller);
    const part = this.#events(this.#shared());
    const [events] = eventsOf(name, [part], false) as [ReturnType<typeof eventsOf>[number]];
    const durability = this.#integer(2) === 0 ? "async" : "asyncBatched";
    const outcome = await this.#try(name, async () => {
      const result: BufferedResult = await store.append(part.stream, events, { durability });
      return store.whenDurable(result.epoch);
    });
    if (outcome.kind === "done") this.#say(`durable ${name} ${outcome.result.lsn}`);
  }
}

/** The result of an append that nothing stood against, or null when it came to nothing. */
function requireNew(name: string, outcome: Outcome<AppendResult>): AppendResult | null {
  if (outcome.kind === "conflict") throw new Error(`${name}: a conflict at version ${outcome.actual}, expected none`);
  if (outcome.kind !== "done") return null;
  if (outcome.result.duplicate) throw new Error(`${name} was never tried before, and yet it was there`);
  return outcome.result;
}

/**
 * Appends that cannot be made yet, in the order in which they were asked for.
 *
 * What waits for a buffer holds up all that come later, for there is no room for them either. What waits for one of its streams holds up
 * only later appends to these streams: those to others pass it.
 */

import { StoreError } from "../errors.js";
import type { StreamHead } from "./stream-index.js";

/** Appends that wait, over all streams; one more is refused. */
const WAITING_APPENDS_MAX = 65_536;

export interface QueuedAppend {
  readonly heads: readonly StreamHead[];
  readonly reject: (error: Error) => void;
}

/** Null: the append is answered. Else when it is worth to try again: when a buffer is free, or when the promise resolves. */
export type Retry = null | "room" | Promise<void>;

interface Entry<Append> {
  readonly append: Append;
  readonly sinceMs: number;
  /** Whether what it waits for is still to come. */
  isPausing: boolean;
  /** Why it will never come. */
  error: Error | null;
}

export class AppendQueue<Append extends QueuedAppend> {
  readonly #attempt: (append: Append) => Retry;
  readonly #whenRoom: () => Promise<void>;
  readonly #entries: Entry<Append>[] = [];
  #awaitsRoom = false;
  #scanNumber = 0;
  #isScanDue = false;
  readonly #roomWaitMs: number;
  #roomTimer: NodeJS.Timeout | null = null;

  /**
   * What `attempt` throws is what the append is rejected with. Where no buffer comes free for `roomWaitMs`, those that waited for one so long
   * are rejected with `ERR_WAL_BUSY`.
   */
  constructor(attempt: (append: Append) => Retry, whenRoom: () => Promise<void>, roomWaitMs: number) {
    this.#attempt = attempt;
    this.#whenRoom = whenRoom;
    this.#roomWaitMs = roomWaitMs;
  }

  /** Appends that wait. */
  get length(): number {
    return this.#entries.length;
  }

  /** Whether there is no buffer, so that everything waits. */
  get awaitsRoom(): boolean {
    return this.#awaitsRoom;
  }

  /** Whether an append to these streams has to wait behind others. */
  holds(heads: readonly StreamHead[]): boolean {
    return this.#awaitsRoom || heads.some((head) => head.waitingCount > 0);
  }

  /**
   * Adds an append that was tried and has to wait until `retry`, or one that others hold up: null.
   *
   * @throws StoreError `ERR_WAL_BUFFER_FULL` when too many wait
   */
  add(append: Append, retry: Retry): void {
    if (this.#entries.length === WAITING_APPENDS_MAX) {
      throw new StoreError("ERR_WAL_BUFFER_FULL", `${WAITING_APPENDS_MAX} appends wait already`);
    }
    const entry: Entry<Append> = { append, sinceMs: performance.now(), isPausing: false, error: null };
    this.#entries.push(entry);
    for (const head of append.heads) head.waitingCount++;
    this.#pause(entry, retry);
  }

  #pause(entry: Entry<Append>, retry: Retry): void {
    if (retry === "room") {
      this.#awaitsRoom = true;
      this.#roomTimer = setTimeout(this.#endRoomWaits, this.#roomWaitMs);
      void this.#whenRoom().then(() => {
        this.#awaitsRoom = false;
        if (this.#roomTimer !== null) clearTimeout(this.#roomTimer);
        this.#roomTimer = null;
        this.#scan();
      });
    } else if (retry !== null) {
      entry.isPausing = true;
      retry.then(
        () => this.#resume(entry, null),
        (error: Error) => this.#resume(entry, error),
      );
    }
  }

  /** What is in flight does not end: others hold W back, or the device is lost. */
  readonly #endRoomWaits = (): void => {
    const patientSinceMs = performance.now() - this.#roomWaitMs;
    const entries = this.#entries;
    let keptCount = 0;
    let nextMs = this.#roomWaitMs;
    for (const entry of entries) {
      const { append, isPausing, sinceMs } = entry;
      if (isPausing || sinceMs > patientSinceMs) {
        if (!isPausing) nextMs = Math.min(nextMs, sinceMs - patientSinceMs);
        entries[keptCount++] = entry;
        continue;
      }
      for (const head of append.heads) head.waitingCount--;
      append.reject(noRoomFor(this.#roomWaitMs));
    }
    entries.length = keptCount;
    this.#roomTimer = setTimeout(this.#endRoomWaits, nextMs);
  };

  /** Those that one event sets free are tried together, and never in a chain of promises that would keep the loop from turning. */
  #resume(entry: Entry<Append>, error: Error | null): void {
    entry.isPausing = false;
    entry.error = error;
    if (this.#isScanDue) return;
    this.#isScanDue = true;
    setImmediate(() => {
      this.#isScanDue = false;
      this.#scan();
    });
  }

  /** Tries all that may be tried, in order, and keeps those that have to wait on. */
  #scan(): void {
    if (this.#awaitsRoom) return;
    const entries = this.#entries;
    const scan = ++this.#scanNumber;
    let keptCount = 0;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index] as Entry<Append>;
      const { heads } = entry.append;
      const isHeld = this.#awaitsRoom || entry.isPausing || heads.some((head) => head.heldInScan === scan);
      if (!isHeld && this.#isDone(entry)) {
        for (const head of heads) head.waitingCount--;
        continue;
      }
      for (const head of heads) head.heldInScan = scan;
      entries[keptCount++] = entry;
    }
    entries.length = keptCount;
  }

  #isDone(entry: Entry<Append>): boolean {
    const { append, error } = entry;
    try {
      if (error !== null) throw error;
      const retry = this.#attempt(append);
      if (retry === null) return true;
      this.#pause(entry, retry);
      return false;
    } catch (thrown) {
      append.reject(thrown as Error);
      return true;
    }
  }
}

function noRoomFor(waitMs: number): StoreError {
  const message = `no buffer came free for ${waitMs} ms, because what is in flight does not become durable; nothing was written`;
  return new StoreError("ERR_WAL_BUSY", message, { waitMs });
}

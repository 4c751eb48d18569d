/** A log in memory that behaves as a store's does: it can grow, be read while it grows, fail, and be put back. */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { EventFeed } from "../../src/projections/index.js";

export interface NumberEvent {
  readonly lsn: number;
  readonly type: string;
  readonly recordedAt: number;
  readonly value: number;
}

export interface MemoryFeedOptions {
  readonly readOnly?: boolean;
  readonly storeId?: string;
  readonly batchEvents?: number;
}

export class MemoryFeed implements EventFeed<NumberEvent> {
  readonly directory: string;
  readonly readOnly: boolean;
  readonly storeId?: string;
  readonly #batchEvents: number;
  readonly #listeners = new Set<(watermark: number) => void>();
  #events: NumberEvent[] = [];
  /** LSNs at the end that carry no event, as a fence of the log leaves them. */
  #fencedLsns = 0;
  #readFailure: Error | null = null;
  #lastLsn = 0;
  #clockUs = 1_000_000;
  failure: Error | null = null;
  /** The `after` of every read so far. */
  readonly reads: number[] = [];

  constructor(directory: string, options: MemoryFeedOptions = {}) {
    this.directory = directory;
    this.readOnly = options.readOnly ?? false;
    if (options.storeId !== undefined) this.storeId = options.storeId;
    this.#batchEvents = options.batchEvents ?? 10;
  }

  get watermark(): number {
    return this.#lastLsn + this.#fencedLsns;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  append(type: string, ...values: readonly number[]): number {
    this.#clockUs += 1;
    for (const value of values) {
      this.#lastLsn = this.watermark + 1;
      this.#fencedLsns = 0;
      this.#events.push({ lsn: this.#lastLsn, type, recordedAt: this.#clockUs, value });
    }
    for (const listener of this.#listeners) listener(this.watermark);
    return this.watermark;
  }

  /** Takes LSNs without events. */
  fence(lsns: number): number {
    this.#fencedLsns += lsns;
    for (const listener of this.#listeners) listener(this.watermark);
    return this.watermark;
  }

  /** Puts the log back to what it was at an LSN, as restoring an old copy does. */
  restore(lsn: number): void {
    this.#events = this.#events.filter((event) => event.lsn <= lsn);
    this.#lastLsn = lsn;
    this.#fencedLsns = 0;
    this.#clockUs += 1000;
  }

  /** As behind damage of a log that others write: nothing comes any more, and listeners are told. */
  breakOff(error: Error): void {
    this.failure = error;
    for (const listener of this.#listeners) listener(this.watermark);
  }

  failReads(error: Error): void {
    this.#readFailure = error;
  }

  async *readBatches(
    after: number,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<readonly NumberEvent[]> {
    this.reads.push(after);
    for (let start = this.#indexAbove(after); start < this.#events.length; ) {
      await nextTurn();
      options?.signal?.throwIfAborted();
      if (this.#readFailure !== null) throw this.#readFailure;
      const batch = this.#events.slice(start, start + this.#batchEvents);
      start += batch.length;
      yield batch;
    }
  }

  #indexAbove(lsn: number): number {
    const index = this.#events.findIndex((event) => event.lsn > lsn);
    return index < 0 ? this.#events.length : index;
  }

  onAdvance(listener: (watermark: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

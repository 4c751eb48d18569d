/**
 * What events know of one batch: which stream each of its records belongs to, and who waits for them.
 *
 * One ledger for a batch instead of an object for each event: when the batch is durable, its records are entered into their streams in
 * one loop; when it failed, their versions are taken back, from the last to the first.
 */

import type { StoreError } from "../errors.js";
import type { AppendTicket, Batch } from "../wal/index.js";
import type { LostBatches } from "./lost-batches.js";
import type { StreamHead } from "./stream-index.js";

/** What an append answers when its events are durable. */
export interface AppendResult {
  /** The stream's version after this append. */
  readonly version: number;
  /** The LSN of its last event. */
  readonly lsn: number;
  /** Whether the stream was absent before. */
  readonly created: boolean;
  /** Whether these very events had been appended before; then nothing was written. */
  readonly duplicate: boolean;
}

/** What an append in an async mode answers: no LSN, for none is taken yet. */
export interface BufferedResult {
  readonly version: number;
  /** For `whenDurable`. */
  readonly epoch: number;
}

/** Somebody who waits for records of a batch. */
export interface AppendWaiter {
  committed(batchFirstLsn: number): void;
  failed(error: StoreError): void;
}

/** The events of one stream within one append. */
export interface StreamPart {
  readonly firstVersion: number;
  readonly eventCount: number;
  /** Index of its first record in the batch. */
  readonly recordIndex: number;
}

export function resultOf(part: StreamPart, batchFirstLsn: number): AppendResult {
  return {
    version: part.firstVersion + part.eventCount - 1,
    lsn: batchFirstLsn + part.recordIndex + part.eventCount - 1,
    created: part.firstVersion === 1,
    duplicate: false,
  };
}

/** Waits for one stream's append: the common case. */
export class StreamWaiter implements AppendWaiter, StreamPart {
  readonly firstVersion: number;
  readonly eventCount: number;
  readonly recordIndex: number;
  readonly #resolve: (result: AppendResult) => void;
  readonly failed: (error: StoreError) => void;

  constructor(part: StreamPart, resolve: (result: AppendResult) => void, reject: (error: StoreError) => void) {
    this.firstVersion = part.firstVersion;
    this.eventCount = part.eventCount;
    this.recordIndex = part.recordIndex;
    this.#resolve = resolve;
    this.failed = reject;
  }

  committed(batchFirstLsn: number): void {
    this.#resolve(resultOf(this, batchFirstLsn));
  }
}

export class BatchLedger implements AppendTicket {
  readonly batch: Batch;
  /** The stream of record i. */
  readonly #heads: StreamHead[] = [];
  #hasEarlyAnswers = false;
  readonly #waiters: AppendWaiter[] = [];
  readonly #lostBatches: LostBatches;

  constructor(batch: Batch, lostBatches: LostBatches) {
    this.batch = batch;
    this.#lostBatches = lostBatches;
  }

  /** Enters the next record of the batch: the stream's next version. */
  enter(head: StreamHead): void {
    this.#heads.push(head);
    head.version++;
  }

  /** An append of an async mode is answered before the batch is durable. */
  answerEarly(): void {
    this.#hasEarlyAnswers = true;
  }

  wait(waiter: AppendWaiter): void {
    this.#waiters.push(waiter);
  }

  committed(batchFirstLsn: number): void {
    const heads = this.#heads;
    for (let index = 0; index < heads.length; index++) (heads[index] as StreamHead).lsns.push(batchFirstLsn + index);
    const waiters = this.#waiters;
    for (let index = 0; index < waiters.length; index++) (waiters[index] as AppendWaiter).committed(batchFirstLsn);
  }

  failed(error: StoreError): void {
    // Those who wait hear of it below; those who were answered early only when they ask.
    if (this.#hasEarlyAnswers) this.#lostBatches.add(this.batch.epoch, error);
    for (let index = this.#heads.length - 1; index >= 0; index--) {
      const head = this.#heads[index] as StreamHead;
      head.revertTo(head.version - 1);
    }
    for (const waiter of this.#waiters) waiter.failed(error);
  }
}

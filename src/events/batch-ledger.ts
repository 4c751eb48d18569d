/**
 * What events know of one batch: which stream each of its records belongs to, and who waits for them.
 *
 * One ledger for a batch instead of an object for each event: when the batch is durable, its records are entered into their streams in
 * one loop; when it was refused, their versions are taken back.
 */

import type { StoreError } from "../errors.js";
import type { AppendTicket, Batch } from "../wal/index.js";
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

/** Waits for one event: the common case. */
export class EventWaiter implements AppendWaiter {
  readonly #version: number;
  readonly #recordIndex: number;
  readonly #resolve: (result: AppendResult) => void;
  readonly failed: (error: StoreError) => void;

  constructor(
    version: number,
    recordIndex: number,
    resolve: (result: AppendResult) => void,
    reject: (error: StoreError) => void,
  ) {
    this.#version = version;
    this.#recordIndex = recordIndex;
    this.#resolve = resolve;
    this.failed = reject;
  }

  committed(batchFirstLsn: number): void {
    const version = this.#version;
    this.#resolve({ version, lsn: batchFirstLsn + this.#recordIndex, created: version === 1, duplicate: false });
  }
}

/** What a ledger needs of the log and of the head table. */
export interface LedgerKeeper {
  /** The batch is durable and visible. */
  committed(ledger: BatchLedger, firstLsn: number): void;
  /** The batch will never be told of again. */
  failed(ledger: BatchLedger, error: StoreError): void;
}

export class BatchLedger implements AppendTicket {
  readonly batch: Batch;
  readonly #keeper: LedgerKeeper;
  /** The stream of record i. */
  readonly #heads: StreamHead[] = [];
  readonly #versions: number[] = [];
  /** Streams that a later batch went on with before this one was durable, and their versions in this one. */
  readonly #extendedHeads: StreamHead[] = [];
  readonly #extendedVersions: number[] = [];
  #hasEarlyAnswers = false;
  readonly #waiters: AppendWaiter[] = [];

  constructor(batch: Batch, keeper: LedgerKeeper) {
    this.batch = batch;
    this.#keeper = keeper;
  }

  get heads(): readonly StreamHead[] {
    return this.#heads;
  }

  /** The version of record i in its stream. */
  get versions(): readonly number[] {
    return this.#versions;
  }

  get hasEarlyAnswers(): boolean {
    return this.#hasEarlyAnswers;
  }

  /** Enters the stream of the next record of the batch, and the version that it has there. */
  enter(head: StreamHead, version: number): void {
    this.#heads.push(head);
    this.#versions.push(version);
  }

  /** A later batch goes on with the stream, which has that version in this one. */
  extend(head: StreamHead, version: number): void {
    this.#extendedHeads.push(head);
    this.#extendedVersions.push(version);
  }

  /** Whether this batch made that version the stream's newest, as far as it was gone on with. */
  isExtended(head: StreamHead, version: number): boolean {
    return this.#extendedHeads.some((other, index) => other === head && this.#extendedVersions[index] === version);
  }

  forEachExtended(tell: (head: StreamHead, version: number) => void): void {
    for (let index = 0; index < this.#extendedHeads.length; index++) {
      tell(this.#extendedHeads[index] as StreamHead, this.#extendedVersions[index] as number);
    }
  }

  /** An append of an async mode is answered before the batch is durable. */
  answerEarly(): void {
    this.#hasEarlyAnswers = true;
  }

  wait(waiter: AppendWaiter): void {
    this.#waiters.push(waiter);
  }

  committed(batchFirstLsn: number): void {
    this.#keeper.committed(this, batchFirstLsn);
    const waiters = this.#waiters;
    for (let index = 0; index < waiters.length; index++) (waiters[index] as AppendWaiter).committed(batchFirstLsn);
  }

  failed(error: StoreError): void {
    this.#keeper.failed(this, error);
    for (const waiter of this.#waiters) waiter.failed(error);
  }
}

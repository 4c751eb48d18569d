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
  /** Everybody was told; the ledger can be given another batch. */
  told(ledger: BatchLedger): void;
}

/**
 * Is given one batch after the other, because its arrays would else grow anew for each (measured: 50 ns an event). They are longer than what
 * counts of them: as many heads and versions as the batch has records.
 */
export class BatchLedger implements AppendTicket {
  #batch: Batch;
  readonly #keeper: LedgerKeeper;
  /** The stream of record i. */
  readonly #heads: StreamHead[] = [];
  readonly #versions: number[] = [];
  /** Streams that a later batch went on with before this one was durable, and their versions in this one. */
  #extendedHeads: StreamHead[] = [];
  #extendedVersions: number[] = [];
  #hasEarlyAnswers = false;
  /** Made anew for each batch, as long as the last one's: young objects that old memory points to cost the collector more than this. */
  #waiters: AppendWaiter[] = [];
  #waiterCount = 0;

  constructor(batch: Batch, keeper: LedgerKeeper) {
    this.#batch = batch;
    this.#keeper = keeper;
  }

  /** Turns to another batch, after everybody was told of the one before. */
  begin(batch: Batch): void {
    this.#batch = batch;
    if (this.#extendedHeads.length > 0) {
      this.#extendedHeads = [];
      this.#extendedVersions = [];
    }
    this.#hasEarlyAnswers = false;
    this.#waiters = new Array<AppendWaiter>(this.#waiterCount);
    this.#waiterCount = 0;
  }

  get batch(): Batch {
    return this.#batch;
  }

  /** Of how many records it has kept note of at once. */
  get capacity(): number {
    return this.#heads.length;
  }

  /** The stream of record i; more than the batch has records. */
  get heads(): readonly StreamHead[] {
    return this.#heads;
  }

  /** The version of record i in its stream; more than the batch has records. */
  get versions(): readonly number[] {
    return this.#versions;
  }

  get hasEarlyAnswers(): boolean {
    return this.#hasEarlyAnswers;
  }

  /** Enters the stream of the record that was just added to the batch, and the version that it has there. */
  enter(head: StreamHead, version: number): void {
    const index = this.#batch.recordCount - 1;
    this.#heads[index] = head;
    this.#versions[index] = version;
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
    this.#waiters[this.#waiterCount++] = waiter;
  }

  committed(batchFirstLsn: number): void {
    this.#keeper.committed(this, batchFirstLsn);
    const waiters = this.#takeWaiters();
    for (let index = 0; index < this.#waiterCount; index++) (waiters[index] as AppendWaiter).committed(batchFirstLsn);
    this.#keeper.told(this);
  }

  failed(error: StoreError): void {
    this.#keeper.failed(this, error);
    const waiters = this.#takeWaiters();
    for (let index = 0; index < this.#waiterCount; index++) (waiters[index] as AppendWaiter).failed(error);
  }

  #takeWaiters(): readonly AppendWaiter[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    return waiters;
  }
}

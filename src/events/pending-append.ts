/** Appends that have been put into a batch and wait for W. */

import type { StoreError } from "../errors.js";
import type { AppendTicket } from "../wal/index.js";
import type { StreamHead } from "./stream-index.js";

/** What a durable append answers. */
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

/** The events of one stream within an append. */
export class StreamPart {
  readonly head: StreamHead;
  readonly firstVersion: number;
  readonly eventCount: number;
  /** Index of its first record in the batch. */
  readonly recordIndex: number;

  constructor(head: StreamHead, firstVersion: number, eventCount: number, recordIndex: number) {
    this.head = head;
    this.firstVersion = firstVersion;
    this.eventCount = eventCount;
    this.recordIndex = recordIndex;
  }

  commit(batchFirstLsn: number): AppendResult {
    const firstLsn = batchFirstLsn + this.recordIndex;
    const { lsns } = this.head;
    for (let index = 0; index < this.eventCount; index++) lsns.push(firstLsn + index);
    return {
      version: this.firstVersion + this.eventCount - 1,
      lsn: firstLsn + this.eventCount - 1,
      created: this.firstVersion === 1,
      duplicate: false,
    };
  }

  revert(): void {
    this.head.revertTo(this.firstVersion - 1);
  }
}

/** An append over one or more streams, whose caller waits for it or, without callbacks, does not. */
export class PendingAppend implements AppendTicket {
  readonly #parts: readonly StreamPart[];
  readonly #resolve: ((results: AppendResult[]) => void) | null;
  readonly #reject: ((error: StoreError) => void) | null;

  constructor(
    parts: readonly StreamPart[],
    resolve: ((results: AppendResult[]) => void) | null,
    reject: ((error: StoreError) => void) | null,
  ) {
    this.#parts = parts;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  committed(batchFirstLsn: number): void {
    const results = this.#parts.map((part) => part.commit(batchFirstLsn));
    this.#resolve?.(results);
  }

  failed(error: StoreError): void {
    for (let index = this.#parts.length - 1; index >= 0; index--) this.#parts[index]?.revert();
    this.#reject?.(error);
  }
}

/** The append of one stream, the common case, without an array around it. */
export class PendingStreamAppend implements AppendTicket {
  readonly #part: StreamPart;
  readonly #resolve: ((result: AppendResult) => void) | null;
  readonly #reject: ((error: StoreError) => void) | null;

  constructor(
    part: StreamPart,
    resolve: ((result: AppendResult) => void) | null,
    reject: ((error: StoreError) => void) | null,
  ) {
    this.#part = part;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  committed(batchFirstLsn: number): void {
    const result = this.#part.commit(batchFirstLsn);
    if (this.#resolve !== null) this.#resolve(result);
  }

  failed(error: StoreError): void {
    this.#part.revert();
    if (this.#reject !== null) this.#reject(error);
  }
}

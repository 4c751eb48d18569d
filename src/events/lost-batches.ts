/**
 * The epochs of batches that were never written, with the reason.
 *
 * An append of an async mode has answered with its epoch before its batch is written. When the batch is refused later, for lack of space
 * say, only `whenDurable` and `flush` can still tell; and a later batch that is written has a higher epoch, so that the highest durable
 * epoch alone would say that this one is durable too.
 */

import type { StoreError } from "../errors.js";

/** Runs of epochs that were lost together. The oldest is forgotten, long after anybody waits for its epochs. */
const RUNS_MAX = 1024;

interface Run {
  first: number;
  last: number;
  readonly error: StoreError;
}

export class LostBatches {
  readonly #runs: Run[] = [];
  #count = 0;
  #newest: StoreError | null = null;

  /** How many batches were lost so far. */
  get count(): number {
    return this.#count;
  }

  /** Why the batch that was lost last was lost. */
  get newest(): StoreError | null {
    return this.#newest;
  }

  /** Batches that are lost together are told of one by one, the newest first. */
  add(epoch: number, error: StoreError): void {
    this.#count++;
    this.#newest = error;
    const run = this.#runs.at(-1);
    if (run?.error === error && run.last + 1 === epoch) run.last = epoch;
    else if (run?.error === error && run.first - 1 === epoch) run.first = epoch;
    else this.#runs.push({ first: epoch, last: epoch, error });
    if (this.#runs.length > RUNS_MAX) this.#runs.shift();
  }

  /** Why the batch of that epoch was lost; null when it was not. */
  errorOf(epoch: number): StoreError | null {
    return this.#runs.find(({ first, last }) => epoch >= first && epoch <= last)?.error ?? null;
  }
}

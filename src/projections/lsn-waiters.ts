/** Callers that wait until an LSN has been reached. */

import { checkOptionNames } from "../events/index.js";

interface Waiter {
  readonly lsn: number;
  settle(error: unknown): void;
}

export interface WaitOptions {
  /** After how long the wait is given up, in ms. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

// What a timer can count; a longer one would fire at once.
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export class LsnWaiters {
  // In the order of their LSNs. Most callers wait for the newest one, so a new waiter mostly goes to the end.
  readonly #waiting: Waiter[] = [];
  #reachedLsn = 0;
  #failure: Error | null = null;

  /**
   * Resolves once the LSN has been reached; rejects with what `fail` was given, with the signal's reason, or with what
   * `timedOut` makes of the LSN that was reached in time.
   */
  async wait(lsn: number, options: WaitOptions, timedOut: (reachedLsn: number) => Error): Promise<void> {
    const { timeoutMs, signal } = options;
    checkOptionNames(options, ["timeoutMs", "signal"], "waiting for an LSN");
    if (timeoutMs !== undefined && !(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) {
      throw new TypeError(`option timeoutMs must be 0 to ${TIMEOUT_MS_MAX}`);
    }
    signal?.throwIfAborted();
    if (lsn <= this.#reachedLsn) return;
    if (this.#failure !== null) throw this.#failure;

    await new Promise<void>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const abort = (): void => leave(signal?.reason);
      const waiter: Waiter = {
        lsn,
        settle: (error) => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", abort);
          if (error === null) resolve();
          else reject(error);
        },
      };
      const leave = (error: unknown): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        waiter.settle(error);
      };
      if (timeoutMs !== undefined) timer = setTimeout(() => leave(timedOut(this.#reachedLsn)), timeoutMs);
      signal?.addEventListener("abort", abort);
      this.#insert(waiter);
    });
  }

  /** Lets everyone go who waits for this LSN or a lower one. */
  reach(lsn: number): void {
    this.#reachedLsn = Math.max(this.#reachedLsn, lsn);
    const first = this.#waiting.findIndex((waiter) => waiter.lsn > this.#reachedLsn);
    if (first === 0) return;
    for (const waiter of this.#waiting.splice(0, first < 0 ? this.#waiting.length : first)) waiter.settle(null);
  }

  /** What was reached is not any more: those who come now wait for it once more. */
  startOver(): void {
    this.#reachedLsn = 0;
  }

  /** Refuses everyone who waits, and whoever comes to wait for more than was reached. The first failure stays. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.splice(0)) waiter.settle(this.#failure);
  }

  /** After a failure that was mended: those who come from now on wait again. */
  recover(): void {
    this.#failure = null;
  }

  #insert(waiter: Waiter): void {
    const before = this.#waiting.findLastIndex((other) => other.lsn <= waiter.lsn);
    this.#waiting.splice(before + 1, 0, waiter);
  }
}

/**
 * When a writer looks at its open batch: at the end of the event-loop turn, after a write that ends, or a while after the batch was begun. Group
 * commit without a timer; the interval is only for those who do not wait for their events to be durable.
 */

export class SealSchedule {
  readonly #flushIntervalMs: number;
  readonly #onTurnEnd: () => void;
  readonly #onFlushDue: () => void;
  #isTurnScheduled = false;
  #isOnCompletion = false;
  #flushTimer: NodeJS.Timeout | null = null;

  constructor(flushIntervalMs: number, onTurnEnd: () => void, onFlushDue: () => void) {
    this.#flushIntervalMs = flushIntervalMs;
    this.#onTurnEnd = onTurnEnd;
    this.#onFlushDue = onFlushDue;
  }

  atTurnEnd(): void {
    if (this.#isTurnScheduled) return;
    this.#isTurnScheduled = true;
    setImmediate(this.#turnEnded);
  }

  /** At the end of the turn in which a write has ended. */
  onCompletion(): void {
    this.#isOnCompletion = true;
  }

  /** Those that wait for the write have just been told: they have their turn to append. */
  completed(): void {
    if (!this.#isOnCompletion) return;
    this.#isOnCompletion = false;
    this.atTurnEnd();
  }

  withinInterval(): void {
    this.#flushTimer ??= setTimeout(this.#flushDue, this.#flushIntervalMs);
  }

  /** No interval is waited for any more; a turn that is scheduled still ends. */
  stop(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
  }

  readonly #turnEnded = (): void => {
    this.#isTurnScheduled = false;
    this.#onTurnEnd();
  };

  readonly #flushDue = (): void => {
    this.#flushTimer = null;
    this.#onFlushDue();
  };
}

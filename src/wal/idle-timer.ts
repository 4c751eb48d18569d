/** Tells once when nothing has happened for a while. Costs a timer for each period of quiet, not one for each thing that happens. */

export class IdleTimer {
  readonly #afterMs: number;
  readonly #onIdle: () => boolean;
  #timer: NodeJS.Timeout | null = null;
  #touchedAtMs = 0;

  /** `onIdle` answers whether it is done; if not, it is asked again later. */
  constructor(afterMs: number, onIdle: () => boolean) {
    this.#afterMs = afterMs;
    this.#onIdle = onIdle;
  }

  /** Something happened: the while begins again. Does not keep the process alive. */
  touch(): void {
    this.#touchedAtMs = performance.now();
    this.#arm();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(this.#due, this.#afterMs);
    this.#timer.unref();
  }

  readonly #due = (): void => {
    this.#timer = null;
    // Timers count whole milliseconds, so one can be a part of a millisecond early.
    const isIdle = performance.now() - this.#touchedAtMs >= this.#afterMs - 1;
    if (!isIdle || !this.#onIdle()) this.#arm();
  };
}

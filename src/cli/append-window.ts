/** Appends that have been started and not answered: so many at most, and the first that failed. */

const EVENTS_MAX = 65_536;

export class AppendWindow {
  readonly #appendsMax: number;
  #appendCount = 0;
  #eventCount = 0;
  #failure: { readonly error: unknown } | null = null;
  #waiting: (() => void)[] = [];

  constructor(appendsMax: number) {
    this.#appendsMax = appendsMax;
  }

  /** Takes a started append. `describe` turns its error into the one to report. */
  add(append: Promise<unknown>, eventCount: number, describe: (error: unknown) => unknown): void {
    this.#appendCount += 1;
    this.#eventCount += eventCount;
    const settle = (): void => {
      this.#appendCount -= 1;
      this.#eventCount -= eventCount;
      for (const wake of this.#waiting.splice(0)) wake();
    };
    append.then(settle, (error: unknown) => {
      // What failed after it failed because of it: the expected versions no longer hold.
      this.#failure ??= { error: describe(error) };
      settle();
    });
  }

  /** Resolves when another append may be started. Throws when one has failed. */
  async whenRoom(): Promise<void> {
    this.throwFailure();
    while (this.#appendCount >= this.#appendsMax || this.#eventCount >= EVENTS_MAX) await this.#change();
    this.throwFailure();
  }

  /** Resolves when all are answered. Throws when one has failed. */
  async whenEmpty(): Promise<void> {
    while (this.#appendCount > 0) await this.#change();
    this.throwFailure();
  }

  throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

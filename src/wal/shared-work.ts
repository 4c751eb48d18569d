/**
 * Work that is done once for all who ask for it meanwhile. Who asks while it is under way wants what came since: it is done once more behind that,
 * once for all of those.
 */

export class SharedWork<Result> {
  readonly #work: () => Promise<Result>;
  #current: Promise<Result> | null = null;
  #next: Promise<Result> | null = null;

  constructor(work: () => Promise<Result>) {
    this.#work = work;
  }

  /** Answers what was found by work that began after the call. */
  ask(): Promise<Result> {
    if (this.#current === null) {
      this.#current = this.#work().finally(() => {
        this.#current = null;
      });
      return this.#current;
    }
    const next = (): Promise<Result> => {
      this.#next = null;
      return this.ask();
    };
    this.#next ??= this.#current.then(next, next);
    return this.#next;
  }

  /** Resolves when what is under way has ended; never rejects. */
  async settled(): Promise<void> {
    await this.#current?.catch(() => {});
  }
}

/** Those who wait until something has changed, whatever it is: they look for themselves. */

export class Wakeup {
  #waiting: (() => void)[] = [];

  /** Resolves at the next `wake`. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/**
 * SIGINT and SIGTERM as an `AbortSignal`: the first asks the command to stop where it can, closing the store; the second
 * ends the process at once, which a store survives as it survives any kill.
 */

import { EXIT_INTERRUPTED } from "./failure.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export class Interruption {
  readonly #controller = new AbortController();
  readonly #listener = (): void => {
    if (this.#controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    this.#controller.abort();
  };

  constructor() {
    for (const name of SIGNALS) process.on(name, this.#listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  dispose(): void {
    for (const name of SIGNALS) process.off(name, this.#listener);
  }
}

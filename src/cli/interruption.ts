/**
 * SIGINT and SIGTERM as an `AbortSignal`: the first asks the command to stop where it can, closing the store; the second
 * ends the process at once, which a store survives as it survives any kill.
 */

import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export type InterruptionSignal = (typeof SIGNALS)[number];

export class Interruption {
  readonly #controller = new AbortController();
  readonly #listener = (name: InterruptionSignal): void => {
    if (this.#controller.signal.aborted) process.exit(exitCodeOf(name));
    this.exitCode = exitCodeOf(name);
    this.#controller.abort();
  };

  /** The exit code that shells give a process ended by the signal; 0 before there was one. */
  exitCode = 0;

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

function exitCodeOf(name: InterruptionSignal): number {
  return 128 + constants.signals[name];
}

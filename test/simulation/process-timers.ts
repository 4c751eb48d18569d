/** setTimeout and its kin, in simulated time. */

import type { Realm } from "./realms.js";
import type { Planned } from "./timeline.js";

const LATE_US_MAX = 400;
const TURN_US_MAX = 15;

class Timer {
  readonly #plan: () => Planned;
  #planned: Planned;

  constructor(plan: () => Planned) {
    this.#plan = plan;
    this.#planned = plan();
  }

  /** Nothing keeps a simulated process alive but its life. */
  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  again(): void {
    if (!this.#planned.isCancelled) this.#planned = this.#plan();
  }

  cancel(): void {
    this.#planned.isCancelled = true;
  }
}

export class ProcessTimers {
  readonly #realm: Realm;

  constructor(realm: Realm) {
    this.#realm = realm;
  }

  #delayUs(ms: number | undefined): number {
    const { chance } = this.#realm.process;
    return Math.max(1, ms ?? 1) * 1000 + chance.integer(LATE_US_MAX);
  }

  readonly setTimeout = <Args extends unknown[]>(run: (...args: Args) => void, ms?: number, ...args: Args): Timer => {
    const { process } = this.#realm;
    return new Timer(() => process.plan(this.#delayUs(ms), () => run(...args)));
  };

  readonly setInterval = <Args extends unknown[]>(run: (...args: Args) => void, ms?: number, ...args: Args): Timer => {
    const { process } = this.#realm;
    const timer: Timer = new Timer(() =>
      process.plan(this.#delayUs(ms), () => {
        run(...args);
        timer.again();
      }),
    );
    return timer;
  };

  readonly setImmediate = <Args extends unknown[]>(run: (...args: Args) => void, ...args: Args): Timer => {
    const { process } = this.#realm;
    return new Timer(() => process.plan(1 + process.chance.integer(TURN_US_MAX), () => run(...args)));
  };

  readonly clear = (timer: Timer | null | undefined): void => timer?.cancel();
}

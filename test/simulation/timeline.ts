/**
 * Simulated time: what is to happen, in its order. One thing happens at a time; then every promise that it settled is let run, before the
 * next. Two things at the same moment happen in the order in which they were planned, so a run depends on nothing but what was planned.
 */

import { setImmediate as settled } from "node:timers/promises";

/** Whose code it is: of the dead nothing happens any more. */
export interface Owner {
  readonly isDead: boolean;
}

export interface Planned {
  readonly atUs: number;
  readonly order: number;
  readonly owner: Owner | null;
  readonly run: () => void;
  isCancelled: boolean;
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

export class Timeline {
  #nowUs = 0;
  #order = 0;
  /** A binary heap. */
  readonly #planned: Planned[] = [];
  /** Whose code runs at this moment. */
  running: Owner | null = null;
  eventCount = 0;

  get nowUs(): number {
    return this.#nowUs;
  }

  /** Plans something. With an owner it does not happen when that is dead by then. */
  plan(delayUs: number, owner: Owner | null, run: () => void): Planned {
    const planned: Planned = {
      atUs: this.#nowUs + Math.max(0, Math.round(delayUs)),
      order: this.#order++,
      owner,
      run,
      isCancelled: false,
    };
    this.#push(planned);
    return planned;
  }

  /** Resolves after so long, for who stands outside of all processes. */
  sleep(delayUs: number): Promise<void> {
    return new Promise((resolve) => this.plan(delayUs, null, resolve));
  }

  /** Lets the next thing happen and all that follows from it at once. False when nothing is planned. */
  async step(): Promise<boolean> {
    const next = this.#pop();
    if (next === null) return false;
    this.#nowUs = next.atUs;
    this.eventCount++;
    this.running = next.owner;
    try {
      next.run();
    } catch (error) {
      if (next.owner?.isDead !== true) throw error; // who dies in the middle of a turn is thrown out of it
    }
    await settled();
    this.running = null;
    return true;
  }

  #pop(): Planned | null {
    for (;;) {
      const top = this.#planned[0];
      if (top === undefined) return null;
      const last = this.#planned.pop() as Planned;
      if (this.#planned.length > 0) this.#sink(last);
      if (!top.isCancelled && top.owner?.isDead !== true) return top;
    }
  }

  #push(planned: Planned): void {
    const heap = this.#planned;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(planned, heap[above] as Planned)) break;
      heap[at] = heap[above] as Planned;
      at = above;
    }
    heap[at] = planned;
  }

  #sink(planned: Planned): void {
    const heap = this.#planned;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Planned, heap[below] as Planned)) below++;
      if (!isBefore(heap[below] as Planned, planned)) break;
      heap[at] = heap[below] as Planned;
      at = below;
    }
    heap[at] = planned;
  }
}

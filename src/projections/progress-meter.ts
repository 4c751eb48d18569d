/** How fast events are folded, and telling somebody now and then. */

import { EventRate } from "./event-rate.js";
import type { ProjectionProgress } from "./projection-progress.js";

const PROGRESS_INTERVAL_MS = 250;

export class ProgressMeter {
  readonly #rate = new EventRate(performance.now());
  readonly #tell: ((progress: ProjectionProgress) => void) | null;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(tell: ((progress: ProjectionProgress) => void) | null) {
    this.#tell = tell;
  }

  add(events: number): void {
    this.#rate.add(events, performance.now());
  }

  get eventsPerSecond(): number {
    return Math.round(this.#rate.perSecond(performance.now()));
  }

  /** Tells, when it is a while since the last time. */
  tellDue(progress: () => ProjectionProgress): void {
    if (performance.now() - this.#toldMs >= PROGRESS_INTERVAL_MS) this.tell(progress());
  }

  tell(progress: ProjectionProgress): void {
    this.#toldMs = performance.now();
    this.#tell?.(progress);
  }
}

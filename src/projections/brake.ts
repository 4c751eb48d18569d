/**
 * What makes the tracks of a projection stand still: a pause all of them; the newest version's only, whoever changes its state beside the events,
 * and a rebuild that makes it elsewhere.
 */

import type { PauseSwitch } from "./pause-switch.js";

export class Brake {
  readonly #pausing: PauseSwitch;
  readonly #onRelease: () => void;
  /** How many want the newest version to stand still. */
  #holdCount = 0;
  #isBuiltElsewhere: boolean;

  /** `onRelease` is called whenever something may go on. */
  constructor(pausing: PauseSwitch, isBuiltElsewhere: boolean, onRelease: () => void) {
    this.#pausing = pausing;
    this.#isBuiltElsewhere = isBuiltElsewhere;
    this.#onRelease = onRelease;
  }

  /** Whether a track is to be fed nothing now. */
  stops(isNewest: boolean): boolean {
    return this.#pausing.isPaused || (isNewest && (this.#isBuiltElsewhere || this.#holdCount > 0));
  }

  /** Has the newest version stand still until the returned function is called. */
  hold(): () => void {
    this.#holdCount += 1;
    return () => {
      this.#holdCount -= 1;
      this.#onRelease();
    };
  }

  /** The state that a thread or a job was to make is there, or does not come. */
  endBuildingElsewhere(): void {
    this.#isBuiltElsewhere = false;
    this.#onRelease();
  }
}

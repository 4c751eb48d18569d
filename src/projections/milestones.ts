/** What callers wait for of a projection: that its state reflects an LSN, that its newest version does, and that it has heard of one. */

import type { StoreError } from "../errors.js";
import { LsnWaiters, type WaitOptions } from "./lsn-waiters.js";
import { timeoutError } from "./runner-errors.js";

export class Milestones {
  readonly #name: string;
  /** The state that serves. */
  readonly #processed = new LsnWaiters();
  /** The newest version's, once it serves. */
  readonly #caughtUp = new LsnWaiters();
  /** How far it has heard of what is forgotten; a state that is rebuilt does not unhear it. */
  readonly #heard = new LsnWaiters();

  constructor(name: string) {
    this.#name = name;
  }

  whenProcessed(lsn: number, options: WaitOptions): Promise<void> {
    return this.#wait(this.#processed, lsn, options);
  }

  whenCaughtUp(lsn: number, options: WaitOptions): Promise<void> {
    return this.#wait(this.#caughtUp, lsn, options);
  }

  whenHeard(lsn: number): Promise<void> {
    return this.#wait(this.#heard, lsn, {});
  }

  /** How far the state is that serves, and the newest one, which may be the same. */
  reach(servingLsn: number, newestLsn: number, isNewestServing: boolean): void {
    this.#processed.reach(servingLsn);
    if (isNewestServing) this.#caughtUp.reach(newestLsn);
    this.#heard.reach(Math.min(servingLsn, newestLsn));
  }

  /** The states are gone, and what they reflected with them. */
  startOver(): void {
    this.#processed.startOver();
    this.#caughtUp.startOver();
  }

  /** What was forgotten up to there is in no state and no file. */
  hear(lsn: number): void {
    this.#heard.reach(lsn);
  }

  /** The newest version has failed; where an older one serves, that goes on. */
  fail(error: StoreError, isNewestServing: boolean): void {
    this.#caughtUp.fail(error);
    if (isNewestServing) this.#processed.fail(error);
    this.#heard.fail(error);
  }

  /** Another state has come in the place of the one that failed. */
  recover(): void {
    for (const waiters of [this.#processed, this.#caughtUp, this.#heard]) waiters.recover();
  }

  #wait(waiters: LsnWaiters, lsn: number, options: WaitOptions): Promise<void> {
    return waiters.wait(lsn, options, (reached) => timeoutError(this.#name, lsn, reached, options.timeoutMs));
  }
}

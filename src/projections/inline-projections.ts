/**
 * Projections that an append waits for: when it resolves, their states reflect it.
 *
 * They are run as all others are; only who appends waits longer. An event is durable before anybody derives anything of it, so a projection that
 * fails, or is closed, refuses no append: it is waited for no more.
 */

import { isStoreError } from "../errors.js";
import type { FeedEvent } from "./event-feed.js";
import type { WaitOptions } from "./lsn-waiters.js";
import type { ProjectionStatus } from "./projection-progress.js";
import type { RunnerOptions } from "./runner-options.js";

/** How a projection is run on a store. */
export interface ProjectOptions<State, Event extends FeedEvent> extends RunnerOptions<State, Event> {
  /**
   * Appends through this store resolve when the projection's state reflects them, also those of `handle`, but not those in the async modes. Starting
   * resolves when the state reflects everything that is visible. A projection that fails refuses no append: it is not waited for any more; one that is
   * paused is not, until it goes on. Default false: it follows, and `whenProcessed` waits.
   */
  readonly inline?: boolean;
}

/** @throws TypeError */
export function checkedInline(inline: unknown = false): boolean {
  if (typeof inline !== "boolean") throw new TypeError("option inline must be true or false");
  return inline;
}

/** What is waited for. */
export interface InlineProjection {
  readonly status: ProjectionStatus;
  whenProcessed(lsn: number, options?: WaitOptions): Promise<void>;
  close(): Promise<void>;
}

/** What an append answers that can be waited for; one in an async mode has no LSN yet. */
type Answer = { readonly lsn: number } | { readonly epoch: number };

export class InlineProjections {
  readonly #projections = new Set<InlineProjection>();

  /** Waits for it from now on, when it reflects what is visible. Closes it when it will not. */
  async begin(projection: InlineProjection, watermark: number): Promise<void> {
    try {
      await reached(projection, watermark);
    } catch (error) {
      await projection.close().catch(() => {}); // why it does not run is what counts
      throw error;
    }
    this.#projections.add(projection);
  }

  /** Answers what the append does, when every projection reflects it. Where there is none, an append costs nothing more. */
  behind<Result extends Answer | readonly Answer[]>(appending: Promise<Result>): Promise<Result> {
    return this.isEmpty ? appending : this.#waitBehind(appending);
  }

  async #waitBehind<Result extends Answer | readonly Answer[]>(appending: Promise<Result>): Promise<Result> {
    const result = await appending;
    const answers: readonly Answer[] = Array.isArray(result) ? result : [result as Answer];
    const lsn = Math.max(0, ...answers.map((answer) => ("lsn" in answer ? answer.lsn : 0)));
    await Promise.all(Array.from(this.#projections, (projection) => this.#reached(projection, lsn)));
    return result;
  }

  async #reached(projection: InlineProjection, lsn: number): Promise<void> {
    try {
      await reached(projection, lsn);
    } catch {
      // It has failed, which its own report says, or was closed: neither undoes the append.
      this.#projections.delete(projection);
    }
  }

  get isEmpty(): boolean {
    return this.#projections.size === 0;
  }
}

/** Between two looks whether it was paused meanwhile, which anybody may do. */
const PAUSE_LOOK_MS = 100;

/** Resolves when the projection reflects the LSN, or stands still because somebody wants it to: what waits for that could wait for days. */
async function reached(projection: InlineProjection, lsn: number): Promise<void> {
  while (projection.status !== "paused") {
    try {
      await projection.whenProcessed(lsn, { timeoutMs: PAUSE_LOOK_MS });
      return;
    } catch (error) {
      if (!isStoreError(error, "ERR_PROJECTION_TIMEOUT")) throw error;
    }
  }
}

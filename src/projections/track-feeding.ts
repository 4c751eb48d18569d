/**
 * Feeds the tracks of a projection the log, in LSN order.
 *
 * - Events are read batch by batch and applied one at a time; at most some rows are read ahead, by a thread that helps with a long log
 *   (`row-reader.ts`), so memory stays bounded and an event that arrives meanwhile is simply still in the log.
 * - Applying yields to the event loop every few milliseconds, between two events, so a reader always sees the state of
 *   one LSN.
 * - While a checkpoint is written no event is applied, so what is written is the state of one LSN too.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Brake } from "./brake.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { ProgressMeter } from "./progress-meter.js";
import type { ProjectionProgress } from "./projection-progress.js";
import type { Reactions } from "./reactions.js";
import { type EventBatch, eventsFor } from "./row-reader.js";
import type { ProjectionReport } from "./runner-options.js";
import type { Succession } from "./succession.js";
import type { Track } from "./track.js";
import type { Wakeup } from "./wakeup.js";

// Long enough to be worth it, short enough that the writer's completions do not wait noticeably.
const APPLY_SLICE_MS = 5;

export interface TrackFeedingParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly succession: Succession<State, Event>;
  readonly brake: Brake;
  readonly reactions: Reactions | null;
  readonly meter: ProgressMeter;
  readonly progress: () => ProjectionProgress;
  readonly report: (report: ProjectionReport) => void;
  /** Of the watermark that has moved, of a brake that was released, or of closing. */
  readonly wakeup: Wakeup;
  /** Aborted when the projection is being closed. */
  readonly stopping: AbortSignal;
}

export class TrackFeeding<State, Event extends FeedEvent> {
  readonly #parts: TrackFeedingParts<State, Event>;
  readonly #succession: Succession<State, Event>;
  readonly #feeding: Promise<void>[] = [];

  constructor(parts: TrackFeedingParts<State, Event>) {
    this.#parts = parts;
    this.#succession = parts.succession;
  }

  /** Feeds a track until the projection is closed, the track fails, or it has handed over. */
  begin(track: Track<State, Event>): void {
    this.#feeding.push(this.#follow(track));
  }

  /** Resolves when no track is fed any more; never rejects. */
  async ended(): Promise<void> {
    await Promise.all(this.#feeding);
  }

  async #follow(track: Track<State, Event>): Promise<void> {
    const { feed, wakeup, stopping } = this.#parts;
    try {
      while (this.#goesOn(track)) {
        if (this.#isHeldUp(track)) await wakeup.next();
        else if (track.lsn < feed.watermark) await this.#drain(track, feed.watermark);
        else if (feed.failure != null) throw feed.failure;
        else if (this.#isNewest(track) && !this.#succession.isSettled) await this.#succession.goLive();
        else await wakeup.next();
      }
    } catch (error) {
      // Closing aborts a read that is under way.
      if (!stopping.aborted) this.#succession.fail(track, error);
    }
  }

  /** Feeds a track everything up to an LSN that is visible. */
  async #drain(track: Track<State, Event>, target: number): Promise<void> {
    const { feed, stopping, report } = this.#parts;
    const keeper = this.#isNewest(track) ? this.#succession.keeper : null;
    const reactions = this.#isNewest(track) ? this.#parts.reactions : null;
    let sliceEndMs = performance.now() + APPLY_SLICE_MS;
    const { startCount } = track;
    for await (const events of eventsFor(track, feed, target, stopping)) {
      for (let index = 0; index < events.length; ) {
        if (performance.now() >= sliceEndMs) {
          await nextTurn();
          sliceEndMs = performance.now() + APPLY_SLICE_MS;
        }
        // No await may stand between this and applying, or a checkpoint could begin in between.
        while (keeper !== null && keeper.saving !== null) await Promise.allSettled([keeper.saving]);
        if (!this.#goesOn(track) || this.#isHeldUp(track) || track.startCount !== startCount) return;
        if (reactions?.awaits(events.at(index) as Event)) {
          const event = events.at(index) as Event;
          this.#applySlice(track, [event], 0, 0);
          if (track.mustStartOver) return this.#succession.startOver(event);
          await reactions.after(track, event);
          index += 1;
          continue;
        }
        index = this.#applySlice(track, reactions?.notAwaited(events as readonly Event[]) ?? events, index, sliceEndMs);
        if (track.mustStartOver) return this.#succession.startOver(events.at(index) as Event);
      }
      if (keeper?.due) await keeper.saveUnasked(report);
    }
    if (!this.#goesOn(track) || track.startCount !== startCount) return;
    await reactions?.save();
    if (!this.#goesOn(track) || track.startCount !== startCount) return;
    track.reach(target);
    this.#succession.tellWaiters();
    if (this.#isNewest(track)) await this.#succession.goLive();
  }

  #applySlice(track: Track<State, Event>, events: EventBatch<Event>, from: number, untilMs: number): number {
    const { meter, progress } = this.#parts;
    const before = track.lsn;
    try {
      return track.apply(events, from, untilMs);
    } finally {
      // Also when an event failed: those before it have been applied.
      if (this.#isNewest(track)) meter.add(track.lsn - before);
      this.#succession.tellWaiters();
      meter.tellDue(progress);
    }
  }

  #isNewest(track: Track<State, Event>): boolean {
    return track === this.#succession.newest;
  }

  #goesOn(track: Track<State, Event>): boolean {
    return this.#succession.isFed(track) && !this.#parts.stopping.aborted;
  }

  #isHeldUp(track: Track<State, Event>): boolean {
    return this.#parts.brake.stops(this.#isNewest(track));
  }
}

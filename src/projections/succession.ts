/**
 * Which version of a projection serves, which one is the newest, and how the newest comes to serve.
 *
 * When the version changes and the definition of the version before is given, two tracks run side by side: the older
 * one, from its own checkpoint, serves and is kept up to date; the newer one starts from zero (or from where an
 * interrupted rebuild left its checkpoint). As soon as the newer one is within HANDOVER_EVENTS of the watermark the older
 * one stands still, and when the newer one has passed it, the newer one serves. Only after the newer one's checkpoint is
 * durable are the files of all other versions removed, so the version can be rolled back until then. Only the newest
 * version's checkpoint is ever written.
 *
 * A rebuild of the same version (`running-rebuild.ts`) is the same with a track that comes later: once it is near the watermark it
 * becomes the newest one, and takes over as above. Its first save behind that renames its file to the checkpoint.
 */

import { isStoreError, StoreError } from "../errors.js";
import type { CheckpointKeeper } from "./checkpoint-keeper.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { Milestones } from "./milestones.js";
import type { ProjectionStatus } from "./projection-progress.js";
import type { Reactions } from "./reactions.js";
import { closedError, feedError, readOnlyError } from "./runner-errors.js";
import type { ProjectionReport } from "./runner-options.js";
import type { Track } from "./track.js";

/** Within how many LSNs of the watermark a state takes over. */
export const HANDOVER_EVENTS = 1000;

export interface SuccessionParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly current: Track<State, Event>;
  /** Of the version before; null: there is nothing of it to serve. */
  readonly previous: Track<State, Event> | null;
  /** Null on a read-only store. */
  readonly keeper: CheckpointKeeper<State, Event> | null;
  readonly reactions: Reactions | null;
  readonly report: (report: ProjectionReport) => void;
  /** The newest version serves from now on. */
  readonly onLive: () => void;
  /** A track that was built beside has become the newest one, and is to be fed. */
  readonly onAdopted: (track: Track<State, Event>) => void;
}

export class Succession<State, Event extends FeedEvent> {
  readonly #parts: SuccessionParts<State, Event>;
  readonly #milestones: Milestones;
  #newest: Track<State, Event>;
  #serving: Track<State, Event>;
  #keeper: CheckpointKeeper<State, Event> | null;
  /** Whether what serves is still fed where it is not the newest. */
  #isOlderFed = true;
  #status: Exclude<ProjectionStatus, "paused"> = "catching-up";
  #error: StoreError | null = null;
  #adoption: { resolve(): void; reject(error: unknown): void } | null = null;

  constructor(parts: SuccessionParts<State, Event>) {
    this.#parts = parts;
    this.#newest = parts.current;
    this.#serving = parts.previous ?? parts.current;
    this.#keeper = parts.keeper;
    this.#milestones = new Milestones(parts.current.projection.name);
    this.tellWaiters();
  }

  get newest(): Track<State, Event> {
    return this.#newest;
  }

  get serving(): Track<State, Event> {
    return this.#serving;
  }

  /** The newest version's; null on a read-only store. */
  get keeper(): CheckpointKeeper<State, Event> | null {
    return this.#keeper;
  }

  get status(): Exclude<ProjectionStatus, "paused"> {
    return this.#status;
  }

  get error(): StoreError | null {
    return this.#error;
  }

  /** What callers wait for. */
  get milestones(): Milestones {
    return this.#milestones;
  }

  get isClosed(): boolean {
    return this.#status === "closing" || this.#status === "closed";
  }

  get isNewestServing(): boolean {
    return this.#serving === this.#newest;
  }

  /** The newest track serves, and has been near the watermark. */
  get isSettled(): boolean {
    return this.#status === "live" && this.isNewestServing;
  }

  /** Whether a track has a part in it still. */
  isFed(track: Track<State, Event>): boolean {
    return track === this.#newest || (track === this.#serving && this.#isOlderFed);
  }

  tellWaiters(): void {
    this.#milestones.reach(this.#serving.lsn, this.#newest.lsn, this.isNewestServing);
  }

  /** When the newest version is near the watermark it takes over from an older one, and what that left is removed. */
  async goLive(): Promise<void> {
    if (this.isSettled || this.#parts.feed.watermark - this.#newest.lsn > HANDOVER_EVENTS) return;
    this.#isOlderFed = false;
    if (this.#newest.lsn < this.#serving.lsn) return;
    this.#serving = this.#newest;
    this.#status = "live";
    this.#parts.onLive();
    this.tellWaiters();
    if (this.#keeper === null) return;
    const hasPlaceToTake = this.#keeper.promote();
    const hasOthersToRemove = this.#keeper.retireOtherVersions();
    const failure = hasOthersToRemove || hasPlaceToTake ? await this.#keeper.saveUnasked(this.#parts.report) : null;
    const adoption = this.#adoption;
    if (adoption === null) return;
    this.#adoption = null;
    this.#parts.report({ kind: "rebuilt", lsn: this.#newest.lsn });
    if (failure === null) adoption.resolve();
    else adoption.reject(failure);
  }

  /** Has a track that was built beside take over once it has passed the one that serves, and resolves then. */
  async adopt(track: Track<State, Event>, keeper: CheckpointKeeper<State, Event>): Promise<void> {
    // Nothing of the former may end behind this: neither a file that it writes, nor a call that the new one would make again.
    for (;;) {
      const busy = this.#keeper?.saving ?? this.#parts.reactions?.calling ?? null;
      if (busy === null) break;
      await Promise.allSettled([busy]);
    }
    if (this.isClosed) throw closedError(this.#name);
    if (this.#keeper !== null) keeper.inherit(this.#keeper);
    this.#newest = track;
    this.#keeper = keeper;
    this.#isOlderFed = false;
    if (this.#error !== null) {
      this.#error = null;
      this.#status = "catching-up";
      this.#milestones.recover();
    }
    const takenOver = new Promise<void>((resolve, reject) => {
      this.#adoption = { resolve, reject };
    });
    this.#parts.onAdopted(track);
    await takenOver;
  }

  /**
   * A subject was forgotten that the state has something of: the state goes, and its checkpoints, and it is built again from the log, which has
   * nothing of the subject any more. An older version that serves goes with it. Killed in between, the next start believes no such checkpoint.
   */
  async startOver({ lsn }: { readonly lsn: number }): Promise<void> {
    const tracks = new Set([this.#newest, this.#serving]);
    // What is being written is of the former state, and is removed then.
    while (this.#keeper !== null && this.#keeper.saving !== null) await Promise.allSettled([this.#keeper.saving]);
    this.#serving = this.#newest;
    this.#isOlderFed = false;
    for (const track of tracks) track.startOver();
    this.#milestones.startOver();
    if (this.#status === "live") this.#status = "catching-up";
    try {
      await this.#keeper?.discard();
    } catch (cause) {
      const message = `projection "${this.#name}" could not remove its checkpoints, which have something of a forgotten subject`;
      throw new StoreError("ERR_PROJECTION_FAILED", message, { projection: this.#name, lsn }, { cause });
    }
    this.#milestones.hear(lsn);
    this.#parts.report({ kind: "started-over", lsn });
  }

  fail(track: Track<State, Event>, cause: unknown): void {
    const error = isStoreError(cause, "ERR_PROJECTION_FAILED") ? cause : feedError(this.#name, this.#newest.lsn, cause);
    this.#parts.report({ kind: "failed", error });
    // An older version that fails stands still and serves on; the newer one is on its way.
    if (track !== this.#newest) return;
    this.#status = "failed";
    this.#error = error;
    this.#adoption?.reject(error);
    this.#adoption = null;
    this.#milestones.fail(error, this.#serving === track);
  }

  /** Saves the newest version's state because somebody asks. Throws as a runner's `checkpoint`. */
  async checkpoint(): Promise<number> {
    if (this.isClosed) throw closedError(this.#name);
    if (this.#error !== null) throw this.#error;
    if (this.#keeper === null) throw readOnlyError(this.#name, "keep no checkpoints");
    // Whoever asks may drop the log below it: the next start has to find it, though it does not serve yet.
    if (this.#adoption !== null) this.#keeper.promote();
    return this.#keeper.save();
  }

  /** Saves what was changed beside the events. */
  async saveChanged(): Promise<void> {
    this.#keeper?.touch();
    await this.#keeper?.save();
  }

  /** Resolves when no checkpoint is being written; what the caller does before its next await nobody comes between. */
  async whenStill(): Promise<void> {
    while (this.#keeper !== null && this.#keeper.saving !== null) await Promise.allSettled([this.#keeper.saving]);
    if (this.isClosed) throw closedError(this.#name);
    if (this.#error !== null) throw this.#error;
  }

  /** Nobody waits any more. */
  beginClosing(): void {
    this.#status = "closing";
    const error = closedError(this.#name);
    this.#adoption?.reject(error);
    this.#milestones.fail(error, true);
  }

  /** Nothing is fed any more: saves what has moved, and is closed whatever becomes of that. */
  async close(): Promise<void> {
    try {
      await this.#parts.reactions?.save();
      // Joins a write that is under way: the state has stood still since that began.
      if (this.#error === null) await this.#keeper?.save();
    } finally {
      this.#status = "closed";
    }
  }

  get #name(): string {
    return this.#newest.projection.name;
  }
}

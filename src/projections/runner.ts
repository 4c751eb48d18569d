/**
 * Runs a projection: feeds it the log in LSN order, keeps its checkpoint, and tells callers how far it is.
 *
 * - Events are read batch by batch and applied one at a time; nothing is read ahead, so memory stays bounded and an event
 *   that arrives meanwhile is simply still in the log.
 * - Applying yields to the event loop every few milliseconds, between two events, so a reader always sees the state of
 *   one LSN.
 * - While a checkpoint is written no event is applied, so what is written is the state of one LSN too.
 * - Checkpoint(C) + replay(C + 1 … W) = state, for every C: a crash at any moment costs time, never correctness.
 *
 * When the version changes and the definition of the version before is given, two tracks run side by side: the older
 * one, from its own checkpoint, serves and is kept up to date; the newer one starts from zero (or from where an
 * interrupted rebuild left its checkpoint). As soon as the newer one is within HANDOVER_EVENTS of the watermark the older
 * one stands still, and when the newer one has passed it, the newer one serves. Only after the newer one's checkpoint is
 * durable are the files of all other versions removed, so the version can be rolled back until then. Only the newest
 * version's checkpoint is ever written.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { isStoreError, StoreError } from "../errors.js";
import type { ParkedEvent } from "./checkpoint-format.js";
import type { CheckpointKeeper } from "./checkpoint-keeper.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { EventRate } from "./event-rate.js";
import { LsnWaiters, type WaitOptions } from "./lsn-waiters.js";
import type { ProjectionProgress, ProjectionReport } from "./runner-options.js";
import type { ProjectionRecovery } from "./runner-start.js";
import type { Track } from "./track.js";

// Long enough to be worth it, short enough that the writer's completions do not wait noticeably.
const APPLY_SLICE_MS = 5;
const PROGRESS_INTERVAL_MS = 250;
const HANDOVER_EVENTS = 1000;

/**
 * - `"catching-up"`: behind the watermark since the start; a previous version may be serving.
 * - `"live"`: has caught up once, and follows the log.
 * - `"failed"`: stopped, see `error`; the last state is still there to be read.
 * - `"closing"`, `"closed"`: `close()` was called.
 */
export type ProjectionStatus = "catching-up" | "live" | "failed" | "closing" | "closed";

interface RunnerParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly current: Track<State, Event>;
  readonly previous: Track<State, Event> | null;
  /** Null on a read-only store. */
  readonly keeper: CheckpointKeeper<State, Event> | null;
  readonly recovery: ProjectionRecovery;
  readonly report: (report: ProjectionReport) => void;
  readonly tellProgress: ((progress: ProjectionProgress) => void) | null;
  /** Frees the name, once nothing more will be written. */
  readonly release: () => void;
}

/** A running projection; made by `startProjection`. */
export class ProjectionRunner<State, Event extends FeedEvent> {
  readonly #parts: RunnerParts<State, Event>;
  readonly #feed: EventFeed<Event>;
  readonly #current: Track<State, Event>;
  readonly #keeper: CheckpointKeeper<State, Event> | null;
  readonly #processed = new LsnWaiters();
  readonly #caughtUp = new LsnWaiters();
  /** How far it has heard of what is forgotten; a state that is rebuilt does not unhear it. */
  readonly #heard = new LsnWaiters();
  readonly #stopping = new AbortController();
  readonly #rate = new EventRate(performance.now());
  readonly #unsubscribe: () => void;
  readonly #feeding: Promise<unknown>;
  #serving: Track<State, Event>;
  #status: ProjectionStatus = "catching-up";
  #error: StoreError | null = null;
  #handingOver = false;
  #closed: Promise<void> | null = null;
  #progressToldMs = Number.NEGATIVE_INFINITY;
  #wakers: (() => void)[] = [];

  /** @internal Use `startProjection`. */
  constructor(parts: RunnerParts<State, Event>) {
    this.#parts = parts;
    this.#feed = parts.feed;
    this.#current = parts.current;
    this.#keeper = parts.keeper;
    this.#serving = parts.previous ?? parts.current;
    this.#unsubscribe = parts.feed.onAdvance(() => this.#wake());
    this.#tellWaiters();
    const tracks = new Set([this.#serving, this.#current]);
    this.#feeding = Promise.all(Array.from(tracks, (track) => this.#follow(track)));
  }

  /** What starting found: where the state came from, and which checkpoints were not believed. */
  get recovery(): ProjectionRecovery {
    return this.#parts.recovery;
  }

  get status(): ProjectionStatus {
    return this.#status;
  }

  /** Why the projection stopped: ERR_PROJECTION_FAILED; null while it has not. */
  get error(): StoreError | null {
    return this.#error;
  }

  /** The state that serves now. Read it, and hold it no longer than until the next `await`: it may be changed in place. */
  get state(): State {
    return this.#serving.state;
  }

  /** The LSN that `state` reflects. */
  get lsn(): number {
    return this.#serving.lsn;
  }

  /** The version of the definition that serves now. */
  get version(): number {
    return this.#serving.projection.version;
  }

  /** How far the newest version is. */
  get progress(): ProjectionProgress {
    const eventsPerSecond = Math.round(this.#rate.perSecond(performance.now()));
    return { lsn: this.#current.lsn, watermark: this.#feed.watermark, eventsPerSecond };
  }

  /** The events that were left out under the policy `park`, in LSN order; kept in the checkpoint. */
  get parked(): readonly ParkedEvent[] {
    return this.#current.parked;
  }

  /** How many events were left out under the policy `skip`; kept in the checkpoint. */
  get skippedEvents(): number {
    return this.#current.skippedEvents;
  }

  /**
   * Resolves once this version serves and reflects everything that is visible now. Rejects with ERR_PROJECTION_FAILED or
   * ERR_PROJECTION_CLOSED when that will not happen, with ERR_PROJECTION_TIMEOUT after `timeoutMs`, and with the signal's
   * reason when that is aborted.
   */
  async whenCaughtUp(options: WaitOptions = {}): Promise<void> {
    await this.#wait(this.#caughtUp, this.#feed.watermark, options);
  }

  /** Resolves once `state` reflects this LSN, for reading one's own writes. Rejects as `whenCaughtUp` does. */
  async whenProcessed(lsn: number, options: WaitOptions = {}): Promise<void> {
    if (!Number.isSafeInteger(lsn) || lsn < 0) throw new TypeError("lsn must be a safe integer, 0 or more");
    await this.#wait(this.#processed, lsn, options);
  }

  /** @internal Resolves once what was forgotten up to this LSN is in no state and no checkpoint of this projection; also when it has failed or closed. */
  async whenForgotten(lsn: number): Promise<void> {
    await this.#wait(this.#heard, lsn, {}).catch(() => {});
  }

  /**
   * Writes the newest version's state with its LSN, durably, and resolves with that LSN. Rejects with
   * ERR_PROJECTION_CHECKPOINT when it cannot be written (the projection goes on), ERR_STORE_READ_ONLY on a read-only
   * store, and ERR_PROJECTION_FAILED or ERR_PROJECTION_CLOSED.
   */
  async checkpoint(): Promise<number> {
    if (this.#closed !== null) throw this.#closedError();
    if (this.#error !== null) throw this.#error;
    if (this.#keeper !== null) return this.#keeper.save();
    throw new StoreError("ERR_STORE_READ_ONLY", "a read-only store keeps no checkpoints", { projection: this.#name });
  }

  /**
   * Stops between two events, writes a checkpoint if the state has moved since the last one, and frees the name. May be
   * called again, and always gives the same promise. Rejects with ERR_PROJECTION_CHECKPOINT when the checkpoint could not
   * be written; the projection is closed then all the same, and the next start replays more.
   */
  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #name(): string {
    return this.#current.projection.name;
  }

  async #shutDown(): Promise<void> {
    this.#status = "closing";
    this.#stopping.abort();
    this.#unsubscribe();
    this.#wake();
    for (const waiters of [this.#processed, this.#caughtUp, this.#heard]) waiters.fail(this.#closedError());
    await this.#feeding;
    try {
      // Joins a write that is under way: the state has stood still since that began.
      if (this.#error === null) await this.#keeper?.save();
    } finally {
      this.#status = "closed";
      this.#parts.release();
    }
  }

  /** Feeds a track until the projection is closed, the track fails, or it has handed over. Never rejects. */
  async #follow(track: Track<State, Event>): Promise<void> {
    try {
      while (this.#goesOn(track)) {
        if (track.lsn < this.#feed.watermark) await this.#drain(track, this.#feed.watermark);
        else if (track === this.#current && this.#status === "catching-up") await this.#goLive();
        else await this.#advance();
      }
    } catch (error) {
      // Closing aborts a read that is under way.
      if (!this.#stopping.signal.aborted) this.#fail(track, error);
    }
  }

  #goesOn(track: Track<State, Event>): boolean {
    if (this.#stopping.signal.aborted) return false;
    return track === this.#current || (track === this.#serving && !this.#handingOver);
  }

  /** Feeds a track everything up to an LSN that is visible. */
  async #drain(track: Track<State, Event>, target: number): Promise<void> {
    const keeper = track === this.#current ? this.#keeper : null;
    let sliceEndMs = performance.now() + APPLY_SLICE_MS;
    const { startCount } = track;
    for await (const events of this.#feed.readBatches(track.lsn, { signal: this.#stopping.signal })) {
      for (let index = 0; index < events.length; ) {
        if (performance.now() >= sliceEndMs) {
          await nextTurn();
          sliceEndMs = performance.now() + APPLY_SLICE_MS;
        }
        // No await may stand between this and applying, or a checkpoint could begin in between.
        while (keeper !== null && keeper.saving !== null) await settled(keeper.saving);
        if (!this.#goesOn(track) || track.startCount !== startCount) return;
        index = this.#applySlice(track, events, index, sliceEndMs);
        if (track.mustStartOver) return this.#startOver(events[index] as Event);
      }
      if (keeper?.due) await this.#saveUnasked(keeper);
    }
    if (!this.#goesOn(track) || track.startCount !== startCount) return;
    track.reach(target);
    this.#tellWaiters();
    if (track === this.#current) await this.#goLive();
  }

  /**
   * A subject was forgotten that the state has something of: the state goes, and its checkpoints, and it is built again from the log, which has
   * nothing of the subject any more. An older version that serves goes with it. Killed in between, the next start believes no such checkpoint.
   */
  async #startOver({ lsn }: Event): Promise<void> {
    const { previous, report } = this.#parts;
    // What is being written is of the former state, and is removed then.
    while (this.#keeper !== null && this.#keeper.saving !== null) await settled(this.#keeper.saving);
    this.#serving = this.#current;
    this.#handingOver = true;
    for (const track of [this.#current, previous]) track?.startOver();
    for (const waiters of [this.#processed, this.#caughtUp]) waiters.startOver();
    if (this.#status === "live") this.#status = "catching-up";
    try {
      await this.#keeper?.discard();
    } catch (cause) {
      const message = `projection "${this.#name}" could not remove its checkpoints, which have something of a forgotten subject`;
      throw new StoreError("ERR_PROJECTION_FAILED", message, { projection: this.#name, lsn }, { cause });
    }
    this.#heard.reach(lsn);
    report({ kind: "started-over", lsn });
  }

  #applySlice(track: Track<State, Event>, events: readonly Event[], from: number, untilMs: number): number {
    const before = track.lsn;
    try {
      return track.apply(events, from, untilMs);
    } finally {
      // Also when an event failed: those before it have been applied.
      if (track === this.#current) this.#rate.add(track.lsn - before, performance.now());
      this.#tellWaiters();
      this.#tellProgress();
    }
  }

  /** When the newest version is near the watermark it takes over from an older one, and what that left is removed. */
  async #goLive(): Promise<void> {
    if (this.#status !== "catching-up" || this.#feed.watermark - this.#current.lsn > HANDOVER_EVENTS) return;
    this.#handingOver = true;
    if (this.#current.lsn < this.#serving.lsn) return;
    this.#serving = this.#current;
    this.#status = "live";
    this.#progressToldMs = Number.NEGATIVE_INFINITY;
    this.#tellProgress();
    this.#tellWaiters();
    if (this.#keeper?.retireOtherVersions()) await this.#saveUnasked(this.#keeper);
  }

  #fail(track: Track<State, Event>, cause: unknown): void {
    const error = isStoreError(cause, "ERR_PROJECTION_FAILED") ? cause : this.#feedError(cause);
    this.#parts.report({ kind: "failed", error });
    // An older version that fails stands still and serves on; the newer one is on its way.
    if (track !== this.#current) return;
    this.#status = "failed";
    this.#error = error;
    this.#caughtUp.fail(error);
    if (this.#serving === track) this.#processed.fail(error);
    this.#heard.fail(error);
  }

  #feedError(cause: unknown): StoreError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const horizon = isStoreError(cause, "ERR_LOG_TRUNCATED") ? cause.details["horizon"] : undefined;
    const details = { projection: this.#name, lsn: this.#current.lsn, ...(horizon !== undefined && { horizon }) };
    return new StoreError(
      "ERR_PROJECTION_FAILED",
      `projection "${this.#name}" cannot read the log: ${reason}`,
      details,
      {
        cause,
      },
    );
  }

  /** For a checkpoint that no caller waits for: its failure is reported, and the next one is tried when it is due. */
  async #saveUnasked(keeper: CheckpointKeeper<State, Event>): Promise<void> {
    try {
      await keeper.save();
    } catch (error) {
      if (!isStoreError(error, "ERR_PROJECTION_CHECKPOINT")) throw error;
      this.#parts.report({ kind: "checkpoint-failed", error });
    }
  }

  /** Resolves when the watermark has moved, or the projection is being closed. */
  #advance(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake(): void {
    for (const waker of this.#wakers.splice(0)) waker();
  }

  #tellWaiters(): void {
    this.#processed.reach(this.#serving.lsn);
    if (this.#serving === this.#current) this.#caughtUp.reach(this.#current.lsn);
    this.#heard.reach(Math.min(this.#serving.lsn, this.#current.lsn));
  }

  #tellProgress(): void {
    const { tellProgress } = this.#parts;
    const nowMs = performance.now();
    if (tellProgress === null || nowMs - this.#progressToldMs < PROGRESS_INTERVAL_MS) return;
    this.#progressToldMs = nowMs;
    tellProgress(this.progress);
  }

  #wait(waiters: LsnWaiters, lsn: number, options: WaitOptions): Promise<void> {
    return waiters.wait(lsn, options, (reachedLsn) => {
      const message = `projection "${this.#name}" reached LSN ${reachedLsn}, not ${lsn}, within ${options.timeoutMs} ms`;
      return new StoreError("ERR_PROJECTION_TIMEOUT", message, { projection: this.#name, lsn, reachedLsn });
    });
  }

  #closedError(): StoreError {
    return new StoreError("ERR_PROJECTION_CLOSED", `projection "${this.#name}" is closed`, { projection: this.#name });
  }
}

async function settled(work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([work]);
}

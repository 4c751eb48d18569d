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
 *
 * A rebuild of the same version (`running-rebuild.ts`) is the same with a track that comes later: once it is near the watermark it
 * becomes the newest one, and takes over as above. Its first save behind that renames its file to the checkpoint.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { isStoreError, StoreError } from "../errors.js";
import type { CheckpointFacts, ParkedEvent } from "./checkpoint-format.js";
import type { CheckpointKeeper } from "./checkpoint-keeper.js";
import { ControlWatch } from "./control-watch.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { WaitOptions } from "./lsn-waiters.js";
import { Milestones } from "./milestones.js";
import { ParkedEvents, type RetryReport } from "./parked-events.js";
import { PauseSwitch } from "./pause-switch.js";
import { ProgressMeter } from "./progress-meter.js";
import type { ProjectionMetrics, ProjectionProgress, ProjectionStatus } from "./projection-progress.js";
import type { RebuildOptions, RebuildReport } from "./rebuild-options.js";
import { type EventBatch, eventsFor } from "./row-reader.js";
import { closedError, feedError, readOnlyError } from "./runner-errors.js";
import type { RunnerParts } from "./runner-parts.js";
import type { ProjectionRecovery } from "./runner-start.js";
import { type RebuildDocumentOptions, rebuildRunningDocument } from "./running-document-rebuild.js";
import { RunningRebuild } from "./running-rebuild.js";
import type { StillTrack } from "./still-track.js";
import type { Track } from "./track.js";
import { Wakeup } from "./wakeup.js";

// Long enough to be worth it, short enough that the writer's completions do not wait noticeably.
const APPLY_SLICE_MS = 5;
const HANDOVER_EVENTS = 1000;

/** A running projection; made by `startProjection`. */
export class ProjectionRunner<State, Event extends FeedEvent> {
  readonly #parts: RunnerParts<State, Event>;
  readonly #feed: EventFeed<Event>;
  readonly #rebuild: RunningRebuild<State, Event>;
  readonly #parkedEvents: ParkedEvents<State, Event>;
  readonly #still: StillTrack<State, Event>;
  readonly #pausing: PauseSwitch;
  readonly #watch: ControlWatch | null;
  readonly #milestones: Milestones;
  readonly #meter: ProgressMeter;
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #feeding: Promise<void>[] = [];
  #current: Track<State, Event>;
  #keeper: CheckpointKeeper<State, Event> | null;
  /** The newest version waits for a thread or a job that builds it, and is fed nothing meanwhile. */
  #isBuiltElsewhere = false;
  /** How many want the newest version to stand still. */
  #holdCount = 0;
  #adoption: { resolve(): void; reject(error: unknown): void } | null = null;
  #serving: Track<State, Event>;
  #status: ProjectionStatus = "catching-up";
  #error: StoreError | null = null;
  #handingOver = false;
  #closed: Promise<void> | null = null;
  /** Of the watermark that has moved, of a pause that ended, or of closing. */
  readonly #wakeup = new Wakeup();

  /** @internal Use `startProjection`. */
  constructor(parts: RunnerParts<State, Event>) {
    this.#parts = parts;
    this.#feed = parts.feed;
    this.#current = parts.current;
    this.#milestones = new Milestones(parts.current.projection.name);
    this.#meter = new ProgressMeter(parts.tellProgress);
    this.#keeper = parts.keeper;
    this.#pausing = new PauseSwitch(parts.directory, parts.isPaused, () => this.#wakeup.wake());
    this.#serving = parts.previous ?? parts.current;
    this.#unsubscribe = parts.feed.onAdvance(() => this.#wakeup.wake());
    this.#tellWaiters();
    const { onError, checkpointEveryEvents, rebuildIn } = parts.settings;
    this.#rebuild = new RunningRebuild({
      feed: parts.feed,
      directory: parts.directory,
      projection: parts.current.projection,
      ...{ onError, checkpointEveryEvents, rebuildIn: rebuildIn === "job" ? null : rebuildIn },
      reactions: parts.reactions,
      report: parts.report,
      stopping: this.#stopping.signal,
      distance: HANDOVER_EVENTS,
      adopt: (track, keeper) => this.#adopt(track, keeper),
    });
    this.#still = {
      feed: parts.feed,
      currentTrack: () => this.#current,
      hold: () => this.#hold(),
      whenStill: () => this.#whenStill(),
      save: () => this.#saveChanged(),
    };
    this.#parkedEvents = new ParkedEvents(this.#still);
    this.#watch =
      parts.keeper === null ? null : new ControlWatch(parts.directory, (names) => this.#heed(new Set(names)));
    const isLong = parts.current.lsn === 0 && parts.feed.watermark > HANDOVER_EVENTS;
    this.#isBuiltElsewhere = isLong && rebuildIn !== null && parts.keeper !== null;
    // A job is somebody else's to start: what it leaves is adopted as that of any other.
    if (this.#isBuiltElsewhere && rebuildIn !== "job") void this.#buildElsewhere();
    for (const track of new Set([this.#serving, this.#current])) this.#feeding.push(this.#follow(track));
  }

  /** What starting found: where the state came from, and which checkpoints were not believed. */
  get recovery(): ProjectionRecovery {
    return this.#parts.recovery;
  }

  get status(): ProjectionStatus {
    const isApplying = this.#status === "catching-up" || this.#status === "live";
    return this.#pausing.isPaused && isApplying ? "paused" : this.#status;
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

  /** @internal What a checkpoint of this moment says beside `state`. */
  get facts(): CheckpointFacts {
    return this.#serving.facts(this.#feed.storeId ?? null);
  }

  /** How far the newest version is. */
  get progress(): ProjectionProgress {
    const { eventsPerSecond } = this.#meter;
    return { lsn: this.#current.lsn, watermark: this.#feed.watermark, eventsPerSecond };
  }

  /** How it goes, in numbers. */
  get metrics(): ProjectionMetrics {
    const { lsn, watermark, eventsPerSecond } = this.progress;
    return {
      name: this.#name,
      version: this.version,
      status: this.status,
      lsn: this.lsn,
      watermark,
      lag: Math.max(0, watermark - this.lsn),
      eventsPerSecond,
      checkpointLsn: this.#keeper?.savedLsn ?? (this.recovery.from === "checkpoint" ? this.recovery.lsn : 0),
      parkedEvents: this.parked.length,
      skippedEvents: this.skippedEvents,
      rebuild: this.#rebuild.progress ?? (this.#serving === this.#current ? null : { lsn, watermark, eventsPerSecond }),
    };
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
    await this.#milestones.whenCaughtUp(this.#feed.watermark, options);
  }

  /** Resolves once `state` reflects this LSN, for reading one's own writes. Rejects as `whenCaughtUp` does. */
  async whenProcessed(lsn: number, options: WaitOptions = {}): Promise<void> {
    if (!Number.isSafeInteger(lsn) || lsn < 0) throw new TypeError("lsn must be a safe integer, 0 or more");
    await this.#milestones.whenProcessed(lsn, options);
  }

  /** @internal Resolves once what was forgotten up to this LSN is in no state and no checkpoint of this projection; also when it has failed or closed. */
  async whenForgotten(lsn: number, keyIds: readonly string[]): Promise<void> {
    await this.#rebuild.forget(keyIds);
    // One that stands still would not come to the event that says so.
    if (!this.#pausing.isPaused) await this.#milestones.whenHeard(lsn).catch(() => {});
    else if ([this.#current, this.#serving].some((track) => track.hasTraceOf(keyIds))) await this.#startOver({ lsn });
  }

  /**
   * Folds the log from its first event on into a new state, while the one that is there serves and follows; then the new one takes over, and
   * its checkpoint takes the place of the former, in one step. Resolves when that is durable. Also the way out of `"failed"`.
   *
   * Closed or killed half way, the next call goes on from the last save (every `checkpointEveryEvents`), unless `fresh`. Cancelled by the
   * signal, or when `apply` throws under the policy "stop", nothing is kept of it: the definition may be another next time.
   * `react` is not called for events of which it was called before.
   *
   * @throws TypeError for a wrong option, the signal's reason
   * @throws StoreError `ERR_PROJECTION_REBUILDING`, `ERR_PROJECTION_FAILED`, `ERR_PROJECTION_CLOSED`, `ERR_STORE_READ_ONLY`, and in a thread
   *   `ERR_PROJECTION_MODULE` and what `openReader` throws: the former state serves on
   * @throws StoreError `ERR_PROJECTION_CHECKPOINT`: the new state cannot be saved; where it serves by then, it goes on, and is saved later
   *
   * @example
   * ```ts
   * const { lsn } = await running.rebuild({ maxEventsPerSecond: 100_000, onProgress: ({ lsn, watermark }) => show(lsn / watermark) });
   * ```
   */
  async rebuild(options: RebuildOptions = {}): Promise<RebuildReport> {
    this.#requireWritable("are not rebuilt");
    return this.#rebuild.start(options, true);
  }

  /**
   * Folds one document of a projection of documents (`singleStream`, `multiStream`) anew from its first event on, and puts it in the place of
   * the one that is there: the others are as they were. Of a stream only its own events are read, unless some of them were truncated; of another
   * key, the log. It is of the newest version. Resolves with the LSN that the state reflected then, when that is durable.
   *
   * Parked events stay parked and out of it; under the policy "skip" it leaves out what a handler throws at, without counting that once more.
   *
   * @throws TypeError for a key that can have no document, a wrong option, or a projection without documents; the signal's reason
   * @throws StoreError `ERR_PROJECTION_FAILED` when a handler throws under the policies "stop" and "park": the document is as it was, and the
   *   projection goes on; `ERR_PROJECTION_CHECKPOINT`: it serves, and is saved later; `ERR_PROJECTION_CLOSED`, `ERR_STORE_READ_ONLY`
   *
   * @example
   * ```ts
   * await running.rebuildDocument("order-7");
   * ```
   */
  async rebuildDocument(key: string, options: RebuildDocumentOptions = {}): Promise<number> {
    this.#requireWritable("are not rebuilt");
    if (this.#error !== null) throw this.#error;
    const { report, settings } = this.#parts;
    const host = { ...this.#still, report, onError: settings.onError, stopping: this.#stopping.signal };
    return rebuildRunningDocument(host, key, options);
  }

  /**
   * Stops applying events, between two of them, until `resume()`: here, and in every other process that runs a projection of this name on this
   * store, within half a second. It outlasts a restart, for it is a file in the projection's directory; `varve projection pause` writes
   * the same. The state is served as it is; a rebuild goes on, and takes over after `resume()`. Resolves when the file is durable.
   *
   * @throws StoreError `ERR_IO_FAILED` when the file cannot be written: it goes on; `ERR_STORE_READ_ONLY`, `ERR_PROJECTION_CLOSED`
   */
  async pause(): Promise<void> {
    this.#requireWritable("are not paused");
    await this.#pausing.pause();
  }

  /** Goes on after `pause()`, here and elsewhere. Throws as `pause` does. */
  async resume(): Promise<void> {
    this.#requireWritable("are not paused");
    await this.#pausing.resume();
  }

  /**
   * Applies a parked event, or all of them in LSN order, to the state of now, that is behind events that came later, and saves the result. An
   * event that is refused once more stays parked with its new message. A rebuild applies each at its place instead.
   *
   * @throws StoreError `ERR_PROJECTION_NOT_PARKED`, `ERR_PROJECTION_CHECKPOINT` (what was applied is, and is saved later), `ERR_PROJECTION_FAILED`,
   *   `ERR_PROJECTION_CLOSED`, `ERR_STORE_READ_ONLY`
   */
  async retry(lsn?: number): Promise<RetryReport> {
    this.#requireWritable("retry nothing");
    if (this.#error !== null) throw this.#error;
    return this.#parkedEvents.retry(lsn);
  }

  /** Takes a parked event from the list for good, without applying it, and saves that. A rebuild comes to it again. Throws as `retry` does. */
  async skip(lsn: number): Promise<void> {
    this.#requireWritable("skip nothing");
    if (this.#error !== null) throw this.#error;
    await this.#parkedEvents.skip(lsn);
  }

  /**
   * Writes the newest version's state with its LSN, durably, and resolves with that LSN. Rejects with
   * ERR_PROJECTION_CHECKPOINT when it cannot be written (the projection goes on), ERR_STORE_READ_ONLY on a read-only
   * store, and ERR_PROJECTION_FAILED or ERR_PROJECTION_CLOSED.
   */
  async checkpoint(): Promise<number> {
    if (this.#closed !== null) throw closedError(this.#name);
    if (this.#error !== null) throw this.#error;
    // Whoever asks may drop the log below it: the next start has to find it, though it does not serve yet.
    if (this.#adoption !== null) this.#keeper?.promote();
    if (this.#keeper !== null) return this.#keeper.save();
    throw readOnlyError(this.#name, "keep no checkpoints");
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
    this.#watch?.stop();
    this.#wakeup.wake();
    this.#adoption?.reject(closedError(this.#name));
    this.#milestones.fail(closedError(this.#name), true);
    await this.#rebuild.settled();
    await Promise.all(this.#feeding);
    try {
      await this.#parts.reactions?.save();
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
        if (this.#isHeldUp(track)) await this.#wakeup.next();
        else if (track.lsn < this.#feed.watermark) await this.#drain(track, this.#feed.watermark);
        else if (track === this.#current && !this.#isSettled) await this.#goLive();
        else await this.#wakeup.next();
      }
    } catch (error) {
      // Closing aborts a read that is under way.
      if (!this.#stopping.signal.aborted) this.#fail(track, error);
    }
  }

  #goesOn(track: Track<State, Event>): boolean {
    const isFed = track === this.#current || (track === this.#serving && !this.#handingOver);
    return isFed && !this.#stopping.signal.aborted;
  }

  #isHeldUp(track: Track<State, Event>): boolean {
    return this.#pausing.isPaused || (track === this.#current && (this.#isBuiltElsewhere || this.#holdCount > 0));
  }

  /** The newest track serves, and has been near the watermark. */
  get #isSettled(): boolean {
    return this.#status === "live" && this.#serving === this.#current;
  }

  /** Feeds a track everything up to an LSN that is visible. */
  async #drain(track: Track<State, Event>, target: number): Promise<void> {
    const keeper = track === this.#current ? this.#keeper : null;
    const reactions = track === this.#current ? this.#parts.reactions : null;
    let sliceEndMs = performance.now() + APPLY_SLICE_MS;
    const { startCount } = track;
    for await (const events of eventsFor(track, this.#feed, target, this.#stopping.signal)) {
      for (let index = 0; index < events.length; ) {
        if (performance.now() >= sliceEndMs) {
          await nextTurn();
          sliceEndMs = performance.now() + APPLY_SLICE_MS;
        }
        // No await may stand between this and applying, or a checkpoint could begin in between.
        while (keeper !== null && keeper.saving !== null) await settled(keeper.saving);
        if (!this.#goesOn(track) || this.#isHeldUp(track) || track.startCount !== startCount) return;
        if (reactions?.awaits(events.at(index) as Event)) {
          const event = events.at(index) as Event;
          this.#applySlice(track, [event], 0, 0);
          if (track.mustStartOver) return this.#startOver(event);
          await reactions.after(track, event);
          index += 1;
          continue;
        }
        index = this.#applySlice(track, reactions?.notAwaited(events as readonly Event[]) ?? events, index, sliceEndMs);
        if (track.mustStartOver) return this.#startOver(events.at(index) as Event);
      }
      if (keeper?.due) await this.#saveUnasked(keeper);
    }
    if (!this.#goesOn(track) || track.startCount !== startCount) return;
    await reactions?.save();
    if (!this.#goesOn(track) || track.startCount !== startCount) return;
    track.reach(target);
    this.#tellWaiters();
    if (track === this.#current) await this.#goLive();
  }

  /**
   * A subject was forgotten that the state has something of: the state goes, and its checkpoints, and it is built again from the log, which has
   * nothing of the subject any more. An older version that serves goes with it. Killed in between, the next start believes no such checkpoint.
   */
  async #startOver({ lsn }: { readonly lsn: number }): Promise<void> {
    const tracks = new Set([this.#current, this.#serving]);
    // What is being written is of the former state, and is removed then.
    while (this.#keeper !== null && this.#keeper.saving !== null) await settled(this.#keeper.saving);
    this.#serving = this.#current;
    this.#handingOver = true;
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

  #applySlice(track: Track<State, Event>, events: EventBatch<Event>, from: number, untilMs: number): number {
    const before = track.lsn;
    try {
      return track.apply(events, from, untilMs);
    } finally {
      // Also when an event failed: those before it have been applied.
      if (track === this.#current) this.#meter.add(track.lsn - before);
      this.#tellWaiters();
      this.#meter.tellDue(() => this.progress);
    }
  }

  /** When the newest version is near the watermark it takes over from an older one, and what that left is removed. */
  async #goLive(): Promise<void> {
    if (this.#isSettled || this.#feed.watermark - this.#current.lsn > HANDOVER_EVENTS) return;
    this.#handingOver = true;
    if (this.#current.lsn < this.#serving.lsn) return;
    this.#serving = this.#current;
    this.#status = "live";
    this.#meter.tell(this.progress);
    this.#tellWaiters();
    if (this.#keeper === null) return;
    const hasPlaceToTake = this.#keeper.promote();
    const hasOthersToRemove = this.#keeper.retireOtherVersions();
    const failure = hasOthersToRemove || hasPlaceToTake ? await this.#saveUnasked(this.#keeper) : null;
    const adoption = this.#adoption;
    if (adoption === null) return;
    this.#adoption = null;
    this.#parts.report({ kind: "rebuilt", lsn: this.#current.lsn });
    if (failure === null) adoption.resolve();
    else adoption.reject(failure);
  }

  /** Has a track that was built beside take over once it has passed the one that serves, and resolves then. */
  async #adopt(track: Track<State, Event>, keeper: CheckpointKeeper<State, Event>): Promise<void> {
    // Nothing of the former may end behind this: neither a file that it writes, nor a call that the new one would make again.
    for (;;) {
      const busy = this.#keeper?.saving ?? this.#parts.reactions?.calling ?? null;
      if (busy === null) break;
      await settled(busy);
    }
    if (this.#closed !== null) throw closedError(this.#name);
    if (this.#keeper !== null) keeper.inherit(this.#keeper);
    this.#current = track;
    this.#keeper = keeper;
    this.#handingOver = true;
    this.#isBuiltElsewhere = false;
    if (this.#error !== null) {
      this.#error = null;
      this.#status = "catching-up";
      this.#milestones.recover();
    }
    const takenOver = new Promise<void>((resolve, reject) => {
      this.#adoption = { resolve, reject };
    });
    this.#wakeup.wake();
    this.#feeding.push(this.#follow(track));
    await takenOver;
  }

  /** Has a thread make the state of a version that is new; where that does not do, this loop does. */
  async #buildElsewhere(): Promise<void> {
    try {
      await this.#rebuild.start({}, false);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#parts.report({ kind: "rebuild-failed", error });
      this.#isBuiltElsewhere = false;
      this.#wakeup.wake();
    }
  }

  /** What lies in the directory now. */
  #heed(names: ReadonlySet<string>): void {
    this.#pausing.heed(names);
    const { version } = this.#current.projection;
    if (!names.has(`v${version}.ready`) || this.#rebuild.progress !== null) return;
    // It is what this one began with, and has not taken the checkpoint's place yet.
    if (this.#keeper?.file === this.#parts.directory.readyOf(version)) return;
    this.#rebuild.adoptReady().catch((error: unknown) => {
      // Somebody writes the next one; this looks again.
      if (isStoreError(error, "ERR_PROJECTION_REBUILDING") || this.#stopping.signal.aborted) return;
      this.#parts.report({ kind: "rebuild-failed", error });
    });
  }

  /** Resolves when no checkpoint is being written; what the caller does before its next await nobody comes between. */
  async #whenStill(): Promise<void> {
    while (this.#keeper !== null && this.#keeper.saving !== null) await settled(this.#keeper.saving);
    if (this.#closed !== null) throw closedError(this.#name);
    if (this.#error !== null) throw this.#error;
  }

  #hold(): () => void {
    this.#holdCount += 1;
    return () => {
      this.#holdCount -= 1;
      this.#wakeup.wake();
    };
  }

  async #saveChanged(): Promise<void> {
    this.#keeper?.touch();
    await this.#keeper?.save();
  }

  #requireWritable(what: string): void {
    if (this.#closed !== null) throw closedError(this.#name);
    if (this.#keeper === null) throw readOnlyError(this.#name, what);
  }

  #fail(track: Track<State, Event>, cause: unknown): void {
    const error = isStoreError(cause, "ERR_PROJECTION_FAILED")
      ? cause
      : feedError(this.#name, this.#current.lsn, cause);
    this.#parts.report({ kind: "failed", error });
    // An older version that fails stands still and serves on; the newer one is on its way.
    if (track !== this.#current) return;
    this.#status = "failed";
    this.#error = error;
    this.#adoption?.reject(error);
    this.#adoption = null;
    this.#milestones.fail(error, this.#serving === track);
  }

  /** For a checkpoint that no caller waits for: its failure is reported, and the next one is tried when it is due. */
  async #saveUnasked(keeper: CheckpointKeeper<State, Event>): Promise<StoreError | null> {
    try {
      await keeper.save();
      return null;
    } catch (error) {
      if (!isStoreError(error, "ERR_PROJECTION_CHECKPOINT")) throw error;
      this.#parts.report({ kind: "checkpoint-failed", error });
      return error;
    }
  }

  #tellWaiters(): void {
    this.#milestones.reach(this.#serving.lsn, this.#current.lsn, this.#serving === this.#current);
  }
}

const settled = (work: Promise<unknown>): Promise<unknown> => Promise.allSettled([work]);

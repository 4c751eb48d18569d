/**
 * A running projection as its callers hold it: what it serves and how far it is, and what can be asked of it.
 *
 * Events go one way: the log feeds tracks (`track-feeding.ts`) unless something holds them up (`brake.ts`); which track serves, is saved and takes
 * over is the succession's (`succession.ts`), which tells those who wait (`milestones.ts`). Here is only what callers ask and tell.
 *
 * Checkpoint(C) + replay(C + 1 … W) = state, for every C: a crash at any moment costs time, never correctness.
 */

import { isStoreError, type StoreError } from "../errors.js";
import { Brake } from "./brake.js";
import type { CheckpointFacts, ParkedEvent } from "./checkpoint-format.js";
import { ControlWatch } from "./control-watch.js";
import type { FeedEvent } from "./event-feed.js";
import type { WaitOptions } from "./lsn-waiters.js";
import { ParkedEvents, type RetryReport } from "./parked-events.js";
import { PauseSwitch } from "./pause-switch.js";
import { ProgressMeter } from "./progress-meter.js";
import type { ProjectionMetrics, ProjectionProgress, ProjectionStatus } from "./projection-progress.js";
import type { RebuildOptions, RebuildReport } from "./rebuild-options.js";
import { closedError, readOnlyError } from "./runner-errors.js";
import type { RunnerParts } from "./runner-parts.js";
import type { ProjectionRecovery } from "./runner-start.js";
import { type RebuildDocumentOptions, rebuildRunningDocument } from "./running-document-rebuild.js";
import { RunningRebuild } from "./running-rebuild.js";
import type { StillTrack } from "./still-track.js";
import { HANDOVER_EVENTS, Succession } from "./succession.js";
import { TrackFeeding } from "./track-feeding.js";
import { Wakeup } from "./wakeup.js";

/** A running projection; made by `startProjection`. */
export class ProjectionRunner<State, Event extends FeedEvent> {
  readonly #parts: RunnerParts<State, Event>;
  readonly #succession: Succession<State, Event>;
  readonly #feeding: TrackFeeding<State, Event>;
  readonly #rebuild: RunningRebuild<State, Event>;
  readonly #still: StillTrack<State, Event>;
  readonly #parkedEvents: ParkedEvents<State, Event>;
  readonly #brake: Brake;
  readonly #pausing: PauseSwitch;
  readonly #watch: ControlWatch | null;
  readonly #meter: ProgressMeter;
  readonly #stopping = new AbortController();
  readonly #wakeup = new Wakeup();
  readonly #unsubscribe: () => void;
  #closed: Promise<void> | null = null;

  /** @internal Use `startProjection`. */
  constructor(parts: RunnerParts<State, Event>) {
    this.#parts = parts;
    const { feed, directory, current, reactions, report } = parts;
    const { onError, checkpointEveryEvents, rebuildIn } = parts.settings;
    const stopping = this.#stopping.signal;
    const wake = (): void => this.#wakeup.wake();
    this.#meter = new ProgressMeter(parts.tellProgress);
    this.#pausing = new PauseSwitch(directory, parts.isPaused, wake);
    const isLong = current.lsn === 0 && feed.watermark > HANDOVER_EVENTS;
    const isBuiltElsewhere = isLong && rebuildIn !== null && parts.keeper !== null;
    this.#brake = new Brake(this.#pausing, isBuiltElsewhere, wake);
    const succession = new Succession<State, Event>({
      ...{ feed, current, previous: parts.previous, keeper: parts.keeper, reactions, report },
      onLive: () => this.#meter.tell(this.progress),
      onAdopted: (track) => {
        this.#brake.endBuildingElsewhere();
        this.#feeding.begin(track);
      },
    });
    this.#succession = succession;
    this.#feeding = new TrackFeeding({
      ...{
        feed,
        succession,
        brake: this.#brake,
        reactions,
        meter: this.#meter,
        report,
        wakeup: this.#wakeup,
        stopping,
      },
      progress: () => this.progress,
    });
    this.#rebuild = new RunningRebuild({
      ...{
        feed,
        directory,
        projection: current.projection,
        onError,
        checkpointEveryEvents,
        reactions,
        report,
        stopping,
      },
      rebuildIn: rebuildIn === "job" ? null : rebuildIn,
      distance: HANDOVER_EVENTS,
      adopt: (track, keeper) => succession.adopt(track, keeper),
    });
    this.#still = {
      feed,
      currentTrack: () => succession.newest,
      hold: () => this.#brake.hold(),
      whenStill: () => succession.whenStill(),
      save: () => succession.saveChanged(),
    };
    this.#parkedEvents = new ParkedEvents(this.#still);
    this.#watch = parts.keeper === null ? null : new ControlWatch(directory, (names) => this.#heed(new Set(names)));
    this.#unsubscribe = feed.onAdvance(wake);
    // A job is somebody else's to start: what it leaves is adopted as that of any other.
    if (isBuiltElsewhere && rebuildIn !== "job") void this.#buildElsewhere();
    for (const track of new Set([succession.serving, succession.newest])) this.#feeding.begin(track);
  }

  /** What starting found: where the state came from, and which checkpoints were not believed. */
  get recovery(): ProjectionRecovery {
    return this.#parts.recovery;
  }

  get status(): ProjectionStatus {
    const { status } = this.#succession;
    const isApplying = status === "catching-up" || status === "live";
    return this.#pausing.isPaused && isApplying ? "paused" : status;
  }

  /** Why the projection stopped: ERR_PROJECTION_FAILED; null while it has not. */
  get error(): StoreError | null {
    return this.#succession.error;
  }

  /** The state that serves now. Read it, and hold it no longer than until the next `await`: it may be changed in place. */
  get state(): State {
    return this.#succession.serving.state;
  }

  /** The LSN that `state` reflects. */
  get lsn(): number {
    return this.#succession.serving.lsn;
  }

  /** The version of the definition that serves now. */
  get version(): number {
    return this.#succession.serving.projection.version;
  }

  /** @internal What a checkpoint of this moment says beside `state`. */
  get facts(): CheckpointFacts {
    return this.#succession.serving.facts(this.#parts.feed.storeId ?? null);
  }

  /** How far the newest version is. */
  get progress(): ProjectionProgress {
    const { eventsPerSecond } = this.#meter;
    return { lsn: this.#succession.newest.lsn, watermark: this.#parts.feed.watermark, eventsPerSecond };
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
      checkpointLsn: this.#succession.keeper?.savedLsn ?? (this.recovery.from === "checkpoint" ? this.recovery.lsn : 0),
      parkedEvents: this.parked.length,
      skippedEvents: this.skippedEvents,
      rebuild:
        this.#rebuild.progress ?? (this.#succession.isNewestServing ? null : { lsn, watermark, eventsPerSecond }),
    };
  }

  /** The events that were left out under the policy `park`, in LSN order; kept in the checkpoint. */
  get parked(): readonly ParkedEvent[] {
    return this.#succession.newest.parked;
  }

  /** How many events were left out under the policy `skip`; kept in the checkpoint. */
  get skippedEvents(): number {
    return this.#succession.newest.skippedEvents;
  }

  /**
   * Resolves once this version serves and reflects everything that is visible now. Rejects with ERR_PROJECTION_FAILED or
   * ERR_PROJECTION_CLOSED when that will not happen, with ERR_PROJECTION_TIMEOUT after `timeoutMs`, and with the signal's
   * reason when that is aborted.
   */
  async whenCaughtUp(options: WaitOptions = {}): Promise<void> {
    await this.#succession.milestones.whenCaughtUp(this.#parts.feed.watermark, options);
  }

  /** Resolves once `state` reflects this LSN, for reading one's own writes. Rejects as `whenCaughtUp` does. */
  async whenProcessed(lsn: number, options: WaitOptions = {}): Promise<void> {
    if (!Number.isSafeInteger(lsn) || lsn < 0) throw new TypeError("lsn must be a safe integer, 0 or more");
    await this.#succession.milestones.whenProcessed(lsn, options);
  }

  /** @internal Resolves once what was forgotten up to this LSN is in no state and no checkpoint of this projection; also when it has failed or closed. */
  async whenForgotten(lsn: number, keyIds: readonly string[]): Promise<void> {
    await this.#rebuild.forget(keyIds);
    // One that stands still would not come to the event that says so.
    if (!this.#pausing.isPaused) await this.#succession.milestones.whenHeard(lsn).catch(() => {});
    else if ([this.#succession.newest, this.#succession.serving].some((track) => track.hasTraceOf(keyIds)))
      await this.#succession.startOver({ lsn });
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
    this.#requireGoing();
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
    this.#requireGoing();
    return this.#parkedEvents.retry(lsn);
  }

  /** Takes a parked event from the list for good, without applying it, and saves that. A rebuild comes to it again. Throws as `retry` does. */
  async skip(lsn: number): Promise<void> {
    this.#requireWritable("skip nothing");
    this.#requireGoing();
    await this.#parkedEvents.skip(lsn);
  }

  /**
   * Writes the newest version's state with its LSN, durably, and resolves with that LSN. Rejects with
   * ERR_PROJECTION_CHECKPOINT when it cannot be written (the projection goes on), ERR_STORE_READ_ONLY on a read-only
   * store, and ERR_PROJECTION_FAILED or ERR_PROJECTION_CLOSED.
   */
  async checkpoint(): Promise<number> {
    return this.#succession.checkpoint();
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

  async #shutDown(): Promise<void> {
    this.#succession.beginClosing();
    this.#stopping.abort();
    this.#unsubscribe();
    this.#watch?.stop();
    this.#wakeup.wake();
    await this.#rebuild.settled();
    await this.#feeding.ended();
    try {
      await this.#succession.close();
    } finally {
      this.#parts.release();
    }
  }

  /** Has a thread make the state of a version that is new; where that does not do, this loop does. */
  async #buildElsewhere(): Promise<void> {
    try {
      await this.#rebuild.start({}, false);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#parts.report({ kind: "rebuild-failed", error });
      this.#brake.endBuildingElsewhere();
    }
  }

  /** What lies in the directory now. */
  #heed(names: ReadonlySet<string>): void {
    this.#pausing.heed(names);
    const { newest, keeper } = this.#succession;
    const { version } = newest.projection;
    if (!names.has(`v${version}.ready`) || this.#rebuild.progress !== null) return;
    // It is what this one began with, and has not taken the checkpoint's place yet.
    if (keeper?.file === this.#parts.directory.readyOf(version)) return;
    this.#rebuild.adoptReady().catch((error: unknown) => {
      // Somebody writes the next one; this looks again.
      if (isStoreError(error, "ERR_PROJECTION_REBUILDING") || this.#stopping.signal.aborted) return;
      this.#parts.report({ kind: "rebuild-failed", error });
    });
  }

  get #name(): string {
    return this.#succession.newest.projection.name;
  }

  #requireWritable(what: string): void {
    if (this.#closed !== null) throw closedError(this.#name);
    if (this.#succession.keeper === null) throw readOnlyError(this.#name, what);
  }

  #requireGoing(): void {
    if (this.error !== null) throw this.error;
  }
}

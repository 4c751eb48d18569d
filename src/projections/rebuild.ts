/**
 * One rebuild of a projection: its events from the first one on, folded into a second state beside the one that serves.
 *
 * It saves that state now and then in a file of its own (`v<version>.rebuild`), so that the next one goes on from there when this one is
 * killed or closed. Who cancels it, or whose `apply` throws, gets nothing kept: the definition is likely to be mended before the next
 * attempt, and half a state of each would be none of either. The lock is held from `begin` to `leave`, `discard` or `done`.
 */

import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { StoreError } from "../errors.js";
import type { FileLock } from "../events/index.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import { readCheckpoint } from "./checkpoint-file.js";
import { CheckpointKeeper } from "./checkpoint-keeper.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { ProgressMeter } from "./progress-meter.js";
import type { Projection } from "./projection.js";
import type { ProjectionProgress } from "./projection-progress.js";
import { takeRebuildLock } from "./rebuild-lock.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";
import { judge } from "./runner-start.js";
import { Track, type TrackStart } from "./track.js";

const APPLY_SLICE_MS = 5;
// A throttled rebuild that is aborted ends within this.
const THROTTLE_NAP_MS = 100;

/** What a rebuild is made of, whoever runs it. */
export interface RebuildParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly directory: CheckpointDirectory;
  readonly projection: Projection<State, Event>;
  readonly onError: FailurePolicy;
  readonly checkpointEveryEvents: number;
  /** `Infinity`: as fast as it goes. */
  readonly maxEventsPerSecond: number;
  /** Begins at the first event, whatever an interrupted rebuild has left. */
  readonly fresh: boolean;
  /** The LSN up to which `react` was called: it is not folded further here, where nobody calls it. `Infinity` where there is none. */
  readonly limit: () => number | Promise<number>;
  /** As a checkpoint keeper has it. */
  readonly beforeSave?: () => Promise<void>;
  readonly report: (report: ProjectionReport) => void;
  readonly tellProgress: ((progress: ProjectionProgress) => void) | null;
}

const FROM_ZERO = { lsn: 0, witness: null, skippedEvents: 0, parked: [] } as const;

export class Rebuild<State, Event extends FeedEvent> {
  readonly track: Track<State, Event>;
  readonly keeper: CheckpointKeeper<State, Event>;
  /** Where it began: above 0 when it goes on with an interrupted one. */
  readonly startLsn: number;
  readonly #parts: RebuildParts<State, Event>;
  readonly #lock: FileLock;
  readonly #meter: ProgressMeter;

  private constructor(parts: RebuildParts<State, Event>, file: string, start: TrackStart<State>, lock: FileLock) {
    const { feed, directory } = parts;
    this.#parts = parts;
    this.#lock = lock;
    this.#meter = new ProgressMeter(parts.tellProgress);
    this.startLsn = start.lsn;
    this.track = new Track(parts.projection, start, parts.onError, parts.report);
    this.keeper = new CheckpointKeeper({
      directory,
      track: this.track,
      file,
      storeId: feed.storeId ?? null,
      ciphers: feed.stateCiphers ?? null,
      savedLsn: start.lsn,
      otherFiles: [],
      everyEvents: parts.checkpointEveryEvents,
      ...(parts.beforeSave !== undefined && { beforeSave: parts.beforeSave }),
    });
  }

  /** Takes the lock, and finds where to begin. Throws ERR_PROJECTION_REBUILDING. */
  static async begin<State, Event extends FeedEvent>(
    parts: RebuildParts<State, Event>,
  ): Promise<Rebuild<State, Event>> {
    const { directory, projection, fresh } = parts;
    return Rebuild.#locked(parts, async (lock) => {
      await directory.removeTemporaryFiles();
      const file = directory.rebuildOf(projection.version);
      if (fresh) await directory.remove([file]);
      const found = fresh ? null : await readState(parts, file);
      return new Rebuild(parts, file, found ?? { ...FROM_ZERO, state: projection.init() }, lock);
    });
  }

  /** Takes the lock, and goes on with a state that was made elsewhere; null: there is none that can be used. */
  static async ofReady<State, Event extends FeedEvent>(
    parts: RebuildParts<State, Event>,
  ): Promise<Rebuild<State, Event> | null> {
    return Rebuild.#locked(parts, async (lock) => {
      const file = parts.directory.readyOf(parts.projection.version);
      const found = await readState(parts, file);
      if (found !== null) return new Rebuild(parts, file, found, lock);
      lock.release();
      return null;
    });
  }

  static async #locked<State, Event extends FeedEvent, Result>(
    { directory, projection }: RebuildParts<State, Event>,
    work: (lock: FileLock) => Promise<Result>,
  ): Promise<Result> {
    const lock = await takeRebuildLock(directory, projection.name);
    try {
      return await work(lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get progress(): ProjectionProgress {
    const { eventsPerSecond } = this.#meter;
    return { lsn: this.track.lsn, watermark: this.#parts.feed.watermark, eventsPerSecond };
  }

  /**
   * Folds until no more than so many LSNs are missing. Rejects with the signal's reason, with ERR_PROJECTION_FAILED when `apply` throws under
   * the policy "stop", and with what reading the log throws.
   */
  async approach(distance: number, signal: AbortSignal): Promise<void> {
    const { track } = this;
    const { feed } = this.#parts;
    signal.throwIfAborted();
    for (;;) {
      const target = Math.min(feed.watermark, await this.#parts.limit());
      if (target - track.lsn <= distance) break;
      await this.#drain(target, signal);
    }
    signal.throwIfAborted();
    this.#meter.tell(this.progress);
  }

  async #drain(target: number, signal: AbortSignal): Promise<void> {
    const { track, keeper } = this;
    const { startCount } = track;
    const { maxEventsPerSecond } = this.#parts;
    const isThrottled = maxEventsPerSecond !== Number.POSITIVE_INFINITY;
    const beganMs = performance.now();
    const beganLsn = track.lsn;
    let sliceEndMs = beganMs + APPLY_SLICE_MS;
    for await (const batch of this.#parts.feed.readBatches(track.lsn, { signal })) {
      const events = upTo(batch, target);
      for (let index = 0; index < events.length; ) {
        if (performance.now() >= sliceEndMs) {
          await nextTurn();
          sliceEndMs = performance.now() + APPLY_SLICE_MS;
        }
        if (isThrottled) await this.#nap(beganMs + ((track.lsn - beganLsn) * 1000) / maxEventsPerSecond, signal);
        while (keeper.saving !== null) await Promise.allSettled([keeper.saving]);
        signal.throwIfAborted();
        if (track.startCount !== startCount) return;
        const before = track.lsn;
        index = track.apply(events, index, isThrottled ? 0 : sliceEndMs);
        this.#meter.add(track.lsn - before);
        if (track.mustStartOver) return this.startOver();
        this.#meter.tellDue(() => this.progress);
      }
      if (keeper.due) await keeper.saveUnasked(this.#parts.report);
      if (events.length < batch.length) break;
    }
    signal.throwIfAborted();
    if (track.startCount === startCount) track.reach(target);
  }

  /** A subject was forgotten that the state has something of. */
  async startOver(): Promise<void> {
    while (this.keeper.saving !== null) await Promise.allSettled([this.keeper.saving]);
    this.track.startOver();
    await this.keeper.discardOwn();
  }

  /** Drops what it has of these keys, durably. */
  async forget(keyIds: readonly string[]): Promise<void> {
    if (this.track.hasTraceOf(keyIds)) await this.startOver();
  }

  async #nap(untilMs: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const missingMs = untilMs - performance.now();
      if (missingMs <= 0 || signal.aborted) return;
      await delay(Math.min(missingMs, THROTTLE_NAP_MS));
    }
  }

  /**
   * After what `approach` threw: keeps what there is when the rebuild was only interrupted, and removes it when it was cancelled or `apply` threw.
   * Frees the lock, and never throws.
   */
  async end(how: "interrupted" | "given-up"): Promise<void> {
    try {
      while (this.keeper.saving !== null) await Promise.allSettled([this.keeper.saving]);
      if (how === "given-up") await this.keeper.discardOwn();
      else await this.keeper.saveUnasked(this.#parts.report);
    } catch (cause) {
      const { name } = this.#parts.projection;
      const error = new StoreError(
        "ERR_PROJECTION_CHECKPOINT",
        `the file of the rebuild of projection "${name}" could not be removed`,
        { projection: name },
        { cause },
      );
      this.#parts.report({ kind: "checkpoint-failed", error });
    } finally {
      this.#lock.release();
    }
  }

  /** Frees the lock: what was built has another owner now. */
  handOver(): void {
    this.#lock.release();
  }
}

function upTo<Event extends FeedEvent>(events: readonly Event[], lsn: number): readonly Event[] {
  const last = events.at(-1);
  return last === undefined || last.lsn <= lsn ? events : events.filter((event) => event.lsn <= lsn);
}

/** What a file holds, or null; a file that cannot be used is reported and removed. */
export async function readState<State, Event extends FeedEvent>(
  {
    directory,
    projection,
    feed,
    report,
  }: Pick<RebuildParts<State, Event>, "directory" | "projection" | "feed" | "report">,
  file: string,
): Promise<TrackStart<State> | null> {
  const reading = await readCheckpoint(
    file,
    (facts) => judge(facts, projection, feed),
    (chunks) => projection.decode(chunks),
    feed.stateCiphers ?? null,
  );
  if (reading.kind === "usable") return { ...reading.facts, state: reading.state };
  if (reading.kind === "absent") return null;
  const { reason, message } = reading;
  report({ kind: "checkpoint-refused", file, reason, message });
  await directory.remove([file]);
  return null;
}

/** The rebuilds of a projection that runs: one at a time, on this loop or elsewhere, each ending in that its state takes over. */

import { isStoreError, StoreError } from "../errors.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import type { CheckpointKeeper } from "./checkpoint-keeper.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { Projection } from "./projection.js";
import type { ProjectionProgress } from "./projection-progress.js";
import type { Reactions } from "./reactions.js";
import { Rebuild, type RebuildParts } from "./rebuild.js";
import {
  type ProjectionModule,
  type RebuildOptions,
  type RebuildReport,
  rebuildSettingsOf,
} from "./rebuild-options.js";
import { rebuildInThread } from "./rebuild-worker.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";
import type { Track } from "./track.js";

/** What it needs of the runner. */
export interface RebuildHost<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly directory: CheckpointDirectory;
  readonly projection: Projection<State, Event>;
  readonly onError: FailurePolicy;
  readonly checkpointEveryEvents: number;
  readonly rebuildIn: ProjectionModule | null;
  readonly reactions: Reactions | null;
  readonly report: (report: ProjectionReport) => void;
  /** Aborted when the projection is being closed. */
  readonly stopping: AbortSignal;
  /** Within how many LSNs of the watermark a state takes over. */
  readonly distance: number;
  /** Resolves once the track serves, and is the checkpoint. */
  adopt(track: Track<State, Event>, keeper: CheckpointKeeper<State, Event>): Promise<void>;
}

const NO_SETTINGS = rebuildSettingsOf({});

export class RunningRebuild<State, Event extends FeedEvent> {
  readonly #host: RebuildHost<State, Event>;
  #work: Promise<RebuildReport | null> | null = null;
  #isAsked = false;
  #own: Rebuild<State, Event> | null = null;
  #progress: ProjectionProgress | null = null;

  constructor(host: RebuildHost<State, Event>) {
    this.#host = host;
  }

  /** How far the one is that is under way; null: none is. */
  get progress(): ProjectionProgress | null {
    if (this.#work === null) return null;
    return (
      this.#own?.progress ?? this.#progress ?? { lsn: 0, watermark: this.#host.feed.watermark, eventsPerSecond: 0 }
    );
  }

  /** Resolves when none is under way; never rejects. */
  async settled(): Promise<void> {
    await this.#work?.catch(() => null);
  }

  /** Waits for one that nobody has asked for. Throws ERR_PROJECTION_REBUILDING when another is under way. */
  async start(options: RebuildOptions, isAsked: boolean): Promise<RebuildReport> {
    const settings = rebuildSettingsOf(options);
    const { projection, rebuildIn } = this.#host;
    while (this.#work !== null && !this.#isAsked) await this.settled();
    settings.signal?.throwIfAborted();
    if (this.#work !== null) {
      throw new StoreError("ERR_PROJECTION_REBUILDING", `projection "${projection.name}" is being rebuilt already`, {
        projection: projection.name,
      });
    }
    const module = settings.in ?? rebuildIn;
    this.#isAsked = isAsked;
    const report = await this.#run(async () => {
      const startedMs = performance.now();
      const elapsedMs = (): number => performance.now() - startedMs;
      const cancelled = settings.signal;
      const signal = AbortSignal.any([this.#host.stopping, ...(cancelled === null ? [] : [cancelled])]);
      const onProgress = settings.onProgress;
      const tellProgress = (progress: ProjectionProgress): void => {
        this.#progress = progress;
        if (onProgress !== null) queueMicrotask(() => onProgress(progress));
      };
      const parts = { ...this.#parts(), ...settings, tellProgress };
      if (module === null) return this.#take(await Rebuild.begin(parts), signal, cancelled, elapsedMs);

      const { directory } = this.#host.feed;
      const order = { storeDirectory: directory, module, projection, settings: parts };
      const { fromLsn } = await rebuildInThread(order, signal, tellProgress).catch(async (error: unknown) => {
        if (cancelled?.aborted) await this.#host.directory.remove([this.#host.directory.rebuildOf(projection.version)]);
        else if (this.#host.stopping.aborted) throw this.#closedError();
        throw error;
      });
      const ready = await Rebuild.ofReady({ ...parts, tellProgress: null });
      if (ready === null) throw this.#unusable();
      return { ...(await this.#take(ready, signal, cancelled, elapsedMs)), fromLsn };
    });
    if (report === null) throw this.#unusable();
    return report;
  }

  /** Goes over to a state that was made elsewhere. Does nothing while a rebuild is under way, here or there. */
  async adoptReady(): Promise<void> {
    if (this.#work !== null) return;
    const startedMs = performance.now();
    await this.#run(async () => {
      const ready = await Rebuild.ofReady(this.#parts());
      if (ready === null) return null;
      return this.#take(ready, this.#host.stopping, null, () => performance.now() - startedMs);
    });
  }

  /** Drops what a rebuild has of these keys. One in a thread or a process comes to the event that says so itself. */
  async forget(keyIds: readonly string[]): Promise<void> {
    await this.#own?.forget(keyIds);
  }

  async #run(work: () => Promise<RebuildReport | null>): Promise<RebuildReport | null> {
    try {
      this.#work = work();
      return await this.#work;
    } finally {
      this.#work = null;
      this.#isAsked = false;
      this.#own = null;
      this.#progress = null;
    }
  }

  /** Has a rebuild come near the watermark and take over, or ends it. */
  async #take(
    rebuild: Rebuild<State, Event>,
    signal: AbortSignal,
    cancelled: AbortSignal | null,
    elapsedMs: () => number,
  ): Promise<RebuildReport> {
    this.#own = rebuild;
    try {
      await rebuild.approach(this.#host.distance, signal);
    } catch (error) {
      const isGivenUp = cancelled?.aborted === true || isStoreError(error, "ERR_PROJECTION_FAILED");
      await rebuild.end(isGivenUp ? "given-up" : "interrupted");
      throw this.#host.stopping.aborted && cancelled?.aborted !== true ? this.#closedError() : error;
    }
    try {
      await this.#host.adopt(rebuild.track, rebuild.keeper);
    } finally {
      rebuild.handOver();
    }
    return { fromLsn: rebuild.startLsn, lsn: rebuild.track.lsn, durationMs: Math.round(elapsedMs()) };
  }

  #parts(): RebuildParts<State, Event> {
    const { feed, directory, projection, onError, checkpointEveryEvents, report, reactions } = this.#host;
    const { maxEventsPerSecond, fresh } = NO_SETTINGS;
    const tellProgress = null;
    const own = { feed, directory, projection, onError, checkpointEveryEvents, report };
    const limit = (): number => reactions?.lsn ?? Number.POSITIVE_INFINITY;
    const beforeSave = async (): Promise<void> => reactions?.settle();
    return { ...own, maxEventsPerSecond, fresh, tellProgress, limit, beforeSave };
  }

  #unusable(): StoreError {
    const { name } = this.#host.projection;
    const message = `what was rebuilt of projection "${name}" in another thread cannot be used; see the reports`;
    return new StoreError("ERR_PROJECTION_CHECKPOINT", message, { projection: name });
  }

  #closedError(): StoreError {
    const { name } = this.#host.projection;
    return new StoreError("ERR_PROJECTION_CLOSED", `projection "${name}" is closed`, { projection: name });
  }
}

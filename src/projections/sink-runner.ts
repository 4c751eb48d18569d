/**
 * Feeds a sink: handled events in LSN order, a commit at a time, each from where the one before ended.
 *
 * The position is believed only as the sink has stored it: it is asked for at the start, and after a commit that threw, which may have been
 * committed all the same. Nothing of it is kept here.
 */

import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { isStoreError, StoreError } from "../errors.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { EventRate } from "./event-rate.js";
import { LsnWaiters, type WaitOptions } from "./lsn-waiters.js";
import type { ProjectionProgress } from "./projection-progress.js";
import { closedError, feedError, timeoutError } from "./runner-errors.js";
import {
  type Sink,
  type SinkOptions,
  type SinkReport,
  type SinkSettings,
  sinkSettingsOf,
  validateSink,
} from "./sink.js";
import { claimName } from "./start-projection.js";
import { Wakeup } from "./wakeup.js";

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;
const NAP_MS = 50;

/** As of a projection. */
export type SinkStatus = "catching-up" | "live" | "failed" | "closing" | "closed";

/** A sink that is being fed; made by `store.sink`. */
export class SinkRunner<Event extends FeedEvent> {
  readonly #feed: EventFeed<Event>;
  readonly #sink: Sink<Event>;
  readonly #settings: SinkSettings;
  readonly #handled: ReadonlySet<string> | null;
  readonly #release: () => void;
  readonly #processed = new LsnWaiters();
  readonly #stopping = new AbortController();
  readonly #rate = new EventRate(performance.now());
  readonly #unsubscribe: () => void;
  readonly #feeding: Promise<void>;
  #status: SinkStatus = "catching-up";
  #error: StoreError | null = null;
  /** What the sink has stored. */
  #storedLsn: number;
  /** Above it, where nothing came that the sink handles. */
  #lsn: number;
  #attempts = 0;
  #closed: Promise<void> | null = null;
  readonly #wakeup = new Wakeup();

  private constructor(
    feed: EventFeed<Event>,
    sink: Sink<Event>,
    settings: SinkSettings,
    position: number,
    release: () => void,
  ) {
    this.#feed = feed;
    this.#sink = sink;
    this.#settings = settings;
    this.#handled = sink.handles === "all" ? null : new Set(sink.handles);
    this.#release = release;
    this.#storedLsn = position;
    this.#lsn = position;
    this.#processed.reach(position);
    this.#unsubscribe = feed.onAdvance(() => this.#wakeup.wake());
    this.#feeding = this.#follow();
  }

  /** @internal Use `store.sink`. */
  static async start<Event extends FeedEvent>(
    feed: EventFeed<Event>,
    sink: Sink<Event>,
    options: SinkOptions = {},
  ): Promise<SinkRunner<Event>> {
    validateSink(sink);
    const settings = sinkSettingsOf(sink.name, options);
    const release = claimName(feed, sink.name);
    try {
      return new SinkRunner(feed, sink, settings, await positionOf(sink, feed), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  get status(): SinkStatus {
    return this.#status;
  }

  /** Why it stopped: ERR_PROJECTION_FAILED; null while it has not. */
  get error(): StoreError | null {
    return this.#error;
  }

  /** The read model reflects every event up to this LSN. */
  get lsn(): number {
    return this.#lsn;
  }

  get progress(): ProjectionProgress {
    const eventsPerSecond = Math.round(this.#rate.perSecond(performance.now()));
    return { lsn: this.#lsn, watermark: this.#feed.watermark, eventsPerSecond };
  }

  /** Resolves once everything that is visible now is committed. Rejects as `whenCaughtUp` of a projection does. */
  whenCaughtUp(options: WaitOptions = {}): Promise<void> {
    return this.#wait(this.#feed.watermark, options);
  }

  /** Resolves once the event with this LSN is committed. */
  async whenProcessed(lsn: number, options: WaitOptions = {}): Promise<void> {
    if (!Number.isSafeInteger(lsn) || lsn < 0) throw new TypeError("lsn must be a safe integer, 0 or more");
    await this.#wait(lsn, options);
  }

  /** Stops behind the commit that is under way, and frees the name. Always gives the same promise. */
  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    this.#status = "closing";
    this.#stopping.abort();
    this.#unsubscribe();
    this.#wakeup.wake();
    this.#processed.fail(closedError(this.#sink.name));
    await this.#feeding;
    this.#status = "closed";
    this.#release();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (this.#lsn < this.#feed.watermark) await this.#drain(this.#feed.watermark);
        else await this.#wakeup.next();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof CommitFailure)) return this.#fail(error);
        if (!(await this.#recover(error.cause))) return;
      }
    }
  }

  async #drain(target: number): Promise<void> {
    const { batchEvents } = this.#settings;
    const { signal } = this.#stopping;
    let events: Event[] = [];
    // What was appended since `target` was looked up can be among what is read: the position must be behind it, or it would come twice.
    let end = target;
    for await (const batch of this.#feed.readBatches(this.#lsn, { signal })) {
      for (const event of batch) {
        end = Math.max(end, event.lsn);
        if (this.#isShown(event)) events.push(event);
        if (events.length >= batchEvents) {
          await this.#commit(events, event.lsn);
          events = [];
          await nextTurn();
          signal.throwIfAborted();
        }
      }
    }
    // Where nothing is handled for long, the position moves all the same, or the next start would read all of it again.
    if (events.length > 0 || end - this.#storedLsn >= batchEvents) await this.#commit(events, end);
    this.#reach(end);
    if (this.#status === "catching-up") this.#status = "live";
  }

  #isShown(event: Event): boolean {
    if (this.#handled !== null && !this.#handled.has(event.type)) return false;
    const { subjectContent = null } = event;
    if (subjectContent?.status === "refused") throw subjectContent.error;
    return subjectContent?.status !== "forgotten";
  }

  async #commit(events: readonly Event[], position: number): Promise<void> {
    try {
      await this.#sink.commit(events, position, this.#storedLsn);
    } catch (cause) {
      throw new CommitFailure("a commit threw", { cause });
    }
    this.#attempts = 0;
    this.#storedLsn = position;
    this.#reach(position);
  }

  #reach(lsn: number): void {
    if (lsn <= this.#lsn) return;
    this.#rate.add(lsn - this.#lsn, performance.now());
    this.#lsn = lsn;
    this.#processed.reach(lsn);
  }

  /** After a commit that threw: waits, and begins where the sink says that it is. False: it has failed, or is being closed. */
  async #recover(error: unknown): Promise<boolean> {
    this.#attempts += 1;
    if (this.#attempts >= this.#settings.maxAttempts) {
      this.#fail(error);
      return false;
    }
    const retryInMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (this.#attempts - 1));
    this.#report({ kind: "commit-failed", error, attempt: this.#attempts, retryInMs });
    const untilMs = performance.now() + retryInMs;
    while (performance.now() < untilMs && !this.#stopping.signal.aborted) await delay(NAP_MS);
    if (this.#stopping.signal.aborted) return false;
    try {
      const position = await positionOf(this.#sink, this.#feed);
      this.#storedLsn = position;
      this.#lsn = position;
      this.#processed.reach(this.#lsn);
      return true;
    } catch (cause) {
      return this.#recover(cause);
    }
  }

  #fail(cause: unknown): void {
    const { name } = this.#sink;
    const isFeed = isStoreError(cause, "ERR_LOG_TRUNCATED");
    const reason = cause instanceof Error ? cause.message : String(cause);
    const details = { projection: name, lsn: this.#lsn };
    const error = isFeed
      ? feedError(name, this.#lsn, cause)
      : new StoreError("ERR_PROJECTION_FAILED", `sink "${name}" failed behind LSN ${this.#lsn}: ${reason}`, details, {
          cause,
        });
    this.#status = "failed";
    this.#error = error;
    this.#processed.fail(error);
    this.#report({ kind: "failed", error });
  }

  #report(report: SinkReport): void {
    const { onReport } = this.#settings;
    queueMicrotask(() => onReport(report));
  }

  #wait(lsn: number, options: WaitOptions): Promise<void> {
    return this.#processed.wait(lsn, options, (reached) =>
      timeoutError(this.#sink.name, lsn, reached, options.timeoutMs),
    );
  }
}

/** Leads out of reading the log to the retry. */
class CommitFailure extends Error {}

async function positionOf<Event extends FeedEvent>(sink: Sink<Event>, feed: EventFeed<Event>): Promise<number> {
  const refuse = (message: string, cause?: unknown): StoreError =>
    new StoreError("ERR_PROJECTION_FAILED", `sink "${sink.name}": ${message}`, { projection: sink.name }, { cause });
  let position: number;
  try {
    position = await sink.position();
  } catch (cause) {
    throw refuse(`its position cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  if (!Number.isSafeInteger(position) || position < 0) throw refuse(`its position ${String(position)} is no LSN`);
  if (position > feed.watermark) {
    throw refuse(`its position ${position} lies above the watermark ${feed.watermark}: the store is an older one`);
  }
  return position;
}

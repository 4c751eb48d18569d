/**
 * One document of a projection, folded anew from its first event on beside the state that serves.
 *
 * The events of a stream are read by the stream index, as long as all of them are still shown: a rebuild of the whole state would also be given
 * those that were truncated and are not scavenged yet, and what one document becomes must not depend on the way. Else the log is gone through.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { isStoreError } from "../errors.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { Projection, ProjectionDocuments } from "./projection.js";
import { eventError } from "./runner-errors.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";

const FOLD_SLICE_MS = 5;

export interface DocumentFoldParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly projection: Projection<State, Event>;
  readonly key: string;
  readonly onError: FailurePolicy;
  readonly report: (report: ProjectionReport) => void;
  readonly signal: AbortSignal;
}

/** The documents of a projection, and that the key may be one of theirs. @throws TypeError */
export function documentsOf<State, Event extends FeedEvent>(
  projection: Projection<State, Event>,
  key: string,
): ProjectionDocuments<State, Event> {
  const { documents, name } = projection;
  if (documents === undefined) throw new TypeError(`projection "${name}" has one state, and no documents`);
  if (typeof key !== "string") throw new TypeError("the key of a document must be a string");
  documents.streamOf(key);
  return documents;
}

export class DocumentFold<State, Event extends FeedEvent> {
  readonly state: State;
  readonly #parts: DocumentFoldParts<State, Event>;
  readonly #documents: ProjectionDocuments<State, Event>;
  readonly #handled: ReadonlySet<string> | null;
  readonly #leftOut: number[] = [];
  #lsn = 0;
  /** Of the stream's last event that was seen, where it is read by itself. */
  #version = 0;

  /** @throws TypeError */
  constructor(parts: DocumentFoldParts<State, Event>) {
    const { projection } = parts;
    this.#parts = parts;
    this.#documents = documentsOf(projection, parts.key);
    this.#handled = projection.handles === "all" ? null : new Set(projection.handles);
    this.state = projection.init();
  }

  /** The events that were parked when they came: they are not in the document, as they are not in the state. */
  get leftOut(): readonly number[] {
    return this.#leftOut;
  }

  /**
   * Folds up to an LSN, without the events that are parked. Rejects with the signal's reason, with ERR_PROJECTION_FAILED where a handler throws
   * and the policy is not "skip", and with what reading throws.
   */
  async foldThrough(lsn: number, parked: ReadonlySet<number>): Promise<void> {
    const { signal } = this.#parts;
    let sliceEndMs = performance.now() + FOLD_SLICE_MS;
    signal.throwIfAborted();
    for await (const events of this.#eventsAbove(this.#lsn)) {
      for (const event of events) {
        if (performance.now() >= sliceEndMs) {
          await nextTurn();
          signal.throwIfAborted();
          sliceEndMs = performance.now() + FOLD_SLICE_MS;
        }
        if (event.lsn > lsn) break;
        if (event.lsn > this.#lsn) this.#fold(event, parked);
      }
      if ((events.at(-1)?.lsn ?? 0) >= lsn) break;
    }
    this.#lsn = Math.max(this.#lsn, lsn);
  }

  async *#eventsAbove(lsn: number): AsyncGenerator<readonly Event[], void, undefined> {
    const { feed, key, signal } = this.#parts;
    const stream = this.#documents.streamOf(key);
    if (stream === null || feed.readStream === undefined || !(await this.#isWhole(stream))) {
      yield* feed.readBatches(lsn, { signal });
      return;
    }
    for await (const event of feed.readStream(stream, { from: this.#version + 1, signal })) {
      yield [event];
      // Only of one that was taken: who has enough does not come back here.
      this.#version = event.version ?? 0;
    }
  }

  /** Whether the stream is shown from its first event on; what is hidden is never something in the middle. */
  async #isWhole(stream: string): Promise<boolean> {
    const { feed, signal } = this.#parts;
    try {
      for await (const { version } of feed.readStream?.(stream, { limit: 1, signal }) ?? []) return version === 1;
      return false;
    } catch (error) {
      if (isStoreError(error, "ERR_STREAM_TOMBSTONED")) return false;
      throw error;
    }
  }

  #fold(event: Event, parked: ReadonlySet<number>): void {
    if (this.#handled !== null && !this.#handled.has(event.type)) return;
    const { projection, key, onError, report } = this.#parts;
    const { subjectContent = null } = event;
    if (parked.has(event.lsn)) {
      this.#leftOut.push(event.lsn);
      return;
    }
    if (subjectContent?.status === "refused") throw eventError(projection, event, subjectContent.error);
    if (subjectContent?.status === "forgotten") return;
    try {
      this.#documents.apply(this.state, event, key);
    } catch (error) {
      // Parking it would have a retry apply it to the documents that have it already.
      if (onError !== "skip" || isStoreError(error, "ERR_EVENTS_UNKNOWN_VERSION"))
        throw eventError(projection, event, error);
      report({ kind: "event-skipped", lsn: event.lsn, type: event.type, error });
    }
  }
}

/**
 * One version of a projection on its way through the log: its state, and the LSN that the state reflects.
 *
 * Between two calls the state holds exactly the events up to and including `lsn`, less those that were left out.
 */

import { assert } from "../assert.js";
import { isStoreError, type StoreError } from "../errors.js";
import { SUBJECT_FORGOTTEN } from "../events/index.js";
import type { CheckpointFacts, ParkedEvent, Witness } from "./checkpoint-format.js";
import type { FeedEvent } from "./event-feed.js";
import type { EventRows } from "./event-rows.js";
import type { Projection } from "./projection.js";
import { type EventBatch, RowBatch } from "./row-reader.js";
import { eventError } from "./runner-errors.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";
import { type SubjectTrace, SubjectTraces } from "./subject-traces.js";

/** The list lies in every checkpoint; a projection with more to park than this has a bug, and stops. */
export const PARKED_EVENTS_MAX = 10_000;

const PARKED_MESSAGE_CHARACTERS_MAX = 1000;
// Looking at the clock costs about as much as a small apply.
const EVENTS_PER_LOOK_AT_CLOCK = 16;
const EVENTS_PREPARED = 64;

/** Where a track begins: at zero, or at what a checkpoint held. */
export interface TrackStart<State> {
  readonly state: State;
  readonly lsn: number;
  readonly witness: Witness | null;
  readonly skippedEvents: number;
  readonly parked: readonly ParkedEvent[];
  readonly subjectKeys?: SubjectTrace;
}

export class Track<State, Event extends FeedEvent> {
  readonly projection: Projection<State, Event>;
  readonly #policy: FailurePolicy;
  readonly #report: (report: ProjectionReport) => void;
  readonly #handled: ReadonlySet<string> | null;
  #state: State;
  #lsn: number;
  #witness: Witness | null;
  #skippedEvents: number;
  #parked: readonly ParkedEvent[];
  #subjects: SubjectTraces;
  #mustStartOver = false;
  #startCount = 0;
  #appliedLsn = 0;

  constructor(
    projection: Projection<State, Event>,
    start: TrackStart<State>,
    policy: FailurePolicy,
    report: (report: ProjectionReport) => void,
  ) {
    this.projection = projection;
    this.#policy = policy;
    this.#report = report;
    this.#handled = projection.handles === "all" ? null : new Set(projection.handles);
    this.#state = start.state;
    this.#lsn = start.lsn;
    this.#witness = start.witness;
    this.#skippedEvents = start.skippedEvents;
    this.#parked = start.parked;
    this.#subjects = new SubjectTraces(start.subjectKeys ?? []);
  }

  /** The state has something of a subject that was forgotten: nothing more is applied to it. */
  get mustStartOver(): boolean {
    return this.#mustStartOver;
  }

  /** Back to zero; nothing of the state is left here, nor of what was noted beside it. */
  startOver(): void {
    this.#state = this.projection.init();
    this.#lsn = 0;
    this.#witness = null;
    this.#skippedEvents = 0;
    this.#parked = [];
    this.#subjects = new SubjectTraces([]);
    this.#mustStartOver = false;
    this.#appliedLsn = 0;
    this.#startCount += 1;
  }

  /** How often it was started over: whoever is in the middle of feeding it begins anew then. */
  get startCount(): number {
    return this.#startCount;
  }

  get state(): State {
    return this.#state;
  }

  get lsn(): number {
    return this.#lsn;
  }

  get skippedEvents(): number {
    return this.#skippedEvents;
  }

  get parked(): readonly ParkedEvent[] {
    return this.#parked;
  }

  /** The last event that `apply` was shown and did not refuse. */
  get appliedLsn(): number {
    return this.#appliedLsn;
  }

  /** Whether the state has something of any of these keys, as far as that is remembered. */
  hasTraceOf(keyIds: readonly string[]): boolean {
    return this.#subjects.hasAny(keyIds);
  }

  /** Whether the state has something of a subject that was forgotten; of one with too many traces: false, the event will say so. */
  hasForgotten(isForgotten: (keyId: string) => boolean): boolean {
    const { trace } = this.#subjects;
    return trace !== "many" && trace.some(isForgotten);
  }

  /**
   * Applies a parked event to the state of now, after all that came behind it, and takes it from the list. What `apply` throws is kept as the
   * entry's message, and returned; null: it was applied, or its subject was forgotten meanwhile.
   */
  retry(event: Event): string | null {
    if (this.#isReadable(event)) {
      try {
        const next = this.projection.apply(this.#state, event);
        if (next !== this.#state) this.#requireState(next, event);
        this.#state = next;
      } catch (error) {
        if (isStoreError(error, "ERR_PROJECTION_FAILED")) throw error;
        const message = messageOf(error).slice(0, PARKED_MESSAGE_CHARACTERS_MAX);
        this.#parked = this.#parked.map((parked) => (parked.lsn === event.lsn ? { ...parked, message } : parked));
        return message;
      }
    }
    this.unpark(event.lsn);
    return null;
  }

  /** Takes the document of that key as it is in another state; of the same events, less those that are parked. */
  takeDocument(from: State, key: string): void {
    const { documents } = this.projection;
    assert(documents !== undefined, "the projection has documents");
    documents.move(from, this.#state, key);
  }

  /** Takes an event from the list of those that are parked. */
  unpark(lsn: number): void {
    this.#parked = this.#parked.filter((parked) => parked.lsn !== lsn);
  }

  /** What a checkpoint of this moment says beside the state. */
  facts(storeId: string | null): CheckpointFacts {
    const { name, version } = this.projection;
    const { trace } = this.#subjects;
    return {
      ...(trace.length > 0 && { subjectKeys: trace }),
      name,
      version,
      lsn: this.#lsn,
      witness: this.#witness,
      storeId,
      skippedEvents: this.#skippedEvents,
      parked: this.#parked,
    };
  }

  /**
   * Applies events from an index on until they or the time are used up, at least one, and returns the index after the
   * last one applied. Throws ERR_PROJECTION_FAILED when the policy says to stop. When the state must
   * be started over, the index of the event that says so.
   */
  apply(events: EventBatch<Event>, from: number, untilMs: number): number {
    if (events instanceof RowBatch) return this.#applyRows(events, from, untilMs);
    let index = from;
    let prepared = from;
    while (index < events.length) {
      if (index >= prepared) {
        prepared = Math.min(events.length, index + EVENTS_PREPARED);
        this.projection.prepare?.(this.#state, events, index, prepared);
      }
      const end = Math.min(events.length, index + EVENTS_PER_LOOK_AT_CLOCK);
      for (; index < end; index += 1) {
        this.#applyOne(events[index] as Event);
        if (this.#mustStartOver) return index;
      }
      if (performance.now() >= untilMs) break;
    }
    const last = events[index - 1];
    if (last !== undefined) this.#witness = { lsn: last.lsn, recordedAt: last.recordedAt };
    return index;
  }

  #applyRows(batch: RowBatch<Event>, from: number, untilMs: number): number {
    const { rows } = batch;
    let index = from;
    while (index < rows.length) {
      const end = Math.min(rows.length, index + EVENTS_PREPARED);
      while (index < end) {
        if (rows.isRecord(index)) {
          this.#applyOne(batch.at(index));
          if (this.#mustStartOver) return index;
          index += 1;
        } else index = this.#applyPlain(rows, index, end);
      }
      if (performance.now() >= untilMs) break;
    }
    if (index > from) this.#witness = { lsn: rows.lsnAt(index - 1), recordedAt: rows.recordedAtOf(index - 1) };
    return index;
  }

  /** Applies rows up to the next record, or the one that cannot be applied; gives the index behind. */
  #applyPlain(rows: EventRows, from: number, limit: number): number {
    const { rows: projection } = this.projection;
    assert(projection !== undefined && this.#handled === null, "the projection takes rows");
    assert(rows.lsnAt(from) > this.#lsn, "a feed is in LSN order");
    let end = from + 1;
    while (end < limit && !rows.isRecord(end)) end += 1;
    try {
      projection.apply(this.#state, rows, from, end);
    } catch (error) {
      const { applying } = rows;
      if (applying > from) this.#appliedLsn = rows.lsnAt(applying - 1);
      if (applying > from) this.#lsn = this.#appliedLsn;
      this.#leaveOut({ lsn: rows.lsnAt(applying), type: rows.typeAt(applying) }, error);
      this.#lsn = rows.lsnAt(applying);
      return applying + 1;
    }
    this.#lsn = rows.lsnAt(end - 1);
    this.#appliedLsn = this.#lsn;
    return end;
  }

  /** Says that every event up to this LSN has been seen, also if the last LSNs carry none. */
  reach(lsn: number): void {
    this.#lsn = Math.max(this.#lsn, lsn);
  }

  #applyOne(event: Event): void {
    assert(event.lsn > this.#lsn, "a feed is in LSN order");
    if (event.type === SUBJECT_FORGOTTEN && this.#subjects.hasAny(forgottenKeys(event))) {
      this.#mustStartOver = true;
      return;
    }
    if ((this.#handled === null || this.#handled.has(event.type)) && this.#isReadable(event)) {
      let next: State;
      try {
        next = this.projection.apply(this.#state, event);
      } catch (error) {
        // A newer program can read it: it is not the event that is wrong.
        if (isStoreError(error, "ERR_EVENTS_UNKNOWN_VERSION")) throw this.#failure(event, error);
        this.#leaveOut(event, error);
        this.#lsn = event.lsn;
        return;
      }
      if (next !== this.#state) {
        this.#requireState(next, event);
        this.#state = next;
      }
      this.#appliedLsn = event.lsn;
    }
    this.#lsn = event.lsn;
  }

  /** Without the content of an event no policy goes on: it may be there tomorrow. Of a subject that is forgotten it never is. */
  #isReadable(event: Event): boolean {
    const { subjectContent = null } = event;
    if (subjectContent === null) return true;
    if (subjectContent.status === "refused") throw this.#failure(event, subjectContent.error);
    if (subjectContent.status === "forgotten") return false;
    this.#subjects.add(subjectContent.keyId);
    return true;
  }

  // A forgotten return or an async apply would lose the state, whatever the policy is.
  #requireState(next: State, event: Event): void {
    if (next === undefined) throw this.#failure(event, new TypeError("apply returned undefined instead of the state"));
    if (next instanceof Promise) {
      // Its own failure has no one else to go to, and is not the point.
      next.catch(() => undefined);
      throw this.#failure(event, new TypeError("apply returned a promise; it must be synchronous"));
    }
  }

  #leaveOut(event: Pick<FeedEvent, "lsn" | "type">, error: unknown): void {
    const { lsn, type } = event;
    switch (this.#policy) {
      case "stop":
        throw this.#failure(event, error);
      case "skip":
        this.#skippedEvents += 1;
        this.#report({ kind: "event-skipped", lsn, type, error });
        return;
      case "park":
        if (this.#parked.length >= PARKED_EVENTS_MAX) {
          throw this.#failure(
            event,
            new RangeError(`${PARKED_EVENTS_MAX} events are parked already`, { cause: error }),
          );
        }
        // A new list, so that one that was handed out stays as it was.
        this.#parked = [
          ...this.#parked,
          { lsn, type, message: messageOf(error).slice(0, PARKED_MESSAGE_CHARACTERS_MAX) },
        ];
        this.#report({ kind: "event-parked", lsn, type, error });
        return;
    }
  }

  #failure(event: Pick<FeedEvent, "lsn" | "type">, cause: unknown): StoreError {
    return eventError(this.projection, event, cause);
  }
}

function forgottenKeys({ data }: FeedEvent): readonly string[] {
  return (data as { readonly keyIds: readonly string[] }).keyIds;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a projection is: a fold over the log, with a name, a version and a way to bytes and back. */

import type { RecordedEvent } from "../events/index.js";
import type { FeedEvent } from "./event-feed.js";
import type { RowProjection } from "./event-rows.js";
import type { StatePieces } from "./state-pieces.js";

/**
 * A read model that is folded from events in LSN order. It can be thrown away and rebuilt at any time, so `apply` must
 * depend on nothing but the state and the event.
 *
 * @example
 * ```ts
 * const balances: Projection<Map<string, number>, RecordedEvent<BankEvents>> = {
 *   name: "balances",
 *   version: 1,
 *   handles: ["Deposited"],
 *   init: () => new Map(),
 *   apply: (state, event) => state.set(event.stream, (state.get(event.stream) ?? 0) + event.data.cents),
 *   encode: (state) => Buffer.from(JSON.stringify([...state])),
 *   decode: async (chunks) => {
 *     for await (const chunk of chunks) return new Map(JSON.parse(Buffer.from(chunk).toString()));
 *     throw new Error("an empty checkpoint");
 *   },
 * };
 * ```
 */
export interface Projection<State, Event extends FeedEvent = RecordedEvent> {
  /** 1 to 64 of `a-z`, `0-9` and `-`; it names the projection's directory. */
  readonly name: string;
  /** A positive integer. Raise it whenever `apply` would fold the same events into another state: that rebuilds it. */
  readonly version: number;
  /**
   * The event types that `apply` wants to see, or all of them. It is not shown events whose subject was forgotten; a state that has something of one
   * is rebuilt without. One whose subject's key is not there stops the projection, whatever its policy.
   */
  readonly handles: readonly string[] | "all";
  /** The state before the first event. */
  init(): State;
  /**
   * A hint: `events[from]` to `events[to - 1]` are likely to be applied next. It may decode ahead or fetch what they touch; what
   * `apply` does must not depend on it. It sees events of all types.
   */
  prepare?(state: State, events: readonly Event[], from: number, to: number): void;
  /**
   * Returns the state after the event: a new one, or the given one after changing it in place. Synchronous, so that a
   * reader never sees half an event. Under the policies `skip` and `park` it must leave the state as it was when it
   * throws: look first, then change.
   */
  apply(state: State, event: Event): State;
  /**
   * What is to happen in the world because of an event: a mail, a call, an append. Called after `apply`, with the state as of the event,
   * one event after the other in LSN order; nothing is applied, and no checkpoint written, until it has resolved. `whenProcessed` does not wait for it.
   *
   * Never called for what was in the log when a projection of this name first ran on the store with a `react`, nor again while one is rebuilt,
   * whatever its version: up to which LSN it was called is kept beside the states. **At least once:** killed after a call and before that was
   * noted (within 256 events, or 200 ms), the next start calls it again for those events. A throw or rejection stops the projection,
   * whatever its policy, and the next start begins with that event: catch here what may be passed over. Not called for events that were
   * skipped, parked or tried again, nor on a store that is open for reading only.
   */
  react?(event: Event, state: State): void | Promise<void>;
  /**
   * The state as bytes, in one piece or in several, which are written while the next is being made. No event is applied
   * meanwhile. A piece may be reused once the next one is asked for.
   */
  encode(state: State): Uint8Array | Iterable<Uint8Array>;
  /**
   * The state that `encode` was given, from the same pieces. Each has passed its checksum, lies at the start of a buffer
   * of its own and may be kept. All pieces must be read; a throw means that the checkpoint cannot be used.
   */
  decode(chunks: AsyncIterable<Uint8Array>): State | Promise<State>;
  /** Of a state that is a map of documents, as `singleStream` and `multiStream` make it: for rebuilding one of them. */
  readonly documents?: ProjectionDocuments<State, Event>;
  /** @internal Applies events as rows too, while it is far behind; it has no `react`, and sees all events. */
  readonly rows?: RowProjection<State>;
  /** @internal A large state is read in place by this instead of `decode`, and saved by what has changed. */
  readonly pieces?: StatePieces<State>;
}

/** What of a projection is needed to rebuild one document. */
export interface ProjectionDocuments<State, Event extends FeedEvent = RecordedEvent> {
  /** The stream whose events alone make the document; null: it may be those of any. @throws TypeError where there can be no such document */
  streamOf(key: string): string | null;
  /** As the projection's `apply`, for the document of that key alone. */
  apply(state: State, event: Event, key: string): void;
  /** Puts the document of that key into another state, or removes it there where the first one has none. */
  move(from: State, to: State, key: string): void;
}

const NAME_PATTERN = /^[a-z0-9-]{1,64}$/;

/** Refuses a definition that cannot be run, naming the field. */
export function validateProjection<State, Event extends FeedEvent>(projection: Projection<State, Event>): void {
  if (typeof projection !== "object" || projection === null) throw new TypeError("projection must be an object");
  const { name, version, handles } = projection;
  if (typeof name !== "string" || !NAME_PATTERN.test(name)) {
    throw new TypeError("projection.name must be 1 to 64 characters of a-z, 0-9 and -");
  }
  if (!Number.isSafeInteger(version) || version < 1)
    throw new TypeError("projection.version must be a positive integer");
  const listed = Array.isArray(handles) && handles.every((type) => typeof type === "string");
  if (handles !== "all" && !listed) throw new TypeError('projection.handles must be an array of event types or "all"');
  for (const method of ["init", "apply", "encode", "decode"] as const) {
    if (typeof projection[method] !== "function") throw new TypeError(`projection.${method} must be a function`);
  }
  for (const method of ["prepare", "react"] as const) {
    if (projection[method] !== undefined && typeof projection[method] !== "function") {
      throw new TypeError(`projection.${method} must be a function`);
    }
  }
  if (projection.documents === undefined) return;
  for (const method of ["streamOf", "apply", "move"] as const) {
    if (typeof projection.documents?.[method] !== "function") {
      throw new TypeError(`projection.documents.${method} must be a function`);
    }
  }
}

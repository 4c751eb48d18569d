/** A read model that lives elsewhere, in a database that commits its rows and its position together. */

import { checkOptionNames, type RecordedEvent } from "../events/index.js";
import type { FeedEvent } from "./event-feed.js";

/**
 * Where events go. Exactly once, if `commit` is one transaction: what is committed is not committed again, for the position is in it, and what is
 * not committed is asked for again.
 *
 * @example
 * ```ts
 * const accounts: Sink<RecordedEvent<Bank>> = {
 *   name: "accounts",
 *   handles: ["Deposited"],
 *   position: () => database.prepare("SELECT lsn FROM position").pluck().get(),
 *   commit: database.transaction((events, position) => {
 *     for (const { stream, data } of events) add.run(stream, data.cents);
 *     database.prepare("UPDATE position SET lsn = ?").run(position);
 *   }),
 * };
 * ```
 */
export interface Sink<Event extends FeedEvent = RecordedEvent> {
  /** 1 to 64 of `a-z`, `0-9` and `-`. */
  readonly name: string;
  /**
   * The event types that `commit` is to have, or all. Events of subjects that were forgotten are left out; `varve.v1.SubjectForgotten`, where it is
   * handled, names their keys.
   */
  readonly handles: readonly string[] | "all";
  /** The LSN that the last commit was given, 0 when there was none: read from where it was stored. Asked at the start, and after a commit that threw. */
  position(): number | Promise<number>;
  /**
   * Stores what the events do, and `position`, in one transaction. They are all handled events above `after`, which is what the last commit
   * was given, up to `position`; in LSN order, and perhaps none. Where two processes may run one sink, have the transaction fail when the
   * stored position is not `after`.
   */
  commit(events: readonly Event[], position: number, after: number): void | Promise<void>;
}

/** Something that a caller may want to log. */
export type SinkReport =
  /** A commit threw; after `retryInMs` the position is asked for, and it goes on from there. */
  | { readonly kind: "commit-failed"; readonly error: unknown; readonly attempt: number; readonly retryInMs: number }
  | { readonly kind: "failed"; readonly error: Error };

/** How a sink is fed. */
export interface SinkOptions {
  /** How many events a commit has at most. Default 1,000. */
  readonly batchEvents?: number;
  /** How often a commit is tried that throws, before the sink fails. Default 5; between the attempts 100 ms, 200 ms, … 10 s. */
  readonly maxAttempts?: number;
  /** Called with everything worth a line in a log. By default a failure becomes a process warning. */
  readonly onReport?: (report: SinkReport) => void;
}

export interface SinkSettings {
  readonly batchEvents: number;
  readonly maxAttempts: number;
  readonly onReport: (report: SinkReport) => void;
}

const NAME_PATTERN = /^[a-z0-9-]{1,64}$/;

export function validateSink<Event extends FeedEvent>(sink: Sink<Event>): void {
  if (typeof sink !== "object" || sink === null) throw new TypeError("sink must be an object");
  const { name, handles } = sink;
  if (typeof name !== "string" || !NAME_PATTERN.test(name)) {
    throw new TypeError("sink.name must be 1 to 64 characters of a-z, 0-9 and -");
  }
  const isListed = Array.isArray(handles) && handles.every((type) => typeof type === "string");
  if (handles !== "all" && !isListed) throw new TypeError('sink.handles must be an array of event types or "all"');
  for (const method of ["position", "commit"] as const) {
    if (typeof sink[method] !== "function") throw new TypeError(`sink.${method} must be a function`);
  }
}

export function sinkSettingsOf(name: string, options: SinkOptions): SinkSettings {
  if (typeof options !== "object" || options === null) throw new TypeError("the options must be an object");
  checkOptionNames(options, ["batchEvents", "maxAttempts", "onReport"], "sink");
  const { batchEvents = 1000, maxAttempts = 5, onReport } = options;
  for (const [option, value] of Object.entries({ batchEvents, maxAttempts })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`option ${option} must be a positive integer`);
  }
  if (onReport !== undefined && typeof onReport !== "function")
    throw new TypeError("option onReport must be a function");
  return { batchEvents, maxAttempts, onReport: onReport ?? ((report) => warn(name, report)) };
}

function warn(name: string, report: SinkReport): void {
  if (report.kind !== "failed") return;
  process.emitWarning(`sink "${name}": ${report.error.message}`, { type: "VarveWarning" });
}

/** What an append asks for, checked and encoded, and how it is judged against its stream's head. Pure: nothing here touches a batch. */

import { StoreError } from "../errors.js";
import type { AppendResult } from "./batch-ledger.js";
import type { PreparedEvent } from "./envelope.js";
import type { EventInput, ExpectedVersion } from "./event.js";
import { checkStreamName, type EventPreparer } from "./prepare-event.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

/** Whether the stream's events from a version on have the ids of an append. */
export interface LogAnswer {
  readonly firstVersion: number;
  readonly isSame: boolean;
  /** Of the last of them. */
  readonly lastLsn: number;
}

/** One stream's share of an append. */
export interface AppendRequest {
  readonly stream: string;
  readonly expectedVersion: ExpectedVersion;
  readonly events: readonly PreparedEvent[];
  readonly hasIds: boolean;
  /** What the log says of these ids, when some are older than those that are remembered. */
  logAnswer: LogAnswer | null;
}

/** @throws TypeError for wrong types; StoreError `ERR_EVENTS_INVALID_STREAM`, `ERR_EVENTS_INVALID_EVENT`, `ERR_EVENTS_SCHEMA` */
export function prepareRequest(
  index: StreamIndex,
  preparer: EventPreparer,
  stream: string,
  events: EventInput | readonly EventInput[],
  expectedVersion: ExpectedVersion = "any",
): AppendRequest {
  // A stream that exists has a name that was checked.
  if (index.get(stream) === undefined) checkStreamName(stream);
  checkExpectedVersion(expectedVersion);
  const list = Array.isArray(events) ? (events as readonly EventInput[]) : [events as EventInput];
  if (list.length === 0) throw new TypeError("an append needs at least one event");
  // Not `map`, which skips holes.
  const prepared = Array.from(list, (event) => preparer.prepare(event));
  const hasIds = prepared.some((event) => event.id !== null);
  if (hasIds) checkOwnIds(prepared, stream);
  return { stream, expectedVersion, events: prepared, hasIds, logAnswer: null };
}

/** For a stream that is only looked at. */
export function guardRequest(stream: string, expectedVersion: ExpectedVersion): AppendRequest {
  checkStreamName(stream);
  checkExpectedVersion(expectedVersion);
  return { stream, expectedVersion, events: [], hasIds: false, logAnswer: null };
}

export function checkExpectedVersion(expected: ExpectedVersion): void {
  if (expected === "any" || expected === "exists" || expected === "absent") return;
  if (typeof expected !== "number" || !Number.isSafeInteger(expected) || expected < 0) {
    throw new TypeError(`expectedVersion must be a version ≥ 0, "any", "exists" or "absent", not ${String(expected)}`);
  }
}

function checkOwnIds(events: readonly PreparedEvent[], stream: string): void {
  const seen = new Set<string>();
  for (const { id } of events) {
    if (id === null) continue;
    if (seen.has(id)) throw duplicateIds(stream, `the id ${id} stands twice in one append`);
    seen.add(id);
  }
}

/** Whether the stream's version is what is expected. `deletedThrough`: the version with which it was deleted last; 0: it was not. */
export function isAsExpected(version: number, expected: ExpectedVersion, deletedThrough: number = 0): boolean {
  if (expected === "any") return true;
  return expected === "exists"
    ? version > deletedThrough
    : version === (expected === "absent" ? deletedThrough : expected);
}

/** Judges by the stream's version. @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` */
export function judge(name: string, version: number, expected: ExpectedVersion, deletedThrough: number = 0): void {
  if (!isAsExpected(version, expected, deletedThrough)) throw versionConflict(name, version, expected);
}

export function versionConflict(name: string, version: number, expected: ExpectedVersion): StoreError {
  const message = `stream ${name} is at version ${version}, expected ${expected}`;
  return new StoreError("ERR_EVENTS_VERSION_CONFLICT", message, { stream: name, expected, actual: version });
}

/** The version that the append's first event would have, where the caller says it. */
export function expectedFirstVersion(expected: ExpectedVersion, deletedThrough: number = 0): number | null {
  if (expected === "absent") return deletedThrough + 1;
  return typeof expected === "number" ? expected + 1 : null;
}

/** What becomes of an append that may have been made before. */
export type Repetition =
  | { readonly kind: "new" }
  | { readonly kind: "repeated"; readonly result: AppendResult }
  /** Not before all that the stream has is durable and indexed: the same append may be among it. */
  | { readonly kind: "unread" }
  /** Only the log can tell whether the events from that version on are these. */
  | { readonly kind: "askLog"; readonly firstVersion: number };

const NEW = { kind: "new" } as const;
const UNREAD = { kind: "unread" } as const;

/**
 * Compares the append's ids with those of the stream, which is at `version`.
 *
 * An append is the repetition of another when all of its events have ids, and they stand in the stream one behind the other: at the
 * expected version where that is a number or `"absent"`, else wherever one of them is remembered. Ids that are remembered elsewhere, or
 * only in part, are refused: those events exist, but not as this append.
 */
export function repetitionOf(
  head: StreamHead,
  version: number,
  request: AppendRequest,
  deletedThrough: number = 0,
): Repetition {
  const { events, hasIds } = request;
  if (!hasIds) return NEW;
  if (head.idsKnownThrough < version) return UNREAD; // other writers have gone on with the stream
  const allHaveIds = events.every(({ id }) => id !== null);
  let firstVersion = expectedFirstVersion(request.expectedVersion, deletedThrough);
  const versions = events.map(({ id }) => (id === null ? undefined : head.recentIds?.get(id)));
  const known = versions.findIndex((at) => at !== undefined);
  if (known >= 0) {
    const first = (versions[known] as number) - known;
    firstVersion ??= first;
    const isWhole = allHaveIds && first >= 1 && first === firstVersion && first + events.length - 1 <= version;
    if (!isWhole || !versions.every((at, index) => isAt(head, first + index, at))) {
      throw notAsThisAppend(head);
    }
  }
  const finalVersion = (firstVersion ?? Number.POSITIVE_INFINITY) + events.length - 1;
  if (firstVersion === null || !allHaveIds || finalVersion > version) return NEW;
  if (!versions.includes(undefined)) return repeated(head, firstVersion, request);
  // The last of them would be remembered if it were there.
  if (known < 0 && finalVersion > head.idsForgottenThrough) return NEW;
  if (request.logAnswer?.firstVersion !== firstVersion) return { kind: "askLog", firstVersion };
  if (request.logAnswer.isSame) return repeated(head, firstVersion, request);
  if (known >= 0) throw notAsThisAppend(head);
  return NEW;
}

function notAsThisAppend(head: StreamHead): StoreError {
  return duplicateIds(head.name, "some of these event ids are in the stream, but not as this append");
}

/** Whether the id that is remembered at `version` may be at `place`; undefined: it is not remembered. */
function isAt(head: StreamHead, place: number, version: number | undefined): boolean {
  return version === undefined ? place <= head.idsForgottenThrough : version === place;
}

function repeated(head: StreamHead, firstVersion: number, { events, logAnswer }: AppendRequest): Repetition {
  const version = firstVersion + events.length - 1;
  const lsn = head.lsnOf(version) ?? (logAnswer?.firstVersion === firstVersion ? logAnswer.lastLsn : undefined);
  if (lsn === undefined) return version > head.baseVersion ? UNREAD : { kind: "askLog", firstVersion }; // the log says its LSN
  return { kind: "repeated", result: { version, lsn, created: firstVersion === 1, duplicate: true } };
}

export function duplicateIds(stream: string, message: string): StoreError {
  return new StoreError("ERR_EVENTS_DUPLICATE_ID", message, { stream });
}

/** What an append asks for, checked and encoded, and how it is judged against its stream's head. Pure: nothing here touches a batch. */

import { StoreError } from "../errors.js";
import type { AppendResult } from "./batch-ledger.js";
import type { PreparedEvent } from "./envelope.js";
import type { EventInput, ExpectedVersion } from "./event.js";
import { checkStreamName, type EventPreparer } from "./prepare-event.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

/** One stream's share of an append. */
export interface AppendRequest {
  readonly stream: string;
  readonly expectedVersion: ExpectedVersion;
  readonly events: readonly PreparedEvent[];
  readonly hasIds: boolean;
  /** What the log says of these ids, when they are older than those that are remembered: asked at most once. */
  logAnswer: AppendResult | "different" | null;
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
  const prepared = list.map((event) => preparer.prepare(event));
  const hasIds = prepared.some((event) => event.id !== null);
  if (hasIds) checkOwnIds(prepared, stream);
  return { stream, expectedVersion, events: prepared, hasIds, logAnswer: null };
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

/** @throws StoreError `ERR_EVENTS_VERSION_CONFLICT` */
export function judge(head: StreamHead, expected: ExpectedVersion): void {
  if (expected === "any") return;
  const { name, version } = head;
  const fits = expected === "exists" ? version > 0 : version === (expected === "absent" ? 0 : expected);
  if (fits) return;
  const message = `stream ${name} is at version ${version}, expected ${expected}`;
  throw new StoreError("ERR_EVENTS_VERSION_CONFLICT", message, { stream: name, expected, actual: version });
}

/** The version that the append's first event would have, where the caller says it. */
export function expectedFirstVersion(expected: ExpectedVersion): number | null {
  if (expected === "absent") return 1;
  return typeof expected === "number" ? expected + 1 : null;
}

/**
 * The result of the append that wrote these very ids before; null when it is a new one; `"pending"` when that append is not durable
 * yet; `"askLog"` when only the log can tell, because the version is further back than ids are remembered.
 */
export function repeatedAppend(head: StreamHead, request: AppendRequest): AppendResult | "pending" | "askLog" | null {
  const { events, expectedVersion, logAnswer, hasIds } = request;
  if (!hasIds || logAnswer === "different") return null;
  if (logAnswer !== null) return logAnswer;
  const versions = events.map(({ id }) => (id === null ? undefined : head.recentIds?.get(id)));
  const expectedFirst = expectedFirstVersion(expectedVersion);
  if (versions.every((version) => version === undefined)) {
    const allHaveIds = events.every(({ id }) => id !== null);
    const mayBeOlder = expectedFirst !== null && allHaveIds && expectedFirst + events.length - 1 <= head.version;
    return mayBeOlder ? "askLog" : null;
  }
  const first = versions[0];
  const inOrder = first !== undefined && versions.every((version, index) => version === first + index);
  if (!inOrder || (expectedFirst !== null && first !== expectedFirst)) {
    throw duplicateIds(head.name, "some of these event ids are in the stream, but not as this append");
  }
  return duplicateResult(head, first, events.length) ?? "pending";
}

/** Null when the events are not durable yet. */
export function duplicateResult(head: StreamHead, firstVersion: number, eventCount: number): AppendResult | null {
  const version = firstVersion + eventCount - 1;
  const lsn = head.lsns[version - 1];
  return lsn === undefined ? null : { version, lsn, created: firstVersion === 1, duplicate: true };
}

export function duplicateIds(stream: string, message: string): StoreError {
  return new StoreError("ERR_EVENTS_DUPLICATE_ID", message, { stream });
}

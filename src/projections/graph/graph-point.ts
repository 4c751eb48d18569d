/** A point of the graph, as callers say it and as views have it. */

import { StoreError } from "../../errors.js";
import { checkId, checkKnownKeys, checkRecord, checkTime } from "./graph-input.js";
import type { RecordedClock } from "./recorded-clock.js";

/** A place on the recorded axis: µs since 1970, or exactly an LSN that was applied. */
export type RecordedAt = number | { readonly lsn: number };

/** The point of a view; what is left out is now. */
export interface AsOf {
  /** µs since 1970. Default: the later of the wall clock and the `recordedAt` of the view. */
  readonly validAt?: number;
  /** µs since 1970, or exactly an LSN that was applied. Default: the last LSN applied. */
  readonly recordedAt?: RecordedAt;
}

/** A stretch of valid time, µs since 1970, half-open. What is left out, or null, is open. */
export interface ValidWindow {
  readonly from?: number;
  readonly to?: number | null;
}

export interface GraphPoint {
  readonly validAt: number;
  readonly lsn: number;
  /** The recorded time that was asked for; null: an LSN, or now. */
  readonly askedAt: number | null;
}

/** Throws `RangeError` for an LSN that was not applied yet, ERR_GRAPH_INVALID_PERIOD for a time outside ±(2^53 − 1). */
export function pointOf(clock: RecordedClock, wallClock: number, what: string, point: AsOf): GraphPoint {
  checkKnownKeys(what, checkRecord(what, point), ["validAt", "recordedAt"]);
  const { recordedAt } = point;
  const lsn = recordedAt === undefined ? clock.lsn : lsnOf(clock, "recordedAt", recordedAt);
  const askedAt = typeof recordedAt === "number" ? recordedAt : null;
  const known = askedAt === null ? clock.timeOf(lsn) : clock.timeBy(askedAt);
  const validAt = point.validAt === undefined ? Math.max(wallClock, known) : checkTime("validAt", point.validAt);
  return { validAt, lsn, askedAt };
}

/** The LSN at which the graph stood there. Throws as `pointOf`. */
export function lsnOf(clock: RecordedClock, name: string, recordedAt: RecordedAt): number {
  if (typeof recordedAt === "number") return clock.lsnAt(checkTime(name, recordedAt));
  checkKnownKeys(name, checkRecord(name, recordedAt), ["lsn"]);
  return checkApplied(clock, `${name}.lsn`, recordedAt.lsn);
}

/** An LSN from 0 on that was applied. */
export function checkApplied(clock: RecordedClock, name: string, lsn: number): number {
  if (lsn !== 0) checkId(name, lsn);
  if (lsn > clock.lsn) throw new RangeError(`LSN ${lsn} was not applied yet: the graph is at ${clock.lsn}`);
  return lsn;
}

/** The error of a period that holds nothing. */
export function emptyPeriod(what: string, from: RecordedAt | null, to: RecordedAt | null): StoreError {
  const [start, end] = [from, to].map((each) => (typeof each === "object" ? (each?.lsn ?? null) : each));
  return new StoreError("ERR_GRAPH_INVALID_PERIOD", `${what} is empty or reversed`, {
    from: start ?? null,
    to: end ?? null,
  });
}

/** The bounds of a stretch of valid time, perhaps infinite. Throws ERR_GRAPH_INVALID_PERIOD for one that holds nothing. */
export function validBounds(window: ValidWindow = {}): { from: number; to: number } {
  checkKnownKeys("valid", checkRecord("valid", window), ["from", "to"]);
  const { from, to } = window;
  const start = from === undefined ? Number.NEGATIVE_INFINITY : checkTime("valid.from", from);
  const end = to === undefined || to === null ? Number.POSITIVE_INFINITY : checkTime("valid.to", to);
  if (start >= end) throw emptyPeriod("the valid window", from ?? null, to ?? null);
  return { from: start, to: end };
}

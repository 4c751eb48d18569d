/** What a projection answers that cannot do what it is asked for. */

import { isStoreError, StoreError } from "../errors.js";
import type { FeedEvent } from "./event-feed.js";

export function closedError(name: string): StoreError {
  return new StoreError("ERR_PROJECTION_CLOSED", `projection "${name}" is closed`, { projection: name });
}

export function readOnlyError(name: string, what: string): StoreError {
  return new StoreError("ERR_STORE_READ_ONLY", `projections on a read-only store ${what}`, { projection: name });
}

export function timeoutError(name: string, lsn: number, reachedLsn: number, timeoutMs: number | undefined): StoreError {
  const message = `projection "${name}" reached LSN ${reachedLsn}, not ${lsn}, within ${timeoutMs} ms`;
  return new StoreError("ERR_PROJECTION_TIMEOUT", message, { projection: name, lsn, reachedLsn });
}

/** An event could not be applied. */
export function eventError(
  { name, version }: { readonly name: string; readonly version: number },
  { lsn, type }: Pick<FeedEvent, "lsn" | "type">,
  cause: unknown,
): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `projection "${name}" failed at LSN ${lsn}, an event of type ${type}: ${reason}`;
  return new StoreError("ERR_PROJECTION_FAILED", message, { projection: name, version, lsn, type }, { cause });
}

/** The log could not be read. */
export function feedError(name: string, lsn: number, cause: unknown): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const horizon = isStoreError(cause, "ERR_LOG_TRUNCATED") ? cause.details["horizon"] : undefined;
  const details = { projection: name, lsn, ...(horizon !== undefined && { horizon }) };
  return new StoreError("ERR_PROJECTION_FAILED", `projection "${name}" cannot read the log: ${reason}`, details, {
    cause,
  });
}

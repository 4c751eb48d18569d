/** The errors that a failed write leads to: one for the write itself, and what each append is told of it. */

import { StoreError, type StoreErrorCode } from "../errors.js";
import { errnoName } from "../ffi/index.js";
import type { Batch } from "./batch.js";

function because(code: StoreErrorCode, what: string, cause: StoreError): StoreError {
  return new StoreError(code, `${what}: ${cause.message}`, cause.details, { cause });
}

/** A write that ended with an errno, or with fewer bytes than it should have. */
export function writeFailed(batch: Batch, result: number, missingBytes: number): StoreError {
  const errno = result < 0 ? errnoName(result) : "short write";
  const what = result < 0 ? errno : `wrote ${result} of ${missingBytes} bytes`;
  return new StoreError("ERR_IO_FAILED", `a write to the log failed: ${what}`, {
    path: batch.segment?.file.path ?? null,
    offset: batch.fileOffset,
    errno,
  });
}

/** What the file system threw as an error with a code and the errno among its facts. */
export function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code, errno, message } = error as NodeJS.ErrnoException;
  // Node names an errno that libuv does not know by its number.
  const name = errno === undefined ? (code ?? "unknown") : errnoName(errno);
  return new StoreError("ERR_IO_FAILED", message, { errno: name }, { cause: error });
}

/** As `asStoreError` for what the file system threw; everything else as it is. */
export function withCode(error: unknown): unknown {
  return error instanceof Error && "syscall" in error ? asStoreError(error) : error;
}

/** Does what can fail in the file system, and throws `withCode`. */
export async function coded<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw withCode(error);
  }
}

/** What opening a log failed with, as `withCode`: a lack of space has a code of its own. */
export function openingFailed(error: unknown): unknown {
  const known = withCode(error);
  const isFull = known instanceof StoreError && known.code === "ERR_IO_FAILED" && isLackOfSpace(known);
  return isFull ? logFull(known) : known;
}

/** EFBIG: a limit of the process on the size of files. */
export function isLackOfSpace(error: StoreError): boolean {
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(String(error.details["errno"]));
}

/** Another writer's write or sync has failed. */
export function poisoned(core: number): StoreError {
  return new StoreError("ERR_IO_FAILED", `a write of core ${core} failed`, { core });
}

/** For appends that need a segment that cannot be had. */
export function logFull(cause: StoreError): StoreError {
  return because("ERR_WAL_FULL", "no space for another segment", cause);
}

/** For appends that were not submitted when the log failed. */
export function neverWritten(cause: StoreError): StoreError {
  return because("ERR_WAL_FAILED", "the log failed before this append was written", cause);
}

/** For appends that were in flight when the log failed. */
export function outcomeUnknown(cause: StoreError): StoreError {
  return because("ERR_WAL_OUTCOME_UNKNOWN", "the log failed while this append was in flight", cause);
}

/** For appends that come after the failure. */
export function failedEarlier(cause: StoreError): StoreError {
  return because("ERR_WAL_FAILED", "the log failed earlier", cause);
}

/** LSNs are safe integers, and none is ever used twice. */
export function noLsnLeft(): StoreError {
  return new StoreError("ERR_WAL_FULL", "the log has no LSN left below 2^53");
}

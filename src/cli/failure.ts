/** How a command fails: one line on stderr, or one JSON object there with `--json`, and an exit code other than 0. */

import { isStoreError, type StoreErrorDetails } from "../errors.js";
import { stringify } from "./output.js";

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** As fsck says it: repaired, left as it was, could not do its work. */
export const EXIT_REPAIRED = 1;
export const EXIT_LEFT = 4;
export const EXIT_OPERATIONAL = 8;

/** Arguments that do not make sense. Not a `StoreError`, for no store was asked. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UsageError";
  }
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly details: StoreErrorDetails;
  readonly exitCode: number;
}

/** Describes anything that was thrown. */
export function describeFailure(thrown: unknown): Failure {
  if (isStoreError(thrown))
    return { code: thrown.code, message: thrown.message, details: thrown.details, exitCode: EXIT_FAILED };
  if (thrown instanceof UsageError)
    return { code: "ERR_USAGE", message: thrown.message, details: {}, exitCode: EXIT_USAGE };
  if (thrown instanceof Error && "syscall" in thrown)
    return { code: "ERR_IO_FAILED", message: thrown.message, details: {}, exitCode: EXIT_FAILED };
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return { code: "ERR_UNEXPECTED", message, details: {}, exitCode: EXIT_FAILED };
}

/** The line that says so. */
export function formatFailure(failure: Failure, json: boolean): string {
  const { code, message, details } = failure;
  if (json) return stringify({ error: { code, message, details } });
  return `varve: ${code}: ${message.replaceAll(/\s*\n\s*/g, " ")}`;
}

/** What callers hand in, checked once: `TypeError` for misuse, a coded `StoreError` for times the graph does not take. */

import { StoreError } from "../../errors.js";
import { isWellFormed } from "./property.js";

export type UnknownRecord = Readonly<Record<string, unknown>>;

export function checkRecord(what: string, value: unknown): UnknownRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError(`${what} must be an object`);
  return value as UnknownRecord;
}

/** Throws a TypeError that names the first key that is not known. */
export function checkKnownKeys(what: string, record: object, known: readonly string[]): void {
  for (const key of Object.keys(record)) {
    if (!known.includes(key)) throw new TypeError(`${what}: unknown option ${JSON.stringify(key)}`);
  }
}

export function checkId(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new TypeError(`${name} must be a positive safe integer, not ${String(value)}`);
  }
  return value as number;
}

/** A number from 0 to below 1. */
export function checkShare(name: string, value: unknown): number {
  if (typeof value !== "number" || !(value >= 0 && value < 1)) {
    throw new TypeError(`${name} must be a number from 0 to below 1, not ${String(value)}`);
  }
  return value;
}

export function checkLabel(value: unknown): string {
  if (typeof value !== "string" || value === "" || !isWellFormed(value)) {
    throw new TypeError("label must be a non-empty string of well-formed text");
  }
  return value;
}

/** A time in µs. */
export function checkTime(name: string, value: unknown): number {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number of µs since 1970`);
  if (!Number.isSafeInteger(value)) {
    throw new StoreError("ERR_GRAPH_INVALID_PERIOD", `${name} must be a safe integer of µs, not ${value}`, {
      [name]: value,
    });
  }
  return value;
}

/** A valid period as callers give it: `validTo` may be null, which is how an open end reads. */
export function checkPeriod(
  from: unknown,
  to: unknown,
): { validFrom: number | undefined; validTo: number | undefined } {
  const validFrom = from === undefined ? undefined : checkTime("validFrom", from);
  const validTo = to === undefined || to === null ? undefined : checkTime("validTo", to);
  if (validFrom !== undefined && validTo !== undefined && validFrom >= validTo) {
    throw new StoreError(
      "ERR_GRAPH_INVALID_PERIOD",
      `the valid period [${validFrom}, ${validTo}) is ${validFrom === validTo ? "empty" : "reversed"}`,
      { validFrom, validTo },
    );
  }
  return { validFrom, validTo };
}

/** One of a few words. */
export function checkChoice<Choice extends string>(name: string, value: unknown, choices: readonly Choice[]): Choice {
  const chosen = choices.find((choice) => choice === value);
  if (chosen === undefined) throw new TypeError(`${name} must be ${choices.map((each) => `"${each}"`).join(" or ")}`);
  return chosen;
}

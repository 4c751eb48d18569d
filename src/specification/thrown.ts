/** What was thrown, against what was to be thrown; and how a difference is told. */

import { AssertionError, deepStrictEqual } from "node:assert";

/**
 * Which error is meant: a pattern of its message, its class, its `code`, or a function that says so. Without one, any.
 *
 * A text is a code, because a message is better meant by a pattern.
 */
export type ErrorMatcher = RegExp | string | ((error: unknown) => boolean) | (new (...args: never[]) => Error);

export type Outcome<Value> = { readonly value: Value } | { readonly thrown: unknown };

export function outcomeOf<Value>(work: () => Value): Outcome<Value> {
  try {
    return { value: work() };
  } catch (thrown) {
    return { thrown };
  }
}

/** @throws AssertionError with the difference behind `situation` */
export function assertSame(actual: unknown, expected: unknown, situation: string): void {
  try {
    deepStrictEqual(actual, expected);
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    throw failure(`${situation}\n${error.message}`, actual, expected, error);
  }
}

/** @throws AssertionError when nothing was thrown, or something else */
export function assertThrown(
  outcome: Outcome<unknown>,
  matcher: ErrorMatcher | undefined,
  situation: string,
  show: (value: unknown) => string,
): void {
  if ("value" in outcome) {
    throw failure(
      `${situation}\nexpected an error${meaning(matcher)}, but got ${show(outcome.value)}`,
      outcome.value,
      matcher,
    );
  }
  const { thrown } = outcome;
  if (matcher === undefined || isMeant(thrown, matcher)) return;
  throw failure(
    `${situation}\nexpected an error${meaning(matcher)}, but got ${describe(thrown)}`,
    thrown,
    matcher,
    thrown,
  );
}

/** For what was thrown where nothing was to be. */
export function unexpectedError(thrown: unknown, expected: unknown, situation: string): AssertionError {
  return failure(`${situation}\nexpected no error, but got ${describe(thrown)}`, thrown, expected, thrown);
}

function failure(message: string, actual: unknown, expected: unknown, cause?: unknown): AssertionError {
  const error = new AssertionError({ message, actual, expected, operator: "deepStrictEqual" });
  error.cause = cause;
  return error;
}

function isMeant(thrown: unknown, matcher: ErrorMatcher): boolean {
  if (typeof matcher === "string") return (thrown as { code?: unknown } | null)?.code === matcher;
  if (matcher instanceof RegExp) return matcher.test(thrown instanceof Error ? thrown.message : String(thrown));
  if (isErrorClass(matcher)) return thrown instanceof matcher;
  return (matcher as (error: unknown) => boolean)(thrown) === true;
}

function isErrorClass(matcher: object): matcher is new (...args: never[]) => Error {
  return matcher === Error || (matcher as { prototype?: unknown }).prototype instanceof Error;
}

function meaning(matcher: ErrorMatcher | undefined): string {
  if (matcher === undefined) return "";
  if (typeof matcher === "string") return ` with the code ${matcher}`;
  if (matcher instanceof RegExp) return ` like ${String(matcher)}`;
  return isErrorClass(matcher) ? ` of ${matcher.name}` : " that passes the given function";
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}

/** Assertions: uvu's, and the two it lacks. */

import * as assert from "uvu/assert";

export { assert };

/**
 * Requires that a promise is rejected, or that a function throws or returns such a promise, with an Error that has this
 * code or passes this predicate. Returns the error. (uvu's `throws` is for synchronous functions only.)
 */
export async function rejects(
  work: Promise<unknown> | (() => unknown),
  expected: string | ((error: Error) => boolean),
): Promise<Error> {
  let caught: unknown;
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    caught = error;
  }
  if (!(caught instanceof Error))
    throw new Error(`expected a rejection with ${describe(expected)}, got ${String(caught)}`);
  const matches = typeof expected === "string" ? codeOf(caught) === expected : expected(caught) === true;
  if (!matches)
    throw new Error(`expected a rejection with ${describe(expected)}, got ${caught.stack}`, { cause: caught });
  return caught;
}

/** Requires equal bytes, whatever views they are seen through. (uvu's `equal` compares constructors too.) */
export function sameBytes(actual: Uint8Array, expected: Uint8Array): void {
  const shorter = Math.min(actual.length, expected.length);
  for (let offset = 0; offset < shorter; offset += 1) {
    if (actual[offset] === expected[offset]) continue;
    throw new Error(
      `bytes differ first at offset ${offset}: ${excerpt(actual, offset)} instead of ${excerpt(expected, offset)}`,
    );
  }
  if (actual.length !== expected.length) throw new Error(`${actual.length} bytes instead of ${expected.length}`);
}

function codeOf(error: Error): unknown {
  return "code" in error ? error.code : undefined;
}

function describe(expected: string | ((error: Error) => boolean)): string {
  return typeof expected === "string" ? expected : `an error that passes ${expected.toString()}`;
}

function excerpt(bytes: Uint8Array, offset: number): string {
  return `[${Buffer.from(bytes.subarray(offset, offset + 8)).toString("hex")}…]`;
}

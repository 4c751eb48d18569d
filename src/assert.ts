/** Programmer errors: a failed assertion is a bug in Varve, never bad input and never a failing disk. */

import { AssertionError } from "node:assert";

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError({ message, stackStartFn: assert });
}

/** Marks a branch that the types rule out; reaching it at run time is a bug. */
export function assertNever(value: never): never {
  throw new AssertionError({ message: `unexpected value ${String(value)}` });
}

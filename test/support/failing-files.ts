/** Makes calls of node:fs fail, for modules that import them by name too. */

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

type Call = "fdatasync" | "writeSync" | "fsyncSync";

/** While `work` runs, that call fails with the errno for which `isDoomed` says so; it is not made then. Counts begin with 1. */
export async function withFailing<Result>(
  call: Call,
  errno: string,
  isDoomed: (count: number) => boolean,
  work: () => Promise<Result>,
): Promise<Result> {
  const original = fs[call] as (...args: unknown[]) => unknown;
  let count = 0;
  const replacement = (...args: unknown[]): unknown => {
    count++;
    if (!isDoomed(count)) return original(...args);
    const error = Object.assign(new Error(`${errno}: made to fail, ${call}`), { code: errno, syscall: call });
    const callback = args.at(-1);
    if (typeof callback !== "function") throw error;
    setImmediate(callback as (error: Error) => void, error);
    return undefined;
  };
  Object.assign(fs, { [call]: replacement });
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    Object.assign(fs, { [call]: original });
    syncBuiltinESMExports();
  }
}

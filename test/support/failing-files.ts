/** Makes calls of node:fs fail, last, or wait for something else, for modules that import them by name too. */

import fs, { readlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

type Call = "fdatasync" | "writeSync" | "fsyncSync";

function replace(call: Call, by: unknown): void {
  Object.assign(fs, { [call]: by });
  syncBuiltinESMExports();
}

/** While `work` runs, flushes of data are held back until it lets them go. */
export async function withHeldFlushes<Result>(work: (release: () => void) => Promise<Result>): Promise<Result> {
  const original = fs.fdatasync;
  let held: (() => void)[] | null = [];
  const release = (): void => {
    const calls = held ?? [];
    held = null;
    for (const call of calls) call();
  };
  replace("fdatasync", (...args: Parameters<typeof original>): void => {
    if (held === null) original(...args);
    else held.push(() => original(...args));
  });
  try {
    return await work(release);
  } finally {
    release();
    replace("fdatasync", original);
  }
}

/** While `work` runs: the first time that somebody lists the directory, `act` has come before. */
export async function withActBeforeListing<Result>(
  directory: string,
  act: () => Promise<unknown>,
  work: () => Promise<Result>,
): Promise<Result> {
  const original = fs.promises.readdir as (...args: unknown[]) => Promise<unknown>;
  let isDue = true;
  const replacement = async (...args: unknown[]): Promise<unknown> => {
    if (isDue && args[0] === directory) {
      isDue = false;
      await act();
    }
    return original(...args);
  };
  const replaceBy = (readdir: unknown): void => {
    Object.assign(fs.promises, { readdir });
    syncBuiltinESMExports();
  };
  replaceBy(replacement);
  try {
    return await work();
  } finally {
    replaceBy(original);
  }
}

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
  replace(call, replacement);
  try {
    return await work();
  } finally {
    replace(call, original);
  }
}

/**
 * From now on that call fails of every FileHandle whose path has these characters in it, until the returned function is called. What is doomed is
 * told by its path, for files that are made under names nobody knows beforehand.
 */
export async function spoilFiles(infix: string, call: "write" | "sync", errno: string): Promise<() => void> {
  const probe = await open("/dev/null", "r");
  const prototype = Object.getPrototypeOf(probe) as Record<typeof call, (...args: unknown[]) => Promise<unknown>>;
  await probe.close();
  const original = prototype[call];
  prototype[call] = async function (this: { readonly fd: number }, ...args) {
    if (!readlinkSync(`/proc/self/fd/${this.fd}`).includes(infix)) return original.apply(this, args);
    throw Object.assign(new Error(`${errno}: made to fail, ${call}`), { code: errno, syscall: call });
  };
  return () => {
    prototype[call] = original;
  };
}

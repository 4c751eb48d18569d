/** A directory for as long as some work takes. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Interruption } from "./interruption.js";

// A process that was killed a moment ago can still make a file.
const REMOVE_TRIES = { maxRetries: 20, retryDelay: 50 };

/**
 * Makes a directory below `parent`, and removes it with everything in it when the work is done, has failed or is interrupted.
 *
 * The signal aborts at the interruption: then whoever works for it elsewhere must be ended at once.
 */
export async function withTemporaryDirectory<Result>(
  parent: string,
  prefix: string,
  work: (directory: string, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  // Before there is a directory, so that no signal can fall in between.
  const interruption = new Interruption();
  try {
    const directory = mkdtempSync(join(parent, prefix));
    const remove = (): void => rmSync(directory, { recursive: true, force: true, ...REMOVE_TRIES });
    // Nobody wants a measurement that was stopped, so the process ends there and then; but the work's own listeners come first.
    interruption.signal.addEventListener("abort", () =>
      queueMicrotask(() => {
        remove();
        process.exit(interruption.exitCode);
      }),
    );
    try {
      return await work(directory, interruption.signal);
    } finally {
      remove();
    }
  } finally {
    interruption.dispose();
  }
}

/** A directory for as long as some work takes. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Interruption } from "./interruption.js";

/** Makes a directory below `parent`, and removes it with everything in it when the work is done, has failed or is interrupted. */
export async function withTemporaryDirectory<Result>(
  parent: string,
  prefix: string,
  work: (directory: string) => Promise<Result>,
): Promise<Result> {
  // Before there is a directory, so that no signal can fall in between.
  const interruption = new Interruption();
  try {
    const directory = mkdtempSync(join(parent, prefix));
    const remove = (): void => rmSync(directory, { recursive: true, force: true });
    // Nobody wants a measurement that was stopped, so the process ends there and then.
    interruption.signal.addEventListener("abort", () => {
      remove();
      process.exit(interruption.exitCode);
    });
    try {
      return await work(directory);
    } finally {
      remove();
    }
  } finally {
    interruption.dispose();
  }
}

/** One rebuild of a projection at a time, over all threads and processes: flock(2) on `rebuild.lock` in its directory. */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { FileLock } from "../events/index.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import { makeDirectory } from "./temporary-file.js";

export const REBUILD_LOCK = "rebuild.lock";

// The lock of a killed process can outlive it by some milliseconds.
const WAIT_MS = 100;
const RETRY_MS = 5;

/** The lock, to be released by the caller. Throws ERR_PROJECTION_REBUILDING when somebody rebuilds the projection. */
export async function takeRebuildLock(directory: CheckpointDirectory, name: string): Promise<FileLock> {
  const path = join(directory.path, REBUILD_LOCK);
  const givesUpAtMs = performance.now() + WAIT_MS;
  for (;;) {
    const lock = await tryTake(directory, path);
    if (lock !== null) return lock;
    if (performance.now() >= givesUpAtMs) {
      throw new StoreError("ERR_PROJECTION_REBUILDING", `projection "${name}" is being rebuilt already`, {
        projection: name,
      });
    }
    await delay(RETRY_MS);
  }
}

async function tryTake(directory: CheckpointDirectory, path: string): Promise<FileLock | null> {
  try {
    await makeDirectory(directory.path);
    return FileLock.tryTake(path);
  } catch (cause) {
    throw new StoreError("ERR_IO_FAILED", `${path} cannot be made, or not locked`, { file: path }, { cause });
  }
}

/** Whether somebody rebuilds the projection at this moment. Leaves no trace but where somebody asks at the same time. */
export function isBeingRebuilt(directory: CheckpointDirectory): boolean {
  const lock = FileLock.tryTake(join(directory.path, REBUILD_LOCK));
  lock?.release();
  return lock === null;
}

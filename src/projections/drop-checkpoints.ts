/** Removing the states that have something of a subject that is forgotten: of projections that run, here or elsewhere, and of those that do not. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { StateCiphers } from "../events/index.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import { readCheckpoint } from "./checkpoint-file.js";
import { SnapshotDirectory } from "./snapshot-directory.js";
import { traces } from "./subject-traces.js";

/** The projections that have a folder in a store. */
export async function projectionNames(storeDirectory: string): Promise<string[]> {
  try {
    return (await readdir(join(storeDirectory, "projections"))).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/**
 * Removes, durably, every checkpoint and snapshot in a store that has something of these keys, and those of which it cannot be told. What a running
 * projection writes at this moment it removes itself, when it comes to the event that says so.
 */
export async function dropCheckpoints(
  storeDirectory: string,
  keyIds: readonly string[],
  ciphers: StateCiphers | null,
): Promise<void> {
  const forgotten = new Set(keyIds);
  for (const name of await projectionNames(storeDirectory)) {
    const directory = new CheckpointDirectory(storeDirectory, name);
    await directory.removeTemporaryFiles();
    const doomed: string[] = [];
    for (const file of await directory.all()) if (!(await isFree(file, forgotten, ciphers))) doomed.push(file);
    await directory.remove(doomed);
    const snapshots = new SnapshotDirectory(storeDirectory, name);
    await snapshots.removeTemporaryFiles();
    for (const file of await snapshots.all())
      if (!(await isFree(file, forgotten, ciphers))) await snapshots.remove([file]);
  }
}

/** Whether a checkpoint can be read as far as its facts, and those say that it has nothing of these keys. */
async function isFree(file: string, forgotten: ReadonlySet<string>, ciphers: StateCiphers | null): Promise<boolean> {
  let isKnownFree = false;
  const reading = await readCheckpoint(
    file,
    async ({ subjectKeys = [] }) => {
      isKnownFree = !traces(subjectKeys, (id) => forgotten.has(id));
      // The state itself is not looked at.
      return { reason: "forgotten", message: "only its facts are wanted" };
    },
    () => null,
    ciphers,
  );
  return isKnownFree || reading.kind === "absent";
}

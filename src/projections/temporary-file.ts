/**
 * Putting a file in place so that a crash leaves the old one or the new one, whoever else puts one there at the same moment.
 *
 * It is made beside its place, synced, renamed over the old one, and the directory is synced. The name it is made under has 16 random hexadecimal
 * digits, `v1.checkpoint.0f3a….tmp`: writers of one place, in this process or others, never meet in one file, and whichever is renamed last is as good
 * as the other. It is never read. Its maker holds flock(2) on it, so what a dead one left can be told from what is being written, without guessing by
 * its age: `removeAbandoned` removes the first and leaves the second.
 */

import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../errors.js";
import { FileLock } from "../events/index.js";

const SUFFIX = ".tmp";
/** Losing it to a sweep once is rare. Who always does is on a file system whose links or locks are no such. */
const CREATE_TRIES_MAX = 32;

/** Replaces the file at `place`, durably and all or nothing, by what `write` writes; makes the directory where it is missing. */
export async function putFile<Result>(place: string, write: (handle: FileHandle) => Promise<Result>): Promise<Result> {
  const directory = dirname(place);
  await makeDirectory(directory);
  const { path, handle, lock } = await createLocked(place);
  try {
    let result: Result;
    try {
      result = await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(path, place);
    await syncDirectory(directory);
    return result;
  } catch (error) {
    // On a disk that is full it would take the space that the log needs.
    await rm(path, { force: true }).catch(() => {}); // why it could not be written is what counts
    throw error;
  } finally {
    lock.release();
  }
}

/** Whether a file of this name is one that is being made, or was when its maker died. */
export function isTemporary(name: string): boolean {
  return name.endsWith(SUFFIX);
}

/** Removes those of these files that nobody is making. Resolves with those that are gone; that is not durable. */
export async function removeAbandoned(files: readonly string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const file of files) {
    const lock = FileLock.tryTake(file);
    if (lock === null) continue;
    try {
      await rm(file, { force: true });
      removed.push(file);
    } finally {
      lock.release();
    }
  }
  return removed;
}

/** Syncs a directory, so that what was created, renamed or removed in it stays so. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory and what is missing above it, durably. */
export async function makeDirectory(directory: string): Promise<void> {
  const topmostMade = await mkdir(directory, { recursive: true });
  if (topmostMade === undefined) return;
  for (let made = directory; made.length >= topmostMade.length; made = dirname(made))
    await syncDirectory(dirname(made));
}

interface LockedFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly lock: FileLock;
}

async function createLocked(place: string): Promise<LockedFile> {
  for (let tries = 0; tries < CREATE_TRIES_MAX; tries++) {
    const path = `${place}.${randomBytes(8).toString("hex")}${SUFFIX}`;
    const handle = await open(path, "wx");
    try {
      const lock = FileLock.tryTake(path);
      // Between its creation and the lock somebody may have taken it for a leftover: then it is under another name, once more.
      if (lock !== null && (await handle.stat()).nlink > 0) return { path, handle, lock };
      if (lock !== null) await rm(path, { force: true });
      lock?.release();
    } catch (error) {
      await handle.close();
      await rm(path, { force: true }).catch(() => {});
      throw error;
    }
    await handle.close();
  }
  const message = `a file to be put at ${place} was taken for a leftover ${CREATE_TRIES_MAX} times`;
  throw new StoreError("ERR_IO_FAILED", message, { path: place });
}

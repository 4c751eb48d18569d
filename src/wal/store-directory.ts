/** Making the directory of a store, and knowing one. */

import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { StoreError } from "../errors.js";
import { isNetworkFileSystem, syncDirectory } from "../ffi/index.js";
import { MANIFEST_NAME } from "./manifest.js";
import { asStoreError } from "./write-failure.js";

/** Makes the directory and those above it, durably, and returns its real path. */
export async function makeDirectory(directory: string): Promise<string> {
  try {
    makeMissing(resolve(directory));
    const path = realpathSync(directory);
    // Also when it was there: who made it may have died before its name was durable. What a manifest is in was named before.
    if ((await newestManifestName(path)) === "") await syncNames(path);
    return path;
  } catch (error) {
    const { details, message } = asStoreError(error);
    const what = `no store can be made in ${directory}: ${message}`;
    throw new StoreError("ERR_IO_FAILED", what, { ...details, directory }, { cause: error });
  }
}

/**
 * Makes a directory's name durable, and those of the directories above it in the same file system: a mount point is there anyway. What we may
 * not read we have made nothing in.
 */
async function syncNames(path: string): Promise<void> {
  const { dev } = statSync(path);
  for (let below = path; dirname(below) !== below; below = dirname(below)) {
    const directory = dirname(below);
    if (statSync(directory).dev !== dev) return;
    try {
      await syncDirectory(directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    }
  }
}

/** As `makeDirectory`, for a store. @throws StoreError `ERR_IO_UNSUPPORTED` where locks and syncs cannot be relied on */
export async function makeStoreDirectory(directory: string): Promise<string> {
  const path = await makeDirectory(directory);
  if (!isNetworkFileSystem(path)) return path;
  const message = `${path} lies on a network file system, whose locks and syncs cannot be relied on`;
  throw new StoreError("ERR_IO_UNSUPPORTED", message, { directory: path });
}

/** Not by mkdir with `recursive`: in a file system that takes no directories, as /proc, Node 20 tries for ever. */
function makeMissing(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(path);
  if (parent !== path) makeMissing(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else opens it at the same moment.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

/** Whether there is a store in the directory. */
export function isStore(directory: string): boolean {
  return existsSync(join(directory, "lock"));
}

/** The newest: older ones may be gone in a moment. Empty where there is none. */
export async function newestManifestName(directory: string): Promise<string> {
  let names: string[] = [];
  try {
    names = await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
  }
  return (
    names
      .filter((entry) => MANIFEST_NAME.test(entry))
      .sort()
      .at(-1) ?? ""
  );
}

/** A file of the store to judge its file system by; and the proof that there is one. */
export async function manifestIn(directory: string): Promise<string> {
  const name = await newestManifestName(directory);
  if (name === "") throw noStore(directory);
  return join(directory, name);
}

export function noStore(directory: string): StoreError {
  return new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${directory}`, { directory });
}

/**
 * A directory that sealed segments are copied into, by a backup or by a restore: what is there, before anything of it is touched.
 *
 * It is a store's directory whose manifest comes last. Until then the file `unfinished-copy` stands in it, with the id of the store: by it a
 * copy that was interrupted is known and gone on with, and no store is made in the place of one. It goes when the manifest is there; both
 * there at once is a copy that is whole.
 */

import { readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../../errors.js";
import { replaceFile, syncDirectory } from "../../ffi/index.js";
import { AttachLock } from "../attach-lock.js";
import { type Manifest, readManifest } from "../manifest.js";
import { makeDirectory } from "../store-directory.js";

const MARKER_NAME = "unfinished-copy";
/** What is left where the mark could not be written, or was not yet, and what the root of an empty file system has. */
const NAMES_OF_NOTHING: ReadonlySet<string> = new Set(["lock", `${MARKER_NAME}.tmp`, "lost+found"]);

export type CopyTarget =
  /** Absent or empty. */
  | { readonly kind: "free" }
  /** A copy of that store was interrupted; it has no manifest yet. */
  | { readonly kind: "begun"; readonly storeId: string }
  | { readonly kind: "backup"; readonly manifest: Manifest }
  | { readonly kind: "store"; readonly manifest: Manifest }
  /** Something else: the name of one thing that is there. */
  | { readonly kind: "taken"; readonly name: string };

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") return ["a file"];
    throw error;
  }
}

/** The id of the store of which a copy was begun in the directory and not finished; null where none was. */
export async function unfinishedCopyIn(directory: string): Promise<string | null> {
  try {
    return (await readFile(join(directory, MARKER_NAME), "latin1")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** @throws StoreError `ERR_WAL_CORRUPT`, `ERR_WAL_VERSION` for a manifest that is there and cannot be read */
export async function judgeTarget(directory: string): Promise<CopyTarget> {
  const names = await namesIn(directory);
  const [name] = names.filter((entry) => !NAMES_OF_NOTHING.has(entry));
  if (name === undefined) return { kind: "free" };
  if (names.includes("a file") && names.length === 1) return { kind: "taken", name };
  const found = await readManifest(directory);
  switch (found.kind) {
    case "manifest":
      return { kind: found.manifest.backup === undefined ? "store" : "backup", manifest: found.manifest };
    case "newer":
      throw new StoreError("ERR_WAL_VERSION", `a newer version wrote the manifest (${directory})`, { directory });
    case "damaged":
      throw new StoreError("ERR_WAL_CORRUPT", `no manifest holds its checksum (${directory})`, { directory });
    case "absent": {
      const storeId = await unfinishedCopyIn(directory);
      return storeId === null ? { kind: "taken", name } : { kind: "begun", storeId };
    }
  }
}

export interface LockedTarget {
  /** The real path. */
  readonly path: string;
  readonly lock: AttachLock;
}

/**
 * Makes the directory, if it is not there, and keeps everybody else out of it. What it is must be judged again then: somebody may have been faster.
 *
 * @throws StoreError `ERR_STORE_BUSY` after `busyWaitMs`, `ERR_STORE_LOCKED`
 */
export async function lockTarget(directory: string, busyWaitMs: number): Promise<LockedTarget> {
  const path = await makeDirectory(directory);
  return { path, lock: await AttachLock.take(path, false, busyWaitMs) };
}

/** Marks a directory as a copy that is not finished. Only under its lock: two that mark it at once rename each other's temporary file. */
export async function markCopy(path: string, storeId: string): Promise<void> {
  await replaceFile(join(path, MARKER_NAME), Buffer.from(`${storeId}\n`));
}

/** Takes the mark away: the manifest is there. */
export async function endCopy(directory: string): Promise<void> {
  try {
    await unlink(join(directory, MARKER_NAME));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return;
  }
  await syncDirectory(directory);
}

export function targetTaken(directory: string, what: string): StoreError {
  return new StoreError("ERR_STORE_EXISTS", `${directory} is not empty: ${what}`, { directory });
}

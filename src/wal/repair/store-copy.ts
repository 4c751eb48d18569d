/**
 * A copy of a store's files before a repair, elsewhere or beside it.
 *
 * Segments are never changed by anybody, only removed: on the same file system the copy has them under a second name, and takes no space. All else is
 * copied. What only the living share is left out.
 */

import { constants, copyFile, link, mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StoreError } from "../../errors.js";
import { syncDirectory } from "../../ffi/index.js";

const SEGMENT_NAME = /\.(wal|seal)$/;
/** Locks, and memory that writers share. */
const LEFT_OUT = /^(lock|checkpoint\.lock|control(\.tmp)?|heads-\d+)$|^wal\/core-\d{3}\/owner$/;

/** @throws StoreError `ERR_STORE_EXISTS` when there is something at `target`; what the file system throws */
export async function copyStore(directory: string, target: string): Promise<void> {
  try {
    await mkdir(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const message = `there is something at ${target} already`;
    throw new StoreError("ERR_STORE_EXISTS", message, { directory: target }, { cause: error });
  }
  const directories = [target];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const name = join(entry.parentPath, entry.name).slice(directory.length).replace(/^\/+/, "");
    if (LEFT_OUT.test(name)) continue;
    const copy = join(target, name);
    if (entry.isDirectory()) {
      await mkdir(copy, { recursive: true });
      directories.push(copy);
    } else if (entry.isFile()) await copyOne(join(directory, name), copy);
  }
  for (const path of directories) await syncDirectory(path);
  await syncDirectory(dirname(target));
}

async function copyOne(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  if (SEGMENT_NAME.test(from) && (await isLinked(from, to))) return;
  await copyFile(from, to, constants.COPYFILE_EXCL);
  const handle = await open(to, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  const [wanted, found] = await Promise.all([stat(from), stat(to)]);
  if (wanted.size !== found.size)
    throw new StoreError("ERR_IO_FAILED", `${to} has ${found.size} of ${wanted.size} bytes`, { path: to });
}

/** False where the two are of different file systems, or this one has no links. */
async function isLinked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (["EXDEV", "EPERM", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(String((error as NodeJS.ErrnoException).code))) {
      return false;
    }
    throw error;
  }
}

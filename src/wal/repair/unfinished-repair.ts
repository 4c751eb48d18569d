/**
 * The mark of a repair that has not committed: from which number on sealed segments are its own. It drops things: what it wrote must not be
 * taken for what the store had, by a repair or a salvage that comes after it died.
 *
 * A file `unfinished-repair` with that number. It goes behind the commit, or when the store is recovered: then its manifest says which segments count.
 */

import { readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile, syncDirectory } from "../../ffi/index.js";

const MARKER_NAME = "unfinished-repair";

/** Segments from that number on that no manifest lists are not the store's; infinity where there was no repair. */
export async function unfinishedRepairFrom(directory: string): Promise<number> {
  try {
    const number = Number((await readFile(join(directory, MARKER_NAME), "latin1")).trim());
    return Number.isSafeInteger(number) && number > 0 ? number : Number.POSITIVE_INFINITY;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** Durably, before the first of them is written. What an earlier one left stays marked. */
export async function beginRepair(directory: string, firstNumber: number): Promise<void> {
  const number = Math.min(firstNumber, await unfinishedRepairFrom(directory));
  await replaceFile(join(directory, MARKER_NAME), Buffer.from(`${number}\n`));
}

/** There is none any more, or there was none. */
export async function endRepair(directory: string): Promise<void> {
  try {
    await unlink(join(directory, MARKER_NAME));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await syncDirectory(directory);
}

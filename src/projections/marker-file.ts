/** Small files beside the states of a projection: written whole and durably, or not at all. */

import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, orWithout, syncDirectory, TEMPORARY_SUFFIX } from "./checkpoint-file.js";

/** Writes the file, durably. */
export async function writeMarker(directory: string, name: string, text: string): Promise<void> {
  await makeDirectory(directory);
  const path = join(directory, name);
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  await orWithout(temporary, async () => {
    const handle = await open(temporary, "w");
    try {
      await handle.writeFile(Buffer.from(text));
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
  await rename(temporary, path);
  await syncDirectory(directory);
}

/** Removes the file, durably; one that is not there is no error. */
export async function removeMarker(directory: string, name: string): Promise<void> {
  await rm(join(directory, name), { force: true });
  await syncDirectory(directory);
}

/** What the file holds; null: it is not there. */
export async function readMarker(directory: string, name: string): Promise<string | null> {
  try {
    return await readFile(join(directory, name), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

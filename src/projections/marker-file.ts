/** Small files beside the states of a projection: written whole and durably, or not at all. */

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { putFile, syncDirectory } from "./temporary-file.js";

/** Writes the file, durably. */
export async function writeMarker(directory: string, name: string, text: string): Promise<void> {
  await putFile(join(directory, name), (handle) => handle.writeFile(Buffer.from(text)));
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

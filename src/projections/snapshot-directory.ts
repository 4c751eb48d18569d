/**
 * Where snapshots of streams lie: `projections/<name>/snapshots/<2 digits>/<62 digits>.checkpoint` below the store's directory, the digits being
 * the SHA-256 of the stream's name. So no stream's name has to be a file's, and no folder has more than a 256th of them.
 */

import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isTemporary, removeAbandoned, syncDirectory } from "./temporary-file.js";

const SUFFIX = ".checkpoint";

export class SnapshotDirectory {
  readonly #path: string;

  /** The name must be a valid projection name, or it could lead elsewhere. */
  constructor(storeDirectory: string, name: string) {
    this.#path = join(storeDirectory, "projections", name, "snapshots");
  }

  fileOf(stream: string): string {
    const digits = createHash("sha256").update(stream).digest("hex");
    return join(this.#path, digits.slice(0, 2), `${digits.slice(2)}${SUFFIX}`);
  }

  async all(): Promise<string[]> {
    return (await this.#files()).filter((file) => file.endsWith(SUFFIX));
  }

  /** Removes, durably, what somebody was making who died before it had its name; not what is being made. */
  async removeTemporaryFiles(): Promise<void> {
    const removed = await removeAbandoned((await this.#files()).filter(isTemporary));
    for (const folder of new Set(removed.map(dirname))) await syncDirectory(folder);
  }

  /** Durably. */
  async remove(files: readonly string[]): Promise<void> {
    for (const file of files) await rm(file, { force: true });
    for (const folder of new Set(files.map(dirname))) await syncDirectory(folder);
  }

  async #files(): Promise<string[]> {
    const files: string[] = [];
    for (const folder of await namesIn(this.#path)) {
      for (const name of await namesIn(join(this.#path, folder))) files.push(join(this.#path, folder, name));
    }
    return files;
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

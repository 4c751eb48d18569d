/** Where a projection's checkpoints lie: `projections/<name>/v<version>.checkpoint` below the store's directory. */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { syncDirectory, TEMPORARY_SUFFIX } from "./checkpoint-file.js";

const CHECKPOINT_NAME = /^v[1-9][0-9]*\.checkpoint$/;

export class CheckpointDirectory {
  readonly #path: string;

  /** The name must be a valid projection name, or it could lead elsewhere. */
  constructor(storeDirectory: string, name: string) {
    this.#path = join(storeDirectory, "projections", name);
  }

  fileOf(version: number): string {
    return join(this.#path, `v${version}.checkpoint`);
  }

  /** The checkpoints of all versions but this one. */
  async otherThan(version: number): Promise<string[]> {
    const own = this.fileOf(version);
    const names = (await this.#names()).filter((name) => CHECKPOINT_NAME.test(name));
    return names.map((name) => join(this.#path, name)).filter((file) => file !== own);
  }

  /** Removes what a crash left between writing and renaming. */
  async removeTemporaryFiles(): Promise<void> {
    const names = (await this.#names()).filter((name) => name.endsWith(TEMPORARY_SUFFIX));
    await this.remove(names.map((name) => join(this.#path, name)));
  }

  /** The checkpoints of all versions. */
  all(): Promise<string[]> {
    return this.otherThan(0);
  }

  async remove(files: readonly string[]): Promise<void> {
    if (files.length === 0) return;
    for (const file of files) await rm(file, { force: true });
    await syncDirectory(this.#path);
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.#path)).sort();
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : null;
      if (code === "ENOENT" || code === "ENOTDIR") return [];
      throw new StoreError("ERR_IO_FAILED", `${this.#path} cannot be listed`, { file: this.#path }, { cause });
    }
  }
}

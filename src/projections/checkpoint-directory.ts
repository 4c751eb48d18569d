/**
 * A projection's directory, `projections/<name>/` below the store's, and what lies in it:
 *
 * - `v<version>.checkpoint`: the state that the next start begins at.
 * - `v<version>.part<n>.checkpoint`: what has changed of it since, as checkpoint-parts.ts has it.
 * - `v<version>.rebuild`: the state of a rebuild that is under way, or was when its process was killed; the next one goes on from it.
 * - `v<version>.ready`: the state of a rebuild that was made elsewhere (in a thread, by `varve projection rebuild`) and is done: whoever
 *   runs the projection goes over to it, and it becomes the checkpoint by its renaming.
 * - `v<version>.<id>.history`: what a checkpoint of this version needs besides; the state says which. Flock(2) is shared by whoever reads it.
 * - `rebuild.lock`: flock(2) is held by whoever rebuilds.
 * - `paused`: while this file is there, nobody applies events.
 * - `reactions`: up to which LSN `react` was called.
 */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { syncDirectory, TEMPORARY_SUFFIX } from "./checkpoint-file.js";

const STATE_NAME =
  /^v([1-9][0-9]*)(?:\.part([1-9][0-9]*)|\.[0-9a-f-]{36}(?=\.history$))?\.(checkpoint|rebuild|ready|history)$/;

/** A file that holds a state. */
export interface StateFile {
  readonly path: string;
  readonly version: number;
  readonly kind: "checkpoint" | "rebuild" | "ready" | "history";
  /** 0: the whole. Only a checkpoint has others. */
  readonly part: number;
}

export class CheckpointDirectory {
  readonly path: string;

  /** The name must be a valid projection name, or it could lead elsewhere. */
  constructor(storeDirectory: string, name: string) {
    this.path = join(storeDirectory, "projections", name);
  }

  fileOf(version: number): string {
    return join(this.path, `v${version}.checkpoint`);
  }

  rebuildOf(version: number): string {
    return join(this.path, `v${version}.rebuild`);
  }

  readyOf(version: number): string {
    return join(this.path, `v${version}.ready`);
  }

  historyOf(version: number, id: string): string {
    return join(this.path, `v${version}.${id}.history`);
  }

  /** What was saved after the checkpoint of a version. */
  async partsOf(version: number): Promise<string[]> {
    const files = await this.states();
    return files.filter((file) => file.version === version && file.part > 0).map(({ path }) => path);
  }

  /** The checkpoints of all versions but this one. */
  async otherThan(version: number): Promise<string[]> {
    const files = (await this.states()).filter((file) => file.kind === "checkpoint" && file.version !== version);
    return files.map(({ path }) => path);
  }

  /** What rebuilds of versions before this one have left. A later version may have been rebuilt ahead of its coming. */
  async staleRebuilds(version: number): Promise<string[]> {
    const files = (await this.states()).filter((file) => file.kind !== "checkpoint" && file.version < version);
    return files.map(({ path }) => path);
  }

  /** Removes what a crash left between writing and renaming a checkpoint. */
  removeTemporaryFiles(): Promise<void> {
    return this.#removeEndingIn([".checkpoint", ".history"]);
  }

  /** The same of a rebuild, for whoever holds its lock. */
  removeRebuildTemporaryFiles(): Promise<void> {
    return this.#removeEndingIn([".rebuild", ".ready"]);
  }

  /** Removes every temporary file, those that are being written too: their writers try again. */
  removeAllTemporaryFiles(): Promise<void> {
    return this.#removeEndingIn([""]);
  }

  async #removeEndingIn(ends: readonly string[]): Promise<void> {
    const names = await this.names();
    const doomed = names.filter((name) => ends.some((end) => name.endsWith(end + TEMPORARY_SUFFIX)));
    await this.remove(doomed.map((name) => join(this.path, name)));
  }

  /** Every file with a state, of all versions. */
  async all(): Promise<string[]> {
    return (await this.states()).map(({ path }) => path);
  }

  /** Every file with a state, and what it is. */
  async states(): Promise<StateFile[]> {
    const files: StateFile[] = [];
    for (const name of await this.names()) {
      const [, version, part = "0", kind] = STATE_NAME.exec(name) ?? [];
      if (kind === undefined) continue;
      const path = join(this.path, name);
      files.push({ path, version: Number(version), kind: kind as StateFile["kind"], part: Number(part) });
    }
    return files;
  }

  async remove(files: readonly string[]): Promise<void> {
    if (files.length === 0) return;
    try {
      for (const file of files) await rm(file, { force: true });
      await syncDirectory(this.path);
    } catch (cause) {
      throw new StoreError("ERR_IO_FAILED", `a file in ${this.path} cannot be removed`, { file: this.path }, { cause });
    }
  }

  /** The names of all files in it, sorted; none where there is no directory. */
  async names(): Promise<string[]> {
    try {
      return (await readdir(this.path)).sort();
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : null;
      if (code === "ENOENT" || code === "ENOTDIR") return [];
      throw new StoreError("ERR_IO_FAILED", `${this.path} cannot be listed`, { file: this.path }, { cause });
    }
  }
}

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
 * - `<one of these names>.<16 hexadecimal digits>.tmp`: what is to come to that name, while it is made (temporary-file.ts).
 */

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { isTemporary, removeAbandoned, syncDirectory } from "./temporary-file.js";

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

  /** Removes, durably, what somebody was making who died before it had its name; not what is being made. */
  async removeTemporaryFiles(): Promise<void> {
    const left = (await this.names()).filter(isTemporary).map((name) => join(this.path, name));
    await this.#removing(async () => {
      if ((await removeAbandoned(left)).length > 0) await syncDirectory(this.path);
    });
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

  /** Removes, durably, those of these files that nobody has open under flock(2). */
  async removeUnused(files: readonly string[]): Promise<void> {
    await this.#removing(async () => {
      if ((await removeAbandoned(files)).length > 0) await syncDirectory(this.path);
    });
  }

  async remove(files: readonly string[]): Promise<void> {
    if (files.length === 0) return;
    await this.#removing(async () => {
      for (const file of files) await rm(file, { force: true });
      await syncDirectory(this.path);
    });
  }

  async #removing(work: () => Promise<void>): Promise<void> {
    try {
      await work();
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

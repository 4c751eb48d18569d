/**
 * A core's owner: flock(2) on `wal/core-NNN/owner`, held for as long as the writer lives. That it is free is the proof of death, the only
 * one: process numbers are used again, and clocks jump.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { FileLock } from "../ffi/index.js";
import { coreDirectory } from "./segment-name.js";

export class OwnerLock {
  readonly core: number;
  readonly #lock: FileLock;

  private constructor(core: number, lock: FileLock) {
    this.core = core;
    this.#lock = lock;
  }

  /** Null when a living writer has it. Makes the core's directory when it is new. */
  static tryTake(storeDirectory: string, core: number): OwnerLock | null {
    const directory = coreDirectory(storeDirectory, core);
    mkdirSync(directory, { recursive: true });
    const lock = FileLock.tryTake(join(directory, "owner"));
    return lock === null ? null : new OwnerLock(core, lock);
  }

  /** Of these cores, those whose writer is dead or never was. Takes none when it throws. */
  static takeFree(storeDirectory: string, cores: Iterable<number>): OwnerLock[] {
    const taken: OwnerLock[] = [];
    try {
      for (const core of cores) {
        const lock = OwnerLock.tryTake(storeDirectory, core);
        if (lock !== null) taken.push(lock);
      }
      return taken;
    } catch (error) {
      for (const lock of taken) lock.release(); // else they would pass for living writers
      throw error;
    }
  }

  release(): void {
    this.#lock.release();
  }
}

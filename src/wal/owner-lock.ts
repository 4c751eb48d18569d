/**
 * A core's owner: flock(2) on `wal/core-NNN/owner`, held for as long as the writer lives. That it is free is the proof of death, the only
 * one: process numbers are used again, and clocks jump.
 */

import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { flockExclusive } from "../ffi/index.js";
import { coreDirectory } from "./segment-name.js";

const FILE_MODE = 0o640;

export class OwnerLock {
  readonly core: number;
  readonly #fd: number;

  private constructor(core: number, fd: number) {
    this.core = core;
    this.#fd = fd;
  }

  /** Null when a living writer has it. Makes the core's directory when it is new. */
  static tryTake(storeDirectory: string, core: number): OwnerLock | null {
    const directory = coreDirectory(storeDirectory, core);
    mkdirSync(directory, { recursive: true });
    const fd = openSync(join(directory, "owner"), constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    if (flockExclusive(fd) === 0) return new OwnerLock(core, fd);
    closeSync(fd);
    return null;
  }

  release(): void {
    closeSync(this.#fd);
  }
}

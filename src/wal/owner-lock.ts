/**
 * A core's owner: flock(2) on `wal/core-NNN/owner`, held for as long as the writer lives. That it is free is the proof of death, the only
 * one: process numbers are used again, and clocks jump.
 */

import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { flockExclusive } from "../ffi/index.js";
import { coreDirectory } from "./segment-name.js";

const FILE_MODE = 0o640;
const CORE_NAME = /^core-(\d{3})$/;

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

/** The cores that have ever had a directory, in order. */
export async function listCores(storeDirectory: string): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir(join(storeDirectory, "wal"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const cores: number[] = [];
  for (const name of names) {
    const digits = CORE_NAME.exec(name)?.[1];
    if (digits !== undefined) cores.push(Number(digits));
  }
  return cores.sort((a, b) => a - b);
}

/** The lock that makes one process the store's writer: flock(2) on the file `lock`, held for as long as the store is open. */

import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { flockExclusive } from "../ffi/index.js";

/** A killed process can hold its locks for up to 16 ms after it is gone (measured), so one refusal is not yet an answer. */
const LOCK_WAIT_MS = 100;
const LOCK_RETRY_MS = 10;
const FILE_MODE = 0o640;

export class StoreLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws StoreError `ERR_STORE_LOCKED` after 100 ms when another opener has it. */
  static async take(directory: string): Promise<StoreLock> {
    const path = join(directory, "lock");
    // node:fs sets O_CLOEXEC: a child process does not inherit the lock.
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    const deadline = performance.now() + LOCK_WAIT_MS;
    while (flockExclusive(fd) !== 0) {
      if (performance.now() > deadline) {
        closeSync(fd);
        throw new StoreError("ERR_STORE_LOCKED", `the store in ${directory} is open elsewhere`, { directory });
      }
      await delay(LOCK_RETRY_MS);
    }
    return new StoreLock(fd);
  }

  release(): void {
    closeSync(this.#fd);
  }
}

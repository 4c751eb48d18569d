/**
 * The lock under which writers come, go and are taken over: flock(2) on the file `lock`.
 *
 * Held only for as long as that takes, but by an exclusive opener for as long as it is open; the file then says `exclusive`, so that others
 * do not wait for it in vain. What it says only decides how long to wait: whether the lock is free is for the kernel to say.
 */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { flockExclusive } from "../ffi/index.js";

/** A killed process can hold its locks for up to 16 ms after it is gone (measured), so one refusal is not yet an answer. */
const EXCLUSIVE_WAIT_MS = 100;
const LOCK_RETRY_MS = 5;
const FILE_MODE = 0o640;
const EXCLUSIVE_MARK = "exclusive\n";

export class AttachLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @throws StoreError `ERR_STORE_LOCKED` after 100 ms when an exclusive opener has it, `ERR_STORE_BUSY` after `busyWaitMs` when
   *   somebody comes, goes or recovers for that long
   */
  static async take(directory: string, isExclusive: boolean, busyWaitMs: number): Promise<AttachLock> {
    const path = join(directory, "lock");
    // node:fs sets O_CLOEXEC: a child process does not inherit the lock.
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    try {
      const startedAtMs = performance.now();
      while (flockExclusive(fd) !== 0) {
        const waitedMs = performance.now() - startedAtMs;
        if (waitedMs > EXCLUSIVE_WAIT_MS && readFileSync(path, "latin1") === EXCLUSIVE_MARK) {
          throw new StoreError("ERR_STORE_LOCKED", `the store in ${directory} is open elsewhere, exclusively`, {
            directory,
          });
        }
        if (waitedMs > Math.max(busyWaitMs, EXCLUSIVE_WAIT_MS)) {
          const message = `the store in ${directory} has been opened, closed or recovered by another for ${busyWaitMs} ms`;
          throw new StoreError("ERR_STORE_BUSY", message, { directory, waitMs: busyWaitMs });
        }
        await delay(LOCK_RETRY_MS);
      }
      if (fstatSync(fd).size > 0) ftruncateSync(fd, 0); // of an exclusive opener that was killed
      if (isExclusive) writeSync(fd, EXCLUSIVE_MARK, 0);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new AttachLock(fd);
  }

  release(): void {
    closeSync(this.#fd);
  }
}

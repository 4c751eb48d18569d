/** A file whose flock(2) says that its holder lives: the kernel frees it when the holder's descriptor is gone, however that came. */

import { closeSync, constants, openSync } from "node:fs";
import { StoreError } from "../errors.js";
import { EAGAIN, errnoName } from "./errno.js";
import { flockExclusive } from "./libc.js";

const FILE_MODE = 0o640;

/** The exclusive lock on one file, from `tryTake` to `release`. */
export class FileLock {
  readonly path: string;
  #fd: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * Takes the lock of `path`, which is created when it does not exist; null when another descriptor has it, of this process or of another.
   * The locks of a killed process can outlive it by some milliseconds, and for as long as its writes to that file last.
   *
   * @throws the error of opening the file; StoreError `ERR_IO_FAILED` where the file system cannot lock
   */
  static tryTake(path: string): FileLock | null {
    // node:fs sets O_CLOEXEC, so that no child inherits the lock, and closes the descriptor of a thread that is terminated.
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
    const result = flockExclusive(fd);
    if (result === 0) return new FileLock(path, fd);
    closeSync(fd);
    if (result === -EAGAIN) return null;
    const errno = errnoName(result);
    throw new StoreError("ERR_IO_FAILED", `locking of ${path} failed: ${errno}`, { operation: "locking", path, errno });
  }

  /** Frees the lock; a second time does nothing. */
  release(): void {
    if (this.#fd === -1) return;
    const fd = this.#fd;
    this.#fd = -1;
    closeSync(fd);
  }
}

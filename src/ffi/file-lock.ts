/** A file whose flock(2) says that its holder lives: the kernel frees it when the holder's descriptor is gone, however that came. */

import { closeSync, constants, openSync } from "node:fs";
import { StoreError } from "../errors.js";
import { EAGAIN, errnoName } from "./errno.js";
import { flockExclusive, flockShared } from "./libc.js";

const FILE_MODE = 0o640;

/** The lock on one file, from `tryTake` or `tryShare` to `release`. */
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
    return FileLock.#take(path, openSync(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE), flockExclusive);
  }

  /**
   * Shares the lock of a file that is there with others that only share it; null when somebody has it for himself. The descriptor is open for reading.
   *
   * @throws as `tryTake`
   */
  static tryShare(path: string): FileLock | null {
    return FileLock.#take(path, openSync(path, constants.O_RDONLY), flockShared);
  }

  static #take(path: string, fd: number, flock: (fd: number) => number): FileLock | null {
    const result = flock(fd);
    if (result === 0) return new FileLock(path, fd);
    closeSync(fd);
    if (result === -EAGAIN) return null;
    const errno = errnoName(result);
    throw new StoreError("ERR_IO_FAILED", `locking of ${path} failed: ${errno}`, { operation: "locking", path, errno });
  }

  /** The descriptor that has the lock; −1 when it was released. */
  get fd(): number {
    return this.#fd;
  }

  /** Frees the lock; a second time does nothing. */
  release(): void {
    if (this.#fd === -1) return;
    const fd = this.#fd;
    this.#fd = -1;
    closeSync(fd);
  }
}

/**
 * A file that lies in memory and has no name in any directory, for native code that only reads and writes files.
 *
 * What is written into it is never on a disk, but where the kernel swaps, and is gone when it is closed or the process dies: so what is
 * to be encrypted, or forgotten, can pass through it.
 */

import { closeSync, readSync, writeSync } from "node:fs";
import { createMemoryFile } from "./libc.js";

export class MemoryFile {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Throws the system's error where there is none to be had. */
  static create(): MemoryFile {
    const fd = createMemoryFile("varve");
    if (fd < 0) throw new Error(`memfd_create(2) failed: errno ${-fd}`);
    return new MemoryFile(fd);
  }

  /** By which code in this process opens it, as long as it is not closed. */
  get path(): string {
    return `/proc/self/fd/${this.#fd}`;
  }

  /** How many bytes were read into the target from an offset; 0: the end. */
  read(target: Uint8Array, offset: number): number {
    return readSync(this.#fd, target, 0, target.length, offset);
  }

  /** Writes all of the bytes at an offset. */
  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

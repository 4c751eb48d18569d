/**
 * A file mapped by threads and processes at once (MAP_SHARED): what one of them stores the others see.
 *
 * Its blocks are reserved when it is made, because a store into a mapped hole on a full disk is a SIGBUS, which nobody can handle. For the
 * same reason it never shrinks and is never truncated while somebody may have it mapped.
 */

import { closeSync, constants, fstatSync, openSync, unlinkSync } from "node:fs";
import { StoreError } from "../errors.js";
import { EDQUOT, ENOSPC, errnoName } from "./errno.js";
import { mmap, munmap, systemCall, viewMemory } from "./libc.js";

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const FILE_MODE = 0o640;
const FALLOCATE = process.arch === "arm64" ? 47 : 285;

export class MappedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly bytes: Buffer;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  readonly bigint64: BigInt64Array;
  readonly #address: bigint;

  private constructor(path: string, fd: number, byteLength: number, protection: number) {
    const address = mmap(byteLength, protection, MAP_SHARED, fd, 0);
    if (address < 0n) throw ioFailed("mapping", path, Number(address));
    const memory = viewMemory(address, byteLength);
    this.path = path;
    this.byteLength = byteLength;
    this.#address = address;
    this.bytes = Buffer.from(memory);
    this.int32 = new Int32Array(memory);
    this.float64 = new Float64Array(memory);
    this.bigint64 = new BigInt64Array(memory);
  }

  /**
   * Makes a new file of zeros with all its blocks. `byteLength` is a multiple of 8.
   *
   * @throws StoreError `ERR_WAL_FULL` when the disk has no room; then there is no file.
   */
  static create(path: string, byteLength: number): MappedFile {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, FILE_MODE);
    try {
      const result = systemCall(FALLOCATE, fd, 0, 0, byteLength);
      if (result === -ENOSPC || result === -EDQUOT) {
        const errno = errnoName(result);
        throw new StoreError("ERR_WAL_FULL", `no space for ${path}: ${errno}`, { path, byteLength, errno });
      }
      if (result < 0) throw ioFailed("allocation", path, result);
      return new MappedFile(path, fd, byteLength, PROT_READ_WRITE);
    } catch (error) {
      unlinkSync(path);
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** Maps the whole of an existing file. */
  static open(path: string, mode: "read" | "write" = "write"): MappedFile {
    const fd = openSync(path, mode === "write" ? constants.O_RDWR : constants.O_RDONLY);
    try {
      return new MappedFile(path, fd, fstatSync(fd).size, mode === "write" ? PROT_READ_WRITE : PROT_READ);
    } finally {
      closeSync(fd);
    }
  }

  /** Unmaps it. Nobody may touch a view afterwards, and nothing may be in flight. */
  close(): void {
    munmap(this.#address, this.byteLength);
  }
}

function ioFailed(operation: string, path: string, result: number): StoreError {
  const errno = errnoName(result);
  return new StoreError("ERR_IO_FAILED", `${operation} of ${path} failed: ${errno}`, { operation, path, errno });
}

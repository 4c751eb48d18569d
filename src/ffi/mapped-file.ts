/**
 * A small file that several threads and processes have in memory at once (mmap(2), MAP_SHARED).
 *
 * The file never shrinks while anybody maps it, and its blocks are reserved when it is created: touching a page without a block behind it
 * is a SIGBUS, which nobody can catch here. Nothing is ever synced: what lies in such a file is believed only while its writers live.
 */

import { closeSync, constants, fstatSync, openSync, unlinkSync } from "node:fs";
import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { EDQUOT, ENOSPC, errnoName } from "./errno.js";
import { mmap, munmap, reserveBlocks, viewMemory } from "./libc.js";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const FILE_MODE = 0o640;
/** The largest unit of the views. */
const WORD_BYTES = 8;

function failed(operation: string, path: string, errno: number): StoreError {
  const name = errnoName(errno);
  const isFull = Math.abs(errno) === ENOSPC || Math.abs(errno) === EDQUOT;
  const code = isFull ? "ERR_WAL_FULL" : "ERR_IO_FAILED";
  return new StoreError(code, `${operation} of ${path} failed: ${name}`, { operation, path, errno: name });
}

/** A file in memory. `Atomics` work on `int32` and on `bigint64`, across threads and processes. */
export class MappedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly bytes: Buffer;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  readonly bigint64: BigInt64Array;
  /** The address in two halves, so that filling a submission entry needs no BigInt. */
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly #address: bigint;
  #fd: number;

  private constructor(path: string, fd: number, byteLength: number, protection: number) {
    const address = mmap(byteLength, protection, MAP_SHARED, fd, 0);
    if (address < 0n) throw failed("mapping", path, Number(address));
    this.path = path;
    this.byteLength = byteLength;
    this.#fd = fd;
    this.#address = address;
    this.addressLow = Number(address & 0xffff_ffffn);
    this.addressHigh = Number(address >> 32n);
    const memory = viewMemory(address, byteLength);
    this.bytes = Buffer.from(memory);
    this.int32 = new Int32Array(memory);
    this.float64 = new Float64Array(memory);
    this.bigint64 = new BigInt64Array(memory);
  }

  /**
   * Creates a new file of zeros with all its blocks reserved, and maps it for writing. Leaves no file behind when it fails.
   *
   * @param byteLength - a multiple of 8
   * @throws StoreError `ERR_WAL_FULL` without space for it, `ERR_IO_FAILED` when it cannot be mapped; the error of opening the file
   */
  static create(path: string, byteLength: number): MappedFile {
    assert(byteLength > 0 && byteLength % WORD_BYTES === 0, `mapped file of ${byteLength} bytes`);
    const fd = openNew(path);
    try {
      const result = reserveBlocks(fd, byteLength);
      if (result < 0) throw failed("allocation", path, result);
      return new MappedFile(path, fd, byteLength, PROT_READ | PROT_WRITE);
    } catch (error) {
      closeSync(fd);
      unlinkSync(path);
      throw error;
    }
  }

  /**
   * Maps an existing file as long as it is now. Writing to one that is mapped for reading is a segmentation fault.
   *
   * @throws StoreError `ERR_IO_FAILED` when it cannot be mapped; the error of opening the file
   */
  static open(path: string, mode: "read" | "write" = "write"): MappedFile {
    const isWritten = mode === "write";
    const fd = openSync(path, isWritten ? constants.O_RDWR : constants.O_RDONLY);
    try {
      const byteLength = fstatSync(fd).size;
      if (byteLength === 0 || byteLength % WORD_BYTES !== 0) {
        throw new StoreError("ERR_IO_FAILED", `${path} cannot be mapped: it has ${byteLength} bytes`, {
          path,
          byteLength,
        });
      }
      return new MappedFile(path, fd, byteLength, isWritten ? PROT_READ | PROT_WRITE : PROT_READ);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** −1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Where `offset` lies in memory. */
  addressAt(offset: number): bigint {
    return this.#address + BigInt(offset);
  }

  /** Unmaps it. Nobody may touch a view afterwards, or have I/O or a sleeper on it in flight. A second time does nothing. */
  close(): void {
    if (this.#fd === -1) return;
    const fd = this.#fd;
    this.#fd = -1;
    munmap(this.#address, this.byteLength);
    closeSync(fd);
  }
}

function openNew(path: string): number {
  try {
    // node:fs sets O_CLOEXEC, and closes the descriptor of a thread that is terminated.
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, FILE_MODE);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === -ENOSPC || errno === -EDQUOT) throw failed("creation", path, errno);
    throw error;
  }
}

/** The kernel is told where in memory to write: a wrong offset would be somebody else's memory. */
export function assertWord(file: MappedFile, offset: number, byteLength: number): void {
  assert(file.fd !== -1, "a word of a mapped file that is closed");
  const isInside = offset >= 0 && offset + byteLength <= file.byteLength;
  assert(isInside && offset % byteLength === 0, `no word of ${byteLength} bytes at ${offset}`);
}

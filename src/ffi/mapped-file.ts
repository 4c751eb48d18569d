/** A small file mapped by several threads and processes at once. Placeholder of the same shape until the ffi part lands. */

import { closeSync, constants, fstatSync, openSync, unlinkSync } from "node:fs";
import { StoreError } from "../errors.js";
import { errnoName } from "./errno.js";
import { mmap, munmap, systemCall, viewMemory } from "./libc.js";

const SYS_FALLOCATE = process.arch === "arm64" ? 47 : 285;

export class MappedFile {
  readonly path: string;
  readonly fd: number;
  readonly address: bigint;
  readonly byteLength: number;
  readonly bytes: Buffer;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  readonly bigint64: BigInt64Array;

  static create(path: string, byteLength: number): MappedFile {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o640);
    const r = systemCall(SYS_FALLOCATE, fd, 0, 0, byteLength);
    if (r < 0) {
      closeSync(fd);
      unlinkSync(path);
      throw new StoreError("ERR_WAL_FULL", `no space for ${path}: ${errnoName(r)}`, { path, errno: errnoName(r) });
    }
    return new MappedFile(path, fd, byteLength, "write");
  }

  static open(path: string, mode: "read" | "write" = "write"): MappedFile {
    const fd = openSync(path, mode === "read" ? constants.O_RDONLY : constants.O_RDWR);
    return new MappedFile(path, fd, fstatSync(fd).size, mode);
  }

  private constructor(path: string, fd: number, byteLength: number, mode: "read" | "write") {
    this.path = path;
    this.fd = fd;
    this.byteLength = byteLength;
    this.address = mmap(byteLength, mode === "read" ? 1 : 3, 1, fd, 0);
    if (this.address < 0n) throw new StoreError("ERR_IO_FAILED", `cannot map ${path}`, { path });
    const memory = viewMemory(this.address, byteLength);
    this.bytes = Buffer.from(memory);
    this.int32 = new Int32Array(memory);
    this.float64 = new Float64Array(memory);
    this.bigint64 = new BigInt64Array(memory);
  }

  close(): void {
    munmap(this.address, this.byteLength);
    closeSync(this.fd);
  }
}

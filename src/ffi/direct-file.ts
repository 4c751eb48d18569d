/**
 * A file for block I/O, and the directory operations that make its name durable.
 *
 * Opened with node:fs, which sets O_CLOEXEC: a child process must not inherit the lock. The descriptor is never registered with a
 * ring, because a registered file stays locked when its thread is terminated.
 */

import { constants } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../errors.js";
import type { AlignedBuffer } from "./aligned-buffer.js";
import { type BlockIo, completionOf } from "./block-io.js";
import { EAGAIN, EINTR, errnoName } from "./errno.js";
import { dropCachedPages, flockExclusive } from "./libc.js";
import type { Completion } from "./ring.js";

const FILE_MODE = 0o640;

/** Throws `ERR_IO_FAILED` for a negative result of a file operation. */
export function checkResult(result: number, operation: string, path: string): number {
  if (result >= 0) return result;
  const errno = errnoName(result);
  throw new StoreError("ERR_IO_FAILED", `${operation} of ${path} failed: ${errno}`, { operation, path, errno });
}

type Start = (completion: Completion) => void;

export class DirectFile {
  readonly path: string;
  #fd: number;
  readonly #handle: FileHandle;
  readonly #io: BlockIo;

  private constructor(path: string, handle: FileHandle, io: BlockIo) {
    this.path = path;
    this.#fd = handle.fd;
    this.#handle = handle;
    this.#io = io;
  }

  /** Creates a new file for reading and writing; fails when the name exists. */
  static async create(io: BlockIo, path: string): Promise<DirectFile> {
    const flags = io.openFlags("write") | constants.O_CREAT | constants.O_EXCL;
    return new DirectFile(path, await open(path, flags, FILE_MODE), io);
  }

  /** Opens an existing file. */
  static async open(io: BlockIo, path: string, mode: "read" | "write"): Promise<DirectFile> {
    return new DirectFile(path, await open(path, io.openFlags(mode)), io);
  }

  /** −1 once closed: the number soon belongs to another file, and nothing meant for this one may reach that. */
  get fd(): number {
    return this.#fd;
  }

  /** Takes the exclusive flock(2) on this very descriptor; false when another holds it. I/O in flight of a killed process holds it too. */
  tryLock(): boolean {
    const result = flockExclusive(this.#fd);
    if (result === -EAGAIN) return false;
    checkResult(result, "locking", this.path);
    return true;
  }

  async byteLength(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Reserves the file's blocks and sets its size. */
  async allocate(byteLength: number): Promise<void> {
    const result = await this.#runAgain((completion) => this.#io.allocate(this.#fd, byteLength, completion));
    checkResult(result, "allocation", this.path);
  }

  /** Writes whole blocks at a block boundary; resolves with the bytes written, which may be fewer. */
  write(
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
  ): Promise<number> {
    return this.#runAgain((completion) =>
      this.#io.write(this.#fd, buffer, bufferOffset, length, fileOffset, durable, completion),
    );
  }

  /** Reads whole blocks from a block boundary; resolves with the bytes read (fewer at the end of the file) or a negative errno. */
  read(buffer: AlignedBuffer, bufferOffset: number, length: number, fileOffset: number): Promise<number> {
    return this.#runAgain(
      (completion) => this.#io.read(this.#fd, buffer, bufferOffset, length, fileOffset, completion),
      submitSoon,
    );
  }

  /** fdatasync(2). A failure must never be followed by another try: the kernel forgets it. */
  async dataSync(): Promise<void> {
    checkResult(await this.#run((completion) => this.#io.dataSync(this.#fd, completion)), "sync", this.path);
  }

  /** Lets the page cache go of what it has of this file, once that is synced. Only buffered I/O leaves anything there. */
  dropCache(): void {
    dropCachedPages(this.#fd);
  }

  async truncate(byteLength: number): Promise<void> {
    await this.#handle.truncate(byteLength);
  }

  /** Nothing may be in flight: an operation that has not reached the kernel yet would find another file under the number. */
  async close(): Promise<void> {
    this.#fd = -1;
    await this.#handle.close();
  }

  /** Operations that say the same when they are done twice are repeated when the kernel asks for it. */
  async #runAgain(start: Start, submit = submitNow): Promise<number> {
    let result = await this.#run(start, submit);
    while (result === -EAGAIN || result === -EINTR) result = await this.#run(start, submit);
    return result;
  }

  #run(start: Start, submit = submitNow): Promise<number> {
    const done = completionOf(start);
    submit(this.#io);
    return done;
  }
}

function submitNow(io: BlockIo): void {
  io.submit();
}

const toBeSubmitted = new WeakSet<BlockIo>();

/** Together with what else is started before the turn ends: entering the kernel costs more than a read does. */
function submitSoon(io: BlockIo): void {
  if (toBeSubmitted.has(io)) return;
  toBeSubmitted.add(io);
  queueMicrotask(() => {
    toBeSubmitted.delete(io);
    io.submit();
  });
}

/** fsync(2) of a directory, after which the names in it are durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads a small file and leaves nothing of it in the page cache. */
export async function readSmallFile(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    const bytes = await handle.readFile();
    dropCachedPages(handle.fd);
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Puts a small file in place durably and at once: a reader sees the old bytes or the new ones, after a power cut too. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, FILE_MODE);
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
      dropCachedPages(handle.fd);
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {}); // On a full disk its block is needed; what failed is told below.
    throw error;
  }
  await syncDirectory(dirname(path));
}

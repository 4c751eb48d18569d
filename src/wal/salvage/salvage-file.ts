/** A file of a damaged store, read however much of it can be: blocks that the device does not give back hold neither a header nor zeros. */

import { type FileHandle, open } from "node:fs/promises";
import { StoreError } from "../../errors.js";
import { BLOCK_BYTES } from "../../ffi/index.js";

const WINDOW_BYTES = 1024 * 1024;
/** As the log's own readers show such blocks (read-ahead.ts). */
const UNREADABLE_BYTE = 0xff;

export class SalvageFile {
  readonly path: string;
  readonly byteLength: number;
  /** Blocks that the device has not given back. */
  readonly unreadable: Set<number> = new Set();
  readonly #handle: FileHandle;
  #window: Buffer = Buffer.alloc(0);
  #windowOffset = 0;

  /** Throws what the file system throws when it cannot be opened. */
  static async open(path: string): Promise<SalvageFile> {
    const handle = await open(path, "r");
    try {
      return new SalvageFile(path, handle, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(path: string, handle: FileHandle, byteLength: number) {
    this.path = path;
    this.#handle = handle;
    this.byteLength = byteLength;
  }

  /** The bytes there; fewer where the file ends. They stay valid. */
  async read(fileOffset: number, byteLength: number): Promise<Buffer> {
    const length = Math.max(0, Math.min(byteLength, this.byteLength - fileOffset));
    const start = fileOffset - this.#windowOffset;
    if (start >= 0 && start + length <= this.#window.length) return this.#window.subarray(start, start + length);
    const wanted = Math.min(Math.max(WINDOW_BYTES, length), this.byteLength - fileOffset);
    this.#window = await this.#fill(fileOffset, wanted);
    this.#windowOffset = fileOffset;
    return this.#window.subarray(0, length);
  }

  async #fill(fileOffset: number, byteLength: number): Promise<Buffer> {
    const bytes = Buffer.alloc(byteLength);
    let filled = 0;
    while (filled < byteLength) {
      try {
        const { bytesRead } = await this.#handle.read(bytes, filled, byteLength - filled, fileOffset + filled);
        if (bytesRead === 0) return bytes.subarray(0, filled);
        filled += bytesRead;
      } catch {
        filled += await this.#fillBlock(bytes, filled, fileOffset + filled);
      }
    }
    return bytes;
  }

  /** One bad block must not take its neighbours with it. */
  async #fillBlock(bytes: Buffer, at: number, fileOffset: number): Promise<number> {
    const blockEnd = (Math.floor(fileOffset / BLOCK_BYTES) + 1) * BLOCK_BYTES;
    const length = Math.min(bytes.length - at, blockEnd - fileOffset);
    try {
      const { bytesRead } = await this.#handle.read(bytes, at, length, fileOffset);
      if (bytesRead > 0) return bytesRead;
    } catch {
      this.unreadable.add(blockEnd - BLOCK_BYTES);
    }
    bytes.fill(UNREADABLE_BYTE, at, at + length);
    return length;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

const OPEN_FILES_MAX = 16;

/** A file that was there when the store was looked through. */
async function openSurveyed(path: string): Promise<SalvageFile> {
  try {
    return await SalvageFile.open(path);
  } catch (cause) {
    const { code: errno = "unknown" } = cause as NodeJS.ErrnoException;
    const message = `${path} has gone while it was read (${errno}): is the store open?`;
    throw new StoreError("ERR_IO_FAILED", message, { path, errno }, { cause });
  }
}

/** The files that are read by turns; the one that was not read for longest is closed when there are many. */
export class SalvageFiles {
  readonly #files = new Map<string, SalvageFile>();

  async get(path: string): Promise<SalvageFile> {
    const known = this.#files.get(path);
    if (known !== undefined) {
      this.#files.delete(path);
      this.#files.set(path, known);
      return known;
    }
    for (const [oldest, file] of this.#files) {
      if (this.#files.size < OPEN_FILES_MAX) break;
      this.#files.delete(oldest);
      await file.close();
    }
    const file = await openSurveyed(path);
    this.#files.set(path, file);
    return file;
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }
}

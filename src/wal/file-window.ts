/** A file read in large pieces, for a reader that goes forwards in small ones. */

import type { FileHandle } from "node:fs/promises";

const WINDOW_BYTES = 1024 * 1024;

export class FileWindow {
  readonly byteLength: number;
  readonly #handle: FileHandle;
  #bytes: Buffer = Buffer.alloc(0);
  #fileOffset = 0;

  constructor(handle: FileHandle, byteLength: number) {
    this.#handle = handle;
    this.byteLength = byteLength;
  }

  /** The bytes there; fewer where the file ends. */
  async read(fileOffset: number, byteLength: number): Promise<Buffer> {
    const length = Math.max(0, Math.min(byteLength, this.byteLength - fileOffset));
    const start = fileOffset - this.#fileOffset;
    if (start >= 0 && start + length <= this.#bytes.length) return this.#bytes.subarray(start, start + length);
    const bytes = Buffer.alloc(Math.min(Math.max(WINDOW_BYTES, length), this.byteLength - fileOffset));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, fileOffset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    this.#bytes = bytes.subarray(0, filled);
    this.#fileOffset = fileOffset;
    return this.#bytes.subarray(0, Math.min(length, filled));
  }
}

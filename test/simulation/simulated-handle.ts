/** A FileHandle of node:fs/promises. What it writes is in the page cache until it is synced. */

import type { OpenFile } from "./machine.js";
import { SimulatedDirectory } from "./simulated-disk.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { systemError } from "./system-error.js";

export class SimulatedHandle {
  readonly #process: SimulatedProcess;
  readonly #path: string;
  #fd: number;
  /** Where `writeFile`, and reads and writes without a position go on. */
  #position = 0;

  constructor(process: SimulatedProcess, fd: number, path: string) {
    this.#process = process;
    this.#fd = fd;
    this.#path = path;
  }

  get fd(): number {
    return this.#fd;
  }

  get #open(): OpenFile {
    return this.#process.openFile(this.#fd, "handle");
  }

  /** There are no links: a file has one name, or none any more. */
  stat(): Promise<{ readonly size: number; readonly nlink: number }> {
    return this.#process.later("stat", this.#path, () => {
      const { entry, file } = this.#open;
      const isNamed = this.#process.machine.disk.files().some(([, named]) => named === entry);
      return { size: file.size, nlink: isNamed ? 1 : 0 };
    });
  }

  truncate(size: number): Promise<void> {
    return this.#process.later("truncate", this.#path, () => this.#open.file.truncate(size));
  }

  async sync(): Promise<void> {
    const { entry } = this.#open;
    if (entry instanceof SimulatedDirectory) {
      await this.#process.later("sync-directory", this.#path, () => this.#process.machine.disk.syncDirectory(entry));
      return;
    }
    const succeed = entry.syncPoint();
    try {
      await this.#process.later("sync", this.#path, succeed);
    } catch (error) {
      entry.forget();
      throw error;
    }
  }

  readFile(): Promise<Buffer> {
    return this.#process.later("read", this.#path, () => {
      const { entry } = this.#open;
      if (entry instanceof SimulatedDirectory) throw systemError("EISDIR", "read", this.#path);
      const bytes = Buffer.alloc(entry.size);
      entry.read(bytes, 0);
      return bytes;
    });
  }

  async writeFile(bytes: Uint8Array): Promise<void> {
    await this.write(bytes, 0, bytes.length);
  }

  read(bytes: Uint8Array, offset: number, length: number, position?: number): Promise<{ readonly bytesRead: number }> {
    return this.#process.later("read", this.#path, () => {
      const at = position ?? this.#position;
      const bytesRead = this.#open.file.read(bytes.subarray(offset, offset + length), at);
      if (position === undefined) this.#position += bytesRead;
      return { bytesRead };
    });
  }

  readv(pieces: readonly Uint8Array[], position: number): Promise<{ readonly bytesRead: number }> {
    return this.#process.later("read", this.#path, () => {
      let bytesRead = 0;
      for (const piece of pieces) {
        const count = this.#open.file.read(piece, position + bytesRead);
        bytesRead += count;
        if (count < piece.length) break;
      }
      return { bytesRead };
    });
  }

  write(bytes: Uint8Array, offset = 0, length = bytes.length - offset): Promise<{ readonly bytesWritten: number }> {
    return this.#process.later("write", this.#path, () => {
      this.#open.file.write(Uint8Array.from(bytes.subarray(offset, offset + length)), this.#position, false);
      this.#position += length;
      return { bytesWritten: length };
    });
  }

  /** The number is free at once: who uses it afterwards has a mistake. */
  close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = -1;
    return this.#process.later("stat", this.#path, () => this.#process.close(fd));
  }
}

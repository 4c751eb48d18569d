/** The segment files that readers have open: shared, and closed when there are many and nobody reads them. */

import { type BlockIo, DirectFile } from "../ffi/index.js";

const OPEN_FILES_MAX = 64;

interface OpenFile {
  readonly file: Promise<DirectFile>;
  users: number;
}

export class SegmentFiles {
  readonly #io: BlockIo;
  readonly #files = new Map<string, OpenFile>();

  constructor(io: BlockIo) {
    this.#io = io;
  }

  /** The file, open until it is released as often as it was acquired. Throws what opening it throws. */
  async acquire(path: string): Promise<DirectFile> {
    let open = this.#files.get(path);
    if (open === undefined) {
      open = { file: DirectFile.open(this.#io, path, "read"), users: 0 };
      this.#files.set(path, open);
    }
    open.users++;
    try {
      const file = await open.file;
      await this.#closeUnused();
      return file;
    } catch (error) {
      open.users--;
      if (this.#files.get(path) === open) this.#files.delete(path);
      throw error;
    }
  }

  release(path: string): void {
    const open = this.#files.get(path);
    if (open !== undefined) open.users--;
  }

  async #closeUnused(): Promise<void> {
    for (const [path, open] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) return;
      if (open.users > 0) continue;
      this.#files.delete(path);
      await (await open.file).close();
    }
  }

  /** Closes those that nobody reads at this moment. */
  closeIdle(): void {
    for (const [path, open] of this.#files) {
      if (open.users > 0) continue;
      this.#files.delete(path);
      void open.file.then((file) => file.close()).catch(() => {}); // nothing was written to it
    }
  }

  /** Closes all, whoever has them: nothing may be in flight. */
  async close(): Promise<void> {
    for (const open of this.#files.values()) {
      const file = await open.file.catch(() => null); // whoever wanted to read it was told
      await file?.close().catch(() => {});
    }
    this.#files.clear();
  }
}

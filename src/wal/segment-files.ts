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
  /** Those and the ones that were forgotten and are in use. */
  readonly #byFile = new Map<DirectFile, OpenFile>();

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
      this.#byFile.set(file, open);
      await this.#closeUnused();
      return file;
    } catch (error) {
      open.users--;
      if (this.#files.get(path) === open) this.#files.delete(path);
      throw error;
    }
  }

  release(file: DirectFile): void {
    const open = this.#byFile.get(file);
    if (open === undefined) return;
    open.users--;
    if (open.users === 0 && this.#files.get(file.path) !== open) this.#close(file.path, open);
  }

  /**
   * Whoever acquires the path from now on opens it anew. For a file in which nothing was found: a killed writer's, that was only prepared, is
   * removed by the core's next one, which makes another of the same name.
   */
  forget(file: DirectFile): void {
    const open = this.#byFile.get(file);
    if (open === undefined || this.#files.get(file.path) !== open) return;
    this.#files.delete(file.path);
    if (open.users === 0) this.#close(file.path, open);
  }

  #close(path: string, open: OpenFile): void {
    if (this.#files.get(path) === open) this.#files.delete(path);
    void open.file
      .then((file) => {
        this.#byFile.delete(file);
        return file.close();
      })
      .catch(() => {}); // nothing was written to it
  }

  async #closeUnused(): Promise<void> {
    for (const [path, open] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) return;
      if (open.users > 0) continue;
      this.#files.delete(path);
      const file = await open.file;
      this.#byFile.delete(file);
      await file.close();
    }
  }

  /** Closes those that nobody reads at this moment. */
  closeIdle(): void {
    for (const [path, open] of this.#files) if (open.users === 0) this.#close(path, open);
  }

  /** Closes all, whoever has them: nothing may be in flight. */
  async close(): Promise<void> {
    for (const open of new Set([...this.#files.values(), ...this.#byFile.values()])) {
      const file = await open.file.catch(() => null); // whoever wanted to read it was told
      await file?.close().catch(() => {});
    }
    this.#files.clear();
    this.#byFile.clear();
  }
}

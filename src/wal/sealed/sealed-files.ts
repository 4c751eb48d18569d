/** Reads ranges of files: a bounded number of open files, a bounded number of reads in flight through a bounded piece of memory. */

import { assert } from "../../assert.js";
import { StoreError } from "../../errors.js";
import { AlignedBuffer, type BlockIo, BufferPool, checkResult, DirectFile, MappedFile } from "../../ffi/index.js";
import { PAGE_BYTES, roundUpToPage } from "./sealed-format.js";

const OPEN_FILES_MAX = 64;
/** Reads in flight at once; more wait. */
export const READS_MAX = 16;
/** All blocks but those of large records, with the pages that they share with their neighbours: mapping memory for a read costs more than the read. */
const POOLED_BYTES = 64 * 1024;

interface OpenFile {
  readonly file: Promise<DirectFile>;
  /** Where reads come from memory, from the first one on. */
  map: MappedFile | null;
  users: number;
}

/** An open file, and how to give it back. */
export interface FileLease {
  readonly file: DirectFile;
  release(): void;
}

export class SealedFiles {
  readonly #io: BlockIo;
  readonly #isMapped: boolean;
  readonly #pool = new BufferPool(POOLED_BYTES, READS_MAX);
  readonly #files = new Map<string, OpenFile>();
  /** Not needed any more, and in use. */
  readonly #forgotten = new Set<OpenFile>();
  readonly #waiting: (() => void)[] = [];
  /** Started and not ended, those that wait for their turn included. */
  #readCount = 0;
  #isClosed = false;
  #closing: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  /** `isMapped`: ranges are copied out of the page cache, where other processes have them too, instead of being read past it. */
  constructor(io: BlockIo, isMapped: boolean) {
    this.#io = io;
    this.#isMapped = isMapped;
  }

  checkOpen(): void {
    if (this.#isClosed) throw new StoreError("ERR_STORE_CLOSED", "the log was closed while it was being read");
  }

  /**
   * Lends an open file. `close` does not wait until it is given back: who holds it must have ended by then.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when it does not exist, `ERR_STORE_CLOSED` after `close`.
   */
  async acquire(path: string): Promise<FileLease> {
    const open = await this.#take(path);
    return { file: await open.file, release: () => this.#release(open) };
  }

  async #take(path: string): Promise<OpenFile> {
    this.checkOpen();
    const known = this.#files.get(path);
    const open = known ?? { file: DirectFile.open(this.#io, path, "read"), map: null, users: 0 };
    // Also one that is there already: the least recently used comes first.
    this.#files.delete(path);
    this.#files.set(path, open);
    open.users++;
    try {
      await open.file;
      this.checkOpen();
      this.#closeUnused();
      return open;
    } catch (error) {
      open.users--;
      if (this.#files.get(path) === open && !this.#isClosed) this.#files.delete(path);
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw new StoreError("ERR_WAL_CORRUPT", `${path} is missing`, { path }, { cause: error });
    }
  }

  #release(open: OpenFile): void {
    open.users--;
    if (open.users > 0 || this.#isClosed) return;
    if (this.#forgotten.delete(open)) this.#closeFile(open);
  }

  #closeFile(open: OpenFile): void {
    open.map?.close();
    void open.file.then((file) => file.close()).catch(() => {}); // nothing was written to it
  }

  #closeUnused(): void {
    for (const [path, open] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) return;
      if (open.users > 0) continue;
      this.#files.delete(path);
      this.#closeFile(open);
    }
  }

  /** Closes a file that is not needed any more, as soon as nobody reads it. */
  forget(path: string): void {
    const open = this.#files.get(path);
    if (open === undefined) return;
    this.#files.delete(path);
    if (open.users === 0) this.#closeFile(open);
    else this.#forgotten.add(open);
  }

  byteLength(path: string): Promise<number> {
    return this.#withFile(path, (file) => file.byteLength());
  }

  /**
   * The bytes from `fileOffset` on, a copy; null when the file ends before.
   *
   * @throws StoreError `ERR_IO_FAILED` when the device fails: that says nothing of the bytes, which may be read the next time
   */
  read(path: string, fileOffset: number, byteLength: number): Promise<Buffer | null> {
    return this.#withFile(path, (file, open) =>
      this.#isMapped
        ? copyOf(mapOf(open, path), fileOffset, byteLength)
        : this.#readCovering(file, fileOffset, byteLength),
    );
  }

  /** Some at a time; `close` waits for them. */
  async #withFile<Result>(
    path: string,
    work: (file: DirectFile, open: OpenFile) => Result | Promise<Result>,
  ): Promise<Result> {
    this.checkOpen();
    this.#readCount++;
    try {
      if (this.#readCount > READS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const open = await this.#take(path);
      try {
        return await work(await open.file, open);
      } finally {
        this.#release(open);
      }
    } finally {
      this.#readCount--;
      this.#waiting.shift()?.();
      if (this.#readCount === 0) this.#onIdle?.();
    }
  }

  async #readCovering(file: DirectFile, fileOffset: number, byteLength: number): Promise<Buffer | null> {
    const start = Math.floor(fileOffset / PAGE_BYTES) * PAGE_BYTES;
    const length = roundUpToPage(fileOffset + byteLength - start);
    const pooled = length <= POOLED_BYTES ? this.#pool.take() : null;
    assert(pooled !== null || length > POOLED_BYTES, "as many buffers as reads");
    const buffer = pooled ?? new AlignedBuffer(length);
    try {
      const result = await file.read(buffer, 0, length, start);
      if (checkResult(result, `reading at ${start}`, file.path) < fileOffset + byteLength - start) return null;
      const bytes = byteLength > PAGE_BYTES ? Buffer.allocUnsafeSlow(byteLength) : Buffer.allocUnsafe(byteLength);
      buffer.bytes.copy(bytes, 0, fileOffset - start);
      return bytes;
    } finally {
      if (pooled !== null) this.#pool.release(pooled);
      else buffer.unmap();
    }
  }

  /** From now on nobody begins to read: that is `ERR_STORE_CLOSED`. */
  end(): void {
    this.#isClosed = true;
  }

  /** Waits for reads in flight. Whoever reads later hears `ERR_STORE_CLOSED`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    if (this.#readCount > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    for (const open of [...this.#files.values(), ...this.#forgotten]) {
      const file = await open.file.catch(() => null); // whoever wanted to read it was told
      await file?.close().catch(() => {});
      open.map?.close();
    }
    this.#files.clear();
    this.#forgotten.clear();
    this.#pool.close();
  }
}

function mapOf(open: OpenFile, path: string): MappedFile {
  open.map ??= MappedFile.open(path, "read");
  return open.map;
}

/** A copy, because what is read outlives the mapping, and touching memory that is not mapped any more ends the process. */
function copyOf(map: MappedFile, fileOffset: number, byteLength: number): Buffer | null {
  if (fileOffset + byteLength > map.byteLength) return null;
  const bytes = Buffer.allocUnsafeSlow(byteLength);
  map.bytes.copy(bytes, 0, fileOffset, fileOffset + byteLength);
  return bytes;
}

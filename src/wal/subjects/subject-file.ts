/**
 * The file of subject keys on disk: records are read where they lie, appended, and overwritten, each durable before anybody is told.
 *
 * Who writes has the flock(2) of the file. Each writing goes through a descriptor that was open before it, so that the kernel tells it of a
 * failed flush; after one nothing is written any more through this opener, because a second flush would claim what is not so.
 */

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../../errors.js";
import { flockExclusive, syncDirectory } from "../../ffi/index.js";
import { asStoreError, isLackOfSpace } from "../write-failure.js";
import { STATE_AT, SUBJECT_HEADER_BYTES, SUBJECT_RECORD_BYTES, subjectRecordOffset } from "./subject-format.js";

const FILE_MODE = 0o600;
const LOCK_RETRY_MS = 2;
const RECORDS_PER_READ = 256;
const STATE_BYTES = 4;
const TEMPORARY_SUFFIX = ".tmp";

export class SubjectFile {
  readonly path: string;
  readonly #fd: number;
  readonly #busyWaitMs: number;
  /** Of this opener one at a time. */
  #last: Promise<unknown> = Promise.resolve();
  #failure: StoreError | null = null;
  #isClosed = false;
  readonly #state: Buffer = Buffer.alloc(STATE_BYTES);

  /** `mayCreate`: makes it where there is none. */
  static open(path: string, isWriting: boolean, mayCreate: boolean, busyWaitMs: number): SubjectFile {
    const flags = (isWriting ? constants.O_RDWR : constants.O_RDONLY) | (mayCreate ? constants.O_CREAT : 0);
    try {
      return new SubjectFile(path, openSync(path, flags, FILE_MODE), busyWaitMs);
    } catch (error) {
      throw failed(error, path);
    }
  }

  private constructor(path: string, fd: number, busyWaitMs: number) {
    this.path = path;
    this.#fd = fd;
    this.#busyWaitMs = busyWaitMs;
  }

  get byteLength(): number {
    this.#assertOpen();
    return fstatSync(this.#fd).size;
  }

  readHeader(): Buffer {
    return this.#read(0, SUBJECT_HEADER_BYTES);
  }

  recordAt(index: number): Buffer {
    return this.#read(subjectRecordOffset(index), SUBJECT_RECORD_BYTES);
  }

  /** The state word of a record as it is now, whoever has changed it. */
  stateAt(index: number): number {
    this.#assertOpen();
    this.#state.fill(0);
    readSync(this.#fd, this.#state, 0, STATE_BYTES, subjectRecordOffset(index) + STATE_AT);
    return this.#state.readUInt32LE();
  }

  /** The records from an index on, as far as the file reaches. The last can be short. */
  *recordsFrom(index: number): Generator<Buffer, void, undefined> {
    for (let next = index; ; next += RECORDS_PER_READ) {
      const bytes = this.#read(subjectRecordOffset(next), RECORDS_PER_READ * SUBJECT_RECORD_BYTES);
      for (let at = 0; at < bytes.length; at += SUBJECT_RECORD_BYTES) {
        yield bytes.subarray(at, Math.min(bytes.length, at + SUBJECT_RECORD_BYTES));
      }
      if (bytes.length < RECORDS_PER_READ * SUBJECT_RECORD_BYTES) return;
    }
  }

  #read(offset: number, byteLength: number): Buffer {
    this.#assertOpen();
    const bytes = Buffer.alloc(byteLength);
    try {
      let length = 0;
      for (let read = -1; read !== 0 && length < byteLength; length += read) {
        read = readSync(this.#fd, bytes, length, byteLength - length, offset + length);
      }
      return bytes.subarray(0, length);
    } catch (error) {
      throw failed(error, this.path);
    }
  }

  /**
   * Does the work while nobody else writes to the file.
   *
   * @throws StoreError `ERR_STORE_BUSY` when another has it for `busyWaitMs`; `ERR_KEY_MISSING` when the file was taken away
   */
  locked<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(() => this.#locked(work));
    this.#last = result.catch(() => {}); // its caller is told
    return result;
  }

  async #locked<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#assertOpen();
    if (this.#failure !== null) throw this.#failure;
    const fd = this.#openAgain();
    try {
      const startedMs = performance.now();
      while (flockExclusive(fd) !== 0) {
        if (performance.now() - startedMs > this.#busyWaitMs) {
          const message = `${this.path} has been locked by another for ${this.#busyWaitMs} ms`;
          throw new StoreError("ERR_STORE_BUSY", message, { path: this.path, waitMs: this.#busyWaitMs });
        }
        await delay(LOCK_RETRY_MS);
      }
      this.#assertOpen();
      return await work();
    } finally {
      closeSync(fd);
    }
  }

  /** A descriptor of its own, for a lock belongs to one. */
  #openAgain(): number {
    let fd: number;
    try {
      fd = openSync(this.path, constants.O_RDWR);
    } catch (error) {
      throw failed(error, this.path);
    }
    if (fstatSync(fd).ino === fstatSync(this.#fd).ino) return fd;
    closeSync(fd);
    throw new StoreError("ERR_KEY_MISSING", `${this.path} was replaced while the store was open`, { path: this.path });
  }

  /** Writes the header of a new file, durably. */
  async writeHeader(bytes: Buffer): Promise<void> {
    await this.#write([[bytes, 0]]);
    try {
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw failed(error, this.path);
    }
  }

  /** Writes a record behind all others, durably. One that cannot be is not left there. */
  async addRecord(bytes: Buffer, index: number): Promise<void> {
    const offset = subjectRecordOffset(index);
    try {
      await this.#write([[bytes, offset]]);
    } catch (error) {
      cutOff(this.#fd, offset);
      throw error;
    }
  }

  /** Overwrites records, durably when it resolves; when it rejects, any of them may be as it was. */
  async replaceRecords(records: readonly (readonly [bytes: Buffer, index: number])[]): Promise<void> {
    await this.#write(records.map(([bytes, index]) => [bytes, subjectRecordOffset(index)]));
  }

  async #write(pieces: readonly (readonly [bytes: Buffer, offset: number])[]): Promise<void> {
    if (pieces.length === 0) return;
    let isWritten = false;
    try {
      for (const [bytes, offset] of pieces) {
        const length = writeSync(this.#fd, bytes, 0, bytes.length, offset);
        if (length < bytes.length) throw shortWrite(this.path, length, bytes.length);
      }
      isWritten = true;
      await dataSync(this.#fd);
    } catch (cause) {
      const error = failed(cause, this.path);
      // Whether what lies in memory is on the disk nobody can tell any more.
      if (isWritten) this.#failure = error;
      throw error;
    }
  }

  /**
   * Puts another file in the place of this one, durably and all or nothing, and overwrites this one, which nobody may have open for writing but
   * who has the lock. `content` is gone through once.
   */
  async replaceBy(content: Iterable<Buffer>): Promise<void> {
    const temporary = this.path + TEMPORARY_SUFFIX;
    try {
      const handle = await open(temporary, "w", FILE_MODE);
      try {
        for (const bytes of content) await handle.write(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.path);
      await syncDirectory(dirname(this.path));
      overwrite(this.#fd);
      await dataSync(this.#fd);
    } catch (error) {
      throw failed(error, this.path);
    }
  }

  /** Overwrites and removes what a replacement left that was interrupted: it has keys that may be destroyed here by now. */
  async removeTemporary(): Promise<void> {
    const temporary = this.path + TEMPORARY_SUFFIX;
    try {
      if (!existsSync(temporary)) return;
      const fd = openSync(temporary, constants.O_RDWR);
      try {
        overwrite(fd);
        await dataSync(fd);
      } finally {
        closeSync(fd);
      }
      unlinkSync(temporary);
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw failed(error, temporary);
    }
  }

  /** Has what others have written durable, and the file's name: who made it, or put it in place, may have died before that. */
  async sync(): Promise<void> {
    try {
      await dataSync(this.#fd);
      await syncDirectory(dirname(this.path));
    } catch (error) {
      throw failed(error, this.path);
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new StoreError("ERR_STORE_CLOSED", "the store is closed, and its keys are gone");
  }

  /** Waits for a writing that has begun. */
  async close(): Promise<void> {
    await this.#last;
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }
}

function overwrite(fd: number): void {
  const zeros = Buffer.alloc(RECORDS_PER_READ * SUBJECT_RECORD_BYTES);
  const { size } = fstatSync(fd);
  for (let at = 0; at < size; ) at += writeSync(fd, zeros, 0, Math.min(zeros.length, size - at), at);
}

function dataSync(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/** Nobody shall take a key from here that may not be there tomorrow. The failure itself is what the caller must hear. */
function cutOff(fd: number, byteLength: number): void {
  try {
    ftruncateSync(fd, byteLength);
  } catch {
    // A record that was not finished is free space, and a whole one is made durable by whoever takes it.
  }
}

function shortWrite(path: string, length: number, wanted: number): StoreError {
  const message = `${path}: wrote ${length} of ${wanted} bytes`;
  return new StoreError("ERR_IO_FAILED", message, { path, errno: "ENOSPC" });
}

function failed(cause: unknown, path: string): StoreError {
  const known = asStoreError(cause);
  if (known.code !== "ERR_IO_FAILED") return known;
  const details = { ...known.details, path };
  const { errno } = details as { errno?: unknown };
  if (errno === "ENOENT") {
    return new StoreError("ERR_KEY_MISSING", `the file of subject keys ${path} is missing`, details, { cause });
  }
  if (isLackOfSpace(known)) {
    return new StoreError("ERR_WAL_FULL", `no space for a key in ${path}; nothing was written`, details, { cause });
  }
  return new StoreError("ERR_IO_FAILED", `the file of subject keys ${path}: ${known.message}`, details, { cause });
}

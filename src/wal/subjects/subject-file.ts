/**
 * The file of subject keys on disk: records are read where they lie, added, and overwritten, each durable before anybody is told.
 *
 * Who writes has the flock(2) of the file. Of each block one copy is written while the other one is durable, whoever wrote that: what is not known to be
 * flushed is flushed first. Each writing goes through a descriptor that was open before it, so that the kernel tells it of a failed flush. What could
 * not be flushed is taken back, or the next one would take it from memory for durable; and nothing is written any more through this opener, because
 * a second flush would claim what is not so.
 */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { StoreError } from "../../errors.js";
import { syncDirectory } from "../../ffi/index.js";
import {
  decodeSubjectBlock,
  encodeSubjectBlock,
  nextSubjectBlock,
  SUBJECT_BLOCK_BYTES,
  SUBJECT_PAIR_BYTES,
  type SubjectBlock,
  subjectBlockOf,
  subjectCopyOffset,
  subjectPlaceOf,
  subjectRecordOffset,
} from "./subject-block.js";
import { dataSync, failed, lock, overwrite, writeAt } from "./subject-file-calls.js";
import { putSubjectFile } from "./subject-file-making.js";
import {
  isLiveState,
  STATE_AT,
  SUBJECT_HEADER_BYTES,
  SUBJECT_KEY_ID_BYTES,
  SUBJECT_RECORD_BYTES,
} from "./subject-format.js";

const PAIRS_PER_READ = 32;
/** That are changed together, with two flushes. */
const BLOCKS_PER_CHANGE_MAX = 256;
/** Of what a record begins with: its id, and the state word. */
const STATE_END: number = STATE_AT + 4;

type RecordAt = readonly [bytes: Buffer, index: number];

export class SubjectFile {
  readonly path: string;
  readonly #fd: number;
  readonly #busyWaitMs: number;
  /** Of this opener one at a time. */
  #last: Promise<unknown> = Promise.resolve();
  #isLocked = false;
  #failure: StoreError | null = null;
  #isClosed = false;
  /** By number, the sequences of blocks that were met under the lock, and those of them that are durable. */
  readonly #met = new Map<number, number>();
  readonly #flushed = new Map<number, number>();
  /** From the record's beginning in one copy to its state word in the other. */
  readonly #states: Buffer = Buffer.alloc(SUBJECT_BLOCK_BYTES + STATE_END);

  static open(path: string, isWriting: boolean, busyWaitMs: number): SubjectFile {
    try {
      return new SubjectFile(path, openSync(path, isWriting ? constants.O_RDWR : constants.O_RDONLY), busyWaitMs);
    } catch (error) {
      throw failed(error, path);
    }
  }

  private constructor(path: string, fd: number, busyWaitMs: number) {
    this.path = path;
    this.#fd = fd;
    this.#busyWaitMs = busyWaitMs;
  }

  readHeader(): Buffer {
    return this.#read(0, SUBJECT_HEADER_BYTES);
  }

  /** Of zeros where there is none. @throws StoreError `ERR_WAL_CORRUPT` */
  recordAt(index: number): Buffer {
    const at = subjectPlaceOf(index);
    return this.#blockAt(subjectBlockOf(index)).records.subarray(at, at + SUBJECT_RECORD_BYTES);
  }

  /**
   * Whether the key of a record lives at this moment, whoever has changed it. Null: it is not there. Only what has the key's id says anything: where a
   * device has written another block in the place of a copy, a key that is destroyed there is another one.
   */
  isLiveAt(index: number, id: string): boolean | null {
    this.#assertOpen();
    this.#states.fill(0, 0, STATE_END);
    this.#states.fill(0, SUBJECT_BLOCK_BYTES);
    readSync(this.#fd, this.#states, 0, this.#states.length, subjectRecordOffset(index, 0));
    const first = this.#isLiveIn(0, id);
    const second = this.#isLiveIn(SUBJECT_BLOCK_BYTES, id);
    if (first === false || second === false) return false;
    return first === true || second === true ? true : null;
  }

  #isLiveIn(at: number, id: string): boolean | null {
    const found = this.#states.toString("latin1", at, at + SUBJECT_KEY_ID_BYTES);
    return found === id ? isLiveState(this.#states.readUInt32LE(at + STATE_AT)) : null;
  }

  /** The blocks from a number on, as far as the file reaches. @throws StoreError `ERR_WAL_CORRUPT` */
  *blocksFrom(number: number): Generator<SubjectBlock, void, undefined> {
    const byteLength = PAIRS_PER_READ * SUBJECT_PAIR_BYTES;
    for (let next = number; ; ) {
      const bytes = this.#read(subjectCopyOffset(next, 0), byteLength);
      for (let at = 0; at < bytes.length; at += SUBJECT_PAIR_BYTES, next++) {
        const block = decodeSubjectBlock(next, bytes.subarray(at, at + SUBJECT_PAIR_BYTES)) ?? this.#blockAt(next);
        this.#meet(block);
        yield block;
      }
      if (bytes.length < byteLength) return;
    }
  }

  #blockAt(number: number): SubjectBlock {
    const offset = subjectCopyOffset(number, 0);
    const read = (): SubjectBlock | null => decodeSubjectBlock(number, this.#read(offset, SUBJECT_PAIR_BYTES));
    // Once more: one copy may have been written while it was read, and the other one before or after.
    const block = read() ?? read();
    if (block !== null) return block;
    const message = `${this.path} is damaged: neither copy of the block at ${offset} holds its checksum`;
    throw new StoreError("ERR_WAL_CORRUPT", message, { path: this.path, offset });
  }

  /** What is met without the lock may be taken back by who is writing it. */
  #meet({ number, sequence }: SubjectBlock): void {
    if (this.#isLocked) this.#met.set(number, sequence);
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
      await lock(fd, this.path, this.#busyWaitMs);
      this.#assertOpen();
      this.#isLocked = true;
      return await work();
    } finally {
      this.#isLocked = false;
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

  /** Writes a record into a free place, durably. One that cannot be is not left there. */
  async addRecord(bytes: Buffer, index: number): Promise<void> {
    await this.#change([[bytes, index]], false);
  }

  /** Overwrites records in both copies, durably when it resolves; when it rejects, any of them may be as it was. */
  async replaceRecords(records: readonly RecordAt[]): Promise<void> {
    await this.#change(records, true);
  }

  async #change(records: readonly RecordAt[], isInBoth: boolean): Promise<void> {
    const byNumber = new Map<number, RecordAt[]>();
    for (const record of records) {
      const others = byNumber.get(subjectBlockOf(record[1]));
      if (others === undefined) byNumber.set(subjectBlockOf(record[1]), [record]);
      else others.push(record);
    }
    const numbers = [...byNumber.keys()];
    for (let from = 0; from < numbers.length; from += BLOCKS_PER_CHANGE_MAX) {
      let blocks = numbers.slice(from, from + BLOCKS_PER_CHANGE_MAX).map((number) => this.#blockAt(number));
      for (const block of blocks) this.#meet(block);
      // Who wrote the copy that counts may have died before it was durable, and until it is the other one must not be touched.
      if (blocks.some(({ number, sequence }) => sequence > 0 && this.#flushed.get(number) !== sequence)) {
        await this.flush();
      }
      blocks = blocks.map((block) => nextSubjectBlock(block, withRecords(block, byNumber.get(block.number) ?? [])));
      await this.#write(blocks);
      if (isInBoth) await this.#write(blocks.map((block) => nextSubjectBlock(block, block.records)));
    }
  }

  /** Writes a copy of each of these blocks, the other one of which is durable. */
  async #write(blocks: readonly SubjectBlock[]): Promise<void> {
    const before: [Buffer, number][] = [];
    const size = this.#byteLength();
    try {
      for (const block of blocks) {
        const offset = subjectCopyOffset(block.number, block.copy);
        before.push([this.#read(offset, SUBJECT_BLOCK_BYTES), offset]);
        writeAt(this.#fd, encodeSubjectBlock(block), offset, this.path);
      }
    } catch (error) {
      takeBack(this.#fd, before, size);
      throw failed(error, this.path);
    }
    for (const block of blocks) this.#meet(block);
    try {
      await this.flush();
    } catch (error) {
      takeBack(this.#fd, before, size);
      throw error;
    }
  }

  /** Has durable what anybody has written so far. To be called under the lock. */
  async flush(): Promise<void> {
    try {
      await dataSync(this.#fd);
    } catch (cause) {
      // Whether what lies in memory is on the disk nobody can tell any more.
      this.#failure = failed(cause, this.path);
      throw this.#failure;
    }
    for (const [number, sequence] of this.#met) this.#flushed.set(number, sequence);
    this.#met.clear();
  }

  #byteLength(): number {
    return fstatSync(this.#fd).size;
  }

  /**
   * Puts another file in the place of this one, durably and all or nothing, and overwrites this one, which nobody may have open for writing but
   * who has the lock. `records` are gone through once.
   */
  async replaceBy(header: Buffer, records: Iterable<Buffer>): Promise<void> {
    await putSubjectFile(this.path, header, records);
    try {
      overwrite(this.#fd);
      await dataSync(this.#fd);
    } catch (error) {
      throw failed(error, this.path);
    }
  }

  /** Has the file's name durable: who made it, or put it in place, may have died before that. */
  async syncName(): Promise<void> {
    try {
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

function withRecords(block: SubjectBlock, records: readonly RecordAt[]): Buffer {
  const result = Buffer.from(block.records);
  for (const [bytes, index] of records) result.set(bytes, subjectPlaceOf(index));
  return result;
}

/**
 * Nobody shall take from here what may not be there tomorrow. Nobody has been told of it, and the copy is the one to be written next. The failure
 * itself is what the caller must hear.
 */
function takeBack(fd: number, copies: readonly (readonly [bytes: Buffer, offset: number])[], byteLength: number): void {
  try {
    for (const [bytes, offset] of copies) writeSync(fd, bytes, 0, bytes.length, offset);
    ftruncateSync(fd, byteLength);
  } catch {
    // A copy that is not whole does not count. A whole one that is not durable says what somebody wanted.
  }
}

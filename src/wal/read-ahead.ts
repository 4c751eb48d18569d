/** Reads a range of a file in order with several reads in flight, in chunks of native memory that are lent one at a time. */

import {
  AlignedBuffer,
  BLOCK_BYTES,
  type BufferPool,
  checkResult,
  type DirectFile,
  isMediumError,
} from "../ffi/index.js";

/** Reads in flight: four of 1 MiB reach the device's rate here; more do not help. */
const READS_MAX = 4;
/** A reader that finds the pool empty reads through memory of its own: waiting for readers that wait themselves could take for ever. */
const OWN_BUFFER_BYTES = 64 * 1024;
/** The first read of who may want little; each further one is twice as large, and none ahead of need until they have their full size. */
const FIRST_READ_BYTES = 64 * 1024;
/** What a block that cannot be read shows: neither a header nor zeros, so it ends nothing and is damage wherever a frame should be. */
const UNREADABLE_BYTE = 0xff;

export interface Chunk {
  /** Valid until the next call. */
  readonly bytes: Buffer;
  readonly fileOffset: number;
}

interface PendingRead {
  readonly buffer: AlignedBuffer;
  readonly isOwn: boolean;
  readonly fileOffset: number;
  /** Bytes read, or a negative errno; never rejected. */
  readonly result: Promise<number>;
}

export class ReadAhead {
  readonly #file: DirectFile;
  readonly #pool: BufferPool;
  readonly #end: number;
  readonly #pending: PendingRead[] = [];
  #nextOffset: number;
  /** The largest read for now. */
  #readBytesMax: number;
  #lent: PendingRead | null = null;

  /** `from` lies on a block boundary; `end` is the file's size or less. `startsSmall`: often little of the range is wanted. */
  constructor(file: DirectFile, pool: BufferPool, from: number, end: number, startsSmall = false) {
    this.#file = file;
    this.#pool = pool;
    this.#nextOffset = from;
    this.#end = end;
    this.#readBytesMax = startsSmall ? FIRST_READ_BYTES : pool.bufferBytes;
  }

  #start(): void {
    const readsMax = this.#readBytesMax < this.#pool.bufferBytes ? 1 : READS_MAX;
    while (this.#pending.length < readsMax && this.#nextOffset < this.#end) {
      const pooled = this.#pool.take();
      if (pooled === null && this.#pending.length > 0) return;
      const buffer = pooled ?? new AlignedBuffer(OWN_BUFFER_BYTES);
      const wanted = Math.ceil((this.#end - this.#nextOffset) / BLOCK_BYTES) * BLOCK_BYTES;
      const length = Math.min(buffer.byteLength, this.#readBytesMax, wanted);
      const fileOffset = this.#nextOffset;
      const result = this.#read(buffer, length, fileOffset);
      this.#pending.push({ buffer, isOwn: pooled === null, fileOffset, result });
      this.#nextOffset += length;
    }
  }

  async #read(buffer: AlignedBuffer, length: number, fileOffset: number): Promise<number> {
    const result = await this.#file.read(buffer, 0, length, fileOffset);
    if (result === length || (result >= 0 && fileOffset + result >= this.#end)) return result;
    const readBytes = Math.floor(Math.max(0, result) / BLOCK_BYTES) * BLOCK_BYTES;
    return this.#readBlocks(buffer, readBytes, length, fileOffset);
  }

  /** Reads block by block what could not be read in one piece: one bad block must not take its neighbours with it. */
  async #readBlocks(buffer: AlignedBuffer, from: number, length: number, fileOffset: number): Promise<number> {
    for (let at = from; at < length; at += BLOCK_BYTES) {
      const result = await this.#file.read(buffer, at, BLOCK_BYTES, fileOffset + at);
      if (result === 0) return at; // the file became shorter
      if (result < 0 && !isMediumError(result)) return result;
      if (fileOffset + at + result >= this.#end) return at + result;
      buffer.bytes.fill(UNREADABLE_BYTE, at + Math.max(0, result), at + BLOCK_BYTES);
    }
    return length;
  }

  /**
   * The next chunk, or null at the end. Takes back the one before.
   *
   * @throws StoreError `ERR_IO_FAILED` when reading fails in a way that says nothing about the bytes on the device.
   */
  async next(): Promise<Chunk | null> {
    this.#giveBack();
    this.#start();
    this.#readBytesMax = Math.min(2 * this.#readBytesMax, this.#pool.bufferBytes);
    const read = this.#pending.shift();
    if (read === undefined) return null;
    this.#lent = read;
    const result = checkResult(await read.result, "reading", this.#file.path);
    if (this.#lent !== read) return null; // closed meanwhile: the memory belongs to others
    if (result === 0) {
      this.#nextOffset = this.#end;
      return null;
    }
    const length = Math.min(result, this.#end - read.fileOffset);
    return { bytes: read.buffer.bytes.subarray(0, length), fileOffset: read.fileOffset };
  }

  #giveBack(): void {
    const read = this.#lent;
    this.#lent = null;
    if (read !== null) this.#release(read);
  }

  #release(read: PendingRead): void {
    if (read.isOwn) read.buffer.unmap();
    else this.#pool.release(read.buffer);
  }

  /** Waits for the reads in flight and gives their memory back; `next` has nothing more. */
  async close(): Promise<void> {
    this.#nextOffset = this.#end;
    const reads = this.#pending.splice(0);
    if (this.#lent !== null) reads.push(this.#lent);
    this.#lent = null;
    for (const read of reads) {
      await read.result;
      this.#release(read);
    }
  }
}

/** Reads a range of a file in order with several reads in flight, in chunks of native memory that are lent one at a time. */

import { AlignedBuffer, BLOCK_BYTES, type BufferPool, type DirectFile } from "../ffi/index.js";

/** Reads in flight: four of 1 MiB reach the device's rate here; more do not help. */
const READS_MAX = 4;
/** What a reader gets when others hold the whole pool, which they do for as long as their consumers take: slow, but no deadlock. */
const SPARE_BYTES = 16 * BLOCK_BYTES;

export interface Chunk {
  /** Valid until the next call. */
  readonly bytes: Buffer;
  readonly fileOffset: number;
  /** The kernel's negative errno when the read failed; then `bytes` is empty. */
  readonly errno: number;
}

interface PendingRead {
  readonly buffer: AlignedBuffer;
  readonly fileOffset: number;
  readonly length: number;
  readonly result: Promise<number>;
}

export class ReadAhead {
  readonly #file: DirectFile;
  readonly #pool: BufferPool;
  readonly #end: number;
  readonly #pending: PendingRead[] = [];
  #nextOffset: number;
  #lent: AlignedBuffer | null = null;

  /** `from` lies on a block boundary; `end` is the file's size or less. */
  constructor(file: DirectFile, pool: BufferPool, from: number, end: number) {
    this.#file = file;
    this.#pool = pool;
    this.#nextOffset = from;
    this.#end = end;
  }

  #start(): void {
    while (this.#pending.length < READS_MAX && this.#nextOffset < this.#end) {
      const buffer = this.#pool.take() ?? (this.#pending.length === 0 ? new AlignedBuffer(SPARE_BYTES) : null);
      if (buffer === null) return;
      const length = Math.min(buffer.byteLength, Math.ceil((this.#end - this.#nextOffset) / BLOCK_BYTES) * BLOCK_BYTES);
      const fileOffset = this.#nextOffset;
      this.#pending.push({ buffer, fileOffset, length, result: this.#file.read(buffer, 0, length, fileOffset) });
      this.#nextOffset += length;
    }
  }

  /** The next chunk, or null at the end. Takes back the one before. */
  async next(): Promise<Chunk | null> {
    this.#giveBack();
    this.#start();
    const read = this.#pending.shift();
    if (read === undefined) return null;
    const result = await read.result;
    this.#lent = read.buffer;
    const length = Math.max(0, Math.min(result, this.#end - read.fileOffset));
    // A short read is the end of a file that became shorter: what follows is not there.
    if (result < read.length) this.#nextOffset = this.#end;
    return { bytes: read.buffer.bytes.subarray(0, length), fileOffset: read.fileOffset, errno: Math.min(result, 0) };
  }

  #giveBack(): void {
    if (this.#lent !== null) this.#release(this.#lent);
    this.#lent = null;
  }

  #release(buffer: AlignedBuffer): void {
    if (buffer.byteLength === this.#pool.bufferBytes) this.#pool.release(buffer);
    else buffer.unmap();
  }

  /** Waits for the reads in flight and gives their memory back. */
  async close(): Promise<void> {
    this.#giveBack();
    this.#nextOffset = this.#end;
    for (const read of this.#pending.splice(0)) {
      await read.result;
      this.#release(read.buffer);
    }
  }
}

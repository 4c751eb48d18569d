/** A range of a file as a stream of bytes, read ahead in large pieces, of which any number can be asked for. */

import type { BufferPool, DirectFile } from "../../ffi/index.js";
import { type Chunk, ReadAhead } from "../read-ahead.js";
import { PAGE_BYTES } from "./sealed-format.js";

export class ByteStream {
  readonly #reads: ReadAhead;
  #chunk: Chunk | null = null;
  #position: number;
  #isClosed = false;

  /** From any offset up to `end`, which lies within the file. */
  constructor(file: DirectFile, pool: BufferPool, from: number, end: number) {
    const start = Math.floor(from / PAGE_BYTES) * PAGE_BYTES;
    this.#reads = new ReadAhead(file, pool, start, end);
    this.#position = from - start;
  }

  async #next(): Promise<Chunk | null> {
    if (this.#chunk !== null || this.#isClosed) return this.#chunk;
    const chunk = await this.#reads.next();
    this.#chunk = this.#isClosed ? null : chunk;
    return this.#chunk;
  }

  /** Fills `target` with the next bytes; false when the range ends before. */
  async fill(target: Buffer): Promise<boolean> {
    for (let filled = 0; filled < target.length; ) {
      const chunk = await this.#next();
      if (chunk === null) return false;
      const count = chunk.bytes.copy(target, filled, this.#position);
      filled += count;
      this.#position += count;
      if (this.#position < chunk.bytes.length) continue;
      this.#position = 0;
      this.#chunk = null;
    }
    return true;
  }

  /** The next `length` bytes without a copy where they lie in one piece: valid until the next call. Null when the range ends before. */
  async view(length: number): Promise<Buffer | null> {
    const chunk = await this.#next();
    // One byte less: the piece must not be given back with what is viewed.
    if (chunk !== null && this.#position + length < chunk.bytes.length) {
      const view = chunk.bytes.subarray(this.#position, this.#position + length);
      this.#position += length;
      return view;
    }
    return this.read(length);
  }

  /** The next `length` bytes, the caller's to keep. Null when the range ends before. */
  async read(length: number): Promise<Buffer | null> {
    const copy = Buffer.allocUnsafeSlow(length);
    return (await this.fill(copy)) ? copy : null;
  }

  /** Waits for the reads in flight; nothing comes any more. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#chunk = null;
    return this.#reads.close();
  }
}

/** The memory of batches: a pool of buffers of one size, and one larger buffer at a time for an append that fits none of them. */

import { AlignedBuffer, BufferPool } from "../ffi/index.js";
import { FRAME_HEADER_BYTES, frameBytes } from "./format.js";

export class BatchBuffers {
  readonly #pool: BufferPool;
  #largeExists = false;

  constructor(bufferBytes: number, bufferCountMax: number) {
    this.#pool = new BufferPool(bufferBytes, bufferCountMax);
  }

  /** A buffer for a frame whose body takes `bodyBytes`, or null when those are all lent. */
  take(bodyBytes: number): AlignedBuffer | null {
    if (bodyBytes <= this.#pool.bufferBytes - FRAME_HEADER_BYTES) return this.#pool.take();
    if (this.#largeExists) return null;
    const buffer = new AlignedBuffer(frameBytes(bodyBytes));
    this.#largeExists = true;
    return buffer;
  }

  release(buffer: AlignedBuffer): void {
    if (buffer.byteLength === this.#pool.bufferBytes) {
      this.#pool.release(buffer);
    } else {
      buffer.unmap();
      this.#largeExists = false;
    }
  }

  /** Gives back what is not lent. */
  close(): void {
    this.#pool.close();
  }
}

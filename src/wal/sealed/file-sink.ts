/** Writes a new file from its start to its end, a few MiB in flight, in whole blocks. */

import { StoreError } from "../../errors.js";
import { AlignedBuffer, checkResult, type DirectFile } from "../../ffi/index.js";
import { roundUpToPage } from "./sealed-format.js";

/** Of a huge page, which a direct write hands to the device in a few pieces. */
const BUFFER_BYTES = 2 * 1024 * 1024;
/** One is filled while the others are being written. */
const BUFFER_COUNT = 4;

/** The memory that sinks use one after the other. */
export class SinkBuffers {
  readonly #all: AlignedBuffer[] = [];
  readonly #free: AlignedBuffer[] = [];

  take(): AlignedBuffer | null {
    const buffer = this.#free.pop();
    if (buffer !== undefined || this.#all.length === BUFFER_COUNT) return buffer ?? null;
    const fresh = new AlignedBuffer(BUFFER_BYTES);
    this.#all.push(fresh);
    return fresh;
  }

  release(buffer: AlignedBuffer): void {
    this.#free.push(buffer);
  }

  /** Nothing may be in flight. */
  unmap(): void {
    for (const buffer of this.#all.splice(0)) buffer.unmap();
    this.#free.length = 0;
  }
}

export class FileSink {
  readonly #file: DirectFile;
  readonly #buffers: SinkBuffers;
  readonly #inFlight = new Set<Promise<void>>();
  #current: AlignedBuffer | null = null;
  #filled = 0;
  #flushedBytes = 0;
  #failure: unknown = null;

  constructor(file: DirectFile, buffers: SinkBuffers) {
    this.#file = file;
    this.#buffers = buffers;
  }

  /** Where the next byte goes. */
  get fileOffset(): number {
    return this.#flushedBytes + this.#filled;
  }

  /** Takes a copy of the bytes. The promise, if there is one, must be awaited before the next call. */
  write(bytes: Uint8Array): Promise<void> | null {
    const current = this.#current;
    if (current !== null && bytes.length <= BUFFER_BYTES - this.#filled) {
      current.bytes.set(bytes, this.#filled);
      this.#filled += bytes.length;
      return null;
    }
    return this.#writeAcross(bytes);
  }

  async #writeAcross(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#current === null) this.#current = await this.#buffer();
      const count = Math.min(bytes.length - taken, BUFFER_BYTES - this.#filled);
      this.#current.bytes.set(bytes.subarray(taken, taken + count), this.#filled);
      this.#filled += count;
      taken += count;
      if (this.#filled === BUFFER_BYTES) this.#flush(BUFFER_BYTES);
    }
  }

  async #buffer(): Promise<AlignedBuffer> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const buffer = this.#buffers.take();
      if (buffer !== null) return buffer;
      await Promise.race(this.#inFlight);
    }
  }

  #flush(byteLength: number): void {
    const buffer = this.#current;
    if (buffer === null) return;
    const writing: Promise<void> = this.#writeOut(buffer, byteLength, this.#flushedBytes).then(
      () => this.#written(writing, buffer),
      (error: unknown) => {
        this.#failure ??= error;
        this.#written(writing, buffer);
      },
    );
    this.#inFlight.add(writing);
    this.#flushedBytes += byteLength;
    this.#current = null;
    this.#filled = 0;
  }

  #written(writing: Promise<void>, buffer: AlignedBuffer): void {
    this.#inFlight.delete(writing);
    this.#buffers.release(buffer);
  }

  async #writeOut(buffer: AlignedBuffer, byteLength: number, fileOffset: number): Promise<void> {
    const { path } = this.#file;
    const written = checkResult(await this.#file.write(buffer, 0, byteLength, fileOffset, false), "writing", path);
    if (written === byteLength) return;
    const message = `writing ${path} at ${fileOffset} wrote ${written} of ${byteLength} bytes`;
    throw new StoreError("ERR_IO_FAILED", message, { path, offset: fileOffset, errno: "ENOSPC" });
  }

  /** Zeros up to the next page. */
  pad(): Promise<void> | null {
    const missing = roundUpToPage(this.fileOffset) - this.fileOffset;
    return missing === 0 ? null : this.write(new Uint8Array(missing));
  }

  /** Writes what is left, whole pages, and waits for all. Nothing is in flight afterwards, also when it throws. */
  async finish(): Promise<void> {
    if (this.#filled > 0) this.#flush(this.#filled);
    await this.drain();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Waits for what is in flight, and gives the memory back. */
  async drain(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
    if (this.#current !== null) this.#buffers.release(this.#current);
    this.#current = null;
    this.#filled = 0;
  }
}

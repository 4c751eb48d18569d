/** The writing half of checkpoint-format.ts: chunks to a file, from its start. */

import type { FileHandle } from "node:fs/promises";
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEADER_BYTES,
  CHUNK_KIND,
  type CheckpointFacts,
  type ChunkKind,
  encodeChunkHeader,
  encodeFacts,
  encodePreamble,
} from "./checkpoint-format.js";

// Small chunks are gathered to this size, so that an encoder may give many of them without a system call each.
const WINDOW_BYTES = 1024 * 1024;

export class ChunkWriter {
  readonly #handle: FileHandle;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  readonly #header = new Uint8Array(CHUNK_HEADER_BYTES);
  #gatheredBytes = 0;
  #writtenBytes = 0;
  #chain: number;

  constructor(handle: FileHandle) {
    this.#handle = handle;
    const preamble = encodePreamble();
    this.#chain = preamble.chain;
    this.#window.set(preamble.bytes);
    this.#gatheredBytes = preamble.bytes.length;
  }

  async writeFacts(facts: CheckpointFacts): Promise<void> {
    await this.#write(CHUNK_KIND.facts, encodeFacts(facts));
  }

  /** Writes what an encoder gave. The bytes may be reused once this has resolved. */
  async writeState(chunk: Uint8Array): Promise<void> {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("encode must give Uint8Arrays");
    if (chunk.length > CHUNK_BYTES_MAX)
      throw new RangeError(`encode gave more than ${CHUNK_BYTES_MAX} bytes in one piece`);
    await this.#write(CHUNK_KIND.state, chunk);
  }

  /** Writes the end chunk and what is still gathered, and resolves with the bytes of the whole file. */
  async end(): Promise<number> {
    await this.#write(CHUNK_KIND.end, new Uint8Array(0));
    await this.#flush();
    return this.#writtenBytes;
  }

  async #write(kind: ChunkKind, payload: Uint8Array): Promise<void> {
    this.#chain = encodeChunkHeader(this.#header, { kind, payload, chain: this.#chain });
    await this.#put(this.#header);
    await this.#put(payload);
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (this.#gatheredBytes + bytes.length > WINDOW_BYTES) await this.#flush();
    if (bytes.length > WINDOW_BYTES) return this.#writeFully(bytes);
    this.#window.set(bytes, this.#gatheredBytes);
    this.#gatheredBytes += bytes.length;
  }

  async #flush(): Promise<void> {
    await this.#writeFully(this.#window.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  async #writeFully(bytes: Uint8Array): Promise<void> {
    let doneBytes = 0;
    while (doneBytes < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, doneBytes, bytes.length - doneBytes);
      doneBytes += bytesWritten;
    }
    this.#writtenBytes += doneBytes;
  }
}

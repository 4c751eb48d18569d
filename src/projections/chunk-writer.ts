/** The writing half of checkpoint-format.ts: chunks to a file, from its start. */

import type { FileHandle } from "node:fs/promises";
import type { StateCipher } from "../events/index.js";
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEADER_BYTES,
  CHUNK_KIND,
  type CheckpointFacts,
  type ChunkKind,
  encodeChunkAad,
  encodeChunkHeader,
  encodeFacts,
  encodePreamble,
  encodeSecret,
  TAG_BYTES,
} from "./checkpoint-format.js";

// Small chunks are gathered to this size, so that an encoder may give many of them without a system call each.
const WINDOW_BYTES = 1024 * 1024;

export class ChunkWriter {
  readonly #handle: FileHandle;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  readonly #header = new Uint8Array(CHUNK_HEADER_BYTES);
  readonly #cipher: StateCipher | null;
  #chunkCount = 0;
  #gatheredBytes = 0;
  #writtenBytes = 0;
  #chain: number;

  /** With a cipher the file is encrypted. */
  constructor(handle: FileHandle, cipher: StateCipher | null = null) {
    this.#handle = handle;
    this.#cipher = cipher;
    const preamble = encodePreamble(cipher !== null);
    const secret = cipher === null ? null : encodeSecret(cipher, preamble.chain);
    this.#chain = secret?.chain ?? preamble.chain;
    this.#window.set(preamble.bytes);
    this.#gatheredBytes = preamble.bytes.length;
    if (secret === null) return;
    this.#window.set(secret.bytes, this.#gatheredBytes);
    this.#gatheredBytes += secret.bytes.length;
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

  async #write(kind: ChunkKind, bytes: Uint8Array): Promise<void> {
    const aad = encodeChunkAad(kind, bytes.length + TAG_BYTES);
    const payload = this.#cipher === null ? bytes : this.#cipher.encrypt(this.#chunkCount++, aad, bytes);
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

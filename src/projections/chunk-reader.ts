/** The reading half of checkpoint-format.ts: chunks from a file's start, each verified before it is handed out. */

import type { FileHandle } from "node:fs/promises";
import { assert } from "../assert.js";
import type { StateCipher, StateCiphers } from "../events/index.js";
import {
  CHUNK_HEADER_BYTES,
  CHUNK_KIND,
  type CheckpointFacts,
  type ChunkHeader,
  checksum,
  decodeChunkHeader,
  decodeFacts,
  decodePreamble,
  decodeSecret,
  encodeChunkAad,
  PREAMBLE_BYTES,
  SECRET_BYTES,
  TAG_BYTES,
  type Unusable,
} from "./checkpoint-format.js";
import type { BytesLeft, Filling } from "./state-pieces.js";

// Small chunks are read this many bytes at a time; a larger one goes straight into its own buffer.
const WINDOW_BYTES = 1024 * 1024;

/** As many as the threads that Node has for files. */
const READS_AHEAD_MAX = 4;

/** A chunk of the state as it lies in the file. */
interface StoredChunk {
  /** What asked for it. */
  readonly target: Uint8Array;
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  readonly isWhole: boolean;
  /** Longer than what is left of the file: only its header was read. */
  readonly isLong: boolean;
  readonly error: unknown;
}

/** Leaves whoever is reading; what was found is in `ChunkReader.fault`. */
class UnusableCheckpoint extends Error {}

export class ChunkReader {
  readonly #handle: FileHandle;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  readonly #ciphers: StateCiphers | null;
  readonly #takesPlain: boolean;
  #cipher: StateCipher | null = null;
  #chunkCount = 0;
  #windowStart = 0;
  #windowEnd = 0;
  /** Where the next byte after the window lies in the file. */
  #position = 0;
  #fileBytes = 0;
  #unreadBytes = 0;
  #chain = 0;
  #fault: Unusable | null = null;
  #failed = false;
  #ended = false;

  /** `ciphers`: of a store that is encrypted, whose files are; with `takesPlain` others are read too. */
  constructor(handle: FileHandle, ciphers: StateCiphers | null = null, takesPlain = false) {
    this.#handle = handle;
    this.#takesPlain = takesPlain;
    this.#ciphers = ciphers;
  }

  /** What is wrong with the file, once that is known. */
  get fault(): Unusable | null {
    return this.#fault;
  }

  /** Whether the operating system refused a read. */
  get failed(): boolean {
    return this.#failed;
  }

  /** The size of the file, once the facts are read. */
  get fileBytes(): number {
    return this.#fileBytes;
  }

  /** Whether the end chunk was reached and nothing follows it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The first chunk. To be called once, before `stateChunks`. */
  async readFacts(): Promise<CheckpointFacts> {
    this.#fileBytes = await this.#guard(async () => (await this.#handle.stat()).size);
    this.#unreadBytes = this.#fileBytes;
    const preamble = decodePreamble(await this.#take(Math.min(PREAMBLE_BYTES, this.#unreadBytes)));
    if (preamble.kind !== "current") return this.#refuse(preamble);
    this.#chain = preamble.chain;
    if (preamble.isEncrypted) await this.#readSecret();
    else if (this.#ciphers !== null && !this.#takesPlain)
      return this.#refuse({ kind: "tampered", message: "the file is not encrypted" });
    const header = await this.#readHeader();
    if (header.kind !== CHUNK_KIND.facts) return this.#refuse({ kind: "damaged", message: "the facts are not first" });
    const facts = decodeFacts(await this.#readPayload(header));
    return facts.kind === "facts" ? facts.facts : this.#refuse(facts);
  }

  async #readSecret(): Promise<void> {
    const secret = decodeSecret(await this.#take(Math.min(SECRET_BYTES, this.#unreadBytes)), this.#chain);
    if (secret.kind !== "secret") return this.#refuse(secret);
    const { keyId, salt, chain } = secret;
    this.#chain = chain;
    this.#cipher = this.#ciphers?.of(keyId, salt) ?? null;
    if (this.#cipher === null) this.#refuse({ kind: "key-missing", message: `the file needs key ${keyId}` });
  }

  /** The chunks of the state, to the end of the file. */
  async *stateChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const header = await this.#readHeader();
      const payload = await this.#readPayload(header);
      switch (header.kind) {
        case CHUNK_KIND.state:
          yield payload;
          break;
        case CHUNK_KIND.facts:
          return this.#refuse({ kind: "damaged", message: "the facts come twice" });
        case CHUNK_KIND.end:
          if (payload.length > 0 || this.#unreadBytes > 0) {
            return this.#refuse({ kind: "damaged", message: "something follows the end" });
          }
          this.#ended = true;
          return;
      }
    }
  }

  /**
   * The chunks of the state, to the end of the file, into memory that asks for them. Each is verified when it is there and before anything more is
   * asked for that depends on it; several are being read meanwhile, for the kernel copies them while this thread computes checksums.
   */
  async fill(fillingOf: (bytesLeft: BytesLeft) => Filling): Promise<void> {
    const ahead: Promise<StoredChunk>[] = [];
    let accepted = 0;
    const acceptAllBut = async (count: number): Promise<void> => {
      while (ahead.length - accepted > count) {
        this.#accept(await (ahead[accepted] as Promise<StoredChunk>));
        accepted += 1;
      }
    };
    try {
      for (const target of fillingOf(() => this.#unreadBytes)) {
        if (target === null) await acceptAllBut(0);
        else ahead.push(this.#readAhead(target));
        await acceptAllBut(READS_AHEAD_MAX);
      }
      await acceptAllBut(0);
    } finally {
      // Nobody may free that memory, or close the file, under a read.
      await Promise.all(ahead);
    }
    this.#windowStart = this.#windowEnd;
    this.#position = this.#fileBytes - this.#unreadBytes;
    for await (const _ of this.stateChunks()) throw new Error("there are more pieces than were asked for");
  }

  /** Never rejects: whoever waits for the one before would not hear of it. */
  async #readAhead(target: Uint8Array): Promise<StoredChunk> {
    const header = new Uint8Array(CHUNK_HEADER_BYTES);
    const payload = this.#cipher === null ? target : new Uint8Array(target.length + TAG_BYTES);
    const position = this.#fileBytes - this.#unreadBytes;
    const isLong = CHUNK_HEADER_BYTES + payload.length > this.#unreadBytes;
    this.#unreadBytes -= isLong ? 0 : CHUNK_HEADER_BYTES + payload.length;
    try {
      const headerBytes = isLong ? Math.min(CHUNK_HEADER_BYTES, this.#unreadBytes) : CHUNK_HEADER_BYTES;
      const buffers = isLong ? [header.subarray(0, headerBytes)] : [header, payload];
      const isWhole = await readFully(this.#handle, buffers, position);
      return { target, header: header.subarray(0, headerBytes), payload, isWhole, isLong, error: null };
    } catch (error) {
      return { target, header, payload, isWhole: false, isLong, error };
    }
  }

  #accept({ target, header, payload, isWhole, isLong, error }: StoredChunk): void {
    if (error !== null) {
      this.#failed = true;
      throw error;
    }
    if (!isWhole) this.#refuse({ kind: "damaged", message: "the file became shorter while it was read" });
    const reading = decodeChunkHeader(header, this.#chain);
    if (reading.kind !== "header") this.#refuse(reading);
    const { kind, payloadBytes, chain } = reading.header;
    this.#chain = chain;
    if (kind !== CHUNK_KIND.state || payloadBytes !== payload.length) {
      if (payloadBytes > this.#unreadBytes && isLong)
        this.#refuse({ kind: "damaged", message: "the file ends within a chunk" });
      throw new Error("a piece is not the one that was asked for");
    }
    if (isLong) this.#refuse({ kind: "damaged", message: "the file ends within a chunk" });
    const plain = this.#verified(reading.header, payload);
    if (plain !== target) target.set(plain);
  }

  async #readHeader(): Promise<ChunkHeader> {
    const reading = decodeChunkHeader(await this.#take(Math.min(CHUNK_HEADER_BYTES, this.#unreadBytes)), this.#chain);
    if (reading.kind !== "header") return this.#refuse(reading);
    this.#chain = reading.header.chain;
    return reading.header;
  }

  async #readPayload(header: ChunkHeader): Promise<Uint8Array> {
    if (header.payloadBytes > this.#unreadBytes)
      return this.#refuse({ kind: "damaged", message: "the file ends within a chunk" });
    return this.#verified(header, await this.#take(header.payloadBytes));
  }

  /** What a chunk holds. */
  #verified(header: ChunkHeader, payload: Uint8Array): Uint8Array {
    if (checksum(payload) !== header.payloadChecksum)
      return this.#refuse({ kind: "damaged", message: "a chunk is damaged" });
    if (this.#cipher === null) return payload;
    const aad = encodeChunkAad(header.kind, header.payloadBytes);
    const plain = this.#cipher.decrypt(this.#chunkCount++, aad, payload);
    return plain ?? this.#refuse({ kind: "tampered", message: "a chunk does not hold its authentication tag" });
  }

  /** The next bytes, in a buffer of their own. */
  async #take(length: number): Promise<Uint8Array> {
    assert(length <= this.#unreadBytes, "no more is taken than is left");
    const bytes = new Uint8Array(length);
    let takenBytes = 0;
    while (takenBytes < length) {
      if (this.#windowStart < this.#windowEnd) {
        const part = this.#window.subarray(
          this.#windowStart,
          Math.min(this.#windowEnd, this.#windowStart + length - takenBytes),
        );
        bytes.set(part, takenBytes);
        this.#windowStart += part.length;
        takenBytes += part.length;
      } else if (length - takenBytes >= WINDOW_BYTES) {
        takenBytes += await this.#readInto(bytes.subarray(takenBytes));
      } else {
        this.#windowStart = 0;
        this.#windowEnd = await this.#readInto(this.#window);
      }
    }
    this.#unreadBytes -= length;
    return bytes;
  }

  async #readInto(target: Uint8Array): Promise<number> {
    const { bytesRead } = await this.#guard(() => this.#handle.read(target, 0, target.length, this.#position));
    if (bytesRead === 0) return this.#refuse({ kind: "damaged", message: "the file became shorter while it was read" });
    this.#position += bytesRead;
    return bytesRead;
  }

  async #guard<Result>(read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #refuse(fault: Unusable): never {
    this.#fault ??= fault;
    throw new UnusableCheckpoint(fault.message);
  }
}

/** False: the file ends before all buffers are full. */
async function readFully(handle: FileHandle, buffers: readonly Uint8Array[], start: number): Promise<boolean> {
  let position = start;
  let rest = buffers.filter(({ length }) => length > 0);
  while (rest.length > 0) {
    const { bytesRead } = await handle.readv(rest, position);
    if (bytesRead === 0) return false;
    position += bytesRead;
    rest = without(rest, bytesRead);
  }
  return true;
}

/** What is left of buffers behind their first bytes. */
function without(buffers: readonly Uint8Array[], byteLength: number): Uint8Array[] {
  let skipped = byteLength;
  return buffers.flatMap((buffer) => {
    const rest = buffer.subarray(Math.min(skipped, buffer.length));
    skipped -= buffer.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

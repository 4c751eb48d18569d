/**
 * A history file: superseded versions that were moved out of memory. Format version 1.
 *
 * It is a file of checkpoint-format.ts, written and encrypted as checkpoints are, never changed, and complete when it has its name. Its facts are those of the
 * checkpoint that was about to be written, with `part` `{ id, after: null, number: 0 }`; its name has the same id. Its pieces of the state are the
 * pages, as history-page.ts has them, and behind them the index:
 *
 *     0   8  format version, f64
 *     8   8  pages, f64
 *    16  40  for each page, f64 each: kind, the number of its first row, rows, the LSN that took away the last of them, bytes
 *
 * The checkpoint says how many pages there are, so the index is found from the end of the file, and each page by the lengths of those before it. A
 * page has the checksum of its chunk, and where the store is encrypted its tag. Numbers are as the machine holds them, as in the checkpoint.
 *
 * While a file is open its lock is shared: so nobody removes what a process reads, and a file without a reader that no checkpoint names can go.
 */

import { fstatSync, readSync } from "node:fs";
import { StoreError } from "../../errors.js";
import { FileLock, type StateCipher, type StateCiphers } from "../../events/index.js";
import { writeCheckpoint } from "../checkpoint-file.js";
import {
  CHUNK_HEADER_BYTES,
  CHUNK_KIND,
  type CheckpointFacts,
  type ChunkKind,
  checksum,
  decodeFacts,
  decodePreamble,
  decodeSecret,
  encodeChunkAad,
  PREAMBLE_BYTES,
  SECRET_BYTES,
  TAG_BYTES,
} from "../checkpoint-format.js";
import type { HistorySource } from "./history-files.js";
import type { PageFacts } from "./history-page.js";

const FORMAT_VERSION = 1;
const HEAD_DOUBLES = 2;
const ENTRY_DOUBLES = 5;
const DOUBLE_BYTES = 8;
/** Facts are small: what claims more is not believed. */
const FACTS_BYTES_MAX = 64 * 2 ** 20;

/** Writes pages to a file, durably and all or nothing; resolves with their number. */
export async function writeHistoryFile(
  path: string,
  id: string,
  facts: CheckpointFacts,
  pages: Iterable<{ readonly bytes: Uint8Array; readonly facts: PageFacts }>,
  ciphers: StateCiphers | null,
): Promise<number> {
  const written: PageFacts[] = [];
  const pieces = function* (): Generator<Uint8Array, void, undefined> {
    for (const page of pages) {
      yield page.bytes;
      written.push(page.facts);
    }
    yield encodeIndex(written);
  };
  await writeCheckpoint(path, { ...facts, part: { id, after: null, number: 0 } }, pieces(), ciphers);
  return written.length;
}

function encodeIndex(pages: readonly PageFacts[]): Uint8Array {
  const entries = pages.flatMap((page) => [page.kind, page.firstRow, page.rows, page.untilLsn, page.byteLength]);
  return new Uint8Array(Float64Array.from([FORMAT_VERSION, pages.length, ...entries]).buffer);
}

/** An open one. Its reads block until the disk has answered. */
export class HistoryFile implements HistorySource {
  readonly id: string;
  readonly byteLength: number;
  readonly pages: readonly PageFacts[];
  readonly #lock: FileLock;
  readonly #cipher: StateCipher | null;
  /** Where the chunk of each page begins. */
  readonly #places: readonly number[];

  private constructor(lock: FileLock, id: string, pageCount: number, ciphers: StateCiphers | null) {
    this.#lock = lock;
    this.id = id;
    const { size, nlink } = fstatSync(lock.fd);
    if (nlink === 0) throw new Error("it was removed");
    this.byteLength = size;
    const preamble = decodePreamble(this.#bytesAt(0, PREAMBLE_BYTES));
    if (preamble.kind !== "current") throw new Error(preamble.message);
    this.#cipher = this.#cipherOf(preamble, ciphers);
    const factsAt = PREAMBLE_BYTES + (this.#cipher === null ? 0 : SECRET_BYTES);
    const factsBytes = this.#payloadBytesAt(factsAt);
    const facts = decodeFacts(this.#chunk(CHUNK_KIND.facts, 0, factsAt, factsBytes));
    if (facts.kind !== "facts") throw new Error(facts.message);
    if (facts.facts.part?.id !== id) throw new Error("it is another one");
    const indexBytes = (HEAD_DOUBLES + pageCount * ENTRY_DOUBLES) * DOUBLE_BYTES;
    const indexAt = size - this.#stored(0) - this.#stored(indexBytes);
    this.pages = decodeIndex(this.#chunk(CHUNK_KIND.state, pageCount + 1, indexAt, indexBytes), pageCount);
    const places: number[] = [];
    let at = factsAt + this.#stored(factsBytes);
    for (const { byteLength } of this.pages) {
      places.push(at);
      at += this.#stored(byteLength);
    }
    if (at !== indexAt) throw new Error("it has not the length that its index says");
    this.#places = places;
  }

  /** Throws for one that is not there, is not whole, is another, or that somebody is about to remove. */
  static open(path: string, id: string, pageCount: number, ciphers: StateCiphers | null): HistoryFile {
    const lock = FileLock.tryShare(path);
    if (lock === null) throw new Error("it is being removed");
    try {
      return new HistoryFile(lock, id, pageCount, ciphers);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  read(page: number): Uint8Array {
    const { byteLength } = this.pages[page] as PageFacts;
    return this.#chunk(CHUNK_KIND.state, page + 1, this.#places[page] as number, byteLength);
  }

  close(): void {
    this.#lock.release();
  }

  #cipherOf(
    preamble: { readonly isEncrypted: boolean; readonly chain: number },
    ciphers: StateCiphers | null,
  ): StateCipher | null {
    if (!preamble.isEncrypted) {
      if (ciphers !== null) throw new Error("it is not encrypted");
      return null;
    }
    const secret = decodeSecret(this.#bytesAt(PREAMBLE_BYTES, SECRET_BYTES), preamble.chain);
    if (secret.kind !== "secret") throw new Error(secret.message);
    const cipher = ciphers?.of(secret.keyId, secret.salt) ?? null;
    if (cipher === null) throw new Error(`it needs key ${secret.keyId}`);
    return cipher;
  }

  /** What a payload of so many bytes takes in the file. */
  #stored(byteLength: number): number {
    return CHUNK_HEADER_BYTES + byteLength + (this.#cipher === null ? 0 : TAG_BYTES);
  }

  /** As the header of a chunk says it, which its checksum is yet to bear out. */
  #payloadBytesAt(at: number): number {
    const stored = headerOf(this.#bytesAt(at, CHUNK_HEADER_BYTES)).payloadBytes;
    const byteLength = stored - (this.#cipher === null ? 0 : TAG_BYTES);
    if (byteLength < 0 || byteLength > FACTS_BYTES_MAX) throw new Error("a chunk is damaged");
    return byteLength;
  }

  /** What a chunk of known kind, number and length holds. */
  #chunk(kind: ChunkKind, number: number, at: number, byteLength: number): Uint8Array {
    const bytes = this.#bytesAt(at, this.#stored(byteLength));
    const header = headerOf(bytes);
    const payload = bytes.subarray(CHUNK_HEADER_BYTES);
    const isIt = header.kind === kind && header.payloadBytes === payload.length;
    if (!isIt || header.checksum !== checksum(payload)) throw new Error("a chunk is damaged");
    if (this.#cipher === null) return payload;
    const plain = this.#cipher.decrypt(number, encodeChunkAad(kind, payload.length), payload);
    if (plain === null) throw new Error("a chunk does not hold its authentication tag");
    return plain;
  }

  #bytesAt(at: number, byteLength: number): Buffer {
    const { fd } = this.#lock;
    if (fd === -1) throw new StoreError("ERR_STORE_CLOSED", "the graph's history was closed with its store");
    if (at < 0 || at + byteLength > this.byteLength) throw new Error("it ends too early");
    const bytes = Buffer.allocUnsafeSlow(byteLength);
    for (let read = 0; read < byteLength; ) {
      const count = readSync(fd, bytes, read, byteLength - read, at + read);
      if (count === 0) throw new Error("it became shorter");
      read += count;
    }
    return bytes;
  }
}

function headerOf(bytes: Uint8Array): {
  readonly kind: number;
  readonly payloadBytes: number;
  readonly checksum: number;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, CHUNK_HEADER_BYTES);
  return { kind: view.getUint32(0, true), payloadBytes: view.getUint32(4, true), checksum: view.getUint32(8, true) };
}

function decodeIndex(bytes: Uint8Array, pageCount: number): PageFacts[] {
  const doubles = new Float64Array(new Uint8Array(bytes).buffer);
  if (doubles[0] !== FORMAT_VERSION) throw new Error(`its format version is ${doubles[0]}, not ${FORMAT_VERSION}`);
  if (doubles[1] !== pageCount) throw new Error("its index is of another file");
  return Array.from({ length: pageCount }, (_, page) => {
    const at = HEAD_DOUBLES + page * ENTRY_DOUBLES;
    const [kind = 0, firstRow = 0, rows = 0, untilLsn = 0, byteLength = 0] = doubles.subarray(at, at + ENTRY_DOUBLES);
    return { kind, firstRow, rows, untilLsn, byteLength };
  });
}

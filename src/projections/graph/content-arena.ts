/**
 * What rectangles hold, as bytes: a label's number and the encoded properties.
 *
 * - A reference is an Int32. Negative, it stands for "label −1 − ref, no properties" and costs no bytes. Otherwise it is
 *   `chunk << 20 | word`, the place of a record in words of 4 bytes:
 *
 *       <varint label> <varint length> <length bytes of canonical properties> <0–3 bytes of padding>
 *
 * - Records are written once, so a reference stays good and several rectangles share one. Only a purge moves them, and history that goes to files
 *   (`moves` counts both). References far below 0 are of what lies there (history-files.ts).
 * - Chunks are 4 MiB; a record that is larger has a chunk of its own, and the chunk before it goes on being filled.
 */

import { StoreError } from "../../errors.js";
import { largeMemory } from "../../events/index.js";
import { type GraphHistoryFiles, HISTORY_CONTENT } from "./history-files.js";
import { sameProperties } from "./property-match.js";
import { BLOCK_BYTES_MAX } from "./saved-table.js";
import { NO_BYTES, varintBytes } from "./wire.js";

const CHUNK_BYTES = 4 * 2 ** 20;
// Words of 4 bytes.
const WORD_SHIFT = 2;
const WORD_BITS = 20;
const WORD_MASK = 2 ** WORD_BITS - 1;
// 31 bits of reference less those of the word: 8 GiB of properties.
const CHUNKS_MAX = 2 ** (31 - WORD_BITS);
const FIRST_CHUNK_BYTES = 4096;
const LINE_BYTES = 64;

export class ContentArena {
  /** What `open` found: the properties are `bytes[start, end)`. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  label = 0;
  /** How often references were replaced: those from before the last time are none. */
  moves = 0;
  readonly #history: GraphHistoryFiles | null;
  #chunks: Uint8Array[] = [];
  #used: number[] = [];
  /** What of each chunk is in the last save. */
  #saved: number[] = [];
  #savedIsStale = false;
  /** The chunk that is being filled, or −1. */
  #filling = -1;

  /** Null: it gets no references to what lies in files. */
  constructor(history: GraphHistoryFiles | null = null) {
    this.#history = history;
  }

  /** Keeps a copy of `bytes[start, end)`. */
  store(label: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 0) return -1 - label;
    const size = roundedToWords(varintBytes(label) + varintBytes(length) + length);
    const index = this.#room(size);
    const chunk = this.#chunks[index] as Uint8Array;
    const from = this.#used[index] as number;
    let at = putVarint(chunk, putVarint(chunk, from, label), length);
    // Short runs are the rule, and a call to `set` with a subarray costs more than copying them.
    if (length > 64) chunk.set(bytes.subarray(start, end), at);
    else for (let source = start; source < end; source += 1) chunk[at++] = bytes[source] as number;
    this.#used[index] = from + size;
    return (index << WORD_BITS) | (from >>> WORD_SHIFT);
  }

  /** Points `bytes`, `start`, `end` and `label` at a record. */
  open(reference: number): void {
    if (reference < 0) {
      if (reference <= HISTORY_CONTENT) {
        this.#history?.open(this, reference);
        return;
      }
      this.label = -1 - reference;
      this.end = this.start;
      return;
    }
    this.openRecord(this.#chunks[reference >>> WORD_BITS] as Uint8Array, (reference & WORD_MASK) << WORD_SHIFT);
  }

  /** Points them at the record that begins at `start`. */
  openRecord(chunk: Uint8Array, start: number): void {
    let at = start;
    let label = chunk[at++] as number;
    if (label >= 0x80) {
      label &= 0x7f;
      for (let shift = 7, byte = 0x80; byte >= 0x80; shift += 7) {
        byte = chunk[at++] as number;
        label |= (byte & 0x7f) << shift;
      }
    }
    let length = chunk[at++] as number;
    if (length >= 0x80) {
      length &= 0x7f;
      for (let shift = 7, byte = 0x80; byte >= 0x80; shift += 7) {
        byte = chunk[at++] as number;
        length |= (byte & 0x7f) << shift;
      }
    }
    this.bytes = chunk;
    this.label = label;
    this.start = at;
    this.end = at + length;
  }

  /** A record with its padding, as a view; null where there are no properties. `label` is set. */
  recordOf(reference: number): Uint8Array | null {
    this.open(reference);
    const length = this.end - this.start;
    if (length === 0) return null;
    const from = this.start - varintBytes(this.label) - varintBytes(length);
    return this.bytes.subarray(from, from + roundedToWords(this.end - from));
  }

  /** True when two records hold the same label and equal properties. */
  same(a: number, b: number): boolean {
    if (a === b) return true;
    this.open(a);
    const { bytes, start, end, label } = this;
    this.open(b);
    return label === this.label && sameProperties(bytes, start, end, this.bytes, this.start, this.end);
  }

  /**
   * Keeps those records of which `visit` asks the new place, in the order in which it first does, and gives the room of all others back.
   * Shared ones stay shared.
   */
  keepOnly(visit: (newPlaceOf: (reference: number) => number) => void): void {
    const kept = new ContentArena(this.#history);
    // Where a record was there is its new place, and a bit says so.
    const isMoved = this.#used.map((used) => new Uint8Array(Math.ceil(used / (1 << WORD_SHIFT) / 8)));
    visit((reference) => {
      if (reference < 0) return reference;
      const word = reference & WORD_MASK;
      const bits = isMoved[reference >>> WORD_BITS] as Uint8Array;
      const bit = 1 << (word & 7);
      const chunk = this.#chunks[reference >>> WORD_BITS] as Uint8Array;
      const at = word << WORD_SHIFT;
      if (((bits[word >>> 3] as number) & bit) !== 0) return int32At(chunk, at);
      this.open(reference);
      const moved = kept.store(this.label, this.bytes, this.start, this.end);
      bits[word >>> 3] = (bits[word >>> 3] as number) | bit;
      putInt32(chunk, at, moved);
      return moved;
    });
    this.#chunks = kept.#chunks;
    this.#used = kept.#used;
    this.#filling = kept.#filling;
    this.#saved = [];
    this.#savedIsStale = true;
    this.moves += 1;
    this.bytes = NO_BYTES;
    this.start = 0;
    this.end = 0;
  }

  /** The used parts of the chunks, in order: views, valid until the next `store`. */
  *used(): Generator<Uint8Array, void, undefined> {
    for (const [index, chunk] of this.#chunks.entries()) yield chunk.subarray(0, this.#used[index]);
  }

  /** The same without what is in the last save: records are only ever added to what is there. */
  *added(): Generator<Uint8Array, void, undefined> {
    for (const [index, chunk] of this.#chunks.entries()) {
      const saved = this.#saved[index] ?? 0;
      const used = this.#used[index] as number;
      if (used > saved) yield chunk.subarray(saved, used);
    }
  }

  get filling(): number {
    return this.#filling;
  }

  /** The used bytes of each chunk. */
  get sizes(): readonly number[] {
    return [...this.#used];
  }

  /** The same as of the last save, or null: what was saved has moved since, and only the whole can be saved. */
  get savedSizes(): readonly number[] | null {
    return this.#savedIsStale ? null : this.#saved;
  }

  /** Says that a save of the arena as it is now lies on disk. */
  saved(): void {
    this.#saved = [...this.#used];
    this.#savedIsStale = false;
  }

  /** Makes room for what a checkpoint has, and gives what is not there yet, to be filled with what `used` or `added` gave. */
  *restore(sizes: readonly number[], filling: number): Generator<Uint8Array, void, undefined> {
    this.#filling = filling;
    const added = sideBySide(sizes.slice(this.#chunks.length));
    const there = this.#chunks.length;
    for (const [index, size] of sizes.entries()) {
      const used = this.#used[index] ?? 0;
      const before = this.#chunks[index];
      const chunk = before === undefined ? (added[index - there] as Uint8Array) : grown(before, size);
      if (before !== undefined && chunk !== before) chunk.set(before.subarray(0, used));
      this.#chunks[index] = chunk;
      this.#used[index] = size;
      if (size > used) yield chunk.subarray(used, size);
    }
  }

  /** The chunk with that much room left. */
  #room(size: number): number {
    if (size > CHUNK_BYTES) return this.#add(size);
    const index = this.#filling;
    if (index < 0) {
      this.#filling = this.#add(Math.max(size, FIRST_CHUNK_BYTES));
      return this.#filling;
    }
    const chunk = this.#chunks[index] as Uint8Array;
    const used = this.#used[index] as number;
    if (used + size <= chunk.length) return index;
    if (used + size <= CHUNK_BYTES) {
      // Only a young chunk is smaller: a small graph should not cost 4 MiB.
      const larger = largeMemory(Math.min(CHUNK_BYTES, Math.max(chunk.length * 4, used + size)));
      larger.set(chunk.subarray(0, used));
      this.#chunks[index] = larger;
      return index;
    }
    this.#filling = this.#add(CHUNK_BYTES);
    return this.#filling;
  }

  #add(size: number): number {
    if (this.#chunks.length === CHUNKS_MAX) {
      throw new StoreError("ERR_GRAPH_FULL", `the graph's properties need more than ${CHUNKS_MAX} chunks of 4 MiB`);
    }
    this.#used.push(0);
    return this.#chunks.push(largeMemory(size)) - 1;
  }
}

/** Memory for chunks of these sizes that are overwritten before they are read, in as few pieces as there can be: see `Records`. */
function sideBySide(sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let first = 0; first < sizes.length; ) {
    const starts: number[] = [];
    let bytes = 0;
    do {
      starts.push(bytes);
      bytes += roundedToLines(sizes[first + starts.length - 1] as number);
    } while (first + starts.length < sizes.length && bytes + CHUNK_BYTES <= BLOCK_BYTES_MAX);
    const block = largeMemory(bytes, true);
    for (const start of starts) chunks.push(block.subarray(start, start + (sizes[chunks.length] as number)));
    first = chunks.length;
  }
  return chunks;
}

function grown(chunk: Uint8Array, size: number): Uint8Array {
  return size <= chunk.length ? chunk : largeMemory(size, true);
}

function roundedToLines(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}

function roundedToWords(bytes: number): number {
  return (bytes + (1 << WORD_SHIFT) - 1) & -(1 << WORD_SHIFT);
}

function int32At(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true);
}

function putInt32(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(at, value, true);
}

function putVarint(target: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at++] = rest;
  return at;
}

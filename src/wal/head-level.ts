/**
 * One level of the head table: a file `heads-<level>` that threads and processes map at once.
 *
 * It lives for one incarnation: recovery removes it and nothing in it is believed after the last writer is gone, so it has no checksums and
 * is in the machine's byte order. Level i has n = 16,384 · 2^i places for names; nothing in a level ever moves or goes. The file holds
 *
 *     header   4,096 bytes
 *     index    n × 8: the hash of a name, 0 where there is none, and the place of its entry
 *     entries  3n/4 × 64, in the order in which they were added
 *     arena    n × 64: the names, one after the other, each at a multiple of 4
 *
 * The entries lie close together, because each append touches one: scattered as their hashes are, they cost a miss of the cache and of the
 * page tables each (measured: 80 ns of an append to one of 1,000 streams).
 *
 * Header:
 *
 *      0  8  magic "VARVHEAD"
 *      8  4  format version, 2
 *     12  4  level
 *     16  4  n
 *     20  4  bytes of an entry, 64
 *     24  4  offset of the index
 *     28  4  offset of the entries
 *     32  4  offset of the arena
 *     36  4  bytes of the arena
 *     64  4  insert lock, of level 0 only: slot + 1 of who inserts, else 0
 *    128  4  number of levels that may be mapped, of level 0 only
 *    192  4  entries used    } touched under the insert lock only
 *    196  4  arena bytes used }
 *
 * Entry:
 *
 *      0  4  lock: slot + 1 of who has it, else 0
 *      4  4  wanted: slot + 1 of who waits for the stream, else 0
 *      8  4  offset of the name in the arena
 *     12  4  bytes of the name
 *     16  8  committed version, a double
 *     24  8  version of tentative record A
 *     32  8  epoch of A
 *     40  8  version of tentative record B
 *     48  8  epoch of B
 *     56  4  tentative: 0 when there is none, else slot + 1 of its owner, plus 256 when record B and not A tells it
 *     60  4  generation of the tentative's owner
 *
 * Death can come between any two stores, so each change becomes true by one store of one word, and before it nothing that counts is touched:
 *
 * - *A new entry*: name, entry (all of it, for what a killed inserter left may lie there), the two words of what is used, its place in the
 *   index, and last the hash there. Without the hash nobody finds it; at worst some of the arena and one entry is lost, which is all zeros.
 * - *A new tentative*: written into the record that is not in use, and then the word `tentative` names that record. The generation is
 *   stored while that word is still 0: while it is not, the owner does not change.
 * - *A commit*: the committed version, and then `tentative` becomes 0. Between the two both tell the same version.
 * - *A new level*: the whole file, and then the number of levels. A file behind that number is removed by the next who makes that level.
 *
 * The hash is FNV-1a of the bytes with the finalizer of MurmurHash3, because FNV's low bits, which choose the place, mix badly; 0 becomes 1.
 * Names are found by linear probing in the index: 8 places share a cache line.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../errors.js";
import { MappedFile } from "../ffi/index.js";

const MAGIC = "VARVHEAD";
const FORMAT_VERSION = 2;
const HEADER_BYTES = 4096;
/** Of level 0. Entries are numbered as if each place had one. */
export const LEVEL_0_PLACES = 16_384;
const LEVEL_0_SHIFT = 14;
/** A place of the index. */
const PLACE_BYTES = 8;
const ENTRY_BYTES = 64;
const ENTRY_WORDS = 16;
/** There are 3/4 as many entries, so that this is 85 bytes for each. */
const ARENA_BYTES_PER_PLACE = 64;
/** The greatest level is 2 GiB, near the end of what one view can show; all together hold 25 million names. */
export const LEVEL_COUNT_MAX = 11;

export const NAME_BYTES_MAX = 1024;

const VERSION_OFFSET = 8;
const LAYOUT_OFFSET = 12;
export const INSERT_LOCK_WORD: number = 64 / 4;
export const LEVEL_COUNT_WORD: number = 128 / 4;
const ENTRIES_USED_WORD = 192 / 4;
const ARENA_USED_WORD = 196 / 4;
const INDEX_WORD = HEADER_BYTES / 4;
const PLACE_WORDS: number = PLACE_BYTES / 4;

/** Words of an entry; the doubles are counted in doubles. */
export const LOCK_WORD = 0;
export const WANTED_WORD = 1;
const NAME_OFFSET_WORD = 2;
const NAME_BYTES_WORD = 3;
export const COMMITTED_DOUBLE = 2;
export const RECORD_A_DOUBLE = 3;
export const RECORD_B_DOUBLE = 5;
export const TENTATIVE_WORD = 14;
export const GENERATION_WORD = 15;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Never 0. */
export function hashName(name: Uint8Array): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ (name[at] as number), FNV_PRIME);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash === 0 ? 1 : hash;
}

/** The level that entry number `entry` lies in: the entries of all levels are numbered through. */
export function levelOfEntry(entry: number): number {
  return 31 - Math.clz32((entry >> LEVEL_0_SHIFT) + 1);
}

interface Layout {
  readonly placeCount: number;
  readonly entryCountMax: number;
  readonly entriesOffset: number;
  readonly arenaOffset: number;
  readonly arenaBytes: number;
}

function layoutOf(level: number): Layout {
  const placeCount = LEVEL_0_PLACES << level;
  const entryCountMax = (placeCount >> 2) * 3;
  const entriesOffset = HEADER_BYTES + placeCount * PLACE_BYTES;
  const arenaOffset = entriesOffset + entryCountMax * ENTRY_BYTES;
  return { placeCount, entryCountMax, entriesOffset, arenaOffset, arenaBytes: placeCount * ARENA_BYTES_PER_PLACE };
}

/** What the header says of where things lie, from offset 12. */
function layoutWords(level: number): readonly number[] {
  const { placeCount, entriesOffset, arenaOffset, arenaBytes } = layoutOf(level);
  return [level, placeCount, ENTRY_BYTES, HEADER_BYTES, entriesOffset, arenaOffset, arenaBytes];
}

export class HeadLevel {
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  /** The number of its first entry. */
  readonly firstEntry: number;
  readonly #file: MappedFile;
  readonly #bytes: Buffer;
  readonly #layout: Layout;
  readonly #entriesWord: number;

  private constructor(file: MappedFile, level: number) {
    this.#file = file;
    this.int32 = file.int32;
    this.float64 = file.float64;
    this.#bytes = file.bytes;
    this.firstEntry = LEVEL_0_PLACES * ((1 << level) - 1);
    this.#layout = layoutOf(level);
    this.#entriesWord = this.#layout.entriesOffset >> 2;
  }

  /**
   * Makes the file; one that lies there already was left by somebody who was killed before anybody else could map it.
   *
   * @throws StoreError `ERR_WAL_FULL` when the disk has no room for it.
   */
  static create(directory: string, level: number): HeadLevel {
    const path = levelPath(directory, level);
    rmSync(path, { force: true });
    const { arenaOffset, arenaBytes } = layoutOf(level);
    const file = MappedFile.create(path, arenaOffset + arenaBytes);
    file.bytes.write(MAGIC, 0, "latin1");
    file.bytes.writeUInt32LE(FORMAT_VERSION, VERSION_OFFSET);
    for (const [index, word] of layoutWords(level).entries()) file.bytes.writeUInt32LE(word, LAYOUT_OFFSET + index * 4);
    return new HeadLevel(file, level);
  }

  /** @throws StoreError `ERR_WAL_VERSION` when it is of another format. */
  static open(directory: string, level: number): HeadLevel {
    const path = levelPath(directory, level);
    const file = MappedFile.open(path);
    if (!isOfThisFormat(file, level)) {
      file.close();
      throw new StoreError("ERR_WAL_VERSION", `${path} is of another format than this one`, { path });
    }
    return new HeadLevel(file, level);
  }

  close(): void {
    this.#file.close();
  }

  /** Where the words of an entry begin in `int32`; its doubles begin at half of that in `float64`. */
  wordOf(entry: number): number {
    return this.#entriesWord + (entry - this.firstEntry) * ENTRY_WORDS;
  }

  /** The entry with that name, or −1. */
  find(hash: number, name: Uint8Array): number {
    const int32 = this.int32;
    const mask = this.#layout.placeCount - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const word = INDEX_WORD + place * PLACE_WORDS;
      const found = int32[word] as number;
      if (found === 0) return -1;
      // The atomic load lets nothing of the entry be read from before it was complete, on machines that reorder loads.
      if (found !== hash || Atomics.load(int32, word) !== hash) continue;
      const index = int32[word + 1] as number;
      if (this.#isNamed(index, name)) return this.firstEntry + index;
    }
  }

  /** Adds a name that no level has; −1 when there is no room. Only with the insert lock. */
  add(hash: number, name: Uint8Array, committedVersion: number): number {
    const int32 = this.int32;
    const { placeCount, entryCountMax, arenaOffset, arenaBytes } = this.#layout;
    const index = int32[ENTRIES_USED_WORD] as number;
    const nameOffset = int32[ARENA_USED_WORD] as number;
    const arenaUsed = nameOffset + ((name.length + 3) & ~3);
    if (index === entryCountMax || arenaUsed > arenaBytes) return -1;

    this.#bytes.set(name, arenaOffset + nameOffset);
    const word = this.#entriesWord + index * ENTRY_WORDS;
    int32.fill(0, word, word + ENTRY_WORDS);
    int32[word + NAME_OFFSET_WORD] = nameOffset;
    int32[word + NAME_BYTES_WORD] = name.length;
    this.float64[(word >> 1) + COMMITTED_DOUBLE] = committedVersion;
    int32[ENTRIES_USED_WORD] = index + 1;
    int32[ARENA_USED_WORD] = arenaUsed;
    const mask = placeCount - 1;
    let place = hash & mask;
    while (int32[INDEX_WORD + place * PLACE_WORDS] !== 0) place = (place + 1) & mask;
    int32[INDEX_WORD + place * PLACE_WORDS + 1] = index;
    Atomics.store(int32, INDEX_WORD + place * PLACE_WORDS, hash);
    return this.firstEntry + index;
  }

  /** How many entries there are, those included that were lost with who was adding them. */
  get entryCount(): number {
    return this.int32[ENTRIES_USED_WORD] as number;
  }

  /** A copy. */
  nameOf(entry: number): Buffer {
    const word = this.wordOf(entry);
    const start = this.#layout.arenaOffset + (this.int32[word + NAME_OFFSET_WORD] as number);
    return Buffer.from(this.#bytes.subarray(start, start + (this.int32[word + NAME_BYTES_WORD] as number)));
  }

  #isNamed(index: number, name: Uint8Array): boolean {
    const word = this.#entriesWord + index * ENTRY_WORDS;
    const length = this.int32[word + NAME_BYTES_WORD];
    if (length !== name.length) return false;
    const bytes = this.#bytes;
    const start = this.#layout.arenaOffset + (this.int32[word + NAME_OFFSET_WORD] as number);
    for (let at = 0; at < length; at++) if (bytes[start + at] !== name[at]) return false;
    return true;
  }
}

export function levelPath(directory: string, level: number): string {
  return join(directory, `heads-${level}`);
}

function isOfThisFormat(file: MappedFile, level: number): boolean {
  const { bytes, byteLength } = file;
  if (byteLength < HEADER_BYTES || bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return false;
  if (bytes.readUInt32LE(VERSION_OFFSET) !== FORMAT_VERSION) return false;
  return layoutWords(level).every((word, index) => bytes.readUInt32LE(LAYOUT_OFFSET + index * 4) === word);
}

/**
 * The streams of a segment that is being made: names, versions, and the LSN of every record, in columns of numbers.
 *
 * Records are noted in LSN order, eight bytes each, and sorted by stream once at the end. The segment ends when this has become too large,
 * so its memory does not grow with the log.
 *
 * With many streams the time goes into waiting for memory, not into hashing: so a stream is one row of 64 bytes that begins with its name,
 * and records are entered some hundreds at a time, after loops that only touch what each will need, whose misses overlap (measured with
 * 200,000 streams: 450 ns a record without the two, 150 ns with them).
 */

import { hashName, type NameHash, type NameHasher } from "./name-hash.js";

const INITIAL_STREAMS = 1024;
const INITIAL_RECORDS = 16 * 1024;
const INITIAL_NAME_BYTES = 64 * 1024;
const QUEUE_MAX = 512;
/** Of slots, two words each. */
const LOAD_MAX = 0.6;

/** A row: the beginning of the name, then words. */
const ROW_BYTES = 64;
const ROW_WORDS = ROW_BYTES / 4;
const ROW_NAME_BYTES = 36;
const NAME_LENGTH = 9;
/** Where the rest of a longer name lies among the rests. */
const REST_START = 10;
const HASH_LOW = 11;
const HASH_HIGH = 12;
const COUNT = 13;
const VERSION_LOW = 14;
const VERSION_HIGH = 15;

/** A row, two slots of two words, and what making the pages takes. */
const BYTES_PER_STREAM = ROW_BYTES + 27 + 14;
/** Stream and LSN as noted, and the LSN sorted. */
const BYTES_PER_RECORD = 12;
const TWO_TO_32 = 0x1_0000_0000;

function grown(column: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(column.length * 2);
  larger.set(column);
  return larger;
}

export class StreamTable {
  readonly #hasher: NameHasher;
  readonly #hash: NameHash = { low: 0, high: 0 };
  /** Low word of the hash, and the stream's index + 1; 0 is free. */
  #slots = new Uint32Array(4 * INITIAL_STREAMS);
  #rows = new Uint32Array(INITIAL_STREAMS * ROW_WORDS);
  #rowBytes = Buffer.from(this.#rows.buffer);
  #rests = Buffer.alloc(INITIAL_NAME_BYTES);
  #restBytes = 0;
  #streamCount = 0;
  /** By stream, the LSN of its last record that was removed; null until one was. */
  #removedLsns: Uint32Array | null = null;
  #recordStreams = new Uint32Array(INITIAL_RECORDS);
  #recordLsns = new Uint32Array(INITIAL_RECORDS);
  #recordCount = 0;

  readonly #queuedStarts = new Uint32Array(QUEUE_MAX);
  readonly #queuedEnds = new Uint32Array(QUEUE_MAX);
  readonly #queuedLows = new Uint32Array(QUEUE_MAX);
  readonly #queuedHighs = new Uint32Array(QUEUE_MAX);
  readonly #queuedLsns = new Uint32Array(QUEUE_MAX);
  readonly #queuedVersions = new Float64Array(QUEUE_MAX);
  readonly #queuedRows = new Uint32Array(QUEUE_MAX);
  #queueLength = 0;

  constructor(hasher: NameHasher = hashName) {
    this.#hasher = hasher;
  }

  get streamCount(): number {
    return this.#streamCount;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** About the memory in use, with what making the pages will need. */
  get byteLength(): number {
    return this.#streamCount * BYTES_PER_STREAM + this.#recordCount * BYTES_PER_RECORD + this.#restBytes;
  }

  /** Whether `enter` must be called before the next `queue`. */
  get isQueueFull(): boolean {
    return this.#queueLength === QUEUE_MAX;
  }

  /** Queues a record of the stream whose name is `bytes[start, end)`, at LSN `lsnOffset` of the segment. */
  queue(bytes: Uint8Array, start: number, end: number, version: number, lsnOffset: number): void {
    const at = this.#queueLength++;
    this.#hasher(this.#hash, bytes, start, end);
    this.#queuedStarts[at] = start;
    this.#queuedEnds[at] = end;
    this.#queuedLows[at] = this.#hash.low;
    this.#queuedHighs[at] = this.#hash.high;
    this.#queuedLsns[at] = lsnOffset;
    this.#queuedVersions[at] = version;
  }

  /** Enters what is queued, whose names lie in `bytes`. Returns the LSN of a record whose version does not follow, or null. */
  enter(bytes: Uint8Array): number | null {
    this.#touch();
    const count = this.#queueLength;
    this.#queueLength = 0;
    while (this.#recordCount + count > this.#recordLsns.length) {
      this.#recordStreams = grown(this.#recordStreams);
      this.#recordLsns = grown(this.#recordLsns);
    }
    for (let index = 0; index < count; index++)
      if (!this.#enter(bytes, index)) return this.#queuedLsns[index] as number;
    return null;
  }

  /**
   * Notes that the record of that version was removed: the stream has an entry even when nothing is left of it. Call `enter` before. False,
   * with nothing changed: the stream has records before this one, or a later one was noted.
   */
  remove(bytes: Uint8Array, start: number, end: number, version: number, lsnOffset: number): boolean {
    this.#hasher(this.#hash, bytes, start, end);
    const { low, high } = this.#hash;
    let stream = this.#find(bytes, start, end, low);
    if (stream === null) stream = this.#add(bytes, start, end, low, high, version + 1);
    else if (this.count(stream) > 0 || this.firstVersion(stream) > version) return false;
    this.#setFirstVersion(stream, version + 1);
    this.#removedLsns ??= new Uint32Array(this.#rows.length / ROW_WORDS);
    while (stream >= this.#removedLsns.length) this.#removedLsns = grown(this.#removedLsns);
    this.#removedLsns[stream] = lsnOffset;
    return true;
  }

  #touch(): void {
    const slots = this.#slots;
    const rows = this.#rows;
    const mask = slots.length - 1;
    const found = this.#queuedRows;
    for (let index = 0; index < this.#queueLength; index++) {
      found[index] = slots[(((this.#queuedLows[index] as number) << 1) & mask) + 1] as number;
    }
    for (let index = 0; index < this.#queueLength; index++) {
      const row = Math.max(0, (found[index] as number) - 1) * ROW_WORDS;
      // Kept, so that the loop is not optimised away. A row can lie in two lines of the cache.
      found[index] = (rows[row] as number) ^ (rows[row + ROW_WORDS - 1] as number);
    }
  }

  #enter(bytes: Uint8Array, index: number): boolean {
    const start = this.#queuedStarts[index] as number;
    const end = this.#queuedEnds[index] as number;
    const low = this.#queuedLows[index] as number;
    const version = this.#queuedVersions[index] as number;
    let stream = this.#find(bytes, start, end, low);
    if (stream === null) stream = this.#add(bytes, start, end, low, this.#queuedHighs[index] as number, version);
    const count = this.#word(stream, COUNT);
    const expected = this.firstVersion(stream) + count;
    if (version !== expected) {
      // Behind removed records there can be others of which nothing is known any more.
      if (count > 0 || version < expected) return false;
      this.#setFirstVersion(stream, version);
    }
    this.#rows[stream * ROW_WORDS + COUNT] = count + 1;
    this.#recordStreams[this.#recordCount] = stream;
    this.#recordLsns[this.#recordCount++] = this.#queuedLsns[index] as number;
    return true;
  }

  #find(bytes: Uint8Array, start: number, end: number, low: number): number | null {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (low << 1) & mask;
    for (let found = slots[slot + 1] as number; found !== 0; found = slots[slot + 1] as number) {
      if (slots[slot] === low && this.#isNamed(found - 1, bytes, start, end)) return found - 1;
      slot = (slot + 2) & mask;
    }
    return null;
  }

  #isNamed(stream: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#word(stream, NAME_LENGTH) !== length) return false;
    const rowBytes = this.#rowBytes;
    const row = stream * ROW_BYTES;
    const inRow = Math.min(length, ROW_NAME_BYTES);
    for (let at = 0; at < inRow; at++) if (rowBytes[row + at] !== bytes[start + at]) return false;
    if (length === inRow) return true;
    const rest = this.#word(stream, REST_START) - inRow;
    for (let at = inRow; at < length; at++) if (this.#rests[rest + at] !== bytes[start + at]) return false;
    return true;
  }

  #add(bytes: Uint8Array, start: number, end: number, low: number, high: number, version: number): number {
    const stream = this.#streamCount++;
    if (stream * ROW_WORDS === this.#rows.length) {
      this.#rows = grown(this.#rows);
      this.#rowBytes = Buffer.from(this.#rows.buffer);
    }
    const length = end - start;
    const inRow = Math.min(length, ROW_NAME_BYTES);
    for (let at = 0; at < inRow; at++) this.#rowBytes[stream * ROW_BYTES + at] = bytes[start + at] as number;
    const word = stream * ROW_WORDS;
    this.#rows[word + NAME_LENGTH] = length;
    this.#rows[word + REST_START] = this.#restBytes;
    this.#rows[word + HASH_LOW] = low;
    this.#rows[word + HASH_HIGH] = high;
    this.#rows[word + COUNT] = 0;
    this.#setFirstVersion(stream, version);
    if (length > inRow) this.#addRest(bytes.subarray(start + inRow, end));
    if (this.#streamCount * 2 > this.#slots.length * LOAD_MAX) this.#growSlots();
    else this.#enterSlot(stream, low);
    return stream;
  }

  #addRest(rest: Uint8Array): void {
    const needed = this.#restBytes + rest.length;
    while (needed > this.#rests.length) this.#rests = Buffer.concat([this.#rests], this.#rests.length * 2);
    this.#rests.set(rest, this.#restBytes);
    this.#restBytes = needed;
  }

  #enterSlot(stream: number, low: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (low << 1) & mask;
    while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
    slots[slot] = low;
    slots[slot + 1] = stream + 1;
  }

  #growSlots(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let stream = 0; stream < this.#streamCount; stream++) this.#enterSlot(stream, this.#word(stream, HASH_LOW));
  }

  /** The stream with that name, or null. */
  find(bytes: Uint8Array, start: number, end: number): number | null {
    this.#hasher(this.#hash, bytes, start, end);
    return this.#find(bytes, start, end, this.#hash.low);
  }

  #word(stream: number, word: number): number {
    return this.#rows[stream * ROW_WORDS + word] as number;
  }

  count(stream: number): number {
    return this.#word(stream, COUNT);
  }

  /** Version of its first record here; where all were removed, the one behind the last. */
  firstVersion(stream: number): number {
    return this.#word(stream, VERSION_HIGH) * TWO_TO_32 + this.#word(stream, VERSION_LOW);
  }

  #setFirstVersion(stream: number, version: number): void {
    this.#rows[stream * ROW_WORDS + VERSION_LOW] = version % TWO_TO_32;
    this.#rows[stream * ROW_WORDS + VERSION_HIGH] = Math.floor(version / TWO_TO_32);
  }

  /** LSN of the last record that was removed, of a stream that has none left. */
  removedLsn(stream: number): number {
    return this.#removedLsns?.[stream] ?? 0;
  }

  nameLength(stream: number): number {
    return this.#word(stream, NAME_LENGTH);
  }

  hashLow(stream: number): number {
    return this.#word(stream, HASH_LOW);
  }

  hashHigh(stream: number): number {
    return this.#word(stream, HASH_HIGH);
  }

  /** Copies a stream's name to an offset of `target`, and returns the offset behind it. */
  copyName(stream: number, target: Uint8Array, offset: number): number {
    const length = this.#word(stream, NAME_LENGTH);
    const row = stream * ROW_BYTES;
    const inRow = Math.min(length, ROW_NAME_BYTES);
    for (let at = 0; at < inRow; at++) target[offset + at] = this.#rowBytes[row + at] as number;
    if (length === inRow) return offset + length;
    const rest = this.#word(stream, REST_START);
    target.set(this.#rests.subarray(rest, rest + length - inRow), offset + inRow);
    return offset + length;
  }

  /** The LSNs of all records, stream by stream in the table's order and rising within each. */
  sortedLsns(): Uint32Array {
    const sorted = new Uint32Array(this.#recordCount);
    const next = new Uint32Array(this.#streamCount);
    let start = 0;
    for (let stream = 0; stream < this.#streamCount; stream++) {
      next[stream] = start;
      start += this.count(stream);
    }
    for (let record = 0; record < this.#recordCount; record++) {
      const stream = this.#recordStreams[record] as number;
      const at = next[stream] as number;
      sorted[at] = this.#recordLsns[record] as number;
      next[stream] = at + 1;
    }
    return sorted;
  }

  /** Forgets all, and keeps the memory for the next segment. */
  clear(): void {
    this.#slots.fill(0);
    this.#streamCount = 0;
    this.#recordCount = 0;
    this.#restBytes = 0;
    this.#queueLength = 0;
  }
}

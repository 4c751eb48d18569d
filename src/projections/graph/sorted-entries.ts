/**
 * Pairs of a value and a slot in the order of both, each pair once, for values of one kind.
 *
 * They lie in blocks of up to 512, each sorted, in the order of the blocks; so a pair is put in by two binary searches and a shift within one
 * block. A block that is full is halved, but left full when what comes is behind all of it: values that only grow (times), and new nodes with one of few
 * values, fill blocks.
 * Columns of a block:
 *
 *     float64  the value's key (value-order.ts)      int32  the slot
 *     int32    of text and bytes only: −1 − length up to six of them, which are the key; else a place in `#tails` with what follows those six
 *
 * Nothing is ever taken out. A walk that is left lying finds its place again when something was put in meanwhile.
 */

import { ContentArena } from "./content-arena.js";
import { compareRuns, HEAD_BYTES, type OrderedValue } from "./value-order.js";
import type { ValueRange } from "./value-range.js";
import { NO_BYTES } from "./wire.js";

const BLOCK_ENTRIES = 512;
const LATE_INDEX = (BLOCK_ENTRIES / 8) * 7;
// Before and behind every entry of a value.
const NO_SLOT = 0;
const LAST_SLOT = 0x7fffffff;

class Block {
  count = 0;
  readonly keys: Float64Array;
  readonly slots: Int32Array;
  readonly tails: Int32Array | null;

  constructor(hasTails: boolean) {
    const columns = hasTails ? 4 : 3;
    const memory = new ArrayBuffer(BLOCK_ENTRIES * columns * Int32Array.BYTES_PER_ELEMENT);
    this.keys = new Float64Array(memory, 0, BLOCK_ENTRIES);
    this.slots = new Int32Array(memory, BLOCK_ENTRIES * 8, BLOCK_ENTRIES);
    this.tails = hasTails ? new Int32Array(memory, BLOCK_ENTRIES * 12, BLOCK_ENTRIES) : null;
  }

  insert(index: number, key: number, slot: number, tail: number): void {
    const { keys, slots, tails, count } = this;
    keys.copyWithin(index + 1, index, count);
    slots.copyWithin(index + 1, index, count);
    tails?.copyWithin(index + 1, index, count);
    keys[index] = key;
    slots[index] = slot;
    if (tails !== null) tails[index] = tail;
    this.count = count + 1;
  }

  /** Gives the entries from an index on to a new block. */
  split(index: number): Block {
    const upper = new Block(this.tails !== null);
    upper.keys.set(this.keys.subarray(index, this.count));
    upper.slots.set(this.slots.subarray(index, this.count));
    if (this.tails !== null) upper.tails?.set(this.tails.subarray(index, this.count));
    upper.count = this.count - index;
    this.count = index;
    return upper;
  }
}

/** A place between entries, or one of them: a value in pieces, and a slot. */
class Place {
  key = 0;
  slot: number = NO_SLOT;
  /** Of text and bytes up to six; −1: longer, and what follows is `bytes[start, end)`. */
  shortLength = 0;
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;

  at({ key, bytes, start, end }: OrderedValue, slot: number): this {
    this.key = key;
    this.slot = slot;
    this.shortLength = end - start <= HEAD_BYTES ? end - start : -1;
    this.bytes = bytes;
    this.start = start + HEAD_BYTES;
    this.end = end;
    return this;
  }
}

export class SortedEntries {
  /** Grows with every entry. */
  count = 0;
  readonly blocks: Block[] = [];
  /** Of each block: most steps of a search look nowhere else. */
  readonly #firstKeys: number[] = [];
  readonly #hasTails: boolean;
  readonly #tails = new ContentArena();
  readonly #place = new Place();

  constructor(hasTails: boolean) {
    this.#hasTails = hasTails;
  }

  /** False when the pair was there. */
  insert(value: OrderedValue, slot: number): boolean {
    const place = this.#place.at(value, slot);
    if (this.blocks.length === 0) this.#addBlock(0, new Block(this.#hasTails));
    const at = this.blockOf(place);
    const block = this.blocks[at] as Block;
    const index = this.indexIn(block, place);
    if (index < block.count && this.compare(block, index, place) === 0) return false;
    const tail = this.#tailFor(block, index, place);
    if (block.count < BLOCK_ENTRIES) this.#insertInto(at, index, place, tail);
    else if (index === block.count) {
      this.#addBlock(at + 1, new Block(this.#hasTails));
      this.#insertInto(at + 1, 0, place, tail);
    } else {
      // Near the end it is mostly the end of a run of one value that grows: that shall fill the block.
      const cut = index > LATE_INDEX ? index : BLOCK_ENTRIES / 2;
      this.#addBlock(at + 1, block.split(cut));
      if (index <= cut) this.#insertInto(at, index, place, tail);
      else this.#insertInto(at + 1, index - cut, place, tail);
    }
    this.count += 1;
    return true;
  }

  /** Whether a range has more than so many entries. */
  hasMoreThan(limit: number, range: ValueRange): boolean {
    if (this.count <= limit) return false;
    const first = lowerPlace(range);
    const last = upperPlace(range);
    const from = first === null ? 0 : this.blockOf(first);
    const to = last === null ? this.blocks.length - 1 : this.blockOf(last);
    let count = 0;
    for (let at = from; at <= to && count <= limit; at += 1) {
      const block = this.blocks[at] as Block;
      const begin = at === from && first !== null ? this.indexIn(block, first) : 0;
      count += (at === to && last !== null ? this.indexIn(block, last) : block.count) - begin;
    }
    return count > limit;
  }

  /** The entries of a range, or of all, from the first to the last or the other way. */
  walk(range: ValueRange | null, descending: boolean): EntryWalk {
    const first = range === null ? null : lowerPlace(range);
    const last = range === null ? null : upperPlace(range);
    return new EntryWalk(this, descending ? last : first, descending ? first : last, descending);
  }

  /** The last block that does not begin behind a place, or the first. */
  blockOf(place: Place): number {
    const firstKeys = this.#firstKeys;
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const key = firstKeys[middle] as number;
      const isBehind = key === place.key ? this.compare(this.blocks[middle] as Block, 0, place) > 0 : key > place.key;
      if (isBehind) high = middle;
      else low = middle + 1;
    }
    return Math.max(0, low - 1);
  }

  /** The first index of a block that does not lie before a place. */
  indexIn(block: Block, place: Place): number {
    let low = 0;
    let high = block.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compare(block, middle, place) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  compare(block: Block, index: number, place: Place): number {
    return this.compareValue(block, index, place) || (block.slots[index] as number) - place.slot;
  }

  compareValue({ keys, tails }: Block, index: number, place: Place): number {
    const key = keys[index] as number;
    if (key !== place.key) return key < place.key ? -1 : 1;
    if (tails === null) return 0;
    const tail = tails[index] as number;
    // With equal keys the shorter one is what the longer one begins with, zeros being bytes as well.
    if (tail < 0) return place.shortLength < 0 ? -1 : -1 - tail - place.shortLength;
    if (place.shortLength >= 0) return 1;
    const { bytes, start, end } = this.#opened(tail);
    return compareRuns(bytes, start, end, place.bytes, place.start, place.end);
  }

  /** Moves a place to an entry. */
  placeAt({ keys, slots, tails }: Block, index: number, place: Place): void {
    place.key = keys[index] as number;
    place.slot = slots[index] as number;
    const tail = tails === null ? -1 : (tails[index] as number);
    place.shortLength = tail < 0 ? -1 - tail : -1;
    if (tail < 0) return;
    const { bytes, start, end } = this.#opened(tail);
    place.bytes = bytes;
    place.start = start;
    place.end = end;
  }

  #opened(tail: number): ContentArena {
    this.#tails.open(tail);
    return this.#tails;
  }

  #addBlock(at: number, block: Block): void {
    this.blocks.splice(at, 0, block);
    this.#firstKeys.splice(at, 0, block.keys[0] as number);
  }

  #insertInto(at: number, index: number, place: Place, tail: number): void {
    (this.blocks[at] as Block).insert(index, place.key, place.slot, tail);
    if (index === 0) this.#firstKeys[at] = place.key;
  }

  /** A value that stands beside is kept once. */
  #tailFor(block: Block, index: number, place: Place): number {
    const { tails } = block;
    if (tails === null) return 0;
    if (place.shortLength >= 0) return -1 - place.shortLength;
    if (index > 0 && this.compareValue(block, index - 1, place) === 0) return tails[index - 1] as number;
    if (index < block.count && this.compareValue(block, index, place) === 0) return tails[index] as number;
    return this.#tails.store(0, place.bytes, place.start, place.end);
  }
}

/** Goes over entries one by one. */
export class EntryWalk {
  /** Of the entry in hand. */
  slot: number = NO_SLOT;
  readonly #entries: SortedEntries;
  readonly #descending: boolean;
  readonly #to: Place | null;
  /** Where the entry in hand lies, and to find it again. */
  readonly #here = new Place();
  readonly #wanted = new Place();
  #from: Place | null;
  #block = 0;
  #index = 0;
  /** −1: not begun. */
  #countThen = -1;

  constructor(entries: SortedEntries, from: Place | null, to: Place | null, descending: boolean) {
    this.#entries = entries;
    this.#from = from;
    this.#to = to;
    this.#descending = descending;
  }

  /** Takes the next entry in hand; false when there is none. */
  next(): boolean {
    if (this.#countThen !== this.#entries.count) this.#find();
    else if (this.#descending) this.#index -= 1;
    else this.#index += 1;
    const { blocks } = this.#entries;
    let block = blocks[this.#block];
    if (this.#descending && this.#index < 0) {
      this.#block -= 1;
      block = blocks[this.#block];
      this.#index = (block?.count ?? 0) - 1;
    } else if (block !== undefined && this.#index >= block.count) {
      this.#block += 1;
      block = blocks[this.#block];
      this.#index = 0;
    }
    if (block === undefined || this.#isBeyond(block)) return false;
    this.#entries.placeAt(block, this.#index, this.#here);
    this.slot = this.#here.slot;
    this.#from = this.#here;
    return true;
  }

  /** Whether the entry in hand is of this value. */
  isOf(value: OrderedValue): boolean {
    const block = this.#entries.blocks[this.#block] as Block; // `as`: the one in hand lies in it
    return this.#entries.compareValue(block, this.#index, this.#wanted.at(value, NO_SLOT)) === 0;
  }

  #isBeyond(block: Block): boolean {
    if (this.#to === null) return false;
    const order = this.#entries.compare(block, this.#index, this.#to);
    return this.#descending ? order < 0 : order >= 0;
  }

  /** Where the entry lies that is next. */
  #find(): void {
    const entries = this.#entries;
    const from = this.#from;
    const hasBegun = this.#countThen >= 0 && from === this.#here;
    this.#countThen = entries.count;
    if (from === null) {
      this.#block = this.#descending ? entries.blocks.length - 1 : 0;
      this.#index = this.#descending ? (entries.blocks[this.#block]?.count ?? 0) - 1 : 0;
      return;
    }
    this.#block = entries.blockOf(from);
    const block = entries.blocks[this.#block];
    if (block === undefined) return;
    const index = entries.indexIn(block, from);
    // The place of an entry is the entry itself: going on, it is behind us.
    this.#index = this.#descending ? index - 1 : index + Number(hasBegun);
  }
}

/** The place from which on entries are in a range. */
function lowerPlace({ lower }: ValueRange): Place | null {
  return lower === null ? null : new Place().at(lower.value, lower.inclusive ? NO_SLOT : LAST_SLOT);
}

/** The place from which on they are not any more. */
function upperPlace({ upper }: ValueRange): Place | null {
  return upper === null ? null : new Place().at(upper.value, upper.inclusive ? LAST_SLOT : NO_SLOT);
}

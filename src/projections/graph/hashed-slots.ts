/**
 * Slots by the hash of what they hold.
 *
 * Places are two Int32s each, in an open table that is at most ⅔ full, so that finding one slot under a hash of its own costs one cache miss:
 *
 *     int 0  hash      int 1  the only slot; negative: the last entry (negated) of several; 0: the place is free
 *
 * Entries of hashes with several slots are records of 8 bytes, chained from the last to the first:
 *
 *     int 0  slot      int 1  the entry before, or 0
 */

import { largeMemory } from "../../events/index.js";
import { Records } from "./records.js";
import { SlotSet } from "./slot-set.js";

const ENTRY_BYTES = 8;
const SLOT = 0;
const BEFORE = 1;
const PLACES_MIN = 1024;

export class HashedSlots {
  readonly #entries = new Records(ENTRY_BYTES);
  #places = placesOf(PLACES_MIN);
  /** How many places are taken: one for each hash. */
  #taken = 0;
  #count = 0;

  /** How often a slot came to a hash. */
  get entryCount(): number {
    return this.#count;
  }

  /** The slots that were entered under a hash, ascending and each once. */
  under(hash: number): readonly number[] {
    const held = this.#places[this.#placeOf(hash) + 1] as number;
    if (held >= 0) return held === 0 ? [] : [held];
    const entries = this.#entries;
    const slots: number[] = [];
    const seen = new SlotSet();
    for (let entry = -held; entry !== 0; entry = entries.int(entry, BEFORE)) {
      const slot = entries.int(entry, SLOT);
      if (seen.add(slot)) slots.push(slot);
    }
    return slots.sort((a, b) => a - b);
  }

  enter(slot: number, hash: number): void {
    const place = this.#placeOf(hash);
    const held = this.#places[place + 1] as number;
    // A node that is changed in another property holds this one as it did.
    if (held === slot || (held < 0 && this.#entries.int(-held, SLOT) === slot)) return;
    this.#count += 1;
    if (held !== 0) {
      const before = held < 0 ? -held : this.#addEntry(held, 0);
      this.#places[place + 1] = -this.#addEntry(slot, before);
      return;
    }
    this.#places[place] = hash;
    this.#places[place + 1] = slot;
    this.#taken += 1;
    if (this.#taken * 3 > this.#places.length) this.#grow();
  }

  #addEntry(slot: number, before: number): number {
    const entry = this.#entries.add();
    this.#entries.setInt(entry, SLOT, slot);
    this.#entries.setInt(entry, BEFORE, before);
    return entry;
  }

  #grow(): void {
    const smaller = this.#places;
    this.#places = placesOf(smaller.length);
    for (let place = 0; place < smaller.length; place += 2) {
      if (smaller[place + 1] === 0) continue;
      const moved = this.#placeOf(smaller[place] as number);
      this.#places[moved] = smaller[place] as number;
      this.#places[moved + 1] = smaller[place + 1] as number;
    }
  }

  /** Where a hash is, or the free place where it belongs. */
  #placeOf(hash: number): number {
    const places = this.#places;
    const mask = places.length - 1;
    let place = (hash << 1) & mask;
    while (places[place + 1] !== 0 && places[place] !== hash) place = (place + 2) & mask;
    return place;
  }
}

function placesOf(count: number): Int32Array {
  const { buffer, byteOffset } = largeMemory(count * 2 * Int32Array.BYTES_PER_ELEMENT);
  return new Int32Array(buffer, byteOffset, count * 2);
}

/** Of `bytes[start, end)`. FNV-1a, with the high bits mixed into those that are a place. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

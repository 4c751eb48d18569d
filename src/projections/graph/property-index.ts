/**
 * Finds the nodes that ever held a property of one value under one label.
 *
 * - An entry is a node's slot under the hash of the value's canonical bytes. It says "held it in some version": whether it holds it where a view
 *   stands, the view decides by looking, as it does for every node of a scan. So one index answers for all times. After a purge it is made anew.
 * - A node gets an entry each time the value comes to it, so it can have several.
 * - It lives in memory, beside the state and not in its checkpoint: it can be built again from what the nodes hold.
 *
 * Entries are records of 16 bytes, chained per place of an open table that doubles when there are as many of them as places:
 *
 *     int 0  slot      int 1  hash of the value      int 2  the entry before at this place, or 0
 */

import type { ContentArena } from "./content-arena.js";
import { IndexedProperty } from "./indexed-property.js";
import type { LabelTable } from "./label-table.js";
import { Records } from "./records.js";
import { SlotSet } from "./slot-set.js";

const ENTRY_BYTES = 16;
const SLOT = 0;
const HASH = 1;
const BEFORE = 2;
const PLACES_MIN = 1024;

export class PropertyIndex {
  readonly of: IndexedProperty;
  #entries = new Records(ENTRY_BYTES);
  #places = new Int32Array(PLACES_MIN);

  constructor(label: string, property: string) {
    this.of = new IndexedProperty(label, property, "equality");
  }

  get entryCount(): number {
    return this.#entries.length - 1;
  }

  /** Takes everything out. */
  clear(): void {
    this.#entries = new Records(ENTRY_BYTES);
    this.#places = new Int32Array(PLACES_MIN);
  }

  /** Enters what a node holds, if it bears the label and has the property. */
  note(slot: number, content: number, contents: ContentArena, labels: LabelTable): void {
    const held = this.of.heldIn(content, contents, labels);
    if (held !== null) this.#enter(slot, hashOf(held.bytes, held.valueStart, held.next));
  }

  /** The slots under which the value `bytes[start, end)` was entered, ascending and each once. Of another value of the same hash there can be some. */
  slotsOf(bytes: Uint8Array, start: number, end: number): readonly number[] {
    const hash = hashOf(bytes, start, end);
    const entries = this.#entries;
    const slots: number[] = [];
    let seen: SlotSet | null = null;
    for (let entry = this.#places[this.#placeOf(hash)] as number; entry !== 0; entry = entries.int(entry, BEFORE)) {
      if (entries.int(entry, HASH) !== hash) continue;
      const slot = entries.int(entry, SLOT);
      if (slots.length === 1) {
        seen = new SlotSet();
        seen.add(slots[0] as number);
      }
      if (seen === null || seen.add(slot)) slots.push(slot);
    }
    return slots.length > 1 ? slots.sort((a, b) => a - b) : slots;
  }

  #enter(slot: number, hash: number): void {
    const entries = this.#entries;
    const before = this.#places[this.#placeOf(hash)] as number;
    // A node that is changed in another property holds this one as it did.
    if (entries.int(before, SLOT) === slot && entries.int(before, HASH) === hash) return;
    const entry = entries.add();
    entries.setInt(entry, SLOT, slot);
    entries.setInt(entry, HASH, hash);
    this.#chain(entry);
    if (entries.length > this.#places.length) this.#grow();
  }

  #chain(entry: number): void {
    const place = this.#placeOf(this.#entries.int(entry, HASH));
    this.#entries.setInt(entry, BEFORE, this.#places[place] as number);
    this.#places[place] = entry;
  }

  #grow(): void {
    this.#places = new Int32Array(this.#places.length * 2);
    for (let entry = 1; entry < this.#entries.length; entry += 1) this.#chain(entry);
  }

  #placeOf(hash: number): number {
    return hash & (this.#places.length - 1);
  }
}

// FNV-1a, with the high bits mixed into those that are a place.
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

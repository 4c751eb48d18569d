/**
 * Ids to slots. A slot is the row of the entity's record, which holds the id; 0 is "none".
 *
 * Ids are any positive safe integers, but usually dense, for they are leased in blocks. So there are two parts:
 *
 * - `#dense[id]` holds the slot of every id that was at most about twice the number of ids when it was inserted;
 * - the others (ids of another system, hashes) are in an open hash table of slots, at most ⅔ full. It stores no keys: the
 *   records have them.
 *
 * Together that is 4 to 12 bytes per id, whatever the ids are.
 */

import { Int32Column } from "./column.js";
import type { Records } from "./records.js";

const DENSE_IDS_MIN = 1024;
const HASHED_IDS_MIN = 16;

export class IdIndex {
  readonly #records: Records;
  /** The double of the record that is the id. */
  readonly #id: number;
  readonly #dense = new Int32Column();
  #hashed = new Int32Array(0);
  #hashedCount = 0;
  /** Ids up to this one are their own slots, as they are where ids are given in their order: no table is asked. Not known of what was restored. */
  #inOrder = 0;

  constructor(records: Records, id: number) {
    this.#records = records;
    this.#id = id;
  }

  /** The slot of an id, or 0. */
  slotOf(id: number): number {
    if (id <= this.#inOrder) return id;
    if (id < this.#dense.length) {
      const slot = this.#dense.get(id);
      if (slot !== 0) return slot;
    }
    return this.#hashedCount === 0 ? 0 : (this.#hashed[this.#place(id)] as number);
  }

  /** What is saved of it; the hashed ids are found again in the records. */
  get dense(): Int32Column {
    return this.#dense;
  }

  get hashedCount(): number {
    return this.#hashedCount;
  }

  /** Once `dense` and the records are restored: enters the ids that are not in there, of which there are so many. */
  resume(hashedCount: number): void {
    for (let slot = 1; this.#hashedCount < hashedCount && slot < this.#records.length; slot += 1) {
      const id = this.#records.double(slot, this.#id);
      if (id >= this.#dense.length || this.#dense.get(id) !== slot) this.#insertHashed(id, slot);
    }
  }

  /** Enters the id of a new record. Slots are entered in their order. */
  insert(slot: number): void {
    const id = this.#records.double(slot, this.#id);
    if (id === slot && this.#inOrder === slot - 1) this.#inOrder = slot;
    if (id > 2 * slot + DENSE_IDS_MIN) {
      this.#insertHashed(id, slot);
      return;
    }
    while (this.#dense.length <= id) this.#dense.push(0);
    this.#dense.set(id, slot);
  }

  #insertHashed(id: number, slot: number): void {
    if (this.#hashedCount * 3 >= this.#hashed.length * 2) this.#growHashed();
    this.#hashed[this.#place(id)] = slot;
    this.#hashedCount += 1;
  }

  #growHashed(): void {
    const smaller = this.#hashed;
    this.#hashed = new Int32Array(Math.max(HASHED_IDS_MIN, smaller.length * 2));
    for (const slot of smaller) {
      if (slot !== 0) this.#hashed[this.#place(this.#records.double(slot, this.#id))] = slot;
    }
  }

  /** Where the id is in the hash table, or the free place where it belongs. */
  #place(id: number): number {
    const mask = this.#hashed.length - 1;
    let place = hashOf(id) & mask;
    for (;;) {
      const slot = this.#hashed[place] as number;
      if (slot === 0 || this.#records.double(slot, this.#id) === id) return place;
      place = (place + 1) & mask;
    }
  }
}

// Every bit of the id reaches the low bits: ids of other systems often differ only in their high ones. The constants and
// shifts are those of MurmurHash3's finaliser.
function hashOf(id: number): number {
  let hash = id ^ Math.imul(Math.floor(id / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/**
 * An index of the vectors that nodes of one label ever held in one property.
 *
 * - An entry says "this node held this vector in some version", as those of property-index.ts do: whether it holds it where a view stands, the view
 *   decides by looking. So one index answers for all times, and what a correction replaces stays in it. Only a purge takes entries out.
 * - The index of the peer has the entries' numbers for keys. An entry itself knows its node's slot and a hash of its vector of 64 bits: of the
 *   vectors the nodes have the only other copy.
 * - Entries go into the peer's index in batches; those that are not there yet are looked at one by one.
 * - It is no part of the state: it can be built again from what the nodes hold, and is believed only where they hold it.
 *
 * Entries are records of 16 bytes:
 *
 *     int 0  slot, 0 for one that a purge has taken out      int 1, 2  hash      int 3  the entry before of the same node, or 0
 */

import type { GraphTables } from "./graph-tables.js";
import { Records } from "./records.js";
import type { DefinedVectors } from "./vector-definition.js";
import type { PeerIndex } from "./vector-peer.js";
import { VectorProperty } from "./vector-property.js";

export const VECTOR_ENTRY_BYTES = 16;
const SLOT = 0;
const HASH = 1;
const BEFORE = 3;
/** So many go in at once: a few milliseconds for the largest vectors that are usual. */
export const VECTOR_BATCH = 32;

export class VectorIndex {
  readonly definition: DefinedVectors;
  readonly entries: Records;
  readonly #peer: PeerIndex;
  readonly #threads: number;
  readonly #property: VectorProperty;
  readonly #pending: Float32Array;
  #pendingCount = 0;
  /** By a node's slot: its last entry. */
  #lastOf = new Int32Array(1024);
  /** The label's number, −1 while nothing bears it. */
  #label = -1;
  #liveCount = 0;
  /** How often it has changed, so that a saved one is not saved again. */
  changeCount = 0;
  /** Nodes up to this slot are in it; it is used when that is all of them. */
  builtThrough = 0;
  isComplete = false;

  /** Gets entries whose vectors are in the peer's index already, or none. */
  constructor(
    definition: DefinedVectors,
    peer: PeerIndex,
    threads: number,
    entries: Records = new Records(VECTOR_ENTRY_BYTES),
  ) {
    this.definition = definition;
    this.#peer = peer;
    this.#threads = threads;
    this.entries = entries;
    this.#property = new VectorProperty(definition.property, definition.dimensions);
    this.#pending = new Float32Array(VECTOR_BATCH * definition.dimensions);
    for (let entry = 1; entry < entries.length; entry += 1) {
      const slot = entries.int(entry, SLOT);
      if (slot === 0) continue;
      entries.setInt(entry, BEFORE, this.#lastEntryOf(slot));
      this.#setLastEntry(slot, entry);
      this.#liveCount += 1;
    }
  }

  /** How many different vectors of nodes are in it. */
  get count(): number {
    return this.#liveCount;
  }

  /** Enters what a node holds, if it bears the label and has a vector. What the peer throws passes. */
  note(slot: number, content: number, { contents, labels }: GraphTables): void {
    contents.open(content);
    if (contents.label !== this.#label) {
      if (this.#label >= 0 || labels.name(contents.label) !== this.definition.label) return;
      this.#label = contents.label;
    }
    if (!this.#property.isIn(contents)) return;
    const { vector } = this.#property;
    hashVector(vector);
    const { entries } = this;
    const before = this.#lastEntryOf(slot);
    for (let entry = before; entry !== 0; entry = entries.int(entry, BEFORE)) if (this.#hasHash(entry)) return;
    const entry = entries.add();
    entries.setInt(entry, SLOT, slot);
    entries.setInt(entry, HASH, hashes[0] as number);
    entries.setInt(entry, HASH + 1, hashes[1] as number);
    entries.setInt(entry, BEFORE, before);
    this.#setLastEntry(slot, entry);
    this.#liveCount += 1;
    this.changeCount += 1;
    this.#pending.set(vector, this.#pendingCount * vector.length);
    this.#pendingCount += 1;
    if (this.#pendingCount === VECTOR_BATCH) this.flush();
  }

  /** Puts what waits into the peer's index. */
  flush(): void {
    const count = this.#pendingCount;
    if (count === 0) return;
    this.#pendingCount = 0;
    const keys = new BigUint64Array(count);
    const first = this.entries.length - count;
    for (let index = 0; index < count; index += 1) keys[index] = BigInt(first + index);
    this.#peer.add(keys, this.#pending.subarray(0, count * this.definition.dimensions), this.#threads);
  }

  /** Takes out the entries that no version of their node bears out. */
  dropStale({ nodes, contents, labels }: GraphTables): void {
    this.flush();
    const { entries } = this;
    const dropped: bigint[] = [];
    const label = labels.numberOf(this.definition.label);
    for (let entry = 1; entry < entries.length; entry += 1) {
      const slot = entries.int(entry, SLOT);
      if (slot === 0) continue;
      let isHeld = false;
      if (slot < nodes.records.length) {
        for (const row of nodes.timelines.rows(slot)) {
          contents.open(nodes.timelines.content(slot, row));
          isHeld = contents.label === label && this.#property.isIn(contents) && this.isOf(entry, this.#property.vector);
          if (isHeld) break;
        }
      }
      if (isHeld) continue;
      entries.setInt(entry, SLOT, 0);
      dropped.push(BigInt(entry));
    }
    if (dropped.length === 0) return;
    this.#peer.remove(BigUint64Array.from(dropped));
    this.#liveCount -= dropped.length;
    this.changeCount += 1;
    this.#lastOf.fill(0);
    for (let entry = 1; entry < entries.length; entry += 1) {
      const slot = entries.int(entry, SLOT);
      if (slot === 0) continue;
      entries.setInt(entry, BEFORE, this.#lastEntryOf(slot));
      this.#setLastEntry(slot, entry);
    }
  }

  /** The entries nearest to a vector as far as the peer finds them, and those that wait. */
  search(vector: Float32Array, count: number): number[] {
    const inPeer = this.entries.length - 1 - this.#pendingCount;
    const found: number[] = [];
    if (inPeer > 0) {
      for (const key of this.#peer.search(vector, Math.min(count, inPeer), 1).keys) {
        // What the peer has no entry for it answers by its largest number.
        const entry = Number(key);
        if (entry >= 1 && entry <= inPeer) found.push(entry);
      }
    }
    for (let entry = inPeer + 1; entry < this.entries.length; entry += 1) found.push(entry);
    return found;
  }

  slotOf(entry: number): number {
    return this.entries.int(entry, SLOT);
  }

  /** Whether the entry is of this vector. */
  isOf(entry: number, vector: Float32Array): boolean {
    hashVector(vector);
    return this.#hasHash(entry);
  }

  /** Writes the peer's index to a file; all entries are in it. */
  saveTo(path: string): void {
    this.flush();
    this.#peer.save(path);
  }

  #hasHash(entry: number): boolean {
    return this.entries.int(entry, HASH) === hashes[0] && this.entries.int(entry, HASH + 1) === hashes[1];
  }

  #lastEntryOf(slot: number): number {
    return this.#lastOf[slot] ?? 0;
  }

  #setLastEntry(slot: number, entry: number): void {
    if (slot >= this.#lastOf.length) {
      const longer = new Int32Array(Math.max(this.#lastOf.length * 2, slot + 1));
      longer.set(this.#lastOf);
      this.#lastOf = longer;
    }
    this.#lastOf[slot] = entry;
  }
}

const hashes = new Int32Array(2);

// Two multiplicative hashes of the words, mixed at the end: equal vectors are equal bits.
function hashVector(vector: Float32Array): void {
  const words = new Int32Array(vector.buffer, vector.byteOffset, vector.length);
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as number;
    a = Math.imul(a ^ word, 0x01000193);
    a ^= a >>> 15;
    b = Math.imul(b + word, 0x85ebca6b);
    b ^= b >>> 13;
  }
  hashes[0] = Math.imul(a ^ (b >>> 16), 0xc2b2ae35);
  hashes[1] = Math.imul(b ^ (a >>> 16), 0x27d4eb2f);
}

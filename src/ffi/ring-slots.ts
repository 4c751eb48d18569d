/**
 * What a ring has with the kernel: each operation in a slot of its own, whose number travels in the completion's user data. An operation
 * takes one entry of the ring, a published write up to three; entries are bounded, slots follow from that.
 */

import { assert } from "../assert.js";
import { MAILBOX_BYTES, type Publication } from "./publication.js";
import type { Completion } from "./ring.js";
import { type Entry, PART_MAILBOX } from "./sqe.js";

export interface Operation {
  readonly entry: Entry;
  /** Of a published write: it ends when both the write and the copying of the mailbox have completed. */
  readonly publication: Publication | null;
  readonly isSleep: boolean;
  readonly entryCount: number;
  readonly completion: Completion;
}

export class RingSlots {
  readonly #operations: (Operation | null)[];
  readonly #free: Uint32Array;
  #freeCount: number;
  #freeEntryCount: number;
  readonly #partsLeft: Uint8Array;
  readonly #results: Int32Array;
  readonly #mailboxResults: Int32Array;

  constructor(entryCountMax: number) {
    this.#operations = new Array<Operation | null>(entryCountMax).fill(null);
    this.#free = Uint32Array.from({ length: entryCountMax }, (_, slot) => slot);
    this.#freeCount = entryCountMax;
    this.#freeEntryCount = entryCountMax;
    this.#partsLeft = new Uint8Array(entryCountMax);
    this.#results = new Int32Array(entryCountMax);
    this.#mailboxResults = new Int32Array(entryCountMax);
  }

  hasRoomFor(operation: Operation): boolean {
    return operation.entryCount <= this.#freeEntryCount;
  }

  /** Gives the operation a slot. */
  put(operation: Operation): number {
    this.#freeEntryCount -= operation.entryCount;
    const slot = this.#free[--this.#freeCount] as number;
    this.#operations[slot] = operation;
    this.#partsLeft[slot] = operation.publication === null ? 1 : 2;
    return slot;
  }

  /** One part of the operation in that slot has completed. Whether that was the last. */
  settle(slot: number, part: number, result: number): boolean {
    assert((this.#operations[slot] ?? null) !== null, `completion for idle slot ${slot}`);
    const results = part === PART_MAILBOX ? this.#mailboxResults : this.#results;
    results[slot] = result;
    this.#partsLeft[slot] = (this.#partsLeft[slot] as number) - 1;
    return this.#partsLeft[slot] === 0;
  }

  /** How the settled operation ended. */
  resultOf(slot: number): number {
    return this.#results[slot] as number;
  }

  /** Whether the settled operation is a durable write that the kernel should have published and has not. */
  isUnpublished(slot: number): boolean {
    const { publication, entry } = this.#operations[slot] as Operation;
    if (publication === null || this.#results[slot] !== entry.length) return false;
    return this.#mailboxResults[slot] !== MAILBOX_BYTES;
  }

  /** Takes the settled operation out. */
  release(slot: number): Operation {
    const operation = this.#operations[slot] as Operation;
    this.#operations[slot] = null;
    this.#free[this.#freeCount++] = slot;
    this.#freeEntryCount += operation.entryCount;
    return operation;
  }

  sleepingSlots(): number[] {
    return [...this.#operations.keys()].filter((slot) => this.#operations[slot]?.isSleep === true);
  }

  /** Takes everything out, for good. */
  abandon(): Operation[] {
    const left = this.#operations.filter((operation) => operation !== null);
    this.#operations.fill(null);
    return left;
  }
}

/**
 * Finds the nodes that ever held a property of one value under one label.
 *
 * - An entry is a node's slot under the hash of the value's canonical bytes. It says "held it in some version": whether it holds it where a view
 *   stands, the view decides by looking, as it does for every node of a scan. So one index answers for all times. After a purge it is made anew.
 * - A node gets an entry each time the value comes to it, so it can have several.
 * - It lives in memory, beside the state and not in its checkpoint: it can be built again from what the nodes hold.
 */

import type { ContentArena } from "./content-arena.js";
import { HashedSlots, hashOf } from "./hashed-slots.js";
import { IndexedProperty } from "./indexed-property.js";
import type { LabelTable } from "./label-table.js";

export class PropertyIndex {
  readonly of: IndexedProperty;
  #slots = new HashedSlots();

  constructor(label: string, property: string) {
    this.of = new IndexedProperty(label, property, "equality");
  }

  get entryCount(): number {
    return this.#slots.entryCount;
  }

  /** Takes everything out. */
  clear(): void {
    this.#slots = new HashedSlots();
  }

  /** Enters what a node holds, if it bears the label and has the property. */
  note(slot: number, content: number, contents: ContentArena, labels: LabelTable): void {
    const held = this.of.heldIn(content, contents, labels);
    if (held !== null) this.#slots.enter(slot, hashOf(held.bytes, held.valueStart, held.next));
  }

  /** The slots under which the value `bytes[start, end)` was entered, ascending and each once. Of another value of the same hash there can be some. */
  slotsOf(bytes: Uint8Array, start: number, end: number): readonly number[] {
    return this.#slots.under(hashOf(bytes, start, end));
  }
}

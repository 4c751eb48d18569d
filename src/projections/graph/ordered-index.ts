/**
 * Finds the nodes that ever held a property in a range of values under one label, in the order of the values.
 *
 * - An entry is a value and the slot of a node that held it in some version: each once, so that a view, which decides whether the node holds just that
 *   value where it stands, comes to each node once. So one index answers for all times. After a purge it is made anew.
 * - It lives in memory, beside the state and not in its checkpoint: it can be built again from what the nodes hold.
 *
 * Entries of each kind of values lie by themselves (sorted-entries.ts).
 */

import type { ContentArena } from "./content-arena.js";
import { IndexedProperty } from "./indexed-property.js";
import type { LabelTable } from "./label-table.js";
import { SlotSet } from "./slot-set.js";
import { type EntryWalk, SortedEntries } from "./sorted-entries.js";
import { OrderedValue, TEXT_KIND, VALUE_KINDS } from "./value-order.js";
import type { ValueRange } from "./value-range.js";

const held = new OrderedValue();

export class OrderedIndex {
  readonly of: IndexedProperty;
  #kinds = emptyKinds();

  constructor(label: string, property: string) {
    this.of = new IndexedProperty(label, property, "range");
  }

  get entryCount(): number {
    return this.#kinds.reduce((sum, { count }) => sum + count, 0);
  }

  /** Takes everything out. A walk that was left lying goes on over what there was. */
  clear(): void {
    this.#kinds = emptyKinds();
  }

  /** Enters what a node holds, if it bears the label and has the property. */
  note(slot: number, content: number, contents: ContentArena, labels: LabelTable): void {
    const property = this.of.heldIn(content, contents, labels);
    if (property === null) return;
    held.read(property.bytes, property.valueStart, property.next);
    this.#entriesOf(held.kind).insert(held, slot);
  }

  /** The slots that were entered in a range, ascending and each once; null when they are more than so many entries. */
  slotsIn(range: ValueRange, entryCountMax: number): readonly number[] | null {
    const entries = this.#entriesOf(range.kind);
    if (entries.hasMoreThan(entryCountMax, range)) return null;
    const slots: number[] = [];
    const seen = new SlotSet();
    for (const walk = entries.walk(range, false); walk.next(); ) if (seen.add(walk.slot)) slots.push(walk.slot);
    return slots.sort((a, b) => a - b);
  }

  /** Walks that give, one after the other, all entries or those of a range in their order. */
  *walks(range: ValueRange | null, descending: boolean): Generator<[EntryWalk, kind: number], void, undefined> {
    for (let index = 0; index < VALUE_KINDS.length; index += 1) {
      const kind = descending ? VALUE_KINDS.length - 1 - index : index;
      if (range === null || range.kind === kind) yield [this.#entriesOf(kind).walk(range, descending), kind];
    }
  }

  #entriesOf(kind: number): SortedEntries {
    return this.#kinds[kind] as SortedEntries; // `as`: one for each kind
  }
}

function emptyKinds(): readonly SortedEntries[] {
  return VALUE_KINDS.map((_, kind) => new SortedEntries(kind >= TEXT_KIND));
}

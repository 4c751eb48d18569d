/** The indexes of a graph, kept in step with what is written. */

import type { GraphTables } from "./graph-tables.js";
import { PropertyIndex } from "./property-index.js";
import type { PropertyMatch } from "./property-match.js";

export class PropertyIndexes {
  readonly #all: PropertyIndex[] = [];

  /** The index, which may have to be built yet. */
  of(label: string, property: string): PropertyIndex {
    let index = this.#all.find((each) => each.label === label && each.property === property);
    if (index === undefined) {
      index = new PropertyIndex(label, property);
      this.#all.push(index);
    }
    return index;
  }

  /** Must be told of every content that a node gets. */
  note(slot: number, content: number, { contents, labels }: GraphTables): void {
    for (const index of this.#all) {
      if (slot <= index.builtThrough || index.isComplete) index.note(slot, content, contents, labels);
    }
  }

  /** Enters some more nodes that were there before the index was; true when that was the last of them. */
  build(index: PropertyIndex, tables: GraphTables, slotCountMax: number): boolean {
    const { records, timelines } = tables.nodes;
    const end = Math.min(records.length, index.builtThrough + 1 + slotCountMax);
    for (let slot = index.builtThrough + 1; slot < end; slot += 1) {
      for (const row of timelines.rows(slot))
        index.note(slot, timelines.content(slot, row), tables.contents, tables.labels);
    }
    index.builtThrough = end - 1;
    index.isComplete = end === records.length;
    return index.isComplete;
  }

  /** The slots that can hold what is asked for, ascending; null when no index says. */
  candidates(label: string, match: PropertyMatch): readonly number[] | null {
    for (const index of this.#all) {
      if (!index.isComplete || index.label !== label) continue;
      const value = match.valueOf(index.key);
      if (value !== null) return index.slotsOf(value.bytes, value.valueStart, value.next);
    }
    return null;
  }
}

/** The indexes of a graph, kept in step with what is written. */

import type { GraphTables } from "./graph-tables.js";
import type { IndexDefinition } from "./indexed-property.js";
import { OrderedIndex } from "./ordered-index.js";
import { PropertyIndex } from "./property-index.js";
import type { PropertyMatch } from "./property-match.js";
import { CONTENT } from "./timelines.js";
import { OrderedValue } from "./value-order.js";
import { ValueRange } from "./value-range.js";

/** An index of either kind. */
export type NodeIndex = PropertyIndex | OrderedIndex;

/** Of all nodes with a label, or of a few nodes: that many entries are looked up rather than going over all of them. */
const LOOKED_UP_SHARE = 4;
const LOOKED_UP_MIN = 1024;

/** Enters what lies in files, page by page. Where that cannot be read, the index has what is in memory: that is enough for constraints, and no others ask then. */
function noteHistory(index: NodeIndex, { history, contents, labels }: GraphTables): void {
  const { nodes } = history;
  try {
    nodes.eachAfter(0, (table, at, slot, row) => {
      const content = table.int(at, CONTENT);
      index.note(slot, content < 0 ? content : nodes.contentOf(row), contents, labels);
    });
  } catch (error) {
    if (!history.isLost) throw error;
  }
}

export class PropertyIndexes {
  readonly #equality: PropertyIndex[] = [];
  readonly #ordered: OrderedIndex[] = [];

  get isEmpty(): boolean {
    return this.#equality.length === 0 && this.#ordered.length === 0;
  }

  /** The index, which may have to be built yet. */
  of({ label, property, kind = "equality" }: IndexDefinition): NodeIndex {
    const all: readonly NodeIndex[] = kind === "range" ? this.#ordered : this.#equality;
    const known = all.find(({ of }) => of.label === label && of.property === property);
    if (known !== undefined) return known;
    if (kind === "range") {
      const ordered = new OrderedIndex(label, property);
      this.#ordered.push(ordered);
      return ordered;
    }
    return this.equality(label, property);
  }

  /** The index that finds nodes by one value, which may have to be built yet. */
  equality(label: string, property: string): PropertyIndex {
    const known = this.#equality.find(({ of }) => of.label === label && of.property === property);
    if (known !== undefined) return known;
    const equality = new PropertyIndex(label, property);
    this.#equality.push(equality);
    return equality;
  }

  /** Must be told of every content that a node gets. */
  note(slot: number, content: number, { contents, labels }: GraphTables): void {
    for (const index of this.#equality) {
      if (slot <= index.of.builtThrough || index.of.isComplete) index.note(slot, content, contents, labels);
    }
    for (const index of this.#ordered) {
      if (slot <= index.of.builtThrough || index.of.isComplete) index.note(slot, content, contents, labels);
    }
  }

  /** Enters some more nodes that were there before the index was; true when that was the last of them. */
  build(index: NodeIndex, tables: GraphTables, slotCountMax: number): boolean {
    const { records, timelines } = tables.nodes;
    const { of } = index;
    const end = Math.min(records.length, of.builtThrough + 1 + slotCountMax);
    for (let slot = of.builtThrough + 1; slot < end; slot += 1) {
      for (const row of timelines.rowsInMemory(slot))
        index.note(slot, timelines.content(slot, row), tables.contents, tables.labels);
    }
    of.builtThrough = end - 1;
    if (end === records.length) noteHistory(index, tables);
    of.isComplete = end === records.length;
    return of.isComplete;
  }

  /** A purge took versions away: what only they held goes out of the indexes. One that is being built begins again. */
  dropStale(tables: GraphTables): void {
    for (const index of [...this.#equality, ...this.#ordered]) {
      const { isComplete } = index.of;
      index.clear();
      index.of.builtThrough = 0;
      index.of.isComplete = false;
      if (isComplete) this.build(index, tables, Number.POSITIVE_INFINITY);
    }
  }

  /** The slots that can hold the values that are asked for, ascending; null when no index says. */
  candidates(label: string, match: PropertyMatch): readonly number[] | null {
    for (const index of this.#equality) {
      if (!index.of.isComplete || index.of.label !== label) continue;
      const value = match.valueOf(index.of.key);
      if (value !== null) return index.slotsOf(value.bytes, value.valueStart, value.next);
    }
    for (const index of this.#ordered) {
      if (!index.of.isComplete || index.of.label !== label) continue;
      const value = match.valueOf(index.of.key);
      if (value === null) continue;
      const one = ValueRange.of(new OrderedValue().read(value.bytes, value.valueStart, value.next));
      return index.slotsIn(one, Number.POSITIVE_INFINITY);
    }
    return null;
  }

  /**
   * The slots that can hold a value in one of the ranges, ascending; null when no index says, or they are so many of the `labelled` ones that
   * looking at all of those is no slower.
   */
  candidatesIn(label: string, ranges: ReadonlyMap<string, ValueRange>, labelled: number): readonly number[] | null {
    const entryCountMax = Math.max(LOOKED_UP_MIN, labelled / LOOKED_UP_SHARE);
    for (const index of this.#ordered) {
      const range = ranges.get(index.of.property);
      if (range === undefined || !index.of.isComplete || index.of.label !== label) continue;
      const slots = index.slotsIn(range, entryCountMax);
      if (slots !== null) return slots;
    }
    return null;
  }

  /** The index that has the order of a property, or null. */
  inOrderOf(label: string, property: string): OrderedIndex | null {
    return this.#ordered.find(({ of }) => of.isComplete && of.label === label && of.property === property) ?? null;
  }
}

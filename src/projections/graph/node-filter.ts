/** Which nodes a query means: by label, by properties that are equal and by ranges of properties. Nothing is decoded to find out. */

import { checkRecord } from "./graph-input.js";
import type { GraphTables } from "./graph-tables.js";
import type { PropertyValue } from "./property.js";
import { PropertyCursor } from "./property-cursor.js";
import { PropertyMatch } from "./property-match.js";
import { OrderedValue } from "./value-order.js";
import { isRange, type PropertyRange, type ValueRange, valueRangeOf } from "./value-range.js";

/** What is wanted of properties: exactly a value, or one in a range. */
export type PropertyConditions = Readonly<Record<string, PropertyValue | PropertyRange>>;

export interface NodeQuery {
  /** Only nodes with this label. */
  readonly label?: string;
  /** Only nodes that have all of these properties: with exactly this value, or with one in this range. */
  readonly where?: PropertyConditions;
}

// Most filters have none: nothing is made for them.
const NO_RANGES: ReadonlyMap<string, ValueRange> = new Map();
const NO_KEYS: readonly Uint8Array[] = [];

const cursor = new PropertyCursor();
const value = new OrderedValue();

export class NodeFilter {
  /** A label's number; null: any, −1: one that nothing ever bore. */
  readonly label: number | null;
  readonly labelName: string | undefined;
  /** By property. */
  readonly ranges: ReadonlyMap<string, ValueRange>;
  readonly #tables: GraphTables;
  readonly #match: PropertyMatch | null;
  readonly #rangeKeys: readonly Uint8Array[];

  /**
   * Throws TypeError for what is no label and for a bound that is none, ERR_GRAPH_INVALID_RANGE for what is no range, and what writing such properties
   * would throw.
   */
  constructor(tables: GraphTables, { label, where }: NodeQuery) {
    this.#tables = tables;
    this.label = tables.labels.wanted(label);
    this.labelName = label;
    const hasRanges = where !== undefined && Object.values(checkRecord("where", where)).some(isRange);
    const { equal, ranges } = hasRanges ? separated(where) : { equal: where, ranges: NO_RANGES };
    this.ranges = ranges;
    this.#rangeKeys = hasRanges ? Array.from(ranges.keys(), (key) => Buffer.from(key)) : NO_KEYS;
    this.#match = equal === undefined ? null : new PropertyMatch(equal);
  }

  /** The slots among which an index says that all of them are, in the order of creation; null: no index says anything. */
  candidates(): readonly number[] | null {
    const { labelName, label, ranges } = this;
    const { indexes, labelled, history } = this.#tables;
    if (labelName === undefined || label === null || history.isLost) return null;
    const equal = this.#match === null ? null : indexes.candidates(labelName, this.#match);
    if (equal !== null || ranges.size === 0) return equal;
    return indexes.candidatesIn(labelName, ranges, labelled[label]?.length ?? 0);
  }

  /** Whether an index says which nodes have an equal value: then they are few. */
  equalCandidates(): readonly number[] | null {
    if (this.labelName === undefined || this.#match === null || this.#tables.history.isLost) return null;
    return this.#tables.indexes.candidates(this.labelName, this.#match);
  }

  /** Whether the node is one of them over the rectangle that is its row. */
  holds(slot: number, row: number): boolean {
    if (this.label === null && this.#match === null) return true;
    return this.holdsContent(this.#tables.nodes.timelines.content(slot, row));
  }

  /** The same, for what it holds. */
  holdsContent(content: number): boolean {
    const { contents } = this.#tables;
    contents.open(content);
    if (this.label !== null && contents.label !== this.label) return false;
    const { bytes, start, end } = contents;
    if (this.#match === null) return true;
    if (!this.#match.holds(bytes, start, end)) return false;
    return this.#rangeKeys.length === 0 || this.#isInRanges(bytes, start, end);
  }

  #isInRanges(bytes: Uint8Array, start: number, end: number): boolean {
    let at = 0;
    for (const range of this.ranges.values()) {
      const key = this.#rangeKeys[at++] as Uint8Array;
      cursor.open(bytes, start, end);
      if (!cursor.find(key, 0, key.length)) return false;
      if (!range.has(value.read(bytes, cursor.valueStart, cursor.next))) return false;
    }
    return true;
  }
}

/** The properties that are to be equal, and the others as ranges. */
function separated(where: PropertyConditions): { equal: unknown; ranges: ReadonlyMap<string, ValueRange> } {
  // Keys are the caller's, `__proto__` among them.
  const equal: Record<string, unknown> = Object.create(null);
  const ranges = new Map<string, ValueRange>();
  for (const [key, wanted] of Object.entries(where)) {
    if (isRange(wanted)) ranges.set(key, valueRangeOf(key, wanted));
    else equal[key] = wanted;
  }
  return { equal, ranges };
}

/** Which nodes a query means: by label and by properties that are equal. Nothing is decoded to find out. */

import type { GraphTables } from "./graph-tables.js";
import type { Properties } from "./property.js";
import { PropertyMatch } from "./property-match.js";

export interface NodeQuery {
  /** Only nodes with this label. */
  readonly label?: string;
  /** Only nodes that have all of these properties, with exactly these values. */
  readonly where?: Readonly<Properties>;
}

export class NodeFilter {
  /** A label's number; null: any, −1: one that nothing ever bore. */
  readonly label: number | null;
  readonly #tables: GraphTables;
  readonly #match: PropertyMatch | null;
  readonly #labelName: string | undefined;

  /** Throws TypeError for what is no label, and what writing such properties would throw. */
  constructor(tables: GraphTables, { label, where }: NodeQuery) {
    this.#tables = tables;
    this.label = tables.labels.wanted(label);
    this.#labelName = label;
    this.#match = where === undefined ? null : new PropertyMatch(where);
  }

  /** The slots among which an index says that all of them are, in the order of creation; null: no index says anything. */
  candidates(): readonly number[] | null {
    if (this.#labelName === undefined || this.#match === null) return null;
    return this.#tables.indexes.candidates(this.#labelName, this.#match);
  }

  /** Whether the node is one of them over the rectangle that is its row. */
  holds(slot: number, row: number): boolean {
    if (this.label === null && this.#match === null) return true;
    const { nodes, contents } = this.#tables;
    contents.open(nodes.timelines.content(slot, row));
    if (this.label !== null && contents.label !== this.label) return false;
    return this.#match === null || this.#match.holds(contents.bytes, contents.start, contents.end);
  }
}

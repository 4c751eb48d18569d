/** What every index of a property knows: which nodes it is about, and how far it is built. */

import type { ContentArena } from "./content-arena.js";
import type { LabelTable } from "./label-table.js";
import { PropertyCursor } from "./property-cursor.js";

/** What an index can be asked: values that are equal, or those in a range and in their order. */
export const INDEX_KINDS = ["equality", "range"] as const;
export type IndexKind = (typeof INDEX_KINDS)[number];

/** What `graph.index` keeps. */
export interface IndexDefinition {
  /** Of the nodes. */
  readonly label: string;
  readonly property: string;
  /** "equality" (the default) finds nodes by a value; "range" by a range of values too, and in their order. */
  readonly kind?: IndexKind;
}

const cursor = new PropertyCursor();

export class IndexedProperty {
  readonly label: string;
  readonly property: string;
  readonly kind: IndexKind;
  /** The property's name as it stands in what nodes hold. */
  readonly key: Uint8Array;
  /** Nodes up to this slot are in the index; it is used when that is all of them. */
  builtThrough = 0;
  isComplete = false;
  /** The label's number, −1 while nothing bears it. */
  #label = -1;

  constructor(label: string, property: string, kind: IndexKind) {
    this.label = label;
    this.property = property;
    this.kind = kind;
    this.key = Buffer.from(property);
  }

  /** The property in a content, if it is there and the label is the one; valid until the next call. */
  heldIn(content: number, contents: ContentArena, labels: LabelTable): PropertyCursor | null {
    contents.open(content);
    if (contents.label !== this.#label) {
      if (this.#label >= 0 || labels.name(contents.label) !== this.label) return null;
      this.#label = contents.label;
    }
    cursor.open(contents.bytes, contents.start, contents.end);
    return cursor.find(this.key, 0, this.key.length) ? cursor : null;
  }
}

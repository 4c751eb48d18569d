/**
 * Finds the nodes or edges that ever held values of several properties together, or edges that held one: what unique constraints ask.
 *
 * As the indexes that `find` uses, but by the hash of all values, and without entries for what lacks one of them. Built when a constraint first asks.
 */

import type { ConstraintTarget } from "./constraint-events.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { HashedSlots, hashOf } from "./hashed-slots.js";
import { type KeyValue, valueIn } from "./key-holders.js";

class KeyIndex {
  readonly entity: EntityKind;
  readonly label: string;
  readonly properties: readonly string[];
  readonly #keys: readonly Uint8Array[];
  readonly #slots = new HashedSlots();

  constructor({ entity, label, properties }: ConstraintTarget) {
    this.entity = entity;
    this.label = label;
    this.properties = properties;
    this.#keys = properties.map((property) => Buffer.from(property));
  }

  note(slot: number, content: number, { contents, labels }: GraphTables): void {
    contents.open(content);
    const { bytes, start, end, label } = contents;
    if (labels.name(label) !== this.label) return;
    let hash = 0;
    for (const key of this.#keys) {
      const value = valueIn(bytes, start, end, key);
      if (value === null) return;
      hash = mixed(hash, value);
    }
    this.#slots.enter(slot, hash);
  }

  slotsOf(values: readonly KeyValue[]): readonly number[] {
    return this.#slots.under(values.reduce(mixed, 0));
  }
}

function mixed(hash: number, { bytes, start, end }: KeyValue): number {
  return (Math.imul(hash, 31) + hashOf(bytes, start, end)) | 0;
}

export class KeyIndexes {
  readonly #all: KeyIndex[] = [];

  /** Must be told of every content that a node or an edge gets. */
  note(entity: EntityKind, slot: number, content: number, tables: GraphTables): void {
    for (const index of this.#all) if (index.entity === entity) index.note(slot, content, tables);
  }

  /** The slots that can hold the values, one of each property, ascending. */
  slotsOf(tables: GraphTables, target: ConstraintTarget, values: readonly KeyValue[]): readonly number[] {
    const { entity, label, properties } = target;
    const known = this.#all.find(
      (each) =>
        each.entity === entity &&
        each.label === label &&
        each.properties.length === properties.length &&
        each.properties.every((property, at) => property === properties[at]),
    );
    return (known ?? this.#built(target, tables)).slotsOf(values);
  }

  #built(target: ConstraintTarget, tables: GraphTables): KeyIndex {
    const index = new KeyIndex(target);
    this.#all.push(index);
    const { records, timelines } = tables.of(target.entity);
    // What is no more in force can come again only by being written, which is noted.
    for (let slot = 1; slot < records.length; slot += 1) {
      for (const row of timelines.liveRows(slot)) index.note(slot, timelines.content(slot, row), tables);
    }
    return index;
  }
}

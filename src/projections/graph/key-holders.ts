/** Which nodes or edges hold values of properties under a label, somewhere in a period, as of the last LSN. */

import { assert } from "../../assert.js";
import type { ConstraintTarget } from "./constraint-events.js";
import type { GraphTables } from "./graph-tables.js";
import type { Period } from "./period.js";
import { NULL_TAG } from "./property.js";
import { PropertyCursor, sameBytesAt } from "./property-cursor.js";

const held = new PropertyCursor();

/** A property's value: canonical bytes `bytes[start, end)`. */
export interface KeyValue {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The value of a property among canonical properties; null where it is not there, or null. */
export function valueIn(bytes: Uint8Array, start: number, end: number, property: Uint8Array): KeyValue | null {
  held.open(bytes, start, end);
  if (!held.find(property, 0, property.length) || bytes[held.valueStart] === NULL_TAG) return null;
  return { bytes, start: held.valueStart, end: held.next };
}

/** What is asked for: a label, and a value of each of the properties. */
export interface Key extends ConstraintTarget {
  readonly values: readonly KeyValue[];
}

/** The slots, ascending. They are found by an index, which the first who asks has built: of one property of nodes by the one that `find` uses. */
export function holdersOf(tables: GraphTables, key: Key, period: Pick<Period, "from" | "to">): number[] {
  const names = key.properties.map((property) => Buffer.from(property));
  return candidatesOf(tables, key).filter((slot) => holds(tables, slot, key, names, period));
}

function candidatesOf(tables: GraphTables, { entity, label, properties, values }: Key): readonly number[] {
  const { indexes, keyIndexes } = tables;
  const [property] = properties;
  const [value] = values;
  assert(property !== undefined && value !== undefined, "a key has a property");
  if (entity === "edge" || properties.length > 1)
    return keyIndexes.slotsOf(tables, { entity, label, properties }, values);
  const index = indexes.equality(label, property);
  if (!index.of.isComplete) indexes.build(index, tables, Number.POSITIVE_INFINITY);
  return index.slotsOf(value.bytes, value.start, value.end);
}

function holds(
  tables: GraphTables,
  slot: number,
  { entity, label, values }: Key,
  names: readonly Uint8Array[],
  { from, to }: Pick<Period, "from" | "to">,
): boolean {
  const { contents, labels } = tables;
  const { timelines } = tables.of(entity);
  for (const row of timelines.liveRows(slot)) {
    if (timelines.validFrom(slot, row) >= to) continue;
    if (timelines.validTo(slot, row) <= from) return false;
    contents.open(timelines.content(slot, row));
    if (labels.name(contents.label) !== label) continue;
    const { bytes, start, end } = contents;
    const isHeld = (value: KeyValue, at: number): boolean => isSame(bytes, start, end, names[at] as Uint8Array, value);
    if (values.every(isHeld)) return true;
  }
  return false;
}

function isSame(bytes: Uint8Array, start: number, end: number, name: Uint8Array, value: KeyValue): boolean {
  held.open(bytes, start, end);
  if (!held.find(name, 0, name.length)) return false;
  const length = value.end - value.start;
  return (
    held.next - held.valueStart === length && sameBytesAt(bytes, held.valueStart, value.bytes, value.start, length)
  );
}

/** Which nodes hold a value of a property under a label, somewhere in a period, as of the last LSN. */

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

/** The slots, ascending. They are found by the index of that property, which the first who asks has built. */
export function holdersOf(
  tables: GraphTables,
  label: string,
  property: string,
  value: KeyValue,
  period: Pick<Period, "from" | "to">,
): number[] {
  const { indexes } = tables;
  const index = indexes.equality(label, property);
  if (!index.of.isComplete) indexes.build(index, tables, Number.POSITIVE_INFINITY);
  const candidates = index.slotsOf(value.bytes, value.start, value.end);
  return candidates.filter((slot) => holds(tables, slot, label, index.of.key, value, period));
}

function holds(
  tables: GraphTables,
  slot: number,
  label: string,
  property: Uint8Array,
  value: KeyValue,
  { from, to }: Pick<Period, "from" | "to">,
): boolean {
  const { contents, labels } = tables;
  const { timelines } = tables.nodes;
  for (const row of timelines.liveRows(slot)) {
    if (timelines.validFrom(slot, row) >= to) continue;
    if (timelines.validTo(slot, row) <= from) return false;
    contents.open(timelines.content(slot, row));
    if (labels.name(contents.label) !== label) continue;
    held.open(contents.bytes, contents.start, contents.end);
    if (!held.find(property, 0, property.length)) continue;
    const length = value.end - value.start;
    const isSame = held.next - held.valueStart === length;
    if (isSame && sameBytesAt(held.bytes, held.valueStart, value.bytes, value.start, length)) return true;
  }
  return false;
}

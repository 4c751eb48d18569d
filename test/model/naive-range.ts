/** The order of property values and ranges of them, said once more: over values as JavaScript has them, sharing nothing with the graph's own. */

import type { NodeQuery } from "../../src/projections/graph/node-filter.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";
import type { PropertyRange, RangeBound } from "../../src/projections/graph/value-range.js";
import { type NaiveValue, samePropertyValue } from "./naive-graph.js";

/** Which kind of value comes before which. */
function rankOf(value: PropertyValue): string {
  if (value === null) return "1 null";
  if (typeof value === "boolean") return "2 boolean";
  if (typeof value === "number") return Number.isNaN(value) ? "4 NaN" : "3 number";
  return typeof value === "string" ? "5 text" : "6 bytes";
}

/** Values of one kind as lists of numbers, of which the first that differs decides. */
function partsOf(value: PropertyValue): readonly number[] {
  if (typeof value === "string") return Array.from(value, (character) => character.codePointAt(0) ?? 0);
  if (value instanceof Uint8Array) return [...value];
  return Number.isNaN(value) ? [] : [Number(value)];
}

export function naiveOrder(a: PropertyValue, b: PropertyValue): number {
  if (rankOf(a) !== rankOf(b)) return rankOf(a) < rankOf(b) ? -1 : 1;
  const [ours, theirs] = [partsOf(a), partsOf(b)];
  for (const [at, part] of ours.entries()) {
    const other = theirs[at];
    if (other === undefined || part > other) return 1;
    if (part < other) return -1;
  }
  return ours.length < theirs.length ? -1 : 0;
}

function isRange(wanted: PropertyValue | PropertyRange): wanted is PropertyRange {
  return typeof wanted === "object" && wanted !== null && !(wanted instanceof Uint8Array);
}

function isInRange(value: PropertyValue, { gte, gt, lte, lt }: PropertyRange): boolean {
  const isOfKind = (bound: RangeBound): boolean => rankOf(bound) === rankOf(value);
  return (
    (gte === undefined || (isOfKind(gte) && naiveOrder(value, gte) >= 0)) &&
    (gt === undefined || (isOfKind(gt) && naiveOrder(value, gt) > 0)) &&
    (lte === undefined || (isOfKind(lte) && naiveOrder(value, lte) <= 0)) &&
    (lt === undefined || (isOfKind(lt) && naiveOrder(value, lt) < 0))
  );
}

/** Whether a node that holds this is meant. */
export function naiveMatches(value: NaiveValue | null, { label, where = {} }: NodeQuery): boolean {
  if (value === null || (label !== undefined && value.label !== label)) return false;
  return Object.entries(where).every(([key, wanted]) => {
    const held = value.properties.get(key);
    if (held === undefined) return false;
    return isRange(wanted) ? isInRange(held, wanted) : samePropertyValue(held, wanted);
  });
}

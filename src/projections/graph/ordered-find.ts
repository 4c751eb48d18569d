/** Nodes in the order of a property: over an index that has it, or by sorting what a scan finds. Both give the same. */

import { checkKnownKeys, checkRecord } from "./graph-input.js";
import type { GraphView } from "./graph-view.js";
import type { NodeFilter, NodeQuery } from "./node-filter.js";
import type { OrderedIndex } from "./ordered-index.js";
import { PropertyCursor } from "./property-cursor.js";
import { OrderedValue } from "./value-order.js";

export interface FindQuery extends NodeQuery {
  /**
   * In the order of this property, and of creation where it is equal; nodes without it are left out. null < false < true < numbers < NaN < text by
   * code point < bytes.
   */
  readonly orderBy?: string;
  /** Exactly the other way round. Goes with `orderBy`. */
  readonly descending?: boolean;
  /** How many nodes at most. No limit by default. */
  readonly limit?: number;
}

export interface FindOrder {
  readonly property: string;
  readonly key: Uint8Array;
  readonly descending: boolean;
}

/** Null: in the order of creation. */
export function findOrderOf(query: FindQuery): FindOrder | null {
  checkKnownKeys("find", checkRecord("find", query), ["label", "where", "orderBy", "descending", "limit"]);
  const { orderBy, descending } = query;
  if (descending !== undefined && typeof descending !== "boolean") throw new TypeError("descending must be a boolean");
  if (orderBy === undefined) {
    if (descending !== undefined) throw new TypeError("descending goes with orderBy");
    return null;
  }
  if (typeof orderBy !== "string" || orderBy === "") throw new TypeError("orderBy must be a non-empty string");
  return { property: orderBy, key: Buffer.from(orderBy), descending: descending ?? false };
}

/** The slots of visible nodes that the filter holds for and that have the property. */
export function slotsInOrder(view: GraphView, filter: NodeFilter, order: FindOrder, limit: number): Iterable<number> {
  const { labelName } = filter;
  const { indexes, history } = view.tables;
  const index = labelName === undefined || history.isLost ? null : indexes.inOrderOf(labelName, order.property);
  // Few nodes are sorted sooner than found along a whole order.
  if (index === null || filter.equalCandidates() !== null) return sorted(view, filter, order, limit);
  return walked(view, filter, order, index);
}

function* walked(
  view: GraphView,
  filter: NodeFilter,
  { property, key, descending }: FindOrder,
  index: OrderedIndex,
): Generator<number, void, undefined> {
  const held = new OrderedValue();
  for (const [walk, kind] of index.walks(filter.ranges.get(property) ?? null, descending)) {
    while (walk.next()) {
      const row = view.nodeRow(walk.slot);
      // What it held at other times has entries of its own.
      if (row === 0 || !readHeld(held, view, walk.slot, row, key) || held.kind !== kind || !walk.isOf(held)) continue;
      if (filter.holds(walk.slot, row)) yield walk.slot;
    }
  }
}

interface Found {
  readonly slot: number;
  readonly value: OrderedValue;
}

// So many more than the limit are gathered before those beyond it are dropped: sorting costs little for each.
const GATHERED_MORE = 1000;

function sorted(view: GraphView, filter: NodeFilter, { key, descending }: FindOrder, limit: number): number[] {
  const sign = descending ? -1 : 1;
  const inOrder = (a: Found, b: Found): number => sign * (a.value.compare(b.value) || a.slot - b.slot);
  const found: Found[] = [];
  let value = new OrderedValue();
  for (const slot of view.nodeSlots(filter)) {
    if (!readHeld(value, view, slot, view.nodeRow(slot), key)) continue;
    found.push({ slot, value });
    value = new OrderedValue();
    if (found.length < limit * 2 + GATHERED_MORE) continue;
    found.sort(inOrder);
    found.length = limit;
  }
  return found.sort(inOrder).map(({ slot }) => slot);
}

const cursor = new PropertyCursor();

/** Takes what a node holds over a row; false when it has no such property. */
function readHeld(value: OrderedValue, { tables }: GraphView, slot: number, row: number, key: Uint8Array): boolean {
  const { contents, nodes } = tables;
  contents.open(nodes.timelines.content(slot, row));
  cursor.open(contents.bytes, contents.start, contents.end);
  if (!cursor.find(key, 0, key.length)) return false;
  value.read(contents.bytes, cursor.valueStart, cursor.next);
  return true;
}

/**
 * Whether what nodes come to hold is as the constraints demand.
 *
 * A constraint is about every valid time by itself, as of the LSN in hand: so it is checked part by part, a part being a period in which a node
 * comes to hold one thing. What is not changed held before and holds still; a constraint that is broken involves something that is.
 */

import { Buffer } from "node:buffer";
import type { AddedConstraint, ConstraintList } from "./constraint-list.js";
import type { GraphTables } from "./graph-tables.js";
import { holdersOf, type KeyValue, valueIn } from "./key-holders.js";
import type { Refused } from "./refusal.js";

/** What a node comes to hold in a period. The properties are canonical bytes. */
export interface ContentPart {
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The ids of the nodes that hold a value somewhere in a period: those that nothing is said about included. */
export type Holders = (
  label: string,
  property: string,
  value: KeyValue,
  period: { readonly from: number; readonly to: number },
) => Iterable<number>;

/** The first of the constraints that a node breaks by what it comes to hold, in the order in which they were added; or null. */
export function brokenBy(
  constraints: readonly AddedConstraint[],
  id: number,
  parts: readonly ContentPart[],
  holders: Holders,
): Refused | null {
  for (const constraint of constraints) {
    const { kind, label, property } = constraint;
    const key = Buffer.from(property);
    let other = Number.POSITIVE_INFINITY;
    for (const part of parts) {
      if (part.label !== label) continue;
      const value = valueIn(part.bytes, part.start, part.end, key);
      if (kind === "required") {
        if (value === null) return refusedBy(constraint, id, {});
      } else if (value !== null) {
        for (const holder of holders(label, property, value, part)) if (holder !== id) other = Math.min(other, holder);
      }
    }
    // The smallest id, not the first found: every process must say the same.
    if (other !== Number.POSITIVE_INFINITY) return refusedBy(constraint, id, { other });
  }
  return null;
}

/** The constraints that are about any of the labels, in the order in which they were added. */
export function constraintsFor(list: ConstraintList, parts: readonly ContentPart[]): readonly AddedConstraint[] {
  const [first] = parts;
  if (first === undefined) return [];
  if (parts.every(({ label }) => label === first.label)) return list.of(first.label);
  const labels = new Set(parts.map(({ label }) => label));
  return list.list().filter(({ label }) => labels.has(label));
}

function refusedBy({ kind, label, property }: AddedConstraint, id: number, more: { readonly other?: number }): Refused {
  const code = kind === "unique" ? "ERR_GRAPH_NOT_UNIQUE" : "ERR_GRAPH_REQUIRED_PROPERTY";
  return { code, kind: "node", id, edges: 0, details: { label, property, ...more } };
}

/** How many offenders a refusal names. */
const OFFENDERS_NAMED_MAX = 10;

/** Why a constraint cannot be added to what the nodes hold now: those that break it, by id; or null. */
export function brokenByNow(tables: GraphTables, constraint: AddedConstraint): Refused | null {
  const { nodes, labels } = tables;
  const number = labels.numberOf(constraint.label);
  const postings = number < 0 ? undefined : tables.labelled[number];
  const offenders: number[] = [];
  const holders = holdersAmong(tables);
  for (let index = 0; index < (postings?.length ?? 0); index += 1) {
    const slot = postings?.get(index) as number;
    const id = nodes.id(slot);
    if (brokenBy([constraint], id, livePartsOf(tables, slot), holders) !== null) offenders.push(id);
  }
  if (offenders.length === 0) return null;
  offenders.sort((a, b) => a - b);
  const { kind, label, property } = constraint;
  const named = offenders.slice(0, OFFENDERS_NAMED_MAX).join(", ");
  return {
    code: kind === "unique" ? "ERR_GRAPH_NOT_UNIQUE" : "ERR_GRAPH_REQUIRED_PROPERTY",
    kind: "graph",
    id: 0,
    edges: 0,
    details: { label, property, offenders: named, offenderCount: offenders.length },
  };
}

export function holdersAmong(tables: GraphTables): Holders {
  return (label, property, value, period) =>
    holdersOf(tables, label, property, value, period).map((slot) => tables.nodes.id(slot));
}

/** What a node holds, from the latest to the earliest. */
export function livePartsOf({ nodes, contents, labels }: GraphTables, slot: number): ContentPart[] {
  const { timelines } = nodes;
  return Array.from(timelines.liveRows(slot), (row) => {
    contents.open(timelines.content(slot, row));
    const { bytes, start, end } = contents;
    return {
      from: timelines.validFrom(slot, row),
      to: timelines.validTo(slot, row),
      label: labels.name(contents.label),
      bytes,
      start,
      end,
    };
  });
}

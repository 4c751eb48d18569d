/**
 * Whether what nodes and edges come to hold is as the constraints demand.
 *
 * A constraint is about every valid time by itself, as of the LSN in hand: so it is checked part by part, a part being a period in which a node
 * or an edge comes to hold one thing. What is not changed held before and holds still; a constraint that is broken involves something that is.
 */

import { Buffer } from "node:buffer";
import type { StoreErrorCode } from "../../errors.js";
import { targetOf } from "./constraint-events.js";
import type { AddedConstraint, ConstraintList } from "./constraint-list.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { holdersOf, type Key, type KeyValue, valueIn } from "./key-holders.js";
import type { Refused } from "./refusal.js";
import type { RejectionDetails } from "./rejection-list.js";

/** What a node or an edge comes to hold in a period. The properties are canonical bytes. */
export interface ContentPart {
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The ids of those that hold values somewhere in a period: those that nothing is said about included. */
export type Holders = (key: Key, period: { readonly from: number; readonly to: number }) => Iterable<number>;

/** The first of the constraints that a node or an edge breaks by what it comes to hold, in the order in which they were added; or null. */
export function brokenBy(
  constraints: readonly AddedConstraint[],
  id: number,
  parts: readonly ContentPart[],
  holders: Holders,
): Refused | null {
  for (const constraint of constraints) {
    const target = targetOf(constraint);
    const names = target.properties.map((property) => Buffer.from(property));
    let other = Number.POSITIVE_INFINITY;
    for (const part of parts) {
      if (part.label !== target.label) continue;
      const values = valuesIn(part, names);
      if (constraint.kind === "required") {
        if (values === null) return refusedBy(constraint, id, {});
      } else if (values !== null) {
        for (const holder of holders({ ...target, values }, part)) if (holder !== id) other = Math.min(other, holder);
      }
    }
    // The smallest id, not the first found: every process must say the same.
    if (other !== Number.POSITIVE_INFINITY) return refusedBy(constraint, id, { other });
  }
  return null;
}

/** The values of all of the properties; null where one is missing, or null. */
function valuesIn({ bytes, start, end }: ContentPart, names: readonly Uint8Array[]): KeyValue[] | null {
  const values: KeyValue[] = [];
  for (const name of names) {
    const value = valueIn(bytes, start, end, name);
    if (value === null) return null;
    values.push(value);
  }
  return values;
}

/** The constraints that are about any of the labels, in the order in which they were added. */
export function constraintsFor(
  list: ConstraintList,
  entity: EntityKind,
  parts: readonly ContentPart[],
): readonly AddedConstraint[] {
  const [first] = parts;
  if (first === undefined) return [];
  if (parts.every(({ label }) => label === first.label)) return list.of(entity, first.label);
  const labels = new Set(parts.map(({ label }) => label));
  return list.list().filter((each) => labels.has(each.label) && targetOf(each).entity === entity);
}

function refusedBy(constraint: AddedConstraint, id: number, more: { readonly other?: number }): Refused {
  const { entity } = targetOf(constraint);
  return { code: codeOf(constraint), kind: entity, id, edges: 0, details: { ...detailsOf(constraint), ...more } };
}

function codeOf({ kind }: AddedConstraint): StoreErrorCode {
  return kind === "unique" ? "ERR_GRAPH_NOT_UNIQUE" : "ERR_GRAPH_REQUIRED_PROPERTY";
}

function detailsOf(constraint: AddedConstraint): RejectionDetails {
  const { entity, label, properties } = targetOf(constraint);
  return { label, property: properties.join(", "), ...(entity === "edge" && { entity }) };
}

/** How many offenders a refusal names. */
const OFFENDERS_NAMED_MAX = 10;

/** Why a constraint cannot be added to what the graph holds now: who breaks it, by id; or null. */
export function brokenByNow(tables: GraphTables, constraint: AddedConstraint): Refused | null {
  const { entity, label } = targetOf(constraint);
  const offenders: number[] = [];
  const holders = holdersAmong(tables);
  for (const slot of labelledSlots(tables, entity, label)) {
    const id = tables.of(entity).id(slot);
    if (brokenBy([constraint], id, livePartsOf(tables, entity, slot), holders) !== null) offenders.push(id);
  }
  if (offenders.length === 0) return null;
  offenders.sort((a, b) => a - b);
  const named = offenders.slice(0, OFFENDERS_NAMED_MAX).join(", ");
  const details = { ...detailsOf(constraint), offenders: named, offenderCount: offenders.length };
  return { code: codeOf(constraint), kind: "graph", id: 0, edges: 0, details };
}

/** Who ever bore the label. */
function* labelledSlots(tables: GraphTables, entity: EntityKind, label: string): Generator<number, void, undefined> {
  const { labels, labelled, edges } = tables;
  const number = labels.numberOf(label);
  if (number < 0) return;
  if (entity === "edge") {
    for (let slot = 1; slot < edges.records.length; slot += 1) if (edges.label(slot) === number) yield slot;
    return;
  }
  const postings = labelled[number];
  for (let index = 0; index < (postings?.length ?? 0); index += 1) yield postings?.get(index) as number;
}

export function holdersAmong(tables: GraphTables): Holders {
  return (key, period) => holdersOf(tables, key, period).map((slot) => tables.of(key.entity).id(slot));
}

/** What a node or an edge holds, from the latest to the earliest. */
export function livePartsOf(tables: GraphTables, entity: EntityKind, slot: number): ContentPart[] {
  const { contents, labels } = tables;
  const { timelines } = tables.of(entity);
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

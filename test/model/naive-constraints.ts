/** What constraints demand, asked of every node at every valid time at which anything begins or ends. */

import type { PropertyValue } from "../../src/projections/graph/property.js";
import { type NaiveValue, type Refusal, samePropertyValue } from "./naive-value.js";

export interface NaiveConstraint {
  readonly kind: "unique" | "required";
  readonly label: string;
  readonly property: string;
}

/** What is asked of the model. */
export interface ConstrainedModel {
  readonly constraints: readonly NaiveConstraint[];
  readonly nodeIds: ReadonlySet<number>;
  /** Every valid time at which anything about any node begins or ends. */
  readonly nodeBounds: readonly number[];
  valueAt(kind: "node", id: number, v: number, r: number): NaiveValue | null;
}

interface Breach {
  readonly node: Held;
  /** With which other one; null: by itself. */
  readonly other: Held | null;
}

export function sameConstraint(a: NaiveConstraint, b: NaiveConstraint): boolean {
  return a.kind === b.kind && a.label === b.label && a.property === b.property;
}

interface Held {
  readonly id: number;
  readonly value: NaiveValue;
  readonly property: PropertyValue;
}

/** Why what an LSN has made of the graph breaks a constraint, the first that it breaks; or null. */
export function brokenConstraint(model: ConstrainedModel, lsn: number): Refusal | null {
  for (const constraint of model.constraints) {
    // Who is to blame is a node that the LSN has given something.
    const broken = breaches(model, constraint, lsn).filter(({ node }) => node.value.lsn === lsn);
    const id = Math.min(...broken.map(({ node }) => node.id));
    if (!Number.isFinite(id)) continue;
    const others = broken.flatMap(({ node, other }) => (node.id === id && other !== null ? [other.id] : []));
    const { kind, label, property } = constraint;
    if (kind === "required")
      return { code: "ERR_GRAPH_REQUIRED_PROPERTY", kind: "node", id, edges: 0, details: { label, property } };
    const details = { label, property, other: Math.min(...others) };
    return { code: "ERR_GRAPH_NOT_UNIQUE", kind: "node", id, edges: 0, details };
  }
  return null;
}

/** Why a constraint cannot be added at an LSN, or null. */
export function offendersOf(model: ConstrainedModel, constraint: NaiveConstraint, lsn: number): Refusal | null {
  const ids = [...new Set(breaches(model, constraint, lsn).map(({ node }) => node.id))].sort((a, b) => a - b);
  if (ids.length === 0) return null;
  const { kind, label, property } = constraint;
  return {
    code: kind === "unique" ? "ERR_GRAPH_NOT_UNIQUE" : "ERR_GRAPH_REQUIRED_PROPERTY",
    kind: "graph",
    id: 0,
    edges: 0,
    details: { label, property, offenders: ids.slice(0, 10).join(", "), offenderCount: ids.length },
  };
}

/** Every node that breaks it at some valid time, and with which other one. */
function breaches(model: ConstrainedModel, { kind, label, property }: NaiveConstraint, lsn: number): Breach[] {
  return model.nodeBounds.flatMap((v): Breach[] => {
    const held = [...model.nodeIds].flatMap((id) => {
      const value = model.valueAt("node", id, v, lsn);
      return value?.label === label ? [{ id, value, property: value.properties.get(property) ?? null }] : [];
    });
    if (kind === "required")
      return held.filter((each) => each.property === null).map((node) => ({ node, other: null }));
    const having = held.filter((each) => each.property !== null);
    return having.flatMap((node) =>
      having
        .filter((other) => other.id !== node.id && samePropertyValue(other.property, node.property))
        .map((other) => ({ node, other })),
    );
  });
}

/** What constraints demand, asked of every node or edge at every valid time at which anything begins or ends. */

import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";
import { type NaiveValue, type Refusal, samePropertyValue } from "./naive-value.js";

export interface NaiveConstraint {
  readonly kind: "unique" | "required";
  readonly entity?: EntityKind;
  readonly label: string;
  readonly property: string | readonly string[];
}

/** What is asked of the model. */
export interface ConstrainedModel {
  readonly constraints: readonly NaiveConstraint[];
  idsOf(kind: EntityKind): readonly number[];
  /** Every valid time at which anything about any such entity begins or ends. */
  boundsOf(kind: EntityKind): readonly number[];
  valueAt(kind: EntityKind, id: number, v: number, r: number): NaiveValue | null;
}

interface Breach {
  readonly one: Held;
  /** With which other one; null: by itself. */
  readonly other: Held | null;
}

interface Held {
  readonly id: number;
  readonly value: NaiveValue;
  readonly properties: readonly PropertyValue[];
}

function namesOf({ property }: NaiveConstraint): readonly string[] {
  return typeof property === "string" ? [property] : [...property].sort();
}

function entityOf({ entity = "node" }: NaiveConstraint): EntityKind {
  return entity;
}

/** In the form in which the graph says it. */
export function saidConstraint(each: NaiveConstraint): NaiveConstraint {
  const { kind, label } = each;
  const names = namesOf(each);
  const property = names.length === 1 ? (names[0] as string) : names;
  return { kind, ...(entityOf(each) === "edge" && { entity: "edge" }), label, property };
}

export function sameConstraint(a: NaiveConstraint, b: NaiveConstraint): boolean {
  return JSON.stringify(saidConstraint(a)) === JSON.stringify(saidConstraint(b));
}

function detailsOf(constraint: NaiveConstraint): Readonly<Record<string, string>> {
  const edge = entityOf(constraint) === "edge" ? { entity: "edge" } : {};
  return { label: constraint.label, property: namesOf(constraint).join(", "), ...edge };
}

/** Why what an LSN has made of the graph breaks a constraint, the first that it breaks; or null. */
export function brokenConstraint(model: ConstrainedModel, lsn: number): Refusal | null {
  for (const constraint of model.constraints) {
    // Who is to blame is one that the LSN has given something.
    const broken = breaches(model, constraint, lsn).filter(({ one }) => one.value.lsn === lsn);
    const id = Math.min(...broken.map(({ one }) => one.id));
    if (!Number.isFinite(id)) continue;
    const others = broken.flatMap(({ one, other }) => (one.id === id && other !== null ? [other.id] : []));
    const about = { kind: entityOf(constraint), id, edges: 0 };
    const details = detailsOf(constraint);
    if (constraint.kind === "required") return { code: "ERR_GRAPH_REQUIRED_PROPERTY", ...about, details };
    return { code: "ERR_GRAPH_NOT_UNIQUE", ...about, details: { ...details, other: Math.min(...others) } };
  }
  return null;
}

/** Why a constraint cannot be added at an LSN, or null. */
export function offendersOf(model: ConstrainedModel, constraint: NaiveConstraint, lsn: number): Refusal | null {
  const ids = [...new Set(breaches(model, constraint, lsn).map(({ one }) => one.id))].sort((a, b) => a - b);
  if (ids.length === 0) return null;
  return {
    code: constraint.kind === "unique" ? "ERR_GRAPH_NOT_UNIQUE" : "ERR_GRAPH_REQUIRED_PROPERTY",
    kind: "graph",
    id: 0,
    edges: 0,
    details: { ...detailsOf(constraint), offenders: ids.slice(0, 10).join(", "), offenderCount: ids.length },
  };
}

/** All that break it at some valid time, and with which other one. */
function breaches(model: ConstrainedModel, constraint: NaiveConstraint, lsn: number): Breach[] {
  const entity = entityOf(constraint);
  const names = namesOf(constraint);
  return model.boundsOf(entity).flatMap((v): Breach[] => {
    const held = model.idsOf(entity).flatMap((id): Held[] => {
      const value = model.valueAt(entity, id, v, lsn);
      if (value?.label !== constraint.label) return [];
      return [{ id, value, properties: names.map((name) => value.properties.get(name) ?? null) }];
    });
    const having = held.filter(({ properties }) => !properties.includes(null));
    if (constraint.kind === "required")
      return held.filter((each) => !having.includes(each)).map((one) => ({ one, other: null }));
    return having.flatMap((one) =>
      having.filter((other) => other.id !== one.id && sameProperties(other, one)).map((other) => ({ one, other })),
    );
  });
}

function sameProperties(a: Held, b: Held): boolean {
  return a.properties.every((value, at) => samePropertyValue(value, b.properties[at]));
}

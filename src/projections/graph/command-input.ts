/** What commands are given, and the change that each asks for: still without ids that are taken later. */

import type { GraphEventData } from "./graph-event-codec.js";
import type { EntityKind } from "./graph-event-kind.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import type { Properties } from "./property.js";
import type { GraphProvenance } from "./provenance.js";

/** A valid period, half-open, in µs since 1970. Default: from the event's own recordedAt on, with an open end. */
export interface ValidPeriod {
  readonly validFrom?: number;
  readonly validTo?: number;
}

/** What is said about a change besides what it is. */
export interface AboutChange {
  /** Where it comes from. Kept in the event's metadata; `graph.provenance(lsn)` and `lineage` read it. */
  readonly provenance?: GraphProvenance;
}

/** Whom a change is about. */
export interface AboutSubject extends AboutChange {
  /**
   * The event's content, id and label included, is encrypted under this subject's key; once the subject is forgotten, the graph is as if it had never
   * been written. See README § Privacy.
   */
  readonly subject?: string;
}

/** Compare and set. */
export interface ExpectedEntityVersion {
  /**
   * The LSN of the last event that changed the node or edge, at whatever valid time: what a command answered, or `graph.versionOf`. 0: none ever did.
   * Where it is another by then, nothing is changed.
   */
  readonly expectedVersion?: number;
}

/** A node to be asserted. */
export interface NodeInput extends ValidPeriod, AboutSubject {
  readonly label: string;
  readonly properties?: Properties;
}

/** An edge to be asserted, between the ids of two nodes. */
export interface EdgeInput extends NodeInput {
  readonly source: number;
  readonly target: number;
}

/** A node to be found by one of its properties, and created where none has it. */
export interface UpsertInput extends ValidPeriod, AboutSubject {
  readonly label: string;
  /** The property that it is found by: one of `properties`, which a constraint makes unique for the label. */
  readonly key: string;
  readonly properties: Properties;
}

/** Where properties are changed, and whom that is about. */
export interface PropertyOptions extends ValidPeriod, AboutSubject, ExpectedEntityVersion {}

/** How a node's edges are dealt with when it goes. */
export interface Detach {
  /** Delete the node's edges over the same period; without it they are a reason to refuse. */
  readonly detach?: boolean;
}

/** Over which period something goes, and where that comes from. */
export interface DeleteOptions extends ValidPeriod, AboutChange, ExpectedEntityVersion {}

/** Where a retraction comes from. */
export interface RetractOptions extends AboutChange, ExpectedEntityVersion {}

export type ChangeOperation = "Created" | "Put" | "Upserted" | "Replaced" | "Patched" | "Deleted" | "Retracted";

/** A change of a node or an edge. */
export interface Change {
  readonly type: string;
  /** Without the id where it is to be taken. */
  readonly data: Omit<GraphEventData, "id">;
  readonly about: AboutSubject;
}

const PERIOD_FIELDS = ["validFrom", "validTo"];
const ABOUT_FIELDS = ["subject", "provenance"];
const NODE_FIELDS = ["label", "properties", ...PERIOD_FIELDS];
const EDGE_FIELDS = [...NODE_FIELDS, "source", "target"];

const ALLOWED: Readonly<Record<EntityKind, Readonly<Record<ChangeOperation, readonly string[]>>>> = {
  node: {
    Created: [...NODE_FIELDS, ...ABOUT_FIELDS],
    Put: [...NODE_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Upserted: [...NODE_FIELDS, "key", ...ABOUT_FIELDS],
    Replaced: [...PERIOD_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Patched: [...PERIOD_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Deleted: [...PERIOD_FIELDS, "expectedVersion", "detach", "provenance"],
    Retracted: ["expectedVersion", "detach", "provenance"],
  },
  edge: {
    Created: [...EDGE_FIELDS, ...ABOUT_FIELDS],
    Put: [...EDGE_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Upserted: [],
    Replaced: [...PERIOD_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Patched: [...PERIOD_FIELDS, "expectedVersion", ...ABOUT_FIELDS],
    Deleted: [...PERIOD_FIELDS, "expectedVersion", "provenance"],
    Retracted: ["expectedVersion", "provenance"],
  },
};

/** What is asked for, whose values the codec checks. `more` goes beside what the caller's object says. */
export function changeOf(
  kind: EntityKind,
  operation: ChangeOperation,
  input: object,
  more: Partial<GraphEventData> = {},
): Change {
  const what = kind === "node" ? "node" : "edge";
  checkKnownKeys(what, checkRecord(what, input), ALLOWED[kind][operation]);
  const { subject, provenance, ...data } = input as AboutSubject;
  const about = { ...(subject !== undefined && { subject }), ...(provenance !== undefined && { provenance }) };
  return { type: typeOf(kind, operation), data: copied({ ...data, ...more }), about };
}

function typeOf(kind: EntityKind, operation: ChangeOperation): string {
  return `varve.v1.${kind === "node" ? "Node" : "Edge"}${operation}`;
}

/** What the caller changes meanwhile is not what is written. */
function copied(data: Omit<GraphEventData, "id">): Omit<GraphEventData, "id"> {
  const { properties } = data;
  if (typeof properties !== "object" || properties === null || Array.isArray(properties)) return data;
  const copy: Properties = Object.create(null);
  for (const [key, value] of Object.entries(properties))
    copy[key] = value instanceof Uint8Array ? value.slice() : value;
  return { ...data, properties: copy };
}

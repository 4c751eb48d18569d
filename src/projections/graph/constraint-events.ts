/** The events that add a constraint to the graph and remove it, between objects and bytes. graph.proto is the contract. */

import { Buffer } from "node:buffer";
import type { StoreErrorCode } from "../../errors.js";
import type { EntityKind } from "./graph-event-kind.js";
import { checkChoice, checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import { isText, isWellFormed } from "./property.js";
import { decodeText } from "./text.js";
import { MALFORMED, WIRE_BYTES, WIRE_VARINT, WireReader, type WireWriter } from "./wire.js";

/**
 * What must hold of the nodes, or of the edges, with a label, at every valid time:
 *
 * - `"required"`: the property is there, and not null;
 * - `"unique"`: no two have the same value of it. Null and no value at all are no values.
 *
 * Of edges it is about what they hold themselves, wherever that is in force, whether their ends exist there or not.
 */
export interface GraphConstraint {
  readonly kind: "unique" | "required";
  /** Whose. Default "node". */
  readonly entity?: EntityKind;
  readonly label: string;
  /** Several properties, at most 8, are unique together: no two nodes have the same values of all of them. Their order does not count. */
  readonly property: string | readonly string[];
}

/** What a constraint is about. The properties are in their order, each once. */
export interface ConstraintTarget {
  readonly entity: EntityKind;
  readonly label: string;
  readonly properties: readonly string[];
}

export function targetOf({ entity = "node", label, property }: GraphConstraint): ConstraintTarget {
  return { entity, label, properties: typeof property === "string" ? [property] : property };
}

export function sameConstraint(a: GraphConstraint, b: GraphConstraint): boolean {
  const [one, other] = [targetOf(a), targetOf(b)];
  return (
    a.kind === b.kind &&
    one.entity === other.entity &&
    one.label === other.label &&
    one.properties.length === other.properties.length &&
    one.properties.every((property, at) => property === other.properties[at])
  );
}

const KINDS = ["unique", "required"] as const;
const KIND_TAG = (1 << 3) | WIRE_VARINT;
const LABEL_TAG = (2 << 3) | WIRE_BYTES;
const PROPERTY_NAME_TAG = (3 << 3) | WIRE_BYTES;
const ENTITY_TAG = (4 << 3) | WIRE_VARINT;
const ENTITIES = ["node", "edge"] as const;

/** Of a constraint's label, and of its property's name. */
export const CONSTRAINT_NAME_BYTES_MAX = 1024;
export const CONSTRAINT_PROPERTIES_MAX = 8;

/** In the form in which it is kept. Throws TypeError for what is none. */
export function checkConstraint(value: unknown): GraphConstraint {
  const record = checkRecord("the constraint", value);
  checkKnownKeys("the constraint", record, ["kind", "entity", "label", "property"]);
  const kind = checkChoice("kind", record["kind"], KINDS);
  const entity = checkChoice("entity", record["entity"] ?? "node", ENTITIES);
  const label = checkLabel(record["label"]);
  checkLength("label", label);
  const { property } = record;
  const properties: readonly unknown[] = Array.isArray(property) ? property : [property];
  if (properties.length === 0 || properties.length > CONSTRAINT_PROPERTIES_MAX)
    throw new TypeError(`property must be one, or 1 to ${CONSTRAINT_PROPERTIES_MAX} of them`);
  for (const each of properties) {
    if (typeof each !== "string" || each === "" || !isWellFormed(each))
      throw new TypeError("property must be a non-empty string of well-formed text");
    checkLength("property", each);
  }
  const constraint = constraintOf(kind, entity, label, properties as readonly string[]);
  if (typeof constraint === "string")
    throw new TypeError(
      kind === "required"
        ? "property: several are required by a constraint each"
        : "property: each of several must be another one",
    );
  return constraint;
}

function checkLength(name: string, text: string): void {
  if (Buffer.byteLength(text) > CONSTRAINT_NAME_BYTES_MAX)
    throw new TypeError(`${name} must be at most ${CONSTRAINT_NAME_BYTES_MAX} bytes of UTF-8`);
}

/** Whoever wrote it, one constraint has one form: properties in the order of their code units, one of them without a list, nodes without a word. */
function constraintOf(
  kind: GraphConstraint["kind"],
  entity: EntityKind,
  label: string,
  properties: readonly string[],
): GraphConstraint | StoreErrorCode {
  const sorted = properties.toSorted();
  const [first] = sorted;
  if (first === undefined || new Set(sorted).size < sorted.length) return "ERR_EVENTS_SCHEMA";
  if (sorted.length > CONSTRAINT_PROPERTIES_MAX || (kind === "required" && sorted.length > 1))
    return "ERR_EVENTS_SCHEMA";
  return { kind, ...(entity === "edge" && { entity }), label, property: sorted.length === 1 ? first : sorted };
}

export function writeConstraint(writer: WireWriter, data: unknown): void {
  const constraint = checkConstraint(data);
  const { entity, label, properties } = targetOf(constraint);
  if (constraint.kind === "required") {
    writer.byte(KIND_TAG);
    writer.byte(KINDS.indexOf(constraint.kind));
  }
  writer.byte(LABEL_TAG);
  writer.text(label);
  for (const property of properties) {
    writer.byte(PROPERTY_NAME_TAG);
    writer.text(property);
  }
  if (entity === "edge") {
    writer.byte(ENTITY_TAG);
    writer.byte(ENTITIES.indexOf(entity));
  }
}

/** The event's data, or why the bytes are none. Fields that are not known are stepped over. */
export function readConstraint(bytes: Uint8Array, start: number, end: number): GraphConstraint | StoreErrorCode {
  const reader = new WireReader();
  reader.open(bytes, start, end);
  let kindNumber = 0;
  let entityNumber = 0;
  let label: string | null = null;
  const properties: string[] = [];
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === KIND_TAG) kindNumber = reader.varint();
    else if (tag === ENTITY_TAG) entityNumber = reader.varint();
    else if (tag === LABEL_TAG || tag === PROPERTY_NAME_TAG) {
      const text = textOf(reader);
      if (text === null) return "ERR_EVENTS_SCHEMA";
      if (tag === LABEL_TAG) label = text;
      else properties.push(text);
    } else if (tag < 8 || !reader.skip(tag & 7)) return "ERR_EVENTS_SCHEMA";
  }
  const kind = KINDS[kindNumber];
  const entity = ENTITIES[entityNumber];
  if (kind === undefined || entity === undefined || label === null) return "ERR_EVENTS_SCHEMA";
  return constraintOf(kind, entity, label, properties);
}

function textOf(reader: WireReader): string | null {
  const length = reader.length();
  if (length === MALFORMED || length === 0 || length > CONSTRAINT_NAME_BYTES_MAX) return null;
  const start = reader.at;
  reader.at += length;
  return isText(reader.bytes, start, reader.at) ? decodeText(reader.bytes, start, reader.at) : null;
}

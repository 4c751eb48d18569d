/**
 * A batch as lines of JSON: each is one change, with the name of its command as `op`, its fields as the command has them, and `as`, a name that later
 * lines can say instead of the id:
 *
 *     {"op":"createNode","as":"bo","label":"Person","properties":{"name":"Bo"},"validFrom":"2020-01-01"}
 *     {"op":"createEdge","label":"KNOWS","source":"bo","target":17}
 *     {"op":"patchNode","id":17,"properties":{"name":"Ann"},"expectedVersion":40}
 *
 * Every line is checked before anything is written, and an error names its line.
 */

import { isStoreError, StoreError } from "../errors.js";
import type { BatchBuilder, BatchReference } from "../index.js";
import { isRecord } from "./event-line.js";
import { parseInstant } from "./instant.js";
import { badLine, type NdjsonLine } from "./ndjson.js";
import { propertiesOf } from "./property-json.js";

const MAKING = ["createNode", "createEdge", "upsertNode"] as const;
const WITH_PROPERTIES = ["patchNode", "replaceNode", "patchEdge", "replaceEdge"] as const;
const OTHERS = ["putNode", "putEdge", "deleteNode", "deleteEdge", "retractNode", "retractEdge"] as const;
const OPS: readonly string[] = [...MAKING, ...WITH_PROPERTIES, ...OTHERS];

type Fields = Readonly<Record<string, unknown>>;
type References = Map<string, BatchReference>;

/** Puts the lines into a batch. Throws ERR_IMPORT_SOURCE for a line that is none, and the code of the change that is refused, with its `line`. */
export function addLines(batch: BatchBuilder, lines: readonly NdjsonLine[]): void {
  const references: References = new Map();
  for (const line of lines) {
    try {
      addLine(batch, line, references);
    } catch (error) {
      throw lineError(error, line.number);
    }
  }
}

/** The error of a batch that was refused as a whole, with the line of the item that was at fault. */
export function batchError(error: unknown, lines: readonly NdjsonLine[]): unknown {
  if (!isStoreError(error)) return error;
  const { item } = error.details;
  const line = typeof item === "number" ? lines[item] : undefined;
  return line === undefined ? error : lineError(error, line.number);
}

function addLine(batch: BatchBuilder, { value, number }: NdjsonLine, references: References): void {
  if (!isRecord(value)) throw badLine(number, "is not a JSON object");
  const { op, as: name, id, properties, ...rest } = value;
  if (typeof op !== "string" || !OPS.includes(op))
    throw badLine(number, `has no op, or one that is none of ${OPS.join(", ")}`);
  const makes = (MAKING as readonly string[]).includes(op);
  if (makes ? id !== undefined : name !== undefined)
    throw badLine(number, makes ? `has an id: ${op} gives one` : `has a name (as): ${op} makes nothing`);
  if (name !== undefined && (typeof name !== "string" || name === "" || references.has(name)))
    throw badLine(number, "has a name (as) that is no string, or that another line has");
  if (properties !== undefined && !isRecord(properties))
    throw badLine(number, "has properties that are no JSON object");
  const given = properties === undefined ? undefined : propertiesOf(properties);
  const fields = fieldsOf(rest, references, number);
  // `as never`: the batch checks every field of what it is given.
  const call = (...parameters: readonly unknown[]): unknown => batch[op as "createNode"](...(parameters as [never]));
  const about = referred(id, references, number);
  if (makes) {
    const made = call({ ...fields, ...(given !== undefined && { properties: given }) }) as BatchReference;
    if (typeof name === "string") references.set(name, made);
  } else if ((WITH_PROPERTIES as readonly string[]).includes(op)) call(about, given ?? {}, fields);
  else call(about, { ...fields, ...(given !== undefined && { properties: given }) });
}

/** Times may be ISO 8601, and ends names. */
function fieldsOf(fields: Fields, references: References, number: number): Fields {
  const read: Record<string, unknown> = { ...fields };
  for (const name of ["validFrom", "validTo"]) {
    const text = read[name];
    if (typeof text !== "string") continue;
    const time = parseInstant(text);
    if (time === null) throw badLine(number, `has a ${name} that is no time`);
    read[name] = time;
  }
  for (const name of ["source", "target"]) if (name in read) read[name] = referred(read[name], references, number);
  return read;
}

function referred(id: unknown, references: References, number: number): unknown {
  if (typeof id !== "string") return id;
  const reference = references.get(id);
  if (reference === undefined) throw badLine(number, `refers to ${JSON.stringify(id)}, which no line before it makes`);
  return reference;
}

function lineError(error: unknown, number: number): unknown {
  if (isStoreError(error)) {
    if (error.details["line"] !== undefined) return error;
    const details = { ...error.details, line: number };
    return new StoreError(error.code, `line ${number}: ${error.message}`, details, { cause: error });
  }
  if (error instanceof TypeError || error instanceof RangeError)
    return badLine(number, `is refused: ${error.message}`, error);
  return error;
}

/** Properties and conditions as JSON: vectors are arrays of numbers, bytes are { "bytes": "<base64>" }, which JSON lacks. */

import type { Properties, PropertyConditions } from "../index.js";
import { jsonObject } from "./arguments.js";
import { UsageError } from "./failure.js";

type PropertyValue = Properties[string];

/** An option's text. What no property can have is left for the graph to refuse, which names it. */
export function propertiesOption(text: string): Properties {
  return asOption(() => propertiesOf(jsonObject(text)));
}

/** Throws TypeError for bytes that are no base64. */
export function propertiesOf(record: Readonly<Record<string, unknown>>): Properties {
  const properties: Properties = Object.create(null); // keys are the user's
  for (const [key, value] of Object.entries(record)) properties[key] = readValue(value);
  return properties;
}

/** `{"since":{"gte":2020},"role":"dev"}`: exact values, and ranges. */
export function conditionsOption(text: string): PropertyConditions {
  return asOption(() => conditionsOf(jsonObject(text)));
}

export function conditionsOf(record: Readonly<Record<string, unknown>>): PropertyConditions {
  const conditions: Record<string, PropertyConditions[string]> = Object.create(null);
  for (const [key, value] of Object.entries(record)) conditions[key] = readValue(value);
  return conditions;
}

function readValue(value: unknown): PropertyValue {
  if (Array.isArray(value) && value.every((each) => typeof each === "number")) return Float32Array.from(value);
  if (typeof value === "object" && value !== null && Object.keys(value).join() === "bytes") return bytesOf(value);
  return value as PropertyValue; // the graph looks at it
}

function bytesOf({ bytes }: { readonly bytes?: unknown }): Uint8Array {
  const decoded = Buffer.from(typeof bytes === "string" ? bytes : "", "base64");
  if (typeof bytes !== "string" || decoded.toString("base64") !== bytes)
    throw new TypeError('Bytes must be { "bytes": "<base64>" }.');
  return new Uint8Array(decoded);
}

function asOption<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** How vectors of a label and property are kept and compared; and which vectors can be. */

import { StoreError } from "../../errors.js";
import { checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import { isWellFormed } from "./property.js";
import { vectorFault } from "./vector-bytes.js";

export const VECTOR_METRICS = ["cosine", "l2", "dot"] as const;
export const VECTOR_STORAGES = ["f32", "i8"] as const;

/** `"cosine"`: 1 less the cosine of the angle. `"l2"`: the Euclidean distance. `"dot"`: the inner product, negated, so that nearer is less. */
export type VectorMetric = (typeof VECTOR_METRICS)[number];
/** What the index holds of each number: 4 bytes, or 1. The nodes hold 4 in any case, and distances are of those. */
export type VectorStorage = (typeof VECTOR_STORAGES)[number];

/** Which vectors are meant. */
export interface VectorsReference {
  /** Of the nodes. */
  readonly label: string;
  readonly property: string;
}

/** How they are kept. What is left out has the default. */
export interface VectorDefinition extends VectorsReference {
  /** How many numbers each has, at most 16,384. */
  readonly dimensions: number;
  /** Default `"cosine"`. */
  readonly metric?: VectorMetric;
  /** Default `"f32"`. `"i8"` compares directions: with `"l2"` and `"dot"` it takes vectors of length 1 only. */
  readonly storage?: VectorStorage;
  /** Of the index: how many neighbours each vector has in it, 2 to 256. Default 16. */
  readonly connectivity?: number;
  /** Of the index: how many candidates are looked at when a vector is inserted, 1 to 10,000. Default 128. */
  readonly expansionAdd?: number;
  /** Of the index: how many when it is searched. Default 64. */
  readonly expansionSearch?: number;
}

/** `data` of `varve.v1.GraphVectorsDefined`. */
export type VectorsDefinedData = Required<VectorDefinition>;

/** Vectors that are defined. */
export interface DefinedVectors extends VectorsDefinedData {
  /** The LSN of the event that defined them. */
  readonly definedBy: number;
}

export const VECTOR_DIMENSIONS_MAX = 16_384;
const CONNECTIVITY_MIN = 2;
const CONNECTIVITY_MAX = 256;
const EXPANSION_MAX = 10_000;
const DEFAULTS = {
  metric: "cosine",
  storage: "f32",
  connectivity: 16,
  expansionAdd: 128,
  expansionSearch: 64,
} as const;
const KEYS = ["label", "property", "dimensions", ...Object.keys(DEFAULTS)];

/** Throws TypeError for what is no label or property. */
export function checkReference(what: string, value: unknown, known: readonly string[] = []): VectorsReference {
  const record = checkRecord(what, value);
  checkKnownKeys(what, record, ["label", "property", ...known]);
  const { property } = record;
  if (typeof property !== "string" || property === "" || !isWellFormed(property)) {
    throw new TypeError("property must be a non-empty string of well-formed text");
  }
  return { label: checkLabel(record["label"]), property };
}

/** The definition with its defaults. Throws ERR_GRAPH_VECTORS_DEFINITION, and TypeError for what is no label, property or option. */
export function checkDefinition(value: unknown): VectorsDefinedData {
  const reference = checkReference("the definition of vectors", value, KEYS);
  const given = { ...DEFAULTS, ...dropUndefined(value as VectorDefinition) };
  const fault = definitionFault(given);
  if (fault !== null) throw new StoreError("ERR_GRAPH_VECTORS_DEFINITION", fault, { ...reference });
  const { dimensions, metric, storage, connectivity, expansionAdd, expansionSearch } = given;
  return { ...reference, dimensions, metric, storage, connectivity, expansionAdd, expansionSearch };
}

/** Why vectors cannot be kept like that, or null. */
export function definitionFault(given: Omit<VectorsDefinedData, "label" | "property">): string | null {
  const { dimensions, metric, storage, connectivity, expansionAdd, expansionSearch } = given;
  if (!isWithin(dimensions, 1, VECTOR_DIMENSIONS_MAX))
    return `dimensions must be 1 to ${VECTOR_DIMENSIONS_MAX}, not ${String(dimensions)}`;
  if (!VECTOR_METRICS.includes(metric))
    return `metric must be one of ${VECTOR_METRICS.join(", ")}, not ${String(metric)}`;
  if (!VECTOR_STORAGES.includes(storage))
    return `storage must be one of ${VECTOR_STORAGES.join(", ")}, not ${String(storage)}`;
  if (!isWithin(connectivity, CONNECTIVITY_MIN, CONNECTIVITY_MAX))
    return `connectivity must be ${CONNECTIVITY_MIN} to ${CONNECTIVITY_MAX}, not ${String(connectivity)}`;
  for (const [name, expansion] of Object.entries({ expansionAdd, expansionSearch })) {
    if (!isWithin(expansion, 1, EXPANSION_MAX))
      return `${name} must be 1 to ${EXPANSION_MAX}, not ${String(expansion)}`;
  }
  return null;
}

/** Whether a checkpoint's value is one. */
export function isDefinedVectors(value: DefinedVectors | null | undefined): boolean {
  if (typeof value?.label !== "string" || typeof value.property !== "string") return false;
  return value.label !== "" && isWithin(value.definedBy, 1, Number.MAX_SAFE_INTEGER) && definitionFault(value) === null;
}

/** Whether two definitions say the same. */
export function sameDefinition(a: VectorsDefinedData, b: VectorsDefinedData): boolean {
  return (KEYS as (keyof VectorsDefinedData)[]).every((key) => a[key] === b[key]);
}

// What is compared are squares, in the index as binary32: these are far from where those end.
const SQUARE_MAX = 2 ** 120;
const SQUARE_MIN = 2 ** -100;
/** How far from 1 the squared length of a vector may be that is to have length 1. */
const UNIT_TOLERANCE = 1e-3;

/** Why a vector cannot be compared like that, or null. It holds finite numbers only. */
export function comparisonFault({ metric, storage }: VectorsDefinedData, vector: Float32Array): string | null {
  const square = squareOf(vector);
  if (square > SQUARE_MAX) return "it is too long to be compared";
  if (metric === "cosine" && square < SQUARE_MIN) return "it has no direction, and the metric is the cosine";
  if (metric !== "cosine" && storage === "i8" && Math.abs(square - 1) > UNIT_TOLERANCE)
    return `its length is not 1, and the storage i8 takes no others with the metric ${metric}`;
  return null;
}

/** The vector that a question is about. Throws ERR_GRAPH_INVALID_VECTOR, and TypeError for what is none. */
export function checkQueryVector(definition: VectorsDefinedData, value: unknown): Float32Array {
  if (!(value instanceof Float32Array || (Array.isArray(value) && value.every((each) => typeof each === "number"))))
    throw new TypeError("vector must be a Float32Array or an array of numbers");
  const vector = Float32Array.from(value as ArrayLike<number>);
  const { dimensions } = definition;
  const fault =
    vector.length === dimensions
      ? (vectorFault(vector) ?? comparisonFault({ ...definition, storage: "f32" }, vector))
      : `it has ${vector.length} dimensions, not ${dimensions}`;
  if (fault === null) return vector;
  const { label, property } = definition;
  throw new StoreError("ERR_GRAPH_INVALID_VECTOR", `the vector cannot be compared: ${fault}`, { label, property });
}

export function squareOf(vector: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < vector.length; at += 1) sum += (vector[at] as number) ** 2;
  return sum;
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

function dropUndefined(value: VectorDefinition): VectorDefinition {
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined),
  ) as unknown as VectorDefinition;
}

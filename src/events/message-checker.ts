/**
 * Checks `data` against a protobuf message type before it is encoded, and gives it the form that protobufjs encodes without loss.
 *
 * protobufjs writes 0 for a bigint, cuts integers to their width, takes any text for bytes, drops fields that the type does not have,
 * and writes lone surrogates that nobody can read: all without a word. Its `verify` finds few of these, its `fromObject` turns wrong
 * values into others. Here whatever would come back as something else is refused. Converted are only bigints, and the texts that stand
 * in protobuf's own JSON for what JSON lacks, in their one canonical spelling: 64-bit integers in decimal, bytes in base64, "NaN" and
 * the infinities, the names of enum values. So an event that was read and printed as JSON can be appended again.
 */

import protobuf from "protobufjs";
import { assert } from "../assert.js";

/** As protobufjs itself has it. */
const DEPTH_MAX = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;
const DECIMAL = /^(?:0|-?[1-9]\d*)$/;
const SAFE_MAX = Number.MAX_SAFE_INTEGER;
const NUMBERS_BEYOND_JSON: ReadonlySet<unknown> = new Set(["NaN", "Infinity", "-Infinity"]);

/** Values that must be converted. Counts up only, so that a getter that appends another event cannot hide one of this event. */
let conversionsSeen = 0;

/** What is wrong with a value, or null. */
type ValueCheck = (value: unknown, depth: number) => string | null;

interface FieldPlan {
  /** Checks the whole value: of a list or map, each of its values. */
  readonly check: ValueCheck;
  /** The oneof that it shares with others; null for none. */
  readonly oneof: string | null;
  /** The form of one value that protobufjs writes without loss. */
  readonly convert: (value: unknown) => unknown;
  readonly shape: "one" | "list" | "map";
}

/** The form of a 64-bit value that protobufjs writes without loss. */
interface WideValue {
  readonly low: number;
  readonly high: number;
  readonly unsigned: boolean;
}

function integerCheck(min: number, max: number): ValueCheck {
  return (value) => {
    if (typeof value !== "number" || !Number.isInteger(value)) return "an integer is expected";
    return value < min || value > max ? `${value} is out of its range` : null;
  };
}

/** A number that is not safe may have been rounded before it came here, so a larger one must be a bigint. */
function wideCheck(min: bigint, max: bigint): ValueCheck {
  return (value) => {
    if (typeof value === "number" && Number.isInteger(value)) {
      if (value > SAFE_MAX || value < -SAFE_MAX) return `${value} is beyond ±(2^53 − 1) and must be a bigint`;
      return value < min ? `${value} is out of its range` : null;
    }
    const isText = typeof value === "string" && DECIMAL.test(value);
    if (typeof value !== "bigint" && !isText) return "an integer or bigint is expected";
    conversionsSeen++;
    const exact = BigInt(value);
    return exact < min || exact > max ? `${value} is out of its range` : null;
  };
}

function checkDouble(value: unknown): string | null {
  if (typeof value === "number") return null;
  if (!NUMBERS_BEYOND_JSON.has(value)) return "a number is expected";
  conversionsSeen++;
  return null;
}

function checkFloat(value: unknown): string | null {
  if (typeof value !== "number") return checkDouble(value);
  return Number.isFinite(value) && !Number.isFinite(Math.fround(value)) ? `${value} is out of its range` : null;
}

function checkBytes(value: unknown): string | null {
  if (value instanceof Uint8Array) return null;
  if (typeof value !== "string" || Buffer.from(value, "base64").toString("base64") !== value) {
    return "a Uint8Array or base64 is expected";
  }
  conversionsSeen++;
  return null;
}

function checkText(value: unknown): string | null {
  if (typeof value !== "string") return "a string is expected";
  return LONE_SURROGATE.test(value) ? "it has a lone surrogate" : null;
}

const I32 = integerCheck(-(2 ** 31), 2 ** 31 - 1);
const U32 = integerCheck(0, 2 ** 32 - 1);
const I64 = wideCheck(-(2n ** 63n), 2n ** 63n - 1n);
const U64 = wideCheck(0n, 2n ** 64n - 1n);

const SCALAR_CHECKS: ReadonlyMap<string, ValueCheck> = new Map<string, ValueCheck>([
  ["int32", I32],
  ["sint32", I32],
  ["sfixed32", I32],
  ["uint32", U32],
  ["fixed32", U32],
  ["int64", I64],
  ["sint64", I64],
  ["sfixed64", I64],
  ["uint64", U64],
  ["fixed64", U64],
  ["bool", (value) => (typeof value === "boolean" ? null : "true or false is expected")],
  ["string", checkText],
  ["double", checkDouble],
  ["float", checkFloat],
  ["bytes", checkBytes],
]);

function scalarCheck(type: string): ValueCheck {
  const check = SCALAR_CHECKS.get(type);
  assert(check !== undefined, `protobuf has no type ${type}`);
  return check;
}

export const WIDE_TYPES: ReadonlySet<string> = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

function enumCheck(type: protobuf.Enum): ValueCheck {
  const closed = type.valuesById;
  return (value) => {
    if (typeof value === "string" && Object.hasOwn(type.values, value)) {
      conversionsSeen++;
      return null;
    }
    if (I32(value, 0) !== null) return `a number or name of the enum ${type.name} is expected`;
    // Proto3 keeps numbers that a newer schema may know; proto2 does not read them back.
    if (isOpen(type) || Object.hasOwn(closed, value as number)) return null;
    return `${value as number} is not in the enum ${type.name}`;
  };
}

function isOpen(type: protobuf.Enum): boolean {
  return (type as unknown as { readonly _features: { readonly enum_type: string } })._features.enum_type !== "CLOSED";
}

/** Map keys are property names: numbers and bools in their one canonical spelling. */
function keyCheck(keyType: string): ValueCheck {
  if (keyType === "string") return checkText;
  if (keyType === "bool") return (key) => (key === "true" || key === "false" ? null : "its keys are true and false");
  const check = scalarCheck(keyType);
  const isWide = WIDE_TYPES.has(keyType);
  return (key, depth) => {
    if (!DECIMAL.test(key as string)) return "its keys are integers";
    if (!isWide) return check(Number(key), depth);
    return check(BigInt(key as string), depth) ?? (isMisread(key as string) ? "protobufjs misreads this key" : null);
  };
}

/** protobufjs keeps 64-bit keys as texts of their 8 bytes, and takes one that happens to be all digits for the number they spell. */
function isMisread(key: string): boolean {
  return DECIMAL.test(protobuf.util.longToHash(wideValue(BigInt(key)) as protobuf.Long));
}

function isMessageObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  // A Date, a Map or a typed array has no fields of its own: it would become an empty message.
  return Object.prototype.toString.call(value) === "[object Object]";
}

function wideValue(value: bigint): WideValue {
  const low = Number(BigInt.asIntN(32, value));
  return { low, high: Number(BigInt.asIntN(32, value >> 32n)), unsigned: value > 0n };
}

/** Whether the type has such a field, itself or in a type that it holds. */
export function hasFieldLike(
  type: protobuf.Type,
  isLike: (field: protobuf.Field) => boolean,
  seen: Set<protobuf.Type> = new Set(),
): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  return type.fieldsArray.some(
    (field) =>
      isLike(field) || (field.resolvedType instanceof protobuf.Type && hasFieldLike(field.resolvedType, isLike, seen)),
  );
}

/** protobufjs takes what Object.prototype has under the name of an absent list or map for the list or map. */
function isTakenFromPrototype(field: protobuf.Field): boolean {
  return (field.repeated || field.map) && field.name in Object.prototype;
}

export class MessageChecker {
  readonly #fields = new Map<string, FieldPlan>();
  readonly #required: string[] = [];
  readonly #hasOneofs: boolean;
  readonly #mustCopy: boolean;

  /** `known` holds the checkers made so far: types can hold each other. */
  constructor(type: protobuf.Type, known: Map<protobuf.Type, MessageChecker>) {
    known.set(type, this);
    for (const field of type.fieldsArray) {
      this.#fields.set(field.name, planOf(field, known));
      if (field.required) this.#required.push(field.name);
    }
    this.#hasOneofs = type.oneofsArray.some((oneof) => oneof.fieldsArray.length > 1);
    this.#mustCopy = hasFieldLike(type, isTakenFromPrototype);
  }

  /** The object to give to protobufjs, which is `data` itself where that will do; or what is wrong with `data`, as text. */
  encodable(data: unknown): object | string {
    const seenBefore = conversionsSeen;
    const problem = this.#problem(data, 0);
    if (problem !== null) return problem;
    const message = data as Record<string, unknown>;
    return this.#mustCopy || conversionsSeen !== seenBefore ? this.#copy(message) : message;
  }

  readonly #problem = (data: unknown, depth: number): string | null => {
    if (!isMessageObject(data)) return "an object of its fields is expected";
    if (depth > DEPTH_MAX) return "it is nested too deeply";
    for (const name of Object.keys(data)) {
      const field = this.#fields.get(name);
      if (field === undefined) return `there is no field ${name}`;
      const value = data[name];
      if (value === undefined || value === null) continue;
      const problem = field.check(value, depth + 1);
      if (problem !== null) return `${name}: ${problem}`;
    }
    return this.#hasOneofs || this.#required.length > 0 ? this.#presenceProblem(data) : null;
  };

  #presenceProblem(data: Record<string, unknown>): string | null {
    const missing = this.#required.find((name) => !Object.hasOwn(data, name) || isAbsent(data[name]));
    if (missing !== undefined) return `the required field ${missing} is missing`;
    const given = new Map<string, string>();
    for (const name of Object.keys(data)) {
      const oneof = this.#fields.get(name)?.oneof ?? null;
      if (oneof === null || isAbsent(data[name])) continue;
      const other = given.get(oneof);
      if (other !== undefined) return `${other} and ${name} are both given, and ${oneof} holds one of them`;
      given.set(oneof, name);
    }
    return null;
  }

  get check(): ValueCheck {
    return this.#problem;
  }

  #copy(data: Record<string, unknown>): object {
    const copy = Object.create(null) as Record<string, unknown>;
    for (const [name, value] of Object.entries(data)) copy[name] = copyOf(value, this.#fields.get(name) as FieldPlan);
    return copy;
  }

  get convert(): (value: unknown) => unknown {
    return (value) => (isAbsent(value) ? value : this.#copy(value as Record<string, unknown>));
  }
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function planOf(field: protobuf.Field, known: Map<protobuf.Type, MessageChecker>): FieldPlan {
  const type = field.resolvedType;
  const nested = type instanceof protobuf.Type ? (known.get(type) ?? new MessageChecker(type, known)) : null;
  const checkOne = nested?.check ?? (type instanceof protobuf.Enum ? enumCheck(type) : scalarCheck(field.type));
  const check =
    field instanceof protobuf.MapField
      ? mapCheck(keyCheck(field.keyType), checkOne)
      : field.repeated
        ? listCheck(checkOne)
        : checkOne;
  // The oneof that proto3 makes of each optional field holds one field only.
  const oneof = field.partOf !== null && field.partOf.fieldsArray.length > 1 ? field.partOf.name : null;
  const convert = nested?.convert ?? conversionOf(field);
  return { check, oneof, convert, shape: field.map ? "map" : field.repeated ? "list" : "one" };
}

function listCheck(check: ValueCheck): ValueCheck {
  return (value, depth) => {
    if (!Array.isArray(value)) return "an array is expected";
    for (let index = 0; index < value.length; index++) {
      const problem = check(value[index], depth);
      if (problem !== null) return `item ${index}: ${problem}`;
    }
    return null;
  };
}

function mapCheck(checkKey: ValueCheck, check: ValueCheck): ValueCheck {
  return (value, depth) => {
    if (!isMessageObject(value)) return "an object from keys to values is expected";
    for (const key of Object.keys(value)) {
      const problem = checkKey(key, depth) ?? check(value[key], depth);
      if (problem !== null) return `key ${key}: ${problem}`;
    }
    return null;
  };
}

function conversionOf(field: protobuf.Field): (value: unknown) => unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return (value) => (typeof value === "string" ? type.values[value] : value);
  if (WIDE_TYPES.has(field.type)) {
    return (value) => (typeof value === "bigint" || typeof value === "string" ? wideValue(BigInt(value)) : value);
  }
  if (field.type === "bytes") return (value) => (typeof value === "string" ? Buffer.from(value, "base64") : value);
  if (field.type === "double" || field.type === "float") return (value) => (isAbsent(value) ? value : Number(value));
  return (value) => value;
}

function copyOf(value: unknown, { convert, shape }: FieldPlan): unknown {
  if (isAbsent(value) || shape === "one") return convert(value);
  if (shape === "list") return (value as unknown[]).map(convert);
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value as object)) copy[key] = convert(item);
  return copy;
}

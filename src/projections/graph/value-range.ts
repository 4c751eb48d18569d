/** Ranges of property values, as callers say them and as filters and indexes take them. value-order.ts says what comes before what. */

import { StoreError } from "../../errors.js";
import { checkKnownKeys } from "./graph-input.js";
import { isWellFormed } from "./property.js";
import { OrderedValue, VALUE_KINDS } from "./value-order.js";

/** The end of a range. A time is a number of µs. */
export type RangeBound = number | string | Uint8Array;

/**
 * Values of one kind from a lower to an upper bound; at least one is given. Only values of the bounds' kind are in it: numbers, text or bytes.
 * Text is compared by code point.
 */
export interface PropertyRange {
  /** At least, or above. */
  readonly gte?: RangeBound;
  readonly gt?: RangeBound;
  /** At most, or below. */
  readonly lte?: RangeBound;
  readonly lt?: RangeBound;
}

interface Bound {
  readonly value: OrderedValue;
  readonly inclusive: boolean;
}

export class ValueRange {
  /** An index of `VALUE_KINDS`. */
  readonly kind: number;
  /** Null: from the first, or to the last of the kind. */
  readonly lower: Bound | null;
  readonly upper: Bound | null;

  constructor(kind: number, lower: Bound | null, upper: Bound | null) {
    this.kind = kind;
    this.lower = lower;
    this.upper = upper;
  }

  /** Just one value. */
  static of(value: OrderedValue): ValueRange {
    const bound = { value, inclusive: true };
    return new ValueRange(value.kind, bound, bound);
  }

  has(value: OrderedValue): boolean {
    const { kind, lower, upper } = this;
    if (value.kind !== kind) return false;
    const above = lower === null ? 1 : value.compare(lower.value);
    if (above < 0 || (above === 0 && lower?.inclusive === false)) return false;
    const below = upper === null ? -1 : value.compare(upper.value);
    return below < 0 || (below === 0 && upper?.inclusive === true);
  }
}

/** Whether what is wanted of a property is a range: no value of a property is a plain object. */
export function isRange(wanted: unknown): wanted is object {
  if (typeof wanted !== "object" || wanted === null) return false;
  const prototype: unknown = Object.getPrototypeOf(wanted);
  return prototype === Object.prototype || prototype === null;
}

/** Throws TypeError for an unknown bound, ERR_GRAPH_INVALID_RANGE for what is no range or has nothing in it. */
export function valueRangeOf(key: string, wanted: object): ValueRange {
  checkKnownKeys(`where ${JSON.stringify(key)}`, wanted, ["gte", "gt", "lte", "lt"]);
  const { gte, gt, lte, lt } = wanted as PropertyRange;
  const lower = boundOf(key, "gte", gte, "gt", gt);
  const upper = boundOf(key, "lte", lte, "lt", lt);
  const kind = (lower ?? upper)?.value.kind;
  if (kind === undefined) throw invalid(key, "it has no bound");
  if (lower === null || upper === null) return new ValueRange(kind, lower, upper);
  if (upper.value.kind !== kind) {
    throw invalid(key, `its bounds are of two kinds, ${VALUE_KINDS[kind]} and ${VALUE_KINDS[upper.value.kind]}`);
  }
  const order = lower.value.compare(upper.value);
  if (order > 0) throw invalid(key, "it is reversed");
  if (order === 0 && !(lower.inclusive && upper.inclusive)) throw invalid(key, "it is empty");
  return new ValueRange(kind, lower, upper);
}

function boundOf(key: string, including: string, a: unknown, excluding: string, b: unknown): Bound | null {
  if (a !== undefined && b !== undefined) throw invalid(key, `it has both ${including} and ${excluding}`);
  const value = a ?? b;
  if (a === undefined && b === undefined) return null;
  const isBound = typeof value === "number" || typeof value === "string" || value instanceof Uint8Array;
  if (!isBound) throw invalid(key, "a bound is a number, a string or a Uint8Array");
  if (Number.isNaN(value)) throw invalid(key, "NaN is no bound");
  if (typeof value === "string" && !isWellFormed(value)) throw invalid(key, "its text holds a lone surrogate");
  return { value: new OrderedValue().take(value), inclusive: a !== undefined };
}

function invalid(key: string, why: string): StoreError {
  return new StoreError("ERR_GRAPH_INVALID_RANGE", `the range of ${JSON.stringify(key)} is none: ${why}`, { key });
}

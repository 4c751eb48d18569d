/** Ranges of properties as they are written on the command line: `age>=18`, `since<time:2025-01-01`, `name>="A"`. */

import { InvalidArgumentError } from "commander";
import type { PropertyRange, RangeBound } from "../index.js";
import { UsageError } from "./failure.js";
import { parseInstant } from "./instant.js";

const OPERATORS = { ">=": "gte", ">": "gt", "<=": "lte", "<": "lt" } as const;
const CLAUSE = /^([^<>]+)(>=|<=|>|<)(.*)$/su;
const TIME = "time:";

/** One `--range`. */
export interface RangeClause {
  readonly key: string;
  readonly operator: keyof typeof OPERATORS;
  readonly bound: RangeBound;
}

/** A parser of commander's: gathers them. */
export function rangeClause(text: string, before: readonly RangeClause[] = []): readonly RangeClause[] {
  const [, key, operator, bound] = CLAUSE.exec(text) ?? [];
  if (key === undefined || bound === undefined || bound === "")
    throw new InvalidArgumentError("It must be key>=value, or the same with >, <= or <.");
  return [...before, { key, operator: operator as keyof typeof OPERATORS, bound: boundOf(bound) }];
}

/** By property; several bounds of one are one range. The keys are the user's, so the object has no prototype to fall over. */
export function rangesOf(clauses: readonly RangeClause[]): Record<string, PropertyRange> {
  const ranges: Record<string, Record<string, RangeBound>> = Object.create(null);
  for (const { key, operator, bound } of clauses) {
    const range = ranges[key] ?? {};
    const name = OPERATORS[operator];
    if (range[name] !== undefined) throw new UsageError(`--range has two bounds ${operator} of ${JSON.stringify(key)}`);
    range[name] = bound;
    ranges[key] = range;
  }
  return ranges;
}

/** What reads as a number is one; text can stand in double quotes; a time is µs. */
function boundOf(text: string): RangeBound {
  if (text.startsWith(TIME)) {
    const us = parseInstant(text.slice(TIME.length));
    if (us === null) throw new InvalidArgumentError("Behind time: must be an ISO 8601 time or µs since 1970.");
    return us;
  }
  if (text.length > 1 && text.startsWith('"') && text.endsWith('"')) return text.slice(1, -1);
  const number = Number(text);
  return text.trim() !== "" && Number.isFinite(number) ? number : text;
}

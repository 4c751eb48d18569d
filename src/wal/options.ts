/** Checks options where they come in: an unknown name or a wrong type is a mistake in the caller's code, a `TypeError`. */

/** Throws a `TypeError` for what is no object of options, and one that names any option not in `known`. */
export function checkOptionNames(options: object, known: readonly string[], where: string): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${where}: options must be an object, not ${options === null ? "null" : typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new TypeError(`${where}: unknown option "${name}" (known: ${known.join(", ")})`);
  }
}

/** The integer, or the default where it is undefined. */
export function integerOption(
  value: number | undefined,
  name: string,
  range: { readonly min: number; readonly max: number; readonly default: number },
): number {
  if (value === undefined) return range.default;
  if (typeof value !== "number" || !Number.isSafeInteger(value))
    throw new TypeError(`option ${name} must be an integer`);
  if (value < range.min || value > range.max) {
    throw new RangeError(`option ${name} must lie between ${range.min} and ${range.max}, not ${value}`);
  }
  return value;
}

/** The value when it is one of `choices`, or the default where it is undefined. */
export function choiceOption<Choice extends string>(
  value: Choice | undefined,
  name: string,
  choices: readonly Choice[],
  fallback: Choice,
): Choice {
  if (value === undefined) return fallback;
  if (!choices.includes(value))
    throw new TypeError(`option ${name} must be one of ${choices.join(", ")}, not ${String(value)}`);
  return value;
}

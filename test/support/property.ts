/** Properties: fast-check with the seed of the environment, as `SEED=… npm test` gives it, and what hostile bytes are. */

import fc from "fast-check";
import { isStoreError } from "../../src/errors.js";

function seed(): { readonly seed: number } | Record<never, never> {
  const text = process.env["SEED"];
  return text === undefined || text === "" ? {} : { seed: Number(text) | 0 };
}

/** Records with the prototype that decoded ones have, so that the two can be compared. */
export function record<Value extends object>(
  fields: { [Key in keyof Value]: fc.Arbitrary<Value[Key]> },
): fc.Arbitrary<Value> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<Value>;
}

/** Holds the property against random values; a failure tells its seed and the smallest value that it found. */
export function forAll<Value>(values: fc.Arbitrary<Value>, check: (value: Value) => void, runs = 200): void {
  fc.assert(fc.property(values, check), { numRuns: runs, includeErrorInReport: true, ...seed() });
}

export async function forAllAsync<Value>(
  values: fc.Arbitrary<Value>,
  check: (value: Value) => Promise<void>,
  runs: number,
): Promise<void> {
  await fc.assert(fc.asyncProperty(values, check), { numRuns: runs, includeErrorInReport: true, ...seed() });
}

/** Bytes as nobody wrote them: noise, noise behind a true beginning, and a whole thing in which some bytes are others. */
export function hostileBytes(examples: readonly Uint8Array[], maxLength = 600): fc.Arbitrary<Buffer> {
  const noise = fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
  if (examples.length === 0) return noise;
  const example = fc.constantFrom(...examples);
  const cut = fc
    .tuple(example, fc.nat(), noise)
    .map(([bytes, at, rest]) => Buffer.concat([Buffer.from(bytes).subarray(0, at % (bytes.length + 1)), rest]));
  const changed = fc
    .tuple(example, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }))
    .map(([bytes, changes]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
      return copy;
    });
  return fc.oneof(noise, cut, changed);
}

/** Runs a decoder that may refuse with a code, and nothing else; undefined where it did. */
export function orRefused<Result>(decode: () => Result): Result | undefined {
  try {
    return decode();
  } catch (error) {
    if (isStoreError(error)) return undefined;
    throw error;
  }
}

/** The largest piece of memory that was asked for at once while it ran. */
export function largestAllocation(work: () => void): number {
  let largest = 0;
  const { alloc, allocUnsafe, allocUnsafeSlow } = Buffer;
  const watched =
    <Rest extends unknown[]>(original: (size: number, ...rest: Rest) => Buffer) =>
    (size: number, ...rest: Rest): Buffer => {
      largest = Math.max(largest, size);
      return original.call(Buffer, size, ...rest);
    };
  Object.assign(Buffer, {
    alloc: watched(alloc),
    allocUnsafe: watched(allocUnsafe),
    allocUnsafeSlow: watched(allocUnsafeSlow),
  });
  try {
    work();
    return largest;
  } finally {
    Object.assign(Buffer, { alloc, allocUnsafe, allocUnsafeSlow });
  }
}

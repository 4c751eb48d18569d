/** Random numbers that can be had again: the seed is printed, and `SEED=… npm test` replays it everywhere. */

import { randomInt } from "node:crypto";

export interface SeededRandom {
  readonly seed: number;
  /** A number in [0, 1), with 53 random bits. */
  next(): number;
  /** An integer in [0, maxExclusive). */
  integer(maxExclusive: number): number;
  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item;
  bytes(count: number): Uint8Array;
}

/** Starts a sequence from the environment's SEED if there is one, else from the given seed, else from a fresh one. */
export function seededRandom(seed?: number): SeededRandom {
  const chosen = seedFromEnvironment() ?? seed ?? randomInt(2 ** 32);
  console.log(`SEED=${chosen}`);
  const word = sfc32(chosen);

  const next = (): number => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53;
  const integer = (maxExclusive: number): number => {
    if (!Number.isSafeInteger(maxExclusive) || maxExclusive < 1)
      throw new RangeError(`no integer in [0, ${maxExclusive})`);
    return Math.floor(next() * maxExclusive);
  };
  return {
    seed: chosen,
    next,
    integer,
    pick: <Item>(items: readonly Item[]): Item => items[integer(items.length)] as Item,
    bytes: (count) => Uint8Array.from({ length: count }, () => word() & 0xff),
  };
}

function seedFromEnvironment(): number | null {
  const text = process.env["SEED"];
  if (text === undefined || text === "") return null;
  const seed = Number(text);
  if (!Number.isSafeInteger(seed)) throw new TypeError(`SEED must be an integer, not "${text}"`);
  return seed;
}

// Chris Doty-Humphrey's sfc32 (PractRand): 128 bits of state, passes the known batteries, a dozen operations a word.
function sfc32(seed: number): () => number {
  let a = seed | 0;
  let b = Math.floor(seed / 2 ** 32) | 0;
  let c = 0;
  let counter = 1;
  const word = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  // Twelve rounds spread the seed over the whole state, as the author advises.
  for (let round = 0; round < 12; round += 1) word();
  return word;
}

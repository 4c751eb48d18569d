/** Which sealed segments to make one of: a checkpoint of a small store makes small segments, and reading must not cost more with each. */

import type { SealedEntry } from "./sealed/sealed-entry.js";

const MEBIBYTE = 1024 * 1024;
/** So many of a kind become one of the next. */
const GROUP_COUNT = 8;
/** Segments of this size and above stay as they are. */
const LARGE_BYTES: number = 64 * MEBIBYTE;

/** Segments that follow each other and are to become one; none when nothing is to be done. Each record is written again about log₈ times. */
export function compactionOf(sealed: readonly SealedEntry[]): readonly SealedEntry[] {
  let lowest = 0;
  for (let limit = MEBIBYTE; limit <= LARGE_BYTES; limit *= GROUP_COUNT) {
    const group = trailingBelow(sealed, limit);
    const ofThisKind = group.filter(({ byteLength }) => byteLength >= lowest);
    if (ofThisKind.length >= GROUP_COUNT) return group;
    lowest = limit;
  }
  return [];
}

/** The last of them, back to the first that is as large as `byteLength`. */
function trailingBelow(sealed: readonly SealedEntry[], byteLength: number): readonly SealedEntry[] {
  const large = sealed.findLastIndex((entry) => entry.byteLength >= byteLength);
  return sealed.slice(large + 1);
}

/** All stretches of segments that are worth making one of, however many there are; for who asks for it. */
export function allCompactions(sealed: readonly SealedEntry[]): readonly (readonly SealedEntry[])[] {
  const groups: SealedEntry[][] = [[]];
  for (const entry of sealed) {
    if (entry.byteLength < LARGE_BYTES) groups.at(-1)?.push(entry);
    else groups.push([]);
  }
  return groups.filter((group) => group.length > 1);
}

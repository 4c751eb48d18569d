/**
 * Property keys as strings, kept by their UTF-8 bytes: a graph has few keys and millions of properties, and making a string of each
 * costs more than everything else of decoding one.
 *
 * One place per hash, so the memory is bounded whatever the keys are; a key that comes to a taken place takes it.
 */

import { sameBytesAt } from "./property-cursor.js";
import { decodeText } from "./text.js";
import { copyOf, NO_BYTES } from "./wire.js";

const PLACES = 1024;
/** Longer ones are not kept: they are no keys of a record type. */
const KEY_BYTES_MAX = 64;

const bytesOf: Uint8Array[] = new Array(PLACES).fill(NO_BYTES);
const nameOf: string[] = new Array(PLACES).fill("");

// Records of a type have their keys in one order: the place that came next the last time is looked at before anything is computed.
const nextOf = new Int32Array(PLACES);
let lastPlace = 0;

/** The key `bytes[start, end)`. */
export function keyName(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length === 0 || length > KEY_BYTES_MAX) return decodeText(bytes, start, end);
  const guess = nextOf[lastPlace] as number;
  if (isKept(guess, bytes, start, length)) {
    lastPlace = guess;
    return nameOf[guess] as string;
  }
  const place = placeOf(bytes, start, end);
  nextOf[lastPlace] = place;
  lastPlace = place;
  if (isKept(place, bytes, start, length)) return nameOf[place] as string;
  const name = decodeText(bytes, start, end);
  bytesOf[place] = copyOf(bytes, start, end);
  nameOf[place] = name;
  return name;
}

function isKept(place: number, bytes: Uint8Array, start: number, length: number): boolean {
  const kept = bytesOf[place] as Uint8Array;
  return kept.length === length && sameBytesAt(kept, 0, bytes, start, length);
}

// FNV-1a
function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) & (PLACES - 1);
}

/**
 * The hash of a stream's name, 64 bits in two words; set in stone with version 1 of the sealed format, because buckets and filters go by it.
 *
 * Two multiplicative hashes in one loop, mixed with each other at the end (the public-domain "cyrb53" with all of its bits kept). It
 * resists accidents, not enemies: names made to collide make look-ups slower and never wrong, because whole names are compared.
 */

export interface NameHash {
  low: number;
  high: number;
}

/** Sets both words, as unsigned numbers. */
export type NameHasher = (hash: NameHash, bytes: Uint8Array, start: number, end: number) => void;

export function hashName(hash: NameHash, bytes: Uint8Array, start: number, end: number): void {
  let a = 0xdead_beef ^ (end - start);
  let b = 0x41c6_ce57 ^ (end - start);
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    a = Math.imul(a ^ byte, 0x9e37_79b1);
    b = Math.imul(b ^ byte, 0x5f35_6495);
  }
  const mixed = Math.imul(a ^ (a >>> 16), 0x85eb_ca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2_ae35);
  hash.low = mixed >>> 0;
  hash.high = (Math.imul(b ^ (b >>> 16), 0x85eb_ca6b) ^ Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)) >>> 0;
}

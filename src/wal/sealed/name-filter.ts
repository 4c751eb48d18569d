/**
 * A blocked Bloom filter over the hashes of a segment's stream names: "certainly not here" without a read.
 *
 * A name sets six bits of one block of 64 bytes. The block is ⌊low × blocks ÷ 2^32⌋; the bits are the six lowest groups of nine bits of
 * the two products high × 0x9e3779b1 and high × 0x85ebca6b modulo 2^32, three of each. With ten bits for each name about one absent name in a
 * hundred is taken for a present one, which costs one read.
 */

const BLOCK_BYTES = 64;
const BITS_PER_NAME = 10;
const TWO_TO_32 = 0x1_0000_0000;

export function filterBytes(nameCount: number): number {
  return Math.ceil((nameCount * BITS_PER_NAME) / (BLOCK_BYTES * 8)) * BLOCK_BYTES;
}

function blockStart(filter: Uint8Array, low: number): number {
  return Math.floor((low * (filter.length / BLOCK_BYTES)) / TWO_TO_32) * BLOCK_BYTES;
}

function setBit(filter: Uint8Array, start: number, bit: number): void {
  const at = start + (bit >>> 3);
  filter[at] = (filter[at] as number) | (1 << (bit & 7));
}

function hasBit(filter: Uint8Array, start: number, bit: number): boolean {
  return ((filter[start + (bit >>> 3)] as number) & (1 << (bit & 7))) !== 0;
}

export function addToFilter(filter: Uint8Array, low: number, high: number): void {
  const start = blockStart(filter, low);
  const a = Math.imul(high, 0x9e37_79b1);
  const b = Math.imul(high, 0x85eb_ca6b);
  for (let shift = 0; shift < 27; shift += 9) {
    setBit(filter, start, (a >>> shift) & 511);
    setBit(filter, start, (b >>> shift) & 511);
  }
}

/** False only for a name that was not added. */
export function mayContain(filter: Uint8Array, low: number, high: number): boolean {
  if (filter.length === 0) return false;
  const start = blockStart(filter, low);
  const a = Math.imul(high, 0x9e37_79b1);
  const b = Math.imul(high, 0x85eb_ca6b);
  for (let shift = 0; shift < 27; shift += 9) {
    if (!hasBit(filter, start, (a >>> shift) & 511) || !hasBit(filter, start, (b >>> shift) & 511)) return false;
  }
  return true;
}

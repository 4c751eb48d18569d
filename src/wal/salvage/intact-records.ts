/** Which records of a body still hold their checksums, of a body that as a whole does not. Pure. */

import { checksum } from "../checksum.js";
import { RECORD_HEADER_BYTES } from "../format.js";

/** Where a record's bytes lie in its body. */
export type RecordRange = readonly [start: number, end: number];

/**
 * By index, the records that hold their CRC; null for those that do not. A record's CRC is seeded with the one before, so behind a damaged
 * record two seeds are tried: what stands there, and what its bytes give. Where a length leads out of the body nothing behind it is found.
 */
export function intactRecords(
  body: Buffer,
  recordCount: number,
  seeds: readonly number[] = [0],
): (RecordRange | null)[] {
  const found: (RecordRange | null)[] = [];
  let at = 0;
  let possible: readonly number[] = seeds;
  while (found.length < recordCount && at + RECORD_HEADER_BYTES <= body.length) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + body.readUInt32LE(at);
    if (end > body.length) break;
    const stored = body.readUInt32LE(at + 4);
    const computed = possible.map((seed) => checksum(body, start, end, seed));
    const isIntact = computed.includes(stored);
    found.push(isIntact ? [start, end] : null);
    possible = isIntact ? [stored] : [stored, ...computed];
    at = end;
  }
  // A count that claims more than the body can hold is not believed before anything is allocated.
  const most = Math.min(recordCount, Math.floor(body.length / RECORD_HEADER_BYTES) + 1);
  while (found.length < most) found.push(null);
  return found;
}

/** The records at the beginning of memory of which nobody knows how many there are; none is empty. */
export function leadingRecords(body: Buffer): RecordRange[] {
  const found: RecordRange[] = [];
  let at = 0;
  let crc = 0;
  while (at + RECORD_HEADER_BYTES < body.length) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + body.readUInt32LE(at);
    if (end === start || end > body.length) break;
    crc = checksum(body, start, end, crc);
    if (crc !== body.readUInt32LE(at + 4)) break;
    found.push([start, end]);
    at = end;
  }
  return found;
}

/**
 * CRC-32C (Castagnoli, RFC 3720 § B.4), the checksum of everything in the log. Set in stone with format version 1.
 *
 * Chosen because every 1- to 5-bit error in a header is found for certain, and because hardware computes it on the day that
 * JavaScript can ask for it. It is no protection against somebody who can write the files.
 */

import crc32c from "crc-32/crc32c.js";

/** The checksum as an unsigned number. `seed` is the checksum of the bytes before, so that pieces can be chained. */
export function checksum(bytes: Uint8Array, seed = 0): number {
  return crc32c.buf(bytes, seed) >>> 0;
}

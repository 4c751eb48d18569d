/**
 * CRC-32C (Castagnoli, RFC 3720 § B.4), the checksum of everything in the log. Set in stone with format version 1.
 *
 * Chosen because every 1- to 5-bit error in a header is found for certain, and because hardware computes it on the day that
 * JavaScript can ask for it. It is no protection against somebody who can write the files.
 *
 * The table is crc-32's; the loop is not, because crc-32 takes a whole array, and making a view for each record cost 180 ns where the
 * checksum of the record costs 60. Sixteen tables, sixteen bytes a step, then four: Kounavis and Berry, "A systematic approach to building high
 * performance, software-based, CRC generators" (2005).
 */

import crc32c from "crc-32/crc32c.js";

const SLICES = 16;

/** Table s holds what a byte contributes when s bytes follow it in the same step. crc-32 exports its table, but not its type. */
const TABLES: Int32Array[] = [(crc32c as unknown as { readonly table: Int32Array }).table];
for (let slice = 1; slice < SLICES; slice++) {
  const [base, before] = [TABLES[0] as Int32Array, TABLES[slice - 1] as Int32Array];
  TABLES.push(before.map((crc) => (crc >>> 8) ^ (base[crc & 0xff] as number)));
}
const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** The checksum of `bytes[start, end)` as an unsigned number. `seed` is the checksum of the bytes before, to chain pieces. */
export function checksum(bytes: Uint8Array, start = 0, end: number = bytes.length, seed = 0): number {
  let crc = ~seed;
  let at = start;
  for (const last = end - SLICES; at <= last; at += SLICES) {
    // biome-ignore format: sixteen look-ups read better as a table
    crc =
      (T15[(crc ^ (bytes[at] as number)) & 255] as number) ^ (T14[((crc >>> 8) ^ (bytes[at + 1] as number)) & 255] as number) ^
      (T13[((crc >>> 16) ^ (bytes[at + 2] as number)) & 255] as number) ^ (T12[(crc >>> 24) ^ (bytes[at + 3] as number)] as number) ^
      (T11[bytes[at + 4] as number] as number) ^ (T10[bytes[at + 5] as number] as number) ^
      (T9[bytes[at + 6] as number] as number) ^ (T8[bytes[at + 7] as number] as number) ^
      (T7[bytes[at + 8] as number] as number) ^ (T6[bytes[at + 9] as number] as number) ^
      (T5[bytes[at + 10] as number] as number) ^ (T4[bytes[at + 11] as number] as number) ^
      (T3[bytes[at + 12] as number] as number) ^ (T2[bytes[at + 13] as number] as number) ^
      (T1[bytes[at + 14] as number] as number) ^ (T0[bytes[at + 15] as number] as number);
  }
  for (const last = end - 4; at <= last; at += 4) {
    // biome-ignore format: as above
    crc =
      (T3[(crc ^ (bytes[at] as number)) & 255] as number) ^ (T2[((crc >>> 8) ^ (bytes[at + 1] as number)) & 255] as number) ^
      (T1[((crc >>> 16) ^ (bytes[at + 2] as number)) & 255] as number) ^ (T0[(crc >>> 24) ^ (bytes[at + 3] as number)] as number);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (T0[(crc ^ (bytes[at] as number)) & 255] as number);
  return ~crc >>> 0;
}

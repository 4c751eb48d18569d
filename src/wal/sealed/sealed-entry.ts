/** A sealed segment as the manifest lists it. */

import type { SealedTrailer } from "./sealed-trailer.js";

export interface SealedEntry {
  readonly number: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly byteLength: number;
  /** The hash chain's value after the segment's last run, 64 hexadecimal digits. */
  readonly hash: string;
}

export function entryOf(trailer: SealedTrailer): SealedEntry {
  return {
    number: trailer.number,
    firstLsn: trailer.firstLsn,
    lastLsn: trailer.lastLsn,
    byteLength: trailer.fileBytes,
    hash: trailer.hash.toString("hex"),
  };
}

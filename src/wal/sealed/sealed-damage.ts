/** What to throw when a sealed segment does not hold what it should. */

import { StoreError } from "../../errors.js";
import type { Undecodable } from "./sealed-format.js";

/** Where something should have been. */
export interface SealedPlace {
  readonly path: string;
  readonly offset: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
}

export function sealedDamage(place: SealedPlace, what: string): StoreError {
  const message = `the sealed log is damaged: ${place.path} at offset ${place.offset}: ${what} (LSNs ${place.firstLsn} to ${place.lastLsn})`;
  return new StoreError("ERR_WAL_CORRUPT", message, { ...place });
}

export function undecodable(place: SealedPlace, what: string, problem: Undecodable): StoreError {
  switch (problem.kind) {
    case "damaged":
      return sealedDamage(place, `no ${what}`);
    case "foreign":
      return new StoreError("ERR_WAL_FOREIGN", `${place.path} belongs to another store`, { path: place.path });
    case "unsupported": {
      const message = `${place.path} was written by a newer Varve: ${problem.reason}`;
      return new StoreError("ERR_WAL_VERSION", message, { path: place.path, reason: problem.reason });
    }
  }
}

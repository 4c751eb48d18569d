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

export function sealedDamage({ path, offset, firstLsn, lastLsn }: SealedPlace, what: string): StoreError {
  const message = `the sealed log is damaged: ${path} at offset ${offset}: ${what} (LSNs ${firstLsn} to ${lastLsn})`;
  return new StoreError("ERR_WAL_CORRUPT", message, { path, offset, firstLsn, lastLsn });
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

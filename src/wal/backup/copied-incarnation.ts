/**
 * The incarnation that a copy of a log ends with, so that whoever opens it for writing begins one that no other copy has.
 *
 * A store counts its recoveries from 1. A copy counts on from the second in which it was made, which is more than any store recovers in its
 * life: so a segment that was written behind the copy is never taken for one of the store that it comes from, nor the other way round.
 */

import type { Incarnation, Manifest } from "../manifest.js";

const US_PER_SECOND = 1_000_000;

/** Ended, without files, at the last LSN of the copy. */
export function copiedIncarnation(
  manifest: Pick<Manifest, "incarnations">,
  lastLsn: number,
  nowUs: number,
): Incarnation {
  const newest = manifest.incarnations.at(-1)?.incarnation ?? 0;
  const incarnation = Math.max(newest + 1, Math.floor(nowUs / US_PER_SECOND));
  return { incarnation, firstLsn: lastLsn + 1, lastLsn, firstSegments: [], voids: [] };
}

/** Ranges of LSNs or versions for people. */

import type { LsnRange } from "../index.js";

const SHOWN_MAX = 20;

export function formatRanges(ranges: readonly LsnRange[]): string {
  const shown = ranges
    .slice(0, SHOWN_MAX)
    .map(([from, through]) => (from === through ? `${from}` : `${from} to ${through}`));
  return ranges.length > SHOWN_MAX ? `${shown.join(", ")}, …` : shown.join(", ");
}

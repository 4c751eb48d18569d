/** Ranges of LSNs that hold no records and never will, in ascending order: the voids of a log. */

/** Both ends belong to it. */
export type LsnRange = readonly [from: number, through: number];

/** The union of two lists as one list: ascending, disjoint, neighbours joined. */
export function unionOf(a: readonly LsnRange[], b: readonly LsnRange[]): LsnRange[] {
  const joined: [number, number][] = [];
  for (const [from, through] of [...a, ...b].sort((x, y) => x[0] - y[0])) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], through);
    else joined.push([from, through]);
  }
  return joined;
}

/** What of the ranges lies at or below `lastLsn`. */
export function clipped(ranges: readonly LsnRange[], lastLsn: number): LsnRange[] {
  return ranges
    .filter(([from]) => from <= lastLsn)
    .map(([from, through]) => [from, Math.min(through, lastLsn)] as const);
}

/** The last range that begins at or below `lsn`; −1 when there is none. */
function floorOf(ranges: readonly LsnRange[], lsn: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as LsnRange)[0] <= lsn) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Whether any LSN in [`from`, `through`] lies in one of the ranges. */
export function touches(ranges: readonly LsnRange[], from: number, through: number): boolean {
  const range = ranges[floorOf(ranges, through)];
  return range !== undefined && range[1] >= from;
}

/** The end of the ranges that follow `lsn` without a hole; `lsn` itself when none does. */
export function endBehind(ranges: readonly LsnRange[], lsn: number): number {
  let end = lsn;
  for (let at = floorOf(ranges, lsn + 1); at >= 0 && at < ranges.length; at++) {
    const [from, through] = ranges[at] as LsnRange;
    if (from > end + 1) break;
    if (through > end) end = through;
  }
  return end;
}

/** How many LSNs in (`after`, `through`] lie in the ranges. */
export function countIn(ranges: readonly LsnRange[], after: number, through: number): number {
  let count = 0;
  for (const [from, end] of ranges) count += Math.max(0, Math.min(end, through) - Math.max(from, after + 1) + 1);
  return count;
}

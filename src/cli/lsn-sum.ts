/** How many LSNs there are and what they add up to: equal on two sides only if the same LSNs are on both, none twice. */

export class LsnSum {
  count = 0;
  total = 0n;

  /** Adds so many LSNs in a row, of which this is the last. */
  addRange(lastLsn: number, count: number): void {
    this.count += count;
    this.total += (BigInt(2 * lastLsn - count + 1) * BigInt(count)) / 2n;
  }

  /** Adds LSNs that need not lie side by side. */
  addEach(events: readonly { readonly lsn: number }[]): void {
    let total = 0;
    for (const { lsn } of events) total += lsn;
    this.count += events.length;
    this.total += BigInt(total);
  }
}

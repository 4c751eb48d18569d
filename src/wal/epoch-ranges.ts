/** A set of epochs that grows upwards, kept as ranges: epochs that follow one another take no more memory than one. */

export class EpochRanges {
  readonly #firsts: number[] = [];
  readonly #lasts: number[] = [];

  /** Adds an epoch above all that were added before. */
  add(epoch: number): void {
    const newest = this.#lasts.length - 1;
    if (newest >= 0 && this.#lasts[newest] === epoch - 1) {
      this.#lasts[newest] = epoch;
    } else {
      this.#firsts.push(epoch);
      this.#lasts.push(epoch);
    }
  }

  /** Whether any epoch in [`first`, `last`] was added. */
  meets(first: number, last: number): boolean {
    let low = 0;
    let high = this.#lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lasts[middle] as number) < first) low = middle + 1;
      else high = middle;
    }
    return low < this.#firsts.length && (this.#firsts[low] as number) <= last;
  }
}

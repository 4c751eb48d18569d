/**
 * The LSNs of one stream's events in order, in little memory: most streams are short, and there are many; a few are long.
 *
 * Up to 1,024 lie in a plain array that grows to 1, 4, 16, 32, … places (one that is pushed to takes 17 for its second item). More lie in
 * typed arrays that grow by half: 4 bytes an event below 2^32, 8 bytes from there on, and nothing for the garbage collector to look at.
 */

const FEW = 16;
const PLAIN_LENGTH_MAX = 1024;
const UINT32_END = 0x1_0000_0000;

export class LsnList {
  #lsns: number[] | Uint32Array | Float64Array = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** `lsn` is greater than the last. */
  push(lsn: number): void {
    const lsns = this.#lsns;
    if (this.#length === lsns.length || (lsn >= UINT32_END && lsns instanceof Uint32Array))
      this.#lsns = this.#grown(lsn);
    this.#lsns[this.#length++] = lsn;
  }

  #grown(lsn: number): number[] | Uint32Array | Float64Array {
    const lsns = this.#lsns;
    const length = this.#length;
    if (length < PLAIN_LENGTH_MAX) {
      const grown = new Array<number>(Math.max(1, length < FEW ? length * 4 : length * 2));
      for (let index = 0; index < length; index++) grown[index] = lsns[index] as number;
      return grown;
    }
    const capacity = Math.ceil(length * 1.5);
    const grown = lsn < UINT32_END ? new Uint32Array(capacity) : new Float64Array(capacity);
    grown.set(length === lsns.length ? lsns : lsns.slice(0, length));
    return grown;
  }

  /** Forgets the first `count`. */
  dropFirst(count: number): void {
    if (count === 0) return;
    this.#lsns = this.#lsns.slice(count, this.#length);
    this.#length -= count;
  }

  /** The LSN at `index`, from 0; undefined beyond the end. */
  at(index: number): number | undefined {
    return index < this.#length ? this.#lsns[index] : undefined;
  }

  /** How many of them are `lsn` or less. */
  countThrough(lsn: number): number {
    const lsns = this.#lsns;
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((lsns[middle] as number) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

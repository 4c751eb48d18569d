/** Takes completions out of a ring, all at once, so that what is done about one cannot change those that follow. */

import type { RingDriver } from "./ring-driver.js";
import { CQE_BYTES, IORING_SQ_CQ_OVERFLOW } from "./ring-layout.js";
import { PART_NOBODY } from "./sqe.js";

const CQE_WORDS = CQE_BYTES / 4;

export class RingCompletions {
  readonly #driver: RingDriver;
  /** Of each that was taken last: whose it is, as its entry said, and the kernel's result. */
  readonly slots: Uint32Array;
  readonly parts: Uint8Array;
  readonly results: Int32Array;

  /** At most `countMax` completions that are somebody's can be in the ring. */
  constructor(driver: RingDriver, countMax: number) {
    this.#driver = driver;
    this.slots = new Uint32Array(countMax);
    this.parts = new Uint8Array(countMax);
    this.results = new Int32Array(countMax);
  }

  /** How many there were. Those of nobody are passed over. */
  take(): number {
    const { head, tail, mask, entries } = this.#driver.completion;
    const { flags } = this.#driver.submission;
    if ((Atomics.load(flags, 0) & IORING_SQ_CQ_OVERFLOW) !== 0) this.#driver.flushOverflow();
    const end = Atomics.load(tail, 0);
    let position = head[0] as number;
    let count = 0;
    for (; position !== end; position = (position + 1) >>> 0) {
      // struct io_uring_cqe: user data of 64 bits, result, flags.
      const at = (position & mask) * CQE_WORDS;
      const part = entries[at + 1] as number;
      if (part === PART_NOBODY) continue;
      this.slots[count] = entries[at] as number;
      this.parts[count] = part;
      this.results[count] = entries[at + 2] as number;
      count++;
    }
    Atomics.store(head, 0, position);
    return count;
  }
}

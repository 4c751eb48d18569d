/** Times reads that are too short for one look at the clock each. */

import { percentile } from "./quantiles.js";

/** So many reads between two looks at the clock. */
const READS_AT_ONCE = 100;
const ROUNDS = 1_000;
/** Until the compiler has seen the loop. */
const WARM_UP_ROUNDS = 300;
const NS_PER_MS = 1_000_000;

/** ns of one read, the median of rounds of 100. `read` gets another number each time, and returns one, which is not 0 in all. */
export function readNs(read: (turn: number) => number): number {
  const rounds: number[] = [];
  let sum = 0;
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    const startedMs = performance.now();
    for (let turn = 0; turn < READS_AT_ONCE; turn += 1) sum += read(round * READS_AT_ONCE + turn);
    if (round >= WARM_UP_ROUNDS) rounds.push(((performance.now() - startedMs) * NS_PER_MS) / READS_AT_ONCE);
  }
  if (sum === 0) throw new Error("nothing was read");
  return Math.round(percentile(rounds, 0.5));
}

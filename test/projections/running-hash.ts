/** A projection whose state depends on every event and on their order, so that nothing lost, doubled or swapped hides. */

import type { Projection } from "../../src/projections/index.js";
import type { NumberEvent } from "./memory-feed.js";

export interface RunningHash {
  count: number;
  hash: number;
}

export function runningHash(
  changes: Partial<Projection<RunningHash, NumberEvent>> = {},
): Projection<RunningHash, NumberEvent> {
  return {
    name: "running-hash",
    version: 1,
    handles: "all",
    init: () => ({ count: 0, hash: 0 }),
    apply: (state, event) => {
      state.count += 1;
      state.hash = (Math.imul(state.hash, 31) + event.value + event.lsn) | 0;
      return state;
    },
    encode: function* (state) {
      const words = new Int32Array(1);
      for (const word of [state.count, state.hash]) {
        words[0] = word;
        yield new Uint8Array(words.buffer);
      }
    },
    decode: async (chunks) => {
      const words: number[] = [];
      for await (const chunk of chunks) words.push(new DataView(chunk.buffer).getInt32(0, true));
      const [count, hash] = words;
      if (count === undefined || hash === undefined || words.length !== 2) throw new Error("not two words");
      return { count, hash };
    },
    ...changes,
  };
}

/** The state after some events, computed without any runner. */
export function hashOf(values: readonly number[]): RunningHash {
  let hash = 0;
  for (const [index, value] of values.entries()) hash = (Math.imul(hash, 31) + value + index + 1) | 0;
  return { count: values.length, hash };
}

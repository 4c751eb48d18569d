/** Modules that export projections, as users write them: for rebuilds in other threads and processes. */

import type { Projection } from "../../../src/index.js";

interface Sum {
  sum: number;
  lastLsn: number;
}

function sumOf(name: string, version: number, factor: number): Projection<Sum> {
  return {
    name,
    version,
    handles: ["Added"],
    init: () => ({ sum: 0, lastLsn: 0 }),
    apply: (state, event) => {
      state.sum += (event.data as { value: number }).value * factor;
      state.lastLsn = event.lsn;
      return state;
    },
    encode: (state) => Buffer.from(JSON.stringify(state)),
    decode: async (chunks) => {
      let text = "";
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      return JSON.parse(text) as Sum;
    },
  };
}

export const once: Projection<Sum> = sumOf("sum", 1, 1);
export const tenfold: Projection<Sum> = sumOf("sum", 2, 10);
export const others: Projection<Sum> = sumOf("others", 1, 1);

/** A sum of the values times a factor: two definitions of one name and version fold one log into states that can be told apart. */

import type { Projection } from "../../src/projections/index.js";
import type { NumberEvent } from "./memory-feed.js";

export function factorSum(
  factor: number,
  changes: Partial<Projection<number, NumberEvent>> = {},
): Projection<number, NumberEvent> {
  return {
    name: "sum",
    version: 1,
    handles: "all",
    init: () => 0,
    apply: (state, event) => state + event.value * factor,
    encode: (state) => Buffer.from(String(state)),
    decode: async (chunks) => {
      let text = "";
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      return Number(text);
    },
    ...changes,
  };
}

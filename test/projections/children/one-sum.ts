/** A module with one projection, which refuses one event. */

import type { Projection } from "../../../src/index.js";
import { others } from "./number-sum.js";

export const refusing: Projection<{ sum: number; lastLsn: number }> = {
  ...others,
  name: "refusing",
  apply: (state, event) => {
    if (event.lsn === 7) throw new Error("not the seventh");
    return others.apply(state, event);
  },
};

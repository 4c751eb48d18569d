/** Which edges a query follows from a node. */

import { checkChoice } from "./graph-input.js";
import type { EdgeDirection, GraphTables } from "./graph-tables.js";

export interface EdgeQuery {
  /** Seen from the node. Default "both", a loop once. */
  readonly direction?: EdgeDirection;
  /** Only edges with this label. */
  readonly label?: string;
}

/** An `EdgeQuery` that was checked. */
export interface EdgeFilter {
  readonly direction: EdgeDirection;
  /** A label's number; null: any, −1: one that nothing ever bore. */
  readonly label: number | null;
}

/** Throws TypeError for what is no direction and no label. */
export function edgeFilterOf({ labels }: GraphTables, { direction = "both", label }: EdgeQuery): EdgeFilter {
  return { direction: checkChoice("direction", direction, ["out", "in", "both"]), label: labels.wanted(label) };
}

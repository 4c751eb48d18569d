/** Which edges a query follows from a node. */

import { checkChoice } from "./graph-input.js";
import type { EdgeDirection, GraphTables } from "./graph-tables.js";
import { NodeFilter, type PropertyConditions } from "./node-filter.js";

export interface EdgeQuery {
  /** Seen from the node. Default "both", a loop once. */
  readonly direction?: EdgeDirection;
  /** Only edges with this label. */
  readonly label?: string;
  /** Only edges that have all of these properties: with exactly this value, or with one in this range. */
  readonly edgeWhere?: PropertyConditions;
}

/** An `EdgeQuery` that was checked. */
export interface EdgeFilter {
  readonly direction: EdgeDirection;
  /** A label's number; null: any, −1: one that nothing ever bore. */
  readonly label: number | null;
  /** About the edge's own properties; null: whatever they are. */
  readonly match: NodeFilter | null;
}

/** Throws TypeError for what is no direction and no label, and as `NodeFilter`. */
export function edgeFilterOf(tables: GraphTables, { direction = "both", label, edgeWhere }: EdgeQuery): EdgeFilter {
  return {
    direction: checkChoice("direction", direction, ["out", "in", "both"]),
    label: tables.labels.wanted(label),
    match: edgeWhere === undefined ? null : new NodeFilter(tables, { where: edgeWhere }),
  };
}

/** What lies around a node: the nodes up to so many hops away, and every edge between them. */

import type { EdgeFilter } from "./edge-filter.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import type { GraphView } from "./graph-view.js";
import type { NodeFilter } from "./node-filter.js";
import { type StepQuery, traverse } from "./traversal.js";

export interface SubgraphQuery extends StepQuery {
  /** How many edges away from the node at most. */
  readonly hops: number;
  /** How many nodes at most, the start included. No limit by default. */
  readonly limit?: number;
}

export interface Subgraph {
  /** The start first, then nearest first; none when the start does not exist. */
  readonly nodes: readonly GraphNode[];
  /** Every edge (with the label and the properties, where such were asked for) whose ends are both among the nodes, whatever its direction. */
  readonly edges: readonly GraphEdge[];
  /** False when `limit` left nodes out. */
  readonly complete: boolean;
}

export function subgraph(
  view: GraphView,
  startId: number,
  over: EdgeFilter,
  onto: NodeFilter,
  { hops, limit }: { readonly hops: number; readonly limit: number },
): Subgraph {
  const { ids } = view.tables.nodes;
  const start = ids.slotOf(startId);
  const slots = new Set<number>(start === 0 || view.nodeRow(start) === 0 ? [] : [start]);
  let complete = true;
  // One step more than may be had, to know whether there is one.
  for (const { id } of traverse(view, startId, over, onto, { maxDepth: hops, limit })) {
    if (slots.size === limit) complete = false;
    else slots.add(ids.slotOf(id));
  }
  const edges: GraphEdge[] = [];
  for (const slot of slots) {
    // Each edge leaves one node, so it comes once.
    for (const edge of view.edgeSlots(slot, { ...over, direction: "out" })) {
      if (slots.has(view.otherEnd(edge, slot))) edges.push(view.edgeAt(edge) as GraphEdge); // `as`: it was just seen
    }
  }
  return { nodes: Array.from(slots, (slot) => view.nodeAt(slot) as GraphNode), edges, complete };
}

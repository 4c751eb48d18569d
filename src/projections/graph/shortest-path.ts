/**
 * A path with the fewest edges between two nodes of a view.
 *
 * Breadth first, so each node is looked at once and cycles are no trouble. Memory is at most two Int32s for each node the graph ever
 * knew, whatever the edges are; of them only the pages that are touched are there.
 */

import type { EdgeFilter, EdgeQuery } from "./edge-filter.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import type { GraphView } from "./graph-view.js";

export interface PathQuery extends EdgeQuery {
  /** How many edges at most. No limit by default. */
  readonly maxDepth?: number;
}

/** A path: `edges[i]` leads from `nodes[i]` to `nodes[i + 1]`, seen in the direction that was asked for. */
export interface GraphPath {
  /** From the start to the end, both included. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** In `reachedBy`, where 0 is "not yet" and what is above 0 an edge. */
const IS_START = -1;

/** Null when there is none, or an end does not exist. Of several, the one whose edges come first in the order of `edges`. */
export function shortestPath(
  view: GraphView,
  fromId: number,
  toId: number,
  over: EdgeFilter,
  maxDepth: number,
): GraphPath | null {
  const { nodes } = view.tables;
  const start = nodes.ids.slotOf(fromId);
  const goal = nodes.ids.slotOf(toId);
  if (start === 0 || goal === 0 || view.nodeRow(start) === 0 || view.nodeRow(goal) === 0) return null;
  const reachedBy = new Int32Array(nodes.records.length);
  const queue = new Int32Array(nodes.records.length);
  reachedBy[start] = IS_START;
  queue[0] = start;
  let first = 0;
  let last = 1;
  for (let depth = 0; depth < maxDepth && first < last && reachedBy[goal] === 0; depth += 1) {
    for (const end = last; first < end && reachedBy[goal] === 0; first += 1) {
      const node = queue[first] as number;
      for (const edge of view.edgeSlots(node, over)) {
        const other = view.otherEnd(edge, node);
        if (reachedBy[other] !== 0) continue;
        reachedBy[other] = edge;
        queue[last] = other;
        last += 1;
        if (other === goal) break;
      }
    }
  }
  return reachedBy[goal] === 0 ? null : pathTo(view, goal, reachedBy);
}

function pathTo(view: GraphView, goal: number, reachedBy: Int32Array): GraphPath {
  const nodes = [goal];
  const edges: number[] = [];
  for (let node = goal; reachedBy[node] !== IS_START; ) {
    const edge = reachedBy[node] as number;
    edges.push(edge);
    node = view.otherEnd(edge, node);
    nodes.push(node);
  }
  return {
    nodes: nodes.reverse().map((slot) => view.nodeAt(slot) as GraphNode), // `as`: it was walked over, so it exists
    edges: edges.reverse().map((slot) => view.edgeAt(slot) as GraphEdge),
  };
}

/** Breadth first over a view: what can be reached from a node, nearest first, each node once. */

import type { EdgeFilter, EdgeQuery } from "./edge-filter.js";
import type { GraphView } from "./graph-view.js";
import type { NodeFilter, NodeQuery } from "./node-filter.js";

/** Which nodes a walk may step on. What does not match is neither given nor walked through; the start may be any. */
export interface StepQuery extends EdgeQuery {
  /** Only over nodes with this label. */
  readonly nodeLabel?: string;
  /** Only over nodes that have all of these properties, with exactly these values. */
  readonly where?: NonNullable<NodeQuery["where"]>;
}

export interface TraverseQuery extends StepQuery {
  /** How many edges away from the start at most. */
  readonly maxDepth: number;
  /** How many steps to give at most. No limit by default. */
  readonly limit?: number;
}

/** A node reached by `traverse`, which gives ids only: ask the view for what it needs of them. */
export interface TraverseStep {
  /** The node's id. */
  readonly id: number;
  /** How many edges away from the start, from 1. */
  readonly depth: number;
  /** The edge by which it was reached first, and the node from which. */
  readonly edge: number;
  readonly from: number;
}

export interface TraversalBounds {
  readonly maxDepth: number;
  /** Infinity: none. */
  readonly limit: number;
}

/** The query's part that `NodeFilter` takes. */
export function nodeQueryOf({ nodeLabel, where }: StepQuery): NodeQuery {
  return { ...(nodeLabel !== undefined && { label: nodeLabel }), ...(where !== undefined && { where }) };
}

export function* traverse(
  view: GraphView,
  startId: number,
  over: EdgeFilter,
  onto: NodeFilter,
  { maxDepth, limit }: TraversalBounds,
): Generator<TraverseStep, void, undefined> {
  const { nodes, edges } = view.tables;
  const start = nodes.ids.slotOf(startId);
  if (start === 0 || view.nodeRow(start) === 0) return;
  const seen = new Set([start]);
  let frontier = [start];
  let steps = 0;
  for (let depth = 1; depth <= maxDepth && frontier.length > 0; depth += 1) {
    const next: number[] = [];
    for (const node of frontier) {
      for (const edge of view.edgeSlots(node, over)) {
        const other = view.otherEnd(edge, node);
        if (seen.has(other)) continue;
        seen.add(other);
        if (!onto.holds(other, view.nodeRow(other))) continue;
        next.push(other);
        yield { id: nodes.id(other), depth, edge: edges.id(edge), from: nodes.id(node) };
        steps += 1;
        if (steps === limit) return;
      }
    }
    frontier = next;
  }
}

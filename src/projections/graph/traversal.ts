/** Breadth first over a view: what can be reached from a node, nearest first, each node once. */

import { BreadthFirst } from "./breadth-first.js";
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

export function traverse(
  view: GraphView,
  startId: number,
  over: EdgeFilter,
  onto: NodeFilter,
  { maxDepth, limit }: TraversalBounds,
): Generator<TraverseStep, void, undefined> {
  const start = view.tables.nodes.ids.slotOf(startId);
  const isVisible = start !== 0 && view.nodeRow(start) !== 0;
  // Not a generator around one: each step would go through both.
  return new BreadthFirst(view, { over, onto, maxDepth, limit }).steps(isVisible ? start : 0);
}

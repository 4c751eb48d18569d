/**
 * A path with the fewest edges between two nodes of a view.
 *
 * Breadth first from both ends, level by level, always from the side with the smaller level: of a large graph that looks at a tiny part of what one
 * side alone would. While the two sides have not met, no path is as short as their depths together, so where they meet first is the middle of a
 * shortest one. Each side comes to a node once, so cycles are no trouble. Memory is at most two Int32s for each node the graph ever knew; of
 * them only the pages that are touched are there.
 */

import type { EdgeFilter, EdgeQuery } from "./edge-filter.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import type { EdgeDirection } from "./graph-tables.js";
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

const OPPOSITE: Readonly<Record<EdgeDirection, EdgeDirection>> = { out: "in", in: "out", both: "both" };

/** Null when there is none, or an end does not exist. Of several, always the same one. */
export function shortestPath(
  view: GraphView,
  fromId: number,
  toId: number,
  over: EdgeFilter,
  maxDepth: number,
): GraphPath | null {
  const { ids } = view.tables.nodes;
  const start = ids.slotOf(fromId);
  const goal = ids.slotOf(toId);
  if (start === 0 || goal === 0 || view.nodeRow(start) === 0 || view.nodeRow(goal) === 0) return null;
  const before = new SearchSide(view, start, over);
  const behind = new SearchSide(view, goal, { ...over, direction: OPPOSITE[over.direction] });
  let meeting = start === goal ? start : 0;
  while (meeting === 0 && before.depth + behind.depth < maxDepth) {
    if (before.isExhausted || behind.isExhausted) return null;
    meeting = before.width <= behind.width ? before.grow(behind) : behind.grow(before);
  }
  if (meeting === 0) return null;
  const way = before.wayBack(meeting);
  const rest = behind.wayBack(meeting);
  const nodes = [...way.nodes.reverse(), meeting, ...rest.nodes];
  const edges = [...way.edges.reverse(), ...rest.edges];
  return {
    nodes: nodes.map((slot) => view.nodeAt(slot) as GraphNode), // `as`: it was walked over, so it exists
    edges: edges.map((slot) => view.edgeAt(slot) as GraphEdge),
  };
}

/** In `reachedBy`, where 0 is "not yet" and what is above 0 an edge. */
const IS_START = -1;

class SearchSide {
  /** How many edges away from its end everything was seen. */
  depth = 0;
  readonly #view: GraphView;
  readonly #over: EdgeFilter;
  /** By node slot, the edge by which it was reached first. */
  readonly #reachedBy: Int32Array;
  #level: number[];

  constructor(view: GraphView, end: number, over: EdgeFilter) {
    this.#view = view;
    this.#over = over;
    this.#reachedBy = new Int32Array(view.tables.nodes.records.length);
    this.#reachedBy[end] = IS_START;
    this.#level = [end];
  }

  get isExhausted(): boolean {
    return this.#level.length === 0;
  }

  get width(): number {
    return this.#level.length;
  }

  /** Goes one level on; gives the first node that the other side has reached as well, or 0. */
  grow(other: SearchSide): number {
    const view = this.#view;
    const level: number[] = [];
    for (const node of this.#level) {
      for (const edge of view.edgeSlots(node, this.#over)) {
        const next = view.otherEnd(edge, node);
        if (this.#reachedBy[next] !== 0) continue;
        this.#reachedBy[next] = edge;
        if (other.#reachedBy[next] !== 0) return next;
        level.push(next);
      }
    }
    this.#level = level;
    this.depth += 1;
    return 0;
  }

  /** From a node that was reached, which is left out, to this side's end. */
  wayBack(from: number): { readonly nodes: number[]; readonly edges: number[] } {
    const nodes: number[] = [];
    const edges: number[] = [];
    for (let node = from; this.#reachedBy[node] !== IS_START; ) {
      const edge = this.#reachedBy[node] as number;
      node = this.#view.otherEnd(edge, node);
      edges.push(edge);
      nodes.push(node);
    }
    return { nodes, edges };
  }
}

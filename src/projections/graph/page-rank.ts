/**
 * PageRank of a view: how often who walks along edges without end, and now and then jumps anywhere, stands on each node.
 *
 * Power iteration over the visible edges, which are looked up once. A node without outgoing edges gives its rank to all alike, so that the
 * ranks always sum to 1. Parallel edges count each. The same log gives the same bits: sums are made in the order of creation. Memory: 28
 * bytes for each node the graph ever knew and 8 for each edge.
 */

import { checkId } from "./graph-input.js";
import type { GraphView } from "./graph-view.js";

export interface PageRankQuery {
  /** Only edges with this label. */
  readonly label?: string;
  /** The chance to go on along an edge instead of jumping, from 0 to below 1. Default 0.85. */
  readonly damping?: number;
  /** How many rounds at most, up to 10,000. Default 100. */
  readonly iterations?: number;
  /** Ends when a round changes all ranks together by no more than this. Default 1e-6; 0: makes every round. */
  readonly tolerance?: number;
}

export interface RankedNode {
  /** The node's id. */
  readonly id: number;
  /** Its share: all together are 1. */
  readonly rank: number;
}

export const PAGE_RANK_ITERATIONS_MAX = 10_000;
export const PAGE_RANK_DEFAULTS = { damping: 0.85, iterations: 100, tolerance: 1e-6 } as const;

export interface PageRankBounds {
  readonly label: number | null;
  readonly damping: number;
  readonly iterations: number;
  readonly tolerance: number;
}

/** The ranks of a view's nodes. Iterating gives them all, the highest first; of equal ones the first created first. */
export class PageRank {
  /** How many rounds were made. */
  readonly iterations: number;
  /** By how much the last round changed all ranks together. */
  readonly change: number;
  /** False when the rounds ended before the change was as small as the tolerance. */
  readonly converged: boolean;
  readonly #view: GraphView;
  /** By node slot. */
  readonly #ranks: Float64Array;

  /** @internal Use `view.pageRank`. */
  constructor(view: GraphView, bounds: PageRankBounds) {
    const walk = new Walk(view, bounds.label);
    let change = walk.count === 0 ? 0 : Number.POSITIVE_INFINITY;
    let rounds = 0;
    while (rounds < bounds.iterations && walk.count > 0 && (change > bounds.tolerance || bounds.tolerance === 0)) {
      change = walk.round(bounds.damping);
      rounds += 1;
    }
    this.iterations = rounds;
    this.change = change;
    this.converged = change <= bounds.tolerance;
    this.#view = view;
    this.#ranks = walk.ranks;
  }

  /** The rank of a node; undefined when the view has no such node. */
  of(id: number): number | undefined {
    const slot = this.#view.tables.nodes.ids.slotOf(checkId("id", id));
    const rank = this.#ranks[slot];
    return slot === 0 || rank === undefined || rank < 0 ? undefined : rank;
  }

  /** The first so many of them, at most as many as there are. */
  top(count: number): RankedNode[] {
    checkId("count", count);
    const first: RankedNode[] = [];
    for (const ranked of this) {
      first.push(ranked);
      if (first.length === count) break;
    }
    return first;
  }

  *[Symbol.iterator](): Generator<RankedNode, void, undefined> {
    const ranks = this.#ranks;
    const slots = new Int32Array(ranks.length);
    let count = 0;
    for (const [slot, rank] of ranks.entries()) {
      if (rank < 0) continue;
      slots[count] = slot;
      count += 1;
    }
    const order = slots.subarray(0, count).sort((a, b) => (ranks[b] as number) - (ranks[a] as number) || a - b);
    const { nodes } = this.#view.tables;
    for (const slot of order) yield { id: nodes.id(slot), rank: ranks[slot] as number };
  }
}

const ABSENT = -1;

class Walk {
  /** By node slot; `ABSENT` where the view has no such node. */
  ranks: Float64Array;
  /** How many nodes the view has. */
  readonly count: number;
  #next: Float64Array;
  readonly #outDegrees: Int32Array;
  readonly #sources: Int32Array;
  readonly #targets: Int32Array;

  constructor(view: GraphView, label: number | null) {
    const { nodes, edges } = view.tables;
    const slots = nodes.records.length;
    this.ranks = new Float64Array(slots).fill(ABSENT);
    this.#next = new Float64Array(slots).fill(ABSENT);
    this.#outDegrees = new Int32Array(slots);
    let count = 0;
    for (let slot = 1; slot < slots; slot += 1) {
      if (view.nodeRow(slot) === 0) continue;
      this.ranks[slot] = 0;
      count += 1;
    }
    this.count = count;
    for (const [slot, rank] of this.ranks.entries()) if (rank === 0) this.ranks[slot] = 1 / count;
    const sources = new Int32Array(edges.records.length);
    const targets = new Int32Array(edges.records.length);
    let length = 0;
    for (let edge = 1; edge < edges.records.length; edge += 1) {
      if ((label !== null && edges.label(edge) !== label) || view.edgeRow(edge) === 0) continue;
      const source = edges.source(edge);
      sources[length] = source;
      targets[length] = edges.target(edge);
      this.#outDegrees[source] = (this.#outDegrees[source] as number) + 1;
      length += 1;
    }
    this.#sources = sources.subarray(0, length);
    this.#targets = targets.subarray(0, length);
  }

  /** One step of everybody; gives by how much all ranks changed together. */
  round(damping: number): number {
    const { ranks, count } = this;
    const next = this.#next;
    const outDegrees = this.#outDegrees;
    const sources = this.#sources;
    const targets = this.#targets;
    // By index: iterators over typed arrays took most of the time of a round.
    let stranded = 0;
    for (let slot = 1; slot < ranks.length; slot += 1) {
      if (ranks[slot] !== ABSENT && outDegrees[slot] === 0) stranded += ranks[slot] as number;
    }
    const base = (1 - damping + damping * stranded) / count;
    for (let slot = 1; slot < ranks.length; slot += 1) next[slot] = ranks[slot] === ABSENT ? ABSENT : base;
    for (let index = 0; index < sources.length; index += 1) {
      const source = sources[index] as number;
      const target = targets[index] as number;
      next[target] = (next[target] as number) + (damping * (ranks[source] as number)) / (outDegrees[source] as number);
    }
    let change = 0;
    for (let slot = 1; slot < ranks.length; slot += 1)
      change += Math.abs((next[slot] as number) - (ranks[slot] as number));
    this.ranks = next;
    this.#next = ranks;
    return change;
  }
}

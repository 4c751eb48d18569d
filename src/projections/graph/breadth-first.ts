/**
 * Walks breadth first from a node, over edges that are visible to a view.
 *
 * Every edge and every node of a large graph is a cache miss. Taken one after the other, waiting for them is nearly all that walking costs; so
 * the records of the next few nodes are touched first, all at once, and only then looked at in their order.
 */

import { assert } from "../../assert.js";
import type { EdgeFilter } from "./edge-filter.js";
import type { GraphTables } from "./graph-tables.js";
import type { GraphView } from "./graph-view.js";
import type { NodeFilter } from "./node-filter.js";
import { SlotSet } from "./slot-set.js";
import type { TraverseStep } from "./traversal.js";

/** What is touched at once fits into the processor's first-level cache. */
const NODES_AT_ONCE = 32;
/** Of a node with many edges only the first are touched ahead. */
const EDGES_AHEAD_MAX = 8;

/** What a walk that is over leaves to the next one is at most for so many edges at once. */
const KEPT_EDGES_MAX = 4096;

export interface Walk {
  readonly over: EdgeFilter;
  /** What it does not hold for is neither given nor walked through. */
  readonly onto: NodeFilter;
  readonly maxDepth: number;
  /** Infinity: none. */
  readonly limit: number;
}

/** What a walk writes to. */
class WalkMemory {
  readonly seen = new SlotSet();
  // What the nodes in hand lead to, in order. Written anew for the next nodes, as far as `count`.
  readonly edges: number[] = [];
  readonly others: number[] = [];
  readonly froms: number[] = [];
  count = 0;
  /** Where reading ahead is, per node in hand. */
  readonly heads: number[] = [];
}

// A walk of a few hops is over in microseconds, of which making this anew would be one. Taken while it is in use.
let idleMemory: WalkMemory | null = null;

export class BreadthFirst {
  readonly #view: GraphView;
  readonly #tables: GraphTables;
  readonly #walk: Walk;
  readonly #memory: WalkMemory;

  constructor(view: GraphView, walk: Walk) {
    this.#view = view;
    this.#tables = view.tables;
    this.#walk = walk;
    this.#memory = idleMemory ?? new WalkMemory();
    idleMemory = null;
  }

  /** The nodes reached, nearest first, each once, without the start, which is the slot of a visible node, or 0. To be called once. */
  *steps(start: number): Generator<TraverseStep, void, undefined> {
    const { onto, maxDepth, limit } = this.#walk;
    const { nodes, edges } = this.#tables;
    const view = this.#view;
    const memory = this.#memory;
    const { seen } = memory;
    let left = limit;
    try {
      if (start === 0) return;
      seen.add(start);
      let frontier = [start];
      for (let depth = 1; depth <= maxDepth && frontier.length > 0; depth += 1) {
        const next: number[] = [];
        for (let first = 0; first < frontier.length; first += NODES_AT_ONCE) {
          this.#expand(frontier, first, Math.min(first + NODES_AT_ONCE, frontier.length));
          for (let index = 0; index < memory.count; index += 1) {
            const other = memory.others[index] as number;
            const row = view.nodeRow(other);
            if (row === 0 || !seen.add(other) || !onto.holds(other, row)) continue;
            next.push(other);
            const edge = edges.id(memory.edges[index] as number);
            yield { id: nodes.id(other), depth, edge, from: nodes.id(memory.froms[index] as number) };
            left -= 1;
            if (left === 0) return;
          }
        }
        frontier = next;
      }
    } finally {
      seen.clear();
      if (memory.edges.length <= KEPT_EDGES_MAX) idleMemory = memory;
    }
  }

  /** Collects the visible edges of `frontier[first, end)`; whether their other ends are visible is not looked at yet. */
  #expand(frontier: readonly number[], first: number, end: number): void {
    const { direction } = this.#walk.over;
    const memory = this.#memory;
    memory.count = 0;
    let touched = 0;
    if (direction !== "in") touched += this.#touch(frontier, first, end, true);
    if (direction !== "out") touched += this.#touch(frontier, first, end, false);
    for (let index = first; index < end; index += 1) {
      const node = frontier[index] as number;
      if (direction !== "in") this.#followOut(node);
      if (direction !== "out") this.#followIn(node);
    }
    const { records } = this.#tables.nodes;
    for (let index = 0; index < memory.count; index += 1) touched += records.int(memory.others[index] as number, 0);
    // Says what is true, and keeps the compiler from leaving out reads that nothing needs.
    assert(!Number.isNaN(touched), "what was touched are numbers");
  }

  /** Reads ahead along the chains of all these nodes side by side. */
  #touch(frontier: readonly number[], first: number, end: number, isOut: boolean): number {
    const { nodes, edges } = this.#tables;
    const { heads } = this.#memory;
    const count = end - first;
    for (let index = 0; index < count; index += 1) {
      const node = frontier[first + index] as number;
      heads[index] = isOut ? nodes.lastOut(node) : nodes.lastIn(node);
    }
    let touched = 0;
    for (let round = 0, left = count; round < EDGES_AHEAD_MAX && left > 0; round += 1) {
      left = 0;
      for (let index = 0; index < count; index += 1) {
        const edge = heads[index] as number;
        if (edge === 0) continue;
        const following = isOut ? edges.nextOut(edge) : edges.nextIn(edge);
        heads[index] = following;
        touched += following;
        left += 1;
      }
    }
    return touched;
  }

  #followOut(node: number): void {
    const { nodes, edges } = this.#tables;
    for (let edge = nodes.lastOut(node); edge !== 0; edge = edges.nextOut(edge)) {
      if (this.#isVisible(edge)) this.#add(edge, edges.target(edge), node);
    }
  }

  #followIn(node: number): void {
    const { nodes, edges } = this.#tables;
    const isBoth = this.#walk.over.direction === "both";
    for (let edge = nodes.lastIn(node); edge !== 0; edge = edges.nextIn(edge)) {
      const source = edges.source(edge);
      if (isBoth && source === node) continue; // a loop, which came with those that leave
      if (this.#isVisible(edge)) this.#add(edge, source, node);
    }
  }

  #isVisible(edge: number): boolean {
    const { label, match } = this.#walk.over;
    const { edges } = this.#tables;
    if (label !== null && edges.label(edge) !== label) return false;
    const row = edges.timelines.rowAt(edge, this.#view.validAt, this.#view.lsn);
    return row !== 0 && (match === null || match.holdsContent(edges.timelines.content(edge, row)));
  }

  #add(edge: number, other: number, from: number): void {
    const memory = this.#memory;
    const at = memory.count;
    memory.edges[at] = edge;
    memory.others[at] = other;
    memory.froms[at] = from;
    memory.count = at + 1;
  }
}

/**
 * The nearest nodes of a view.
 *
 * - A node counts when it is visible in the view, bears the label, has a vector there, and is what `where` and `among` ask for: each one is looked at
 *   where the view stands, whatever an index says. Distances are of the vectors that the nodes hold, in double precision.
 * - Small sets are compared one by one: that is exact. So are the nodes of `among`, and those that an index of properties names.
 * - Else the index of vectors is asked, for more than is wanted, because some of what it finds is not in the view or not asked for; twice as
 *   many, until there are enough. Where that would be a good part of all, they are compared one by one after all.
 */

import { StoreError } from "../../errors.js";
import { checkId, checkRecord } from "./graph-input.js";
import type { GraphView } from "./graph-view.js";
import { NodeFilter, type NodeQuery } from "./node-filter.js";
import { SlotSet } from "./slot-set.js";
import {
  checkQueryVector,
  checkReference,
  type DefinedVectors,
  squareOf,
  type VectorsReference,
} from "./vector-definition.js";
import type { VectorIndex } from "./vector-index.js";
import { VectorProperty } from "./vector-property.js";

/** What is asked for. */
export interface NearestQuery extends VectorsReference {
  /** With as many dimensions as are defined. */
  readonly vector: Float32Array | readonly number[];
  /** How many nodes, 10 by default and at most 10,000. */
  readonly k?: number;
  /** Only nodes that have all of these properties, with exactly these values. */
  readonly where?: NonNullable<NodeQuery["where"]>;
  /** Only these nodes, by id: what a traversal reached, say. They are compared one by one. */
  readonly among?: Iterable<number>;
  /** Compare all nodes one by one, however many they are. */
  readonly exact?: boolean;
}

/** A node that is near. */
export interface NearNode {
  readonly id: number;
  /** By the metric of the definition: the less, the nearer. */
  readonly distance: number;
}

/** So many nodes of the label are compared one by one though an index is open: that takes a millisecond, and misses none. */
export const EXACT_NODES_MAX = 1_000;
/** So many while none is. */
export const EXACT_NODES_CLOSED_MAX = 20_000;
const K_DEFAULT = 10;
const K_MAX = 10_000;
/** How many times as much as is wanted the index is asked for at first: what it keeps as i8 is put in order only here. */
const FETCHED_PER_WANTED = 4;
/** From this share of all entries on, comparing all is as fast as asking the index. */
const FETCHED_SHARE_MAX = 1 / 8;

const KEYS = ["vector", "k", "where", "among", "exact"];

export function nearest(view: GraphView, query: NearestQuery): NearNode[] {
  const { label, property } = checkReference("nearest", query, KEYS);
  const { k = K_DEFAULT, where, among, exact = false } = checkRecord("nearest", query) as Partial<NearestQuery>;
  if (checkId("k", k) > K_MAX) throw new TypeError(`k must be at most ${K_MAX}`);
  if (typeof exact !== "boolean") throw new TypeError("exact must be a boolean");
  const { vectors } = view.tables;
  const definition = vectors.definitions.get({ label, property });
  if (definition === undefined) throw notDefined({ label, property });
  const filter = new NodeFilter(view.tables, { label, ...(where !== undefined && { where }) });
  const search = new Search(view, definition, filter, checkQueryVector(definition, query.vector), k);
  if (among !== undefined) return search.among(slotsOf(view, among));
  const candidates = filter.candidates();
  const count = candidates?.length ?? search.nodeCount;
  const index = vectors.indexOf(definition);
  if (exact || count <= (index === undefined ? EXACT_NODES_CLOSED_MAX : EXACT_NODES_MAX)) return search.all();
  if (index === undefined) throw closed(definition, count);
  // Of an index that is being built nobody knows what it lacks.
  return (index.isComplete && !view.tables.history.isLost ? search.through(index) : null) ?? search.all();
}

export function notDefined({ label, property }: VectorsReference): StoreError {
  return new StoreError("ERR_GRAPH_VECTORS_NOT_FOUND", `no vectors ${label}.${property} are defined`, {
    label,
    property,
  });
}

function closed({ label, property }: VectorsReference, nodes: number): StoreError {
  const message = `${nodes} nodes are too many to compare their ${property} one by one: open the vectors ${label}.${property} first, or ask for exact`;
  return new StoreError("ERR_GRAPH_VECTORS_CLOSED", message, { label, property, nodes });
}

/** Checks the ids, which may be of nodes that the view does not have. */
function* slotsOf({ tables }: GraphView, ids: Iterable<number>): Generator<number, void, undefined> {
  if (typeof ids !== "object" || ids === null || !(Symbol.iterator in ids))
    throw new TypeError("among must be an iterable of node ids");
  for (const id of ids) {
    const slot = tables.nodes.ids.slotOf(checkId("an id of among", id));
    if (slot !== 0) yield slot;
  }
}

class Search {
  readonly #view: GraphView;
  readonly #definition: DefinedVectors;
  readonly #filter: NodeFilter;
  readonly #wanted: Float32Array;
  readonly #length: number;
  readonly #k: number;
  readonly #property: VectorProperty;

  constructor(view: GraphView, definition: DefinedVectors, filter: NodeFilter, wanted: Float32Array, k: number) {
    this.#view = view;
    this.#definition = definition;
    this.#filter = filter;
    this.#wanted = wanted;
    this.#length = Math.sqrt(squareOf(wanted));
    this.#k = k;
    this.#property = new VectorProperty(definition.property, definition.dimensions);
  }

  /** How many nodes bear the label in any version. */
  get nodeCount(): number {
    const { label } = this.#filter;
    return label === null ? 0 : (this.#view.tables.labelled[label]?.length ?? 0);
  }

  all(): NearNode[] {
    return this.among(this.#view.nodeSlots(this.#filter));
  }

  among(slots: Iterable<number>): NearNode[] {
    const best = new Nearest(this.#k);
    const seen = new SlotSet();
    for (const slot of slots) if (seen.add(slot) && this.#look(slot)) this.#offer(best, slot);
    return best.list();
  }

  /** What the index finds; null: comparing all is as fast. */
  through(index: VectorIndex): NearNode[] | null {
    const total = index.entries.length - 1;
    const fetchedMax = total * FETCHED_SHARE_MAX;
    for (let fetched = this.#k * FETCHED_PER_WANTED; fetched <= fetchedMax; fetched *= 2) {
      const best = new Nearest(this.#k);
      for (const entry of index.search(this.#wanted, fetched)) {
        const slot = index.slotOf(entry);
        // An entry of what the node held at another time says nothing about how near it is in this view.
        if (slot !== 0 && this.#look(slot) && index.isOf(entry, this.#property.vector)) this.#offer(best, slot);
      }
      if (best.isFull) return best.list();
    }
    return null;
  }

  /** Whether the node is one of those that are asked for; its vector is in hand then. */
  #look(slot: number): boolean {
    const { nodes, contents } = this.#view.tables;
    const row = this.#view.nodeRow(slot);
    if (row === 0 || !this.#filter.holds(slot, row)) return false;
    contents.open(nodes.timelines.content(slot, row));
    return this.#property.isIn(contents);
  }

  #offer(best: Nearest, slot: number): void {
    best.offer(this.#view.tables.nodes.id(slot), this.#distance(this.#property.vector));
  }

  #distance(vector: Float32Array): number {
    const wanted = this.#wanted;
    const { metric } = this.#definition;
    let sum = 0;
    if (metric === "l2") {
      for (let at = 0; at < wanted.length; at += 1) {
        const difference = (wanted[at] as number) - (vector[at] as number);
        sum += difference * difference;
      }
      return Math.sqrt(sum);
    }
    let square = 0;
    for (let at = 0; at < wanted.length; at += 1) {
      const value = vector[at] as number;
      sum += (wanted[at] as number) * value;
      square += value * value;
    }
    if (metric === "dot") return sum === 0 ? 0 : -sum;
    // A vector from before the definition can have no direction: it is like none.
    const lengths = this.#length * Math.sqrt(square);
    return lengths === 0 ? 1 : 1 - sum / lengths;
  }
}

/** The nearest so far: a heap with the farthest on top. Of equally near ones the lowest ids. */
class Nearest {
  readonly #max: number;
  readonly #heap: NearNode[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.#heap.length === this.#max;
  }

  offer(id: number, distance: number): void {
    const heap = this.#heap;
    const node = { id, distance };
    if (heap.length < this.#max) {
      heap.push(node);
      this.#rise(heap.length - 1);
    } else if (isFarther(heap[0] as NearNode, node)) {
      heap[0] = node;
      this.#sink();
    }
  }

  list(): NearNode[] {
    return this.#heap.sort((a, b) => a.distance - b.distance || a.id - b.id);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let at = from; at > 0; ) {
      const above = (at - 1) >>> 1;
      if (!isFarther(heap[at] as NearNode, heap[above] as NearNode)) return;
      this.#swap(at, above);
      at = above;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      let farthest = at;
      for (let below = at * 2 + 1; below <= at * 2 + 2 && below < heap.length; below += 1) {
        if (isFarther(heap[below] as NearNode, heap[farthest] as NearNode)) farthest = below;
      }
      if (farthest === at) return;
      this.#swap(at, farthest);
      at = farthest;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const other = heap[a] as NearNode;
    heap[a] = heap[b] as NearNode;
    heap[b] = other;
  }
}

function isFarther(a: NearNode, b: NearNode): boolean {
  return a.distance > b.distance || (a.distance === b.distance && a.id > b.id);
}

/**
 * The graph as of one point: a valid time and an LSN.
 *
 * A view is fixed when it is made. Events applied later are not in it, and what it answers does not change, although it
 * holds no copy: rectangles are keyed by LSN, and what a later event takes away stays readable. An iterator of a view may
 * be left lying while events are applied. Only a purge takes something from views that lie before its horizon, and they say so.
 *
 * Nodes and edges come out in an order that is the same for the same log: edges and neighbours with the last created
 * first, `find` with the first created first, `traverse` breadth first.
 */

import { BreadthFirst } from "./breadth-first.js";
import { edgeOf, type GraphEdge, type GraphNode, nodeOf, rectangleKnownAt } from "./entity.js";
import { checkChoice, checkId, checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import type { EdgeDirection, GraphTables } from "./graph-tables.js";
import type { Properties } from "./property.js";
import { PropertyMatch } from "./property-match.js";

export interface EdgeQuery {
  /** Seen from the node. Default "both", a loop once. */
  readonly direction?: EdgeDirection;
  /** Only edges with this label. */
  readonly label?: string;
}

export interface NodeQuery {
  /** Only nodes with this label. */
  readonly label?: string;
  /** Only nodes that have all of these properties, with exactly these values. */
  readonly where?: Readonly<Properties>;
}

export interface TraverseQuery extends EdgeQuery {
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

/** Made by `asOf`. */
export class GraphView {
  /** µs since 1970. */
  readonly validAt: number;
  /** The view's place on the recorded axis. */
  readonly lsn: number;
  /** The effective recordedAt of that LSN, µs since 1970; −Infinity for the empty store. */
  readonly recordedAt: number;
  /** @internal */
  readonly tables: GraphTables;
  /** The last LSN that was applied when the view was made: what it may know of a rectangle's end. */
  readonly #known: number;
  /** The recorded time that was asked for; null: an LSN, or now. */
  readonly #askedAt: number | null;

  /** @internal */
  constructor(tables: GraphTables, validAt: number, lsn: number, askedAt: number | null) {
    this.#askedAt = askedAt;
    this.tables = tables;
    this.validAt = validAt;
    this.lsn = lsn;
    this.recordedAt = tables.clock.timeOf(lsn);
    this.#known = tables.clock.lsn;
  }

  /**
   * The horizon of the last purge, µs since 1970, when the view lies before it on the recorded axis: what was superseded by then may be missing in
   * all that it answers. Null: nothing is. A view that was made before a purge can come to lie before its horizon: look here when the answer
   * was read.
   */
  get truncatedBefore(): number | null {
    const { before, lsn } = this.tables.purged;
    if (before === null) return null;
    const liesBefore = this.lsn < lsn || (this.#askedAt !== null && this.#askedAt < before);
    return liesBefore ? before : null;
  }

  /**
   * The node with this id, over the rectangle of its history that contains the view's point.
   *
   * @example
   * ```ts
   * graph.asOf({ validAt: Date.UTC(2021, 5) * 1000 }).node(alice)?.properties["name"];
   * ```
   */
  node(id: number): GraphNode | undefined {
    const slot = this.tables.nodes.ids.slotOf(checkId("id", id));
    return slot === 0 ? undefined : this.nodeAt(slot);
  }

  /** The edge with this id, where it and both its ends exist. */
  edge(id: number): GraphEdge | undefined {
    const slot = this.tables.edges.ids.slotOf(checkId("id", id));
    return slot === 0 ? undefined : this.edgeAt(slot);
  }

  /** The edges at a node; none when the node does not exist. */
  edges(nodeId: number, query: EdgeQuery = {}): Generator<GraphEdge, void, undefined> {
    checkKnownKeys("edges", query, ["direction", "label"]);
    return this.#edges(checkId("nodeId", nodeId), directionOf(query), this.#labelOf(query));
  }

  /** The nodes at the other ends of those edges, each once. */
  neighbors(nodeId: number, query: EdgeQuery = {}): Generator<GraphNode, void, undefined> {
    checkKnownKeys("neighbors", query, ["direction", "label"]);
    return this.#neighbors(checkId("nodeId", nodeId), directionOf(query), this.#labelOf(query));
  }

  /**
   * The nodes with this label and these properties. With an index of one of these (`graph.index`) it looks at those that ever held the value, in
   * the order of their creation; without one at all nodes that ever bore the label.
   *
   * @example
   * ```ts
   * for (const file of view.find({ label: "File", where: { path: "src/index.ts" } })) …
   * ```
   */
  find(query: NodeQuery): Generator<GraphNode, void, undefined> {
    checkKnownKeys("find", checkRecord("find", query), ["label", "where"]);
    const match = query.where === undefined ? null : new PropertyMatch(query.where);
    const { label } = query;
    const candidates = label === undefined || match === null ? null : this.tables.indexes.candidates(label, match);
    return this.#find(this.#labelOf(query), match, candidates);
  }

  /**
   * The nodes that can be reached over edges, nearest first, each once, without the start.
   *
   * Depth is counted in edges; cycles are no trouble.
   */
  traverse(startId: number, query: TraverseQuery): Generator<TraverseStep, void, undefined> {
    checkKnownKeys("traverse", checkRecord("traverse", query), ["direction", "label", "maxDepth", "limit"]);
    const maxDepth = checkId("maxDepth", query.maxDepth);
    const limit = query.limit === undefined ? Number.POSITIVE_INFINITY : checkId("limit", query.limit);
    return this.#traverse(checkId("startId", startId), directionOf(query), this.#labelOf(query), maxDepth, limit);
  }

  /** @internal */
  nodeAt(slot: number): GraphNode | undefined {
    const row = this.nodeRow(slot);
    return row === 0 ? undefined : this.#nodeOf(slot, row);
  }

  /** @internal */
  edgeAt(slot: number): GraphEdge | undefined {
    const row = this.edgeRow(slot);
    return row === 0 ? undefined : this.#edgeOf(slot, row);
  }

  /**
   * The row of a visible node, or 0.
   * @internal
   */
  nodeRow(slot: number): number {
    return this.tables.nodes.timelines.rowAt(slot, this.validAt, this.lsn);
  }

  /**
   * The row of an edge where it and both its ends are visible, or 0.
   * @internal
   */
  edgeRow(slot: number): number {
    const { edges } = this.tables;
    const row = edges.timelines.rowAt(slot, this.validAt, this.lsn);
    return row !== 0 && this.nodeRow(edges.source(slot)) !== 0 && this.nodeRow(edges.target(slot)) !== 0 ? row : 0;
  }

  #nodeOf(slot: number, row: number): GraphNode {
    return nodeOf(this.tables, slot, rectangleKnownAt(this.tables.nodes.timelines, slot, row, this.#known));
  }

  #edgeOf(slot: number, row: number): GraphEdge {
    return edgeOf(this.tables, slot, rectangleKnownAt(this.tables.edges.timelines, slot, row, this.#known));
  }

  /** A label's number; null when none is asked for, −1 when nothing ever bore it. */
  #labelOf(query: { readonly label?: string }): number | null {
    return query.label === undefined ? null : this.tables.labels.numberOf(checkLabel(query.label));
  }

  /** The slots of visible edges at an existing node. */
  *#edgeSlots(node: number, direction: EdgeDirection, label: number | null): Generator<number, void, undefined> {
    const { edges } = this.tables;
    for (const edge of this.tables.edgesOf(node, direction)) {
      if (label !== null && edges.label(edge) !== label) continue;
      if (edges.timelines.rowAt(edge, this.validAt, this.lsn) === 0) continue;
      if (this.nodeRow(this.#otherEnd(edge, node)) !== 0) yield edge;
    }
  }

  #otherEnd(edge: number, node: number): number {
    const { edges } = this.tables;
    const source = edges.source(edge);
    return source === node ? edges.target(edge) : source;
  }

  *#edges(nodeId: number, direction: EdgeDirection, label: number | null): Generator<GraphEdge, void, undefined> {
    const { nodes, edges } = this.tables;
    const node = nodes.ids.slotOf(nodeId);
    if (node === 0 || this.nodeRow(node) === 0) return;
    for (const edge of this.#edgeSlots(node, direction, label)) {
      yield this.#edgeOf(edge, edges.timelines.rowAt(edge, this.validAt, this.lsn));
    }
  }

  *#neighbors(nodeId: number, direction: EdgeDirection, label: number | null): Generator<GraphNode, void, undefined> {
    const node = this.tables.nodes.ids.slotOf(nodeId);
    if (node === 0 || this.nodeRow(node) === 0) return;
    const given = new Set<number>();
    for (const edge of this.#edgeSlots(node, direction, label)) {
      const other = this.#otherEnd(edge, node);
      if (given.has(other)) continue;
      given.add(other);
      const neighbor = this.nodeAt(other);
      if (neighbor !== undefined) yield neighbor;
    }
  }

  /** `candidates`: what an index says; null: there is none for this. */
  *#find(
    label: number | null,
    match: PropertyMatch | null,
    candidates: readonly number[] | null,
  ): Generator<GraphNode, void, undefined> {
    const { nodes, contents, labelled } = this.tables;
    const slots = label === null ? null : labelled[label];
    if (slots === undefined) return;
    // The number of slots is read once: nodes created meanwhile are not in this view.
    const count = candidates?.length ?? slots?.length ?? nodes.records.length - 1;
    for (let index = 0; index < count; index += 1) {
      const slot = candidates?.[index] ?? slots?.get(index) ?? index + 1;
      const row = this.nodeRow(slot);
      if (row === 0) continue;
      contents.open(nodes.timelines.content(slot, row));
      if (label !== null && contents.label !== label) continue;
      if (match !== null && !match.holds(contents.bytes, contents.start, contents.end)) continue;
      yield this.#nodeOf(slot, row);
    }
  }

  *#traverse(
    startId: number,
    direction: EdgeDirection,
    label: number | null,
    maxDepth: number,
    limit: number,
  ): Generator<TraverseStep, void, undefined> {
    const start = this.tables.nodes.ids.slotOf(startId);
    if (start === 0 || this.nodeRow(start) === 0) return;
    let steps = 0;
    for (const step of new BreadthFirst(this, { start, direction, label, maxDepth }).steps()) {
      yield step;
      steps += 1;
      if (steps === limit) return;
    }
  }
}

function directionOf(query: EdgeQuery): EdgeDirection {
  return checkChoice("direction", query.direction ?? "both", ["out", "in", "both"]);
}

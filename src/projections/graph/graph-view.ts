/**
 * The graph as of one point: a valid time and an LSN.
 *
 * A view is fixed when it is made. Events applied later are not in it, and what it answers does not change, although it
 * holds no copy: rectangles are keyed by LSN, and what a later event takes away stays readable. An iterator of a view may
 * be left lying while events are applied. Only a purge takes something from views that lie before its horizon, and they say so.
 *
 * Nodes and edges come out in an order that is the same for the same log: edges and neighbours with the last created
 * first, `find` with the first created first unless another order is asked for, `traverse` breadth first.
 *
 * Whatever walks along edges comes to each node once, but for `match`, which goes as many steps as its pattern has: no question runs in
 * circles. An id that the view does not have is no error: there is nothing at it.
 */

import { type ComponentQuery, components, type GraphComponent } from "./components.js";
import { type EdgeFilter, type EdgeQuery, edgeFilterOf } from "./edge-filter.js";
import { edgeOf, type GraphEdge, type GraphNode, nodeAt, rectangleKnownAt } from "./entity.js";
import { checkId, checkKnownKeys, checkRecord, checkShare } from "./graph-input.js";
import { GraphMatch, rowsAt } from "./graph-match.js";
import type { GraphPoint } from "./graph-point.js";
import { GraphResults } from "./graph-results.js";
import type { GraphTables } from "./graph-tables.js";
import { NodeFilter } from "./node-filter.js";
import { type FindOrder, type FindQuery, findOrderOf, slotsInOrder } from "./ordered-find.js";
import { PAGE_RANK_DEFAULTS, PAGE_RANK_ITERATIONS_MAX, PageRank, type PageRankQuery } from "./page-rank.js";
import { type GraphPath, type PathQuery, shortestPath } from "./shortest-path.js";
import { type Subgraph, type SubgraphQuery, subgraph } from "./subgraph.js";
import { nodeQueryOf, type TraverseQuery, type TraverseStep, traverse } from "./traversal.js";
import { type NearestQuery, type NearNode, nearest } from "./vector-search.js";

const EDGE_KEYS = ["direction", "label", "edgeWhere"];
const STEP_KEYS = [...EDGE_KEYS, "nodeLabel", "where"];

/** Made by `asOf`. */
export class GraphView {
  /** µs since 1970. */
  readonly validAt: number;
  /** The view's place on the recorded axis. Asked for a time, it can be above the last LSN recorded by then, with no event of the graph between. */
  readonly lsn: number;
  /**
   * The effective recordedAt of the last LSN applied, µs since 1970; of an earlier view, that of the graph's last event up to there, for the graph does
   * not keep when the events of others were recorded. −Infinity before the first.
   */
  readonly recordedAt: number;
  /** @internal */
  readonly tables: GraphTables;
  /** The last LSN that was applied when the view was made: what it may know of a rectangle's end. */
  readonly #known: number;
  /** The recorded time that was asked for; null: an LSN, or now. */
  readonly #askedAt: number | null;

  /** @internal */
  constructor(tables: GraphTables, { validAt, lsn, askedAt }: GraphPoint) {
    this.#askedAt = askedAt;
    this.tables = tables;
    this.validAt = validAt;
    this.lsn = lsn;
    this.recordedAt = askedAt === null ? tables.clock.timeOf(lsn) : tables.clock.timeBy(askedAt);
    this.#known = tables.clock.lsn;
  }

  /**
   * The horizon of the last purge, µs since 1970, when the view lies before it on the recorded axis: what was superseded by then may be missing in
   * all that it answers. Null: nothing is. A view that was made before a purge can come to lie before its horizon: look here when the answer
   * was read.
   */
  get truncatedBefore(): number | null {
    return this.tables.purged.truncation(this.lsn, this.#askedAt);
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
  edges(nodeId: number, query: EdgeQuery = {}): GraphResults<GraphEdge> {
    checkKnownKeys("edges", checkRecord("edges", query), EDGE_KEYS);
    checkId("nodeId", nodeId);
    const filter = edgeFilterOf(this.tables, query);
    return new GraphResults(this, () => this.#edges(nodeId, filter));
  }

  /** How many edges there are at a node, a loop counted once; 0 when the node does not exist. */
  degree(nodeId: number, query: EdgeQuery = {}): number {
    checkKnownKeys("degree", checkRecord("degree", query), EDGE_KEYS);
    const filter = edgeFilterOf(this.tables, query);
    const node = this.#slotOf(checkId("nodeId", nodeId));
    let count = 0;
    if (node !== 0) for (const _ of this.edgeSlots(node, filter)) count += 1;
    return count;
  }

  /** The nodes at the other ends of those edges, each once. */
  neighbors(nodeId: number, query: EdgeQuery = {}): GraphResults<GraphNode> {
    checkKnownKeys("neighbors", checkRecord("neighbors", query), EDGE_KEYS);
    checkId("nodeId", nodeId);
    const filter = edgeFilterOf(this.tables, query);
    return new GraphResults(this, () => this.#neighbors(nodeId, filter));
  }

  /**
   * The nodes with this label and these properties: equal, or in a range. In the order of their creation, or of a property. One at a time.
   *
   * With an index of one of these (`graph.index`) it looks at the nodes that ever held such a value; without one at all nodes that ever bore the label.
   * In the order of a property, it goes along a "range" index of that; without one it sorts what it found before it gives the first, and remembers as
   * many as there are, or about twice the limit.
   *
   * @throws TypeError for a wrong option; StoreError `ERR_GRAPH_INVALID_RANGE` for a range without bounds, of two kinds, empty or reversed,
   *   `ERR_GRAPH_INVALID_PROPERTY` for a value that no property can have
   *
   * @example
   * ```ts
   * for (const file of view.find({ label: "File", where: { path: "src/index.ts" } })) …
   * const [richest] = view.find({ label: "Person", where: { salary: { gt: 0 } }, orderBy: "salary", descending: true, limit: 1 });
   * ```
   */
  find(query: FindQuery): GraphResults<GraphNode> {
    const order = findOrderOf(query);
    const filter = new NodeFilter(this.tables, query);
    const limit = limitOf(query);
    return new GraphResults(this, () => this.#find(filter, order, limit));
  }

  /**
   * A pattern of nodes and edges, built step by step; iterating it gives the rows, one at a time.
   *
   * @example
   * ```ts
   * const colleagues = view.match().label("Person").where({ name: "Ann" }).out("WORKS_AT").in("WORKS_AT").limit(10);
   * for (const { nodes } of colleagues) console.log(nodes[2]?.properties["name"]);
   * ```
   */
  match(): GraphMatch {
    return new GraphMatch(this, this.tables, (pattern) => rowsAt(this, pattern));
  }

  /**
   * The nodes that can be reached over edges, nearest first, each once, without the start. Depth is counted in edges.
   *
   * @throws TypeError without a `maxDepth`, which is a positive integer, and for a wrong option
   */
  traverse(startId: number, query: TraverseQuery): GraphResults<TraverseStep> {
    checkKnownKeys("traverse", checkRecord("traverse", query), [...STEP_KEYS, "maxDepth", "limit"]);
    const onto = new NodeFilter(this.tables, nodeQueryOf(query));
    const bounds = { maxDepth: checkId("maxDepth", query.maxDepth), limit: limitOf(query) };
    checkId("startId", startId);
    const over = edgeFilterOf(this.tables, query);
    return new GraphResults(this, () => traverse(this, startId, over, onto, bounds));
  }

  /**
   * The nodes whose vectors are nearest to one, the nearest first, as their vectors were at the view's point; ties by id. Vectors are defined by
   * `graph.defineVectors`. A node without one is not among them.
   *
   * Few nodes are compared one by one, which is exact: up to 1,000 of the label, up to 20,000 while the vectors are not open
   * (`graph.openVectors`), and those of `among`. Of more the index finds nearly all; that what it finds is in the view is certain.
   *
   * @throws TypeError for a wrong option
   * @throws StoreError `ERR_GRAPH_VECTORS_NOT_FOUND`, `ERR_GRAPH_VECTORS_CLOSED`; `ERR_GRAPH_INVALID_VECTOR` for one of another size, with a number that
   *   is not finite, or without direction where the metric is the cosine
   *
   * @example
   * ```ts
   * const reached = [...view.traverse(ann.id, { maxDepth: 3 })].map(({ id }) => id);
   * for (const { id, distance } of view.nearest({ label: "Note", property: "embedding", vector, k: 5, among: reached })) …
   * ```
   */
  nearest(query: NearestQuery): NearNode[] {
    return nearest(this, query);
  }

  /**
   * A path with the fewest edges, or null when there is none or an end does not exist. Of several, always the same one.
   * Looks from both ends at once, in one turn of the event loop.
   *
   * @throws TypeError for a wrong option
   *
   * @example
   * ```ts
   * view.shortestPath(ann.id, bo.id, { label: "KNOWS", maxDepth: 6 })?.nodes.map((node) => node.properties["name"]);
   * ```
   */
  shortestPath(fromId: number, toId: number, query: PathQuery = {}): GraphPath | null {
    checkKnownKeys("shortestPath", checkRecord("shortestPath", query), [...EDGE_KEYS, "maxDepth"]);
    const maxDepth = query.maxDepth === undefined ? Number.POSITIVE_INFINITY : checkId("maxDepth", query.maxDepth);
    const over = edgeFilterOf(this.tables, query);
    return shortestPath(this, checkId("fromId", fromId), checkId("toId", toId), over, maxDepth);
  }

  /**
   * The nodes up to `hops` edges away from a node, itself included, and every edge between any two of them.
   *
   * @throws TypeError without `hops`, which is a positive integer, and for a wrong option
   */
  subgraph(startId: number, query: SubgraphQuery): Subgraph {
    checkKnownKeys("subgraph", checkRecord("subgraph", query), [...STEP_KEYS, "hops", "limit"]);
    const onto = new NodeFilter(this.tables, nodeQueryOf(query));
    const bounds = { hops: checkId("hops", query.hops), limit: limitOf(query) };
    return subgraph(this, checkId("startId", startId), edgeFilterOf(this.tables, query), onto, bounds);
  }

  /**
   * The weakly connected components, the largest first: which nodes hang together, whatever the direction of the edges. A node without
   * edges is one by itself. Goes over the whole graph in one turn of the event loop.
   *
   * @throws TypeError for a wrong option
   */
  components(query: ComponentQuery = {}): GraphResults<GraphComponent> {
    checkKnownKeys("components", checkRecord("components", query), ["label", "limit"]);
    const label = this.tables.labels.wanted(query.label);
    const limit = limitOf(query);
    return new GraphResults(this, () => components(this, label, limit));
  }

  /**
   * The PageRank of every node. Goes over the whole graph once for each round, in one turn of the event loop.
   *
   * @throws TypeError for a wrong option
   *
   * @example
   * ```ts
   * const ranks = view.pageRank({ label: "CITES" });
   * for (const { id, rank } of ranks.top(10)) console.log(view.node(id)?.properties["title"], rank);
   * ```
   */
  pageRank(query: PageRankQuery = {}): PageRank {
    checkKnownKeys("pageRank", checkRecord("pageRank", query), ["label", "damping", "iterations", "tolerance"]);
    const { damping, iterations, tolerance } = { ...PAGE_RANK_DEFAULTS, ...query };
    if (checkId("iterations", iterations) > PAGE_RANK_ITERATIONS_MAX) {
      throw new TypeError(`iterations must be at most ${PAGE_RANK_ITERATIONS_MAX}`);
    }
    checkShare("damping", damping);
    checkShare("tolerance", tolerance);
    return new PageRank(this, { label: this.tables.labels.wanted(query.label), damping, iterations, tolerance });
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
    return nodeAt(this.tables, slot, row, this.#known);
  }

  #edgeOf(slot: number, row: number): GraphEdge {
    const { edges, contents } = this.tables;
    return edgeOf(this.tables, slot, rectangleKnownAt(edges.timelines, contents, slot, row, this.#known));
  }

  /**
   * The slots of visible edges at an existing node.
   * @internal
   */
  *edgeSlots(node: number, { direction, label, match }: EdgeFilter): Generator<number, void, undefined> {
    const { edges } = this.tables;
    for (const edge of this.tables.edgesOf(node, direction)) {
      if (label !== null && edges.label(edge) !== label) continue;
      const row = edges.timelines.rowAt(edge, this.validAt, this.lsn);
      if (row === 0 || (match !== null && !match.holdsContent(edges.timelines.content(edge, row)))) continue;
      if (this.nodeRow(this.otherEnd(edge, node)) !== 0) yield edge;
    }
  }

  /**
   * The slots of visible nodes that the filter holds for.
   * @internal
   */
  *nodeSlots(filter: NodeFilter, candidates = filter.candidates()): Generator<number, void, undefined> {
    const { nodes, labelled } = this.tables;
    const slots = filter.label === null ? null : labelled[filter.label];
    if (slots === undefined) return;
    // The number of slots is read once: nodes created meanwhile are not in this view.
    const count = candidates?.length ?? slots?.length ?? nodes.records.length - 1;
    for (let index = 0; index < count; index += 1) {
      const slot = candidates?.[index] ?? slots?.get(index) ?? index + 1;
      const row = this.nodeRow(slot);
      if (row !== 0 && filter.holds(slot, row)) yield slot;
    }
  }

  /** @internal */
  otherEnd(edge: number, node: number): number {
    const { edges } = this.tables;
    const source = edges.source(edge);
    return source === node ? edges.target(edge) : source;
  }

  /** The slot of a visible node, or 0. */
  #slotOf(nodeId: number): number {
    const slot = this.tables.nodes.ids.slotOf(nodeId);
    return slot === 0 || this.nodeRow(slot) === 0 ? 0 : slot;
  }

  *#edges(nodeId: number, filter: EdgeFilter): Generator<GraphEdge, void, undefined> {
    const { timelines } = this.tables.edges;
    const node = this.#slotOf(nodeId);
    if (node === 0) return;
    for (const edge of this.edgeSlots(node, filter)) {
      yield this.#edgeOf(edge, timelines.rowAt(edge, this.validAt, this.lsn));
    }
  }

  *#neighbors(nodeId: number, filter: EdgeFilter): Generator<GraphNode, void, undefined> {
    const node = this.#slotOf(nodeId);
    if (node === 0) return;
    const given = new Set<number>();
    for (const edge of this.edgeSlots(node, filter)) {
      const other = this.otherEnd(edge, node);
      if (given.has(other)) continue;
      given.add(other);
      const neighbor = this.nodeAt(other);
      if (neighbor !== undefined) yield neighbor;
    }
  }

  *#find(filter: NodeFilter, order: FindOrder | null, limit: number): Generator<GraphNode, void, undefined> {
    let left = limit;
    const few = order === null ? filter.candidates() : null;
    if (few !== null) {
      // Not through `nodeSlots`: a generator within one costs as much as looking at the node.
      for (const slot of few) {
        const row = this.nodeRow(slot);
        if (row === 0 || !filter.holds(slot, row)) continue;
        yield this.#nodeOf(slot, row);
        left -= 1;
        if (left === 0) return;
      }
      return;
    }
    for (const slot of order === null ? this.nodeSlots(filter, few) : slotsInOrder(this, filter, order, limit)) {
      const row = this.nodeRow(slot);
      // Of what was sorted, a purge meanwhile may have taken something.
      if (row === 0) continue;
      yield this.#nodeOf(slot, row);
      left -= 1;
      if (left === 0) return;
    }
  }
}

function limitOf({ limit }: { readonly limit?: number }): number {
  return limit === undefined ? Number.POSITIVE_INFINITY : checkId("limit", limit);
}

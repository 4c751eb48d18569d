/**
 * A small language of patterns: a node, and from there a fixed number of steps over edges, each to a node that is wanted.
 *
 * Rows are found depth first, one at a time, so memory is that of one row. There are as many steps as the pattern says, so cycles are no trouble;
 * an edge is not used twice in a row, a node may be.
 */

import { type EdgeFilter, edgeFilterOf } from "./edge-filter.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import { checkId, checkRecord } from "./graph-input.js";
import { GraphResults } from "./graph-results.js";
import type { EdgeDirection, GraphTables } from "./graph-tables.js";
import type { GraphView } from "./graph-view.js";
import { NodeFilter, type NodeQuery, type PropertyConditions } from "./node-filter.js";

/** One way through the pattern: `edges[i]` is the one between `nodes[i]` and `nodes[i + 1]`. */
export interface MatchRow {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** A step over an edge onto a node. */
export interface MatchStep {
  readonly over: EdgeFilter;
  readonly onto: NodeFilter;
  readonly query: NodeQuery;
}

/** What was asked for. */
export interface MatchPattern {
  readonly start: NodeFilter;
  readonly steps: readonly MatchStep[];
  /** Null: at whichever node the start holds for. */
  readonly startId: number | null;
}

/** The view, or the stretch of time, that a pattern is over. */
interface Asked {
  readonly truncatedBefore: number | null;
}

interface MatchBounds {
  readonly query: NodeQuery;
  readonly limit: number;
}

/**
 * A pattern over one view, or over a stretch of valid time (`graph.during`). Every method gives a new pattern, which can be iterated as often as one likes;
 * `label` and `where` are about the node that was named last. Made by `view.match()` and `during.match()`.
 */
export class GraphMatch<Row extends MatchRow = MatchRow> implements Iterable<Row>, AsyncIterable<Row> {
  readonly #asked: Asked;
  readonly #tables: GraphTables;
  readonly #rows: (pattern: MatchPattern) => Iterable<Row>;
  readonly #pattern: MatchPattern;
  readonly #bounds: MatchBounds;

  /** @internal Use `view.match()`. */
  constructor(
    asked: Asked,
    tables: GraphTables,
    rows: (pattern: MatchPattern) => Iterable<Row>,
    pattern: MatchPattern = { start: new NodeFilter(tables, {}), steps: [], startId: null },
    bounds: MatchBounds = UNBOUNDED,
  ) {
    this.#asked = asked;
    this.#tables = tables;
    this.#rows = rows;
    this.#pattern = pattern;
    this.#bounds = bounds;
  }

  /** Begins at this node instead of looking for one. @throws TypeError for what is no id */
  from(id: number): GraphMatch<Row> {
    return this.#with({ ...this.#pattern, startId: checkId("id", id) });
  }

  /** The node has this label. @throws TypeError for what is no label, and when another was said */
  label(label: string): GraphMatch<Row> {
    const known = this.#lastQuery.label ?? label;
    if (known !== label) throw new TypeError(`label: the node has the label ${JSON.stringify(known)} already`);
    return this.#narrowed({ label });
  }

  /**
   * The node has all of these properties, with exactly these values. Said again, these as well.
   *
   * @throws as `find`; TypeError for a key that was given another value before
   */
  where(properties: NonNullable<NodeQuery["where"]>): GraphMatch<Row> {
    const known = this.#lastQuery.where ?? {};
    for (const [key, value] of Object.entries(checkRecord("where", properties))) {
      if (Object.hasOwn(known, key) && known[key] !== value)
        throw new TypeError(`where: the node has another ${JSON.stringify(key)} already`);
    }
    // Keys are the caller's, `__proto__` among them.
    return this.#narrowed({ where: Object.assign(Object.create(null), known, properties) });
  }

  /**
   * On over an edge that leaves the node, with this label and these properties of its own.
   *
   * @throws TypeError for what is no label; as `find`
   */
  out(label?: string, edgeWhere?: PropertyConditions): GraphMatch<Row> {
    return this.#step("out", label, edgeWhere);
  }

  /** On over an edge that reaches the node. */
  in(label?: string, edgeWhere?: PropertyConditions): GraphMatch<Row> {
    return this.#step("in", label, edgeWhere);
  }

  /** On over an edge in either direction. */
  both(label?: string, edgeWhere?: PropertyConditions): GraphMatch<Row> {
    return this.#step("both", label, edgeWhere);
  }

  /** At most so many rows. @throws TypeError for what is no positive integer */
  limit(count: number): GraphMatch<Row> {
    return this.#with(this.#pattern, { ...this.#bounds, limit: checkId("limit", count) });
  }

  /** The ways through it: what iterating the pattern itself gives, too. */
  rows(): GraphResults<Row> {
    return new GraphResults(this.#asked, () => this.#limited());
  }

  /** The nodes at the end of the rows, each once, as the first row has it: as many are remembered as there are. */
  ends(): GraphResults<GraphNode> {
    return new GraphResults(this.#asked, () => this.#ends());
  }

  [Symbol.iterator](): Generator<Row, void, undefined> {
    return this.#limited();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    return this.rows().inTurns();
  }

  *#limited(): Generator<Row, void, undefined> {
    let left = this.#bounds.limit;
    for (const row of this.#rows(this.#pattern)) {
      yield row;
      left -= 1;
      if (left === 0) return;
    }
  }

  *#ends(): Generator<GraphNode, void, undefined> {
    const given = new Set<number>();
    for (const { nodes } of this.#rows(this.#pattern)) {
      const end = nodes.at(-1);
      if (end === undefined || given.has(end.id)) continue;
      given.add(end.id);
      yield end;
      if (given.size === this.#bounds.limit) return;
    }
  }

  get #lastQuery(): NodeQuery {
    return this.#pattern.steps.at(-1)?.query ?? this.#bounds.query;
  }

  #with(pattern: MatchPattern, bounds: MatchBounds = this.#bounds): GraphMatch<Row> {
    return new GraphMatch(this.#asked, this.#tables, this.#rows, pattern, bounds);
  }

  #step(
    direction: EdgeDirection,
    label: string | undefined,
    edgeWhere: PropertyConditions | undefined,
  ): GraphMatch<Row> {
    const query = { ...(label !== undefined && { label }), ...(edgeWhere !== undefined && { edgeWhere }) };
    const over = edgeFilterOf(this.#tables, { direction, ...query });
    const step = { over, query: {}, onto: new NodeFilter(this.#tables, {}) };
    return this.#with({ ...this.#pattern, steps: [...this.#pattern.steps, step] });
  }

  #narrowed(more: NodeQuery): GraphMatch<Row> {
    const query = { ...this.#lastQuery, ...more };
    const filter = new NodeFilter(this.#tables, query);
    const steps = this.#pattern.steps.slice();
    const last = steps.pop();
    if (last === undefined) return this.#with({ ...this.#pattern, start: filter }, { ...this.#bounds, query });
    return this.#with({ ...this.#pattern, steps: [...steps, { ...last, query, onto: filter }] });
  }
}

const UNBOUNDED: MatchBounds = { query: {}, limit: Number.POSITIVE_INFINITY };

/** The rows at one point. */
export function* rowsAt(
  view: GraphView,
  { start, steps, startId }: MatchPattern,
): Generator<MatchRow, void, undefined> {
  for (const slot of startsOf(view, start, startId)) yield* waysOn(view, steps, [slot], []);
}

function startsOf(view: GraphView, start: NodeFilter, startId: number | null): Iterable<number> {
  if (startId === null) return view.nodeSlots(start);
  const slot = view.tables.nodes.ids.slotOf(startId);
  const row = slot === 0 ? 0 : view.nodeRow(slot);
  return row !== 0 && start.holds(slot, row) ? [slot] : [];
}

/** The slots that were walked over so far are `nodes` and `edges`. */
function* waysOn(
  view: GraphView,
  steps: readonly MatchStep[],
  nodes: number[],
  edges: number[],
): Generator<MatchRow, void, undefined> {
  const step = steps[edges.length];
  const node = nodes.at(-1) as number; // `as`: there is the start at least
  if (step === undefined) {
    const row = rowOf(view, nodes, edges);
    if (row !== null) yield row;
    return;
  }
  for (const edge of view.edgeSlots(node, step.over)) {
    if (edges.includes(edge)) continue;
    const other = view.otherEnd(edge, node);
    if (!step.onto.holds(other, view.nodeRow(other))) continue;
    nodes.push(other);
    edges.push(edge);
    yield* waysOn(view, steps, nodes, edges);
    nodes.pop();
    edges.pop();
  }
}

/** Null where a purge since the last row has taken something that was walked over. */
function rowOf(view: GraphView, nodes: readonly number[], edges: readonly number[]): MatchRow | null {
  const row: { nodes: GraphNode[]; edges: GraphEdge[] } = { nodes: [], edges: [] };
  for (const slot of nodes) {
    const node = view.nodeAt(slot);
    if (node === undefined) return null;
    row.nodes.push(node);
  }
  for (const slot of edges) {
    const edge = view.edgeAt(slot);
    if (edge === undefined) return null;
    row.edges.push(edge);
  }
  return row;
}

/**
 * A small language of patterns: a node, and from there a fixed number of steps over edges, each to a node that is wanted.
 *
 * Rows are found depth first, one at a time, so memory is that of one row. There are as many steps as the pattern says, so cycles are no trouble;
 * an edge is not used twice in a row, a node may be.
 */

import { type EdgeFilter, edgeFilterOf } from "./edge-filter.js";
import type { GraphEdge, GraphNode } from "./entity.js";
import { checkId, checkRecord } from "./graph-input.js";
import type { EdgeDirection } from "./graph-tables.js";
import type { GraphView } from "./graph-view.js";
import { NodeFilter, type NodeQuery } from "./node-filter.js";

/** One way through the pattern: `edges[i]` is the one between `nodes[i]` and `nodes[i + 1]`. */
export interface MatchRow {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** A node of the pattern, and how one comes to it; the first has no edge. */
interface MatchStep {
  readonly over: EdgeFilter | null;
  readonly query: NodeQuery;
  readonly onto: NodeFilter;
}

interface MatchBounds {
  readonly startId: number | null;
  readonly limit: number;
}

/**
 * A pattern over one view. Every method gives a new pattern, which can be iterated as often as one likes; `label` and `where` are about the node that
 * was named last. Made by `view.match()`.
 */
export class GraphMatch implements Iterable<MatchRow> {
  readonly #view: GraphView;
  readonly #steps: readonly MatchStep[];
  readonly #bounds: MatchBounds;

  /** @internal Use `view.match()`. */
  constructor(view: GraphView, steps: readonly MatchStep[] = [anyNode(view, null)], bounds: MatchBounds = UNBOUNDED) {
    this.#view = view;
    this.#steps = steps;
    this.#bounds = bounds;
  }

  /** Begins at this node instead of looking for one. @throws TypeError for what is no id */
  from(id: number): GraphMatch {
    return new GraphMatch(this.#view, this.#steps, { ...this.#bounds, startId: checkId("id", id) });
  }

  /** The node has this label. @throws TypeError for what is no label, and when another was said */
  label(label: string): GraphMatch {
    const known = this.#steps.at(-1)?.query.label ?? label;
    if (known !== label) throw new TypeError(`label: the node has the label ${JSON.stringify(known)} already`);
    return this.#narrowed({ label });
  }

  /**
   * The node has all of these properties, with exactly these values. Said again, these as well.
   *
   * @throws as `find`; TypeError for a key that was given another value before
   */
  where(properties: NonNullable<NodeQuery["where"]>): GraphMatch {
    const known = this.#steps.at(-1)?.query.where ?? {};
    for (const [key, value] of Object.entries(checkRecord("where", properties))) {
      if (Object.hasOwn(known, key) && known[key] !== value)
        throw new TypeError(`where: the node has another ${JSON.stringify(key)} already`);
    }
    // Keys are the caller's, `__proto__` among them.
    return this.#narrowed({ where: Object.assign(Object.create(null), known, properties) });
  }

  /** On over an edge that leaves the node. @throws TypeError for what is no label */
  out(label?: string): GraphMatch {
    return this.#step("out", label);
  }

  /** On over an edge that reaches the node. */
  in(label?: string): GraphMatch {
    return this.#step("in", label);
  }

  /** On over an edge in either direction. */
  both(label?: string): GraphMatch {
    return this.#step("both", label);
  }

  /** At most so many rows. @throws TypeError for what is no positive integer */
  limit(count: number): GraphMatch {
    return new GraphMatch(this.#view, this.#steps, { ...this.#bounds, limit: checkId("limit", count) });
  }

  *[Symbol.iterator](): Generator<MatchRow, void, undefined> {
    const [start, ...steps] = this.#steps;
    if (start === undefined) return;
    let left = this.#bounds.limit;
    for (const slot of this.#starts(start.onto)) {
      for (const row of waysOn(this.#view, steps, [slot], [])) {
        yield row;
        left -= 1;
        if (left === 0) return;
      }
    }
  }

  /** The nodes at the end of the rows, each once: as many are remembered as there are. */
  *ends(): Generator<GraphNode, void, undefined> {
    const given = new Set<number>();
    for (const { nodes } of new GraphMatch(this.#view, this.#steps, { ...this.#bounds, limit: UNBOUNDED.limit })) {
      const end = nodes.at(-1);
      if (end === undefined || given.has(end.id)) continue;
      given.add(end.id);
      yield end;
      if (given.size === this.#bounds.limit) return;
    }
  }

  #starts(onto: NodeFilter): Iterable<number> {
    const { startId } = this.#bounds;
    if (startId === null) return this.#view.nodeSlots(onto);
    const slot = this.#view.tables.nodes.ids.slotOf(startId);
    const row = slot === 0 ? 0 : this.#view.nodeRow(slot);
    return row !== 0 && onto.holds(slot, row) ? [slot] : [];
  }

  #step(direction: EdgeDirection, label: string | undefined): GraphMatch {
    const over = edgeFilterOf(this.#view.tables, { direction, ...(label !== undefined && { label }) });
    return new GraphMatch(this.#view, [...this.#steps, anyNode(this.#view, over)], this.#bounds);
  }

  #narrowed(more: NodeQuery): GraphMatch {
    const steps = this.#steps.slice();
    const { over, query: known } = steps.pop() ?? anyNode(this.#view, null);
    const query = { ...known, ...more };
    return new GraphMatch(
      this.#view,
      [...steps, { over, query, onto: new NodeFilter(this.#view.tables, query) }],
      this.#bounds,
    );
  }
}

const UNBOUNDED: MatchBounds = { startId: null, limit: Number.POSITIVE_INFINITY };

function anyNode(view: GraphView, over: EdgeFilter | null): MatchStep {
  return { over, query: {}, onto: new NodeFilter(view.tables, {}) };
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
  if (step === undefined || step.over === null) {
    yield {
      nodes: nodes.map((slot) => view.nodeAt(slot) as GraphNode), // `as`: it was walked over, so it exists
      edges: edges.map((slot) => view.edgeAt(slot) as GraphEdge),
    };
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

/**
 * Patterns over a stretch of valid time instead of at one point: a temporal join.
 *
 * A way through the pattern is a row wherever all of its nodes and edges held at the same time, and a new one begins where any of them changes.
 * What holds is gathered along the way as a list of periods, and a way is left as soon as none is left of it; so memory is that of one way.
 */

import { edgeOf, type GraphEdge, type GraphNode, nodeOf, type Rectangle, rectangleKnownAt } from "./entity.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import { GraphMatch, type MatchPattern, type MatchRow, type MatchStep } from "./graph-match.js";
import { lsnOf, type RecordedAt, type ValidWindow, validBounds } from "./graph-point.js";
import type { EdgeTable, GraphTables, NodeTable } from "./graph-tables.js";
import { type HeldPeriod, heldPeriods } from "./held-periods.js";
import type { NodeFilter } from "./node-filter.js";

/** A stretch of valid time as the store knew it at one recorded point; what is left out is open, or now. */
export interface During {
  /** µs since 1970, half-open. */
  readonly valid?: ValidWindow;
  /** µs since 1970, or exactly an LSN that was applied. Default: the last LSN applied. */
  readonly recordedAt?: RecordedAt;
}

/** A way through the pattern, and when all of it held, within the stretch. Times are µs since 1970; null is an open end. */
export interface OverlapRow extends MatchRow {
  readonly validFrom: number;
  readonly validTo: number | null;
}

/** Made by `during`. Fixed as a view is: later events do not enter it. */
export class GraphDuring {
  /** µs since 1970; null: open. */
  readonly validFrom: number | null;
  readonly validTo: number | null;
  readonly lsn: number;
  readonly #tables: GraphTables;
  readonly #askedAt: number | null;

  /** @internal */
  constructor(tables: GraphTables, during: During) {
    checkKnownKeys("during", checkRecord("during", during), ["valid", "recordedAt"]);
    const { from, to } = validBounds(during.valid);
    const { recordedAt } = during;
    this.validFrom = Number.isFinite(from) ? from : null;
    this.validTo = Number.isFinite(to) ? to : null;
    this.lsn = recordedAt === undefined ? tables.clock.lsn : lsnOf(tables.clock, "recordedAt", recordedAt);
    this.#askedAt = typeof recordedAt === "number" ? recordedAt : null;
    this.#tables = tables;
  }

  /** As `GraphView.truncatedBefore`. */
  get truncatedBefore(): number | null {
    return this.#tables.purged.truncation(this.lsn, this.#askedAt);
  }

  /**
   * A pattern of nodes and edges that held at the same time; iterating it gives the rows, one at a time, those of one way in the order of time.
   *
   * @example
   * ```ts
   * const colleagues = graph.during().match().label("Person").where({ name: "Ann" }).out("WORKS_AT").in("WORKS_AT");
   * for (const { nodes, validFrom, validTo } of colleagues) console.log(nodes[2]?.properties["name"], validFrom, validTo);
   * ```
   */
  match(): GraphMatch<OverlapRow> {
    return new GraphMatch(this, this.#tables, (pattern) => this.#rows(pattern));
  }

  *#rows({ start, steps, startId }: MatchPattern): Generator<OverlapRow, void, undefined> {
    const tables = this.#tables;
    for (const slot of slotsOf(tables, start, startId)) {
      const held = nodePeriods(tables, start, slot, this.lsn);
      const clipped = held.map(({ from, to }) => ({
        from: Math.max(from, this.validFrom ?? Number.NEGATIVE_INFINITY),
        to: Math.min(to, this.validTo ?? Number.POSITIVE_INFINITY),
      }));
      const pieces = clipped.filter(({ from, to }) => from < to);
      if (pieces.length > 0) yield* waysOn(tables, this.lsn, steps, [slot], [], pieces);
    }
  }
}

/** A period in which all that was walked over so far held. What it held is looked up for a row: rows can be read with a purge, or a move to files, in between. */
interface Piece {
  readonly from: number;
  readonly to: number;
}

/** The nodes that a pattern can begin at, whatever their time. */
function* slotsOf(tables: GraphTables, start: NodeFilter, startId: number | null): Generator<number, void, undefined> {
  const { nodes, labelled } = tables;
  if (startId !== null) {
    const slot = nodes.ids.slotOf(startId);
    if (slot !== 0) yield slot;
    return;
  }
  const slots = start.label === null ? null : labelled[start.label];
  if (slots === undefined) return;
  const candidates = start.candidates();
  const count = candidates?.length ?? slots?.length ?? nodes.records.length - 1;
  for (let index = 0; index < count; index += 1) yield candidates?.[index] ?? slots?.get(index) ?? index + 1;
}

function nodePeriods(tables: GraphTables, filter: NodeFilter, slot: number, lsn: number): HeldPeriod[] {
  return heldPeriods(tables, "node", slot, lsn).filter(({ rectangle }) => filter.holdsContent(rectangle.content));
}

function* waysOn(
  tables: GraphTables,
  lsn: number,
  steps: readonly MatchStep[],
  nodes: number[],
  edges: number[],
  pieces: readonly Piece[],
): Generator<OverlapRow, void, undefined> {
  const step = steps[edges.length];
  const node = nodes.at(-1) as number; // `as`: there is the start at least
  if (step === undefined) {
    for (const piece of pieces) {
      const row = rowOf(tables, lsn, nodes, edges, piece);
      if (row !== null) yield row;
    }
    return;
  }
  const { direction, label, match } = step.over;
  for (const edge of tables.edgesOf(node, direction)) {
    if ((label !== null && tables.edges.label(edge) !== label) || edges.includes(edge)) continue;
    const periods = heldPeriods(tables, "edge", edge, lsn);
    const held = match === null ? periods : periods.filter(({ rectangle }) => match.holdsContent(rectangle.content));
    const overEdge = inBoth(pieces, held);
    if (overEdge.length === 0) continue;
    const other = otherEnd(tables.edges, edge, node);
    const ontoNode = inBoth(overEdge, nodePeriods(tables, step.onto, other, lsn));
    if (ontoNode.length === 0) continue;
    nodes.push(other);
    edges.push(edge);
    yield* waysOn(tables, lsn, steps, nodes, edges, ontoNode);
    nodes.pop();
    edges.pop();
  }
}

function otherEnd(edges: EdgeTable, edge: number, node: number): number {
  const source = edges.source(edge);
  return source === node ? edges.target(edge) : source;
}

/** Where a piece and what held overlap: both lists are in the order of time, without overlap within. */
function inBoth(pieces: readonly Piece[], held: readonly HeldPeriod[]): Piece[] {
  const both: Piece[] = [];
  for (let a = 0, b = 0; a < pieces.length && b < held.length; ) {
    const piece = pieces[a] as Piece;
    const each = held[b] as HeldPeriod;
    const from = Math.max(piece.from, each.from);
    const to = Math.min(piece.to, each.to);
    if (from < to) both.push({ from, to });
    if (piece.to < each.to) a += 1;
    else b += 1;
  }
  return both;
}

/** Null where a purge since the last row has taken something that was walked over. */
function rowOf(
  tables: GraphTables,
  lsn: number,
  nodes: readonly number[],
  edges: readonly number[],
  { from, to }: Piece,
): OverlapRow | null {
  const row: { nodes: GraphNode[]; edges: GraphEdge[] } = { nodes: [], edges: [] };
  for (const slot of nodes) {
    const rectangle = rectangleAt(tables, tables.nodes, slot, from, lsn);
    if (rectangle === null) return null;
    row.nodes.push(nodeOf(tables, slot, rectangle));
  }
  for (const slot of edges) {
    const rectangle = rectangleAt(tables, tables.edges, slot, from, lsn);
    if (rectangle === null) return null;
    row.edges.push(edgeOf(tables, slot, rectangle));
  }
  return { validFrom: from, validTo: to === Number.POSITIVE_INFINITY ? null : to, ...row };
}

function rectangleAt(
  { contents }: GraphTables,
  { timelines }: NodeTable | EdgeTable,
  slot: number,
  at: number,
  lsn: number,
): Rectangle | null {
  const row = timelines.rowAt(slot, at, lsn);
  return row === 0 ? null : rectangleKnownAt(timelines, contents, slot, row, lsn);
}

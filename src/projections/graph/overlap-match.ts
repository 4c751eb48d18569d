/**
 * Patterns over a stretch of valid time instead of at one point: a temporal join.
 *
 * A way through the pattern is a row wherever all of its nodes and edges held at the same time, and a new one begins where any of them changes.
 * What holds is gathered along the way as a list of periods, and a way is left as soon as none is left of it; so memory is that of one way.
 */

import { edgeOf, nodeOf, type Rectangle } from "./entity.js";
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
    return new GraphMatch(this.#tables, (pattern) => this.#rows(pattern));
  }

  *#rows({ start, steps, startId }: MatchPattern): Generator<OverlapRow, void, undefined> {
    const tables = this.#tables;
    for (const slot of slotsOf(tables, start, startId)) {
      const held = nodePeriods(tables, start, slot, this.lsn);
      const clipped = held.map(({ from, to, rectangle }) => ({
        from: Math.max(from, this.validFrom ?? Number.NEGATIVE_INFINITY),
        to: Math.min(to, this.validTo ?? Number.POSITIVE_INFINITY),
        nodes: [rectangle],
        edges: [],
      }));
      const pieces = clipped.filter(({ from, to }) => from < to);
      if (pieces.length > 0) yield* waysOn(tables, this.lsn, steps, [slot], [], pieces);
    }
  }
}

/** A period in which all that was walked over so far held, and what. */
interface Piece {
  readonly from: number;
  readonly to: number;
  readonly nodes: readonly Rectangle[];
  readonly edges: readonly Rectangle[];
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
  given: readonly Piece[],
): Generator<OverlapRow, void, undefined> {
  const step = steps[edges.length];
  const node = nodes.at(-1) as number; // `as`: there is the start at least
  let pieces = given;
  let { moves } = tables.contents;
  if (step === undefined) {
    while (pieces.length > 0) {
      yield rowOf(tables, nodes, edges, pieces[0] as Piece);
      pieces = pieces.slice(1);
      if (tables.contents.moves !== moves) pieces = withContents(tables, nodes, edges, pieces);
      moves = tables.contents.moves;
    }
    return;
  }
  const { direction, label, match } = step.over;
  for (const edge of tables.edgesOf(node, direction)) {
    if ((label !== null && tables.edges.label(edge) !== label) || edges.includes(edge)) continue;
    const periods = heldPeriods(tables, "edge", edge, lsn);
    const held = match === null ? periods : periods.filter(({ rectangle }) => match.holdsContent(rectangle.content));
    const overEdge = inBoth(pieces, held, (piece, rectangle) => ({
      nodes: piece.nodes,
      edges: [...piece.edges, rectangle],
    }));
    if (overEdge.length === 0) continue;
    const other = otherEnd(tables.edges, edge, node);
    const ontoNode = inBoth(overEdge, nodePeriods(tables, step.onto, other, lsn), (piece, rectangle) => ({
      nodes: [...piece.nodes, rectangle],
      edges: piece.edges,
    }));
    if (ontoNode.length === 0) continue;
    nodes.push(other);
    edges.push(edge);
    yield* waysOn(tables, lsn, steps, nodes, edges, ontoNode);
    nodes.pop();
    edges.pop();
    if (tables.contents.moves !== moves) pieces = withContents(tables, nodes, edges, pieces);
    moves = tables.contents.moves;
  }
}

/** Pieces after contents were moved while the iterator was left lying, without those of which a purge has dropped something. */
function withContents(
  { nodes: nodeTable, edges: edgeTable }: GraphTables,
  nodes: readonly number[],
  edges: readonly number[],
  pieces: readonly Piece[],
): Piece[] {
  const found = ({ timelines }: NodeTable | EdgeTable, slot: number, rectangle: Rectangle): Rectangle[] => {
    for (const row of timelines.rows(slot)) {
      const { validFrom, validTo, lsn } = rectangle;
      const touches = timelines.validFrom(slot, row) < validTo && timelines.validTo(slot, row) > validFrom;
      if (touches && timelines.lsn(slot, row) === lsn) return [{ ...rectangle, content: timelines.content(slot, row) }];
    }
    return [];
  };
  return pieces.flatMap((piece) => {
    const nodesNow = piece.nodes.flatMap((each, at) => found(nodeTable, nodes[at] as number, each));
    const edgesNow = piece.edges.flatMap((each, at) => found(edgeTable, edges[at] as number, each));
    const isThere = nodesNow.length === piece.nodes.length && edgesNow.length === piece.edges.length;
    return isThere ? [{ ...piece, nodes: nodesNow, edges: edgesNow }] : [];
  });
}

function otherEnd(edges: EdgeTable, edge: number, node: number): number {
  const source = edges.source(edge);
  return source === node ? edges.target(edge) : source;
}

/** Where a piece and what held overlap: both lists are in the order of time, without overlap within. */
function inBoth(
  pieces: readonly Piece[],
  held: readonly HeldPeriod[],
  join: (piece: Piece, rectangle: Rectangle) => Pick<Piece, "nodes" | "edges">,
): Piece[] {
  const both: Piece[] = [];
  for (let a = 0, b = 0; a < pieces.length && b < held.length; ) {
    const piece = pieces[a] as Piece;
    const each = held[b] as HeldPeriod;
    const from = Math.max(piece.from, each.from);
    const to = Math.min(piece.to, each.to);
    if (from < to) both.push({ from, to, ...join(piece, each.rectangle) });
    if (piece.to < each.to) a += 1;
    else b += 1;
  }
  return both;
}

function rowOf(tables: GraphTables, nodes: readonly number[], edges: readonly number[], piece: Piece): OverlapRow {
  // `as`: a piece has a rectangle of each.
  return {
    validFrom: piece.from,
    validTo: piece.to === Number.POSITIVE_INFINITY ? null : piece.to,
    nodes: nodes.map((slot, at) => nodeOf(tables, slot, piece.nodes[at] as Rectangle)),
    edges: edges.map((slot, at) => edgeOf(tables, slot, piece.edges[at] as Rectangle)),
  };
}

/** What a query answers: rectangles as objects. */

import type { ContentArena } from "./content-arena.js";
import type { GraphTables } from "./graph-tables.js";
import { decodeProperties, type Properties } from "./property.js";
import { CONTENT, LSN, type Timelines, VALID_FROM, VALID_TO } from "./timelines.js";

/** A node over one rectangle of its history. Times are µs since 1970; null is an open end. */
export interface GraphNode {
  readonly id: number;
  readonly label: string;
  readonly properties: Properties;
  readonly validFrom: number;
  readonly validTo: number | null;
  readonly recordedFrom: number;
  readonly recordedTo: number | null;
  /** The LSN of the event that asserted it: its exact place on the recorded axis. */
  readonly lsn: number;
  /** The LSN of the event that took it away. */
  readonly supersededBy: number | null;
}

/** An edge over one rectangle of its history. */
export interface GraphEdge extends GraphNode {
  /** Node ids. */
  readonly source: number;
  readonly target: number;
}

/** What the two kinds of entities are. */
export interface EntityOf {
  readonly node: GraphNode;
  readonly edge: GraphEdge;
}

/** A rectangle as it stood at some LSN. */
export interface Rectangle {
  validFrom: number;
  /** Infinity: an open end. */
  validTo: number;
  lsn: number;
  /** The LSN that took it away; Infinity: none yet. */
  until: number;
  content: number;
}

/**
 * The rectangle that a row belonged to when only the LSNs up to `known` were.
 *
 * Later events cut rectangles up. Their pieces are one again for a reader that does not know those events: a view must go
 * on giving the answers it gave when it was made.
 */
export function rectangleKnownAt(
  timelines: Timelines,
  contents: ContentArena,
  slot: number,
  row: number,
  known: number,
): Rectangle {
  const until = timelines.until(row);
  const rectangle: Rectangle = {
    validFrom: timelines.validFrom(slot, row),
    validTo: timelines.validTo(slot, row),
    lsn: timelines.lsn(slot, row),
    until: until > known ? Number.POSITIVE_INFINITY : until,
    content: timelines.content(slot, row),
  };
  if (until > known && timelines.isCutAfter(slot, known)) joinPieces(timelines, contents, slot, rectangle, known);
  return rectangle;
}

function joinPieces(
  timelines: Timelines,
  contents: ContentArena,
  slot: number,
  rectangle: Rectangle,
  known: number,
): void {
  const pieces = [...timelines.rows(slot)].filter(
    (row) =>
      timelines.lsn(slot, row) === rectangle.lsn &&
      timelines.until(row) > known &&
      // A piece that was moved to a file has its content there once more.
      contents.same(timelines.content(slot, row), rectangle.content),
  );
  for (let grew = true; grew; ) {
    grew = false;
    for (const row of pieces) {
      if (timelines.validFrom(slot, row) === rectangle.validTo) rectangle.validTo = timelines.validTo(slot, row);
      else if (timelines.validTo(slot, row) === rectangle.validFrom)
        rectangle.validFrom = timelines.validFrom(slot, row);
      else continue;
      grew = true;
    }
  }
}

/** The node over a row, for a reader that knows the LSNs up to `known`. */
export function nodeAt(tables: GraphTables, slot: number, row: number, known: number): GraphNode {
  const { nodes, contents, clock, labels } = tables;
  const { records, timelines } = nodes;
  if (!timelines.isWholeInRecord(slot, row, known))
    return nodeOf(tables, slot, rectangleKnownAt(timelines, contents, slot, row, known));
  // The rule, and as short as it can be: what a query answers is read here, without a rectangle between.
  const doubles = records.doubles(slot);
  const at = records.offset(slot);
  contents.open(records.ints(slot)[at * 2 + CONTENT] as number);
  const validTo = doubles[at + VALID_TO] as number;
  const lsn = doubles[at + LSN] as number;
  return {
    id: nodes.id(slot),
    label: labels.name(contents.label),
    properties: decodeProperties(contents.bytes, contents.start, contents.end),
    validFrom: doubles[at + VALID_FROM] as number,
    validTo: validTo === Number.POSITIVE_INFINITY ? null : validTo,
    recordedFrom: clock.timeOf(lsn),
    recordedTo: null,
    lsn,
    supersededBy: null,
  };
}

export function nodeOf(tables: GraphTables, slot: number, rectangle: Rectangle): GraphNode {
  return entityOf(tables, tables.nodes.id(slot), rectangle);
}

export function edgeOf(tables: GraphTables, slot: number, rectangle: Rectangle): GraphEdge {
  const { nodes, edges } = tables;
  // Not by spreading, which costs several times what all the rest does.
  return Object.assign(entityOf(tables, edges.id(slot), rectangle), {
    source: nodes.id(edges.source(slot)),
    target: nodes.id(edges.target(slot)),
  });
}

function entityOf({ contents, clock, labels }: GraphTables, id: number, rectangle: Rectangle): GraphNode {
  contents.open(rectangle.content);
  const open = rectangle.until === Number.POSITIVE_INFINITY;
  return {
    id,
    label: labels.name(contents.label),
    properties: decodeProperties(contents.bytes, contents.start, contents.end),
    validFrom: rectangle.validFrom,
    validTo: rectangle.validTo === Number.POSITIVE_INFINITY ? null : rectangle.validTo,
    recordedFrom: clock.timeOf(rectangle.lsn),
    recordedTo: open ? null : clock.timeOf(rectangle.until),
    lsn: rectangle.lsn,
    supersededBy: open ? null : rectangle.until,
  };
}

/** One entity through time, and one view against another. */

import type { ContentArena } from "./content-arena.js";
import { type GraphEdge, type GraphNode, type Rectangle, rectangleKnownAt } from "./entity.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import type { GraphView } from "./graph-view.js";
import type { Timelines } from "./timelines.js";

export interface HistoryOptions {
  /**
   * One axis only. "valid": what is in force as of the last LSN, along valid time. "recorded": what was ever said about the
   * present, along recorded time. Default: all rectangles.
   */
  readonly at?: "valid" | "recorded";
  /**
   * Join rectangles that touch and hold the same. Without `at`, only where the two make one rectangle; on one axis, wherever
   * they touch along it: the joined one spans both there, and on the other axis what they have in common.
   */
  readonly coalesce?: boolean;
}

/** What is different about one entity in the second view: null where it does not exist. */
export interface Change<Kind extends EntityKind, Entity> {
  readonly kind: Kind;
  readonly change: "added" | "removed" | "changed";
  readonly before: Entity | null;
  readonly after: Entity | null;
}

export type GraphChange = Change<"node", GraphNode> | Change<"edge", GraphEdge>;

type Axis = "valid" | "recorded";

/** An entity, and the instant that is asked about. */
export interface HistorySubject {
  readonly kind: EntityKind;
  readonly slot: number;
  /** The last LSN that was applied then. */
  readonly known: number;
}

/** The rectangles of an entity in the order (recordedFrom, validFrom). `now` is the valid time of `at: "recorded"`. */
export function historyOf(
  tables: GraphTables,
  subject: HistorySubject,
  now: number,
  { at, coalesce = false }: HistoryOptions,
): Rectangle[] {
  let rectangles = rectanglesOf(tables, subject);
  if (at === "valid") rectangles = rectangles.filter((each) => each.until === Number.POSITIVE_INFINITY);
  else if (at === "recorded") rectangles = rectangles.filter((each) => each.validFrom <= now && now < each.validTo);
  if (coalesce) rectangles = at === undefined ? joinBoth(tables, rectangles) : joinAlong(tables, rectangles, at);
  return rectangles.sort(inHistoryOrder);
}

/** All that are left, in that order. */
export function rectanglesOf(tables: GraphTables, { kind, slot, known }: HistorySubject): Rectangle[] {
  const { timelines } = tables.of(kind);
  const all: Rectangle[] = [];
  for (const row of timelines.rows(slot)) {
    if (timelines.lsn(slot, row) <= known) all.push(rectangleKnownAt(timelines, tables.contents, slot, row, known));
  }
  all.sort(inHistoryOrder);
  // Pieces that an event behind the instant made of one rectangle are one, and there once.
  return all.filter((each, at) => at === 0 || inHistoryOrder(each, all[at - 1] as Rectangle) !== 0);
}

export function inHistoryOrder(a: Rectangle, b: Rectangle): number {
  if (a.lsn !== b.lsn) return a.lsn - b.lsn;
  return a.validFrom === b.validFrom ? 0 : a.validFrom < b.validFrom ? -1 : 1;
}

/** Joining along one axis can make neighbours along the other, so until nothing joins any more. */
function joinBoth(tables: GraphTables, rectangles: readonly Rectangle[]): Rectangle[] {
  let joined = [...rectangles];
  for (let before = Number.POSITIVE_INFINITY; joined.length < before; ) {
    before = joined.length;
    for (const axis of ["recorded", "valid"] as const) {
      joined = strips(joined, axis).flatMap((strip) => joinAlong(tables, strip, axis));
    }
  }
  return joined;
}

/** Rectangles that lie in one strip along the axis: equal on the other one. */
function strips(rectangles: readonly Rectangle[], axis: Axis): Rectangle[][] {
  const found = new Map<string, Rectangle[]>();
  for (const each of rectangles) {
    const key = axis === "recorded" ? `${each.validFrom} ${each.validTo}` : `${each.lsn} ${each.until}`;
    const strip = found.get(key);
    if (strip === undefined) found.set(key, [each]);
    else strip.push(each);
  }
  return [...found.values()];
}

/** The rectangles must not overlap along the axis. */
function joinAlong(tables: GraphTables, rectangles: readonly Rectangle[], axis: Axis): Rectangle[] {
  const joined: Rectangle[] = [];
  const order = (a: Rectangle, b: Rectangle) => (axis === "recorded" ? a.lsn - b.lsn : a.validFrom - b.validFrom);
  for (const next of rectangles.toSorted(order)) {
    const last = joined.at(-1);
    const touch =
      last !== undefined && (axis === "recorded" ? last.until === next.lsn : last.validTo === next.validFrom);
    if (touch && tables.contents.same(last.content, next.content)) joined[joined.length - 1] = join(last, next, axis);
    else joined.push(next);
  }
  return joined;
}

function join(first: Rectangle, second: Rectangle, axis: Axis): Rectangle {
  return axis === "recorded"
    ? {
        ...first,
        until: second.until,
        validFrom: Math.max(first.validFrom, second.validFrom),
        validTo: Math.min(first.validTo, second.validTo),
      }
    : {
        ...first,
        validTo: second.validTo,
        lsn: Math.max(first.lsn, second.lsn),
        until: Math.min(first.until, second.until),
      };
}

/** Nodes first, then edges, each in the order of their creation. What is created meanwhile is in neither view. */
export function* differences(before: GraphView, after: GraphView): Generator<GraphChange, void, undefined> {
  const { nodes, edges, contents } = before.tables;
  const edgeSlots = edges.records.length;
  for (let slot = 1, slots = nodes.records.length; slot < slots; slot += 1) {
    const old = before.nodeRow(slot);
    const now = after.nodeRow(slot);
    if (old === now || (old !== 0 && now !== 0 && sameContent(contents, nodes.timelines, slot, old, now))) continue;
    yield changeOf("node", before.nodeAt(slot) ?? null, after.nodeAt(slot) ?? null);
  }
  for (let slot = 1; slot < edgeSlots; slot += 1) {
    const old = before.edgeRow(slot);
    const now = after.edgeRow(slot);
    if (old === now || (old !== 0 && now !== 0 && sameContent(contents, edges.timelines, slot, old, now))) continue;
    yield changeOf("edge", before.edgeAt(slot) ?? null, after.edgeAt(slot) ?? null);
  }
}

function sameContent(contents: ContentArena, timelines: Timelines, slot: number, a: number, b: number): boolean {
  return contents.same(timelines.content(slot, a), timelines.content(slot, b));
}

function changeOf<Kind extends EntityKind, Entity>(
  kind: Kind,
  before: Entity | null,
  after: Entity | null,
): Change<Kind, Entity> {
  return { kind, change: before === null ? "added" : after === null ? "removed" : "changed", before, after };
}

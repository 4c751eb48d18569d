/**
 * Periods of valid time as sorted lists without overlap: when an entity held at one LSN, and when two did. An edge holds where it and both
 * its ends do.
 */

import type { ContentArena } from "./content-arena.js";
import { type Rectangle, rectangleKnownAt } from "./entity.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { EdgeTable, GraphTables, NodeTable } from "./graph-tables.js";

/** `[from, to)` in µs, ends may be infinite. */
export interface HeldPeriod {
  readonly from: number;
  readonly to: number;
  /** What held. Its own period may be longer. */
  readonly rectangle: Rectangle;
}

/** When an entity held as the store knew it at an LSN, the earliest first. */
export function heldPeriods(tables: GraphTables, kind: EntityKind, slot: number, lsn: number): HeldPeriod[] {
  const { nodes, edges, contents } = tables;
  if (kind === "node") return inForce(nodes, contents, slot, lsn);
  let held = inForce(edges, contents, slot, lsn);
  for (const end of [edges.source(slot), edges.target(slot)]) {
    const covered = coverOf(inForce(nodes, contents, end, lsn));
    held = inBoth(held, covered).map(({ from, to, first }) => ({ from, to, rectangle: first }));
  }
  return held;
}

/** Where one of each list holds. */
export function inBoth(
  firsts: readonly HeldPeriod[],
  seconds: readonly HeldPeriod[],
): { from: number; to: number; first: Rectangle; second: Rectangle }[] {
  const both = [];
  for (let a = 0, b = 0; a < firsts.length && b < seconds.length; ) {
    const first = firsts[a] as HeldPeriod;
    const second = seconds[b] as HeldPeriod;
    const from = Math.max(first.from, second.from);
    const to = Math.min(first.to, second.to);
    if (from < to) both.push({ from, to, first: first.rectangle, second: second.rectangle });
    if (first.to < second.to) a += 1;
    else b += 1;
  }
  return both;
}

function inForce(
  { timelines }: NodeTable | EdgeTable,
  contents: ContentArena,
  slot: number,
  lsn: number,
): HeldPeriod[] {
  const byStart = new Map<number, HeldPeriod>();
  for (const row of timelines.rows(slot)) {
    if (timelines.lsn(slot, row) > lsn || timelines.until(row) <= lsn) continue;
    // Pieces that a later event made of one rectangle are one again.
    const rectangle = rectangleKnownAt(timelines, contents, slot, row, lsn);
    byStart.set(rectangle.validFrom, { from: rectangle.validFrom, to: rectangle.validTo, rectangle });
  }
  return [...byStart.values()].sort((a, b) => (a.from < b.from ? -1 : 1));
}

/** The same without seams: an end that was changed did not stop to exist. */
function coverOf(held: readonly HeldPeriod[]): HeldPeriod[] {
  const cover: HeldPeriod[] = [];
  for (const each of held) {
    const last = cover.at(-1);
    if (last?.to === each.from) cover[cover.length - 1] = { ...last, to: each.to };
    else cover.push(each);
  }
  return cover;
}

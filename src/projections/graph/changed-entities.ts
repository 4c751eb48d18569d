/**
 * Which entities changed in a stretch of LSNs: a page of them in LSN order.
 *
 * Nothing is indexed by LSN but what was taken away, and an index of all would cost more than a tenth of the graph's memory. So a page looks
 * at every entity once, and keeps no more than about two pages in hand. An LSN is never split between two pages, so that the last LSN of a
 * page is all that is needed to go on, in this process or another.
 */

import type { EntityKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";

/** Something happened to an entity at an LSN. */
export interface EntityChange {
  readonly lsn: number;
  /** The effective recordedAt of that LSN, µs since 1970. */
  readonly recordedAt: number;
  readonly kind: EntityKind;
  readonly id: number;
  /** "asserted": something holds in some period from then on, "deleted": something no longer does and nothing came instead. */
  readonly change: "asserted" | "deleted";
}

export interface ChangedEntities {
  readonly changes: readonly EntityChange[];
  /** The last LSN that was wholly looked at. */
  readonly through: number;
  readonly hasMore: boolean;
}

interface Touch {
  readonly lsn: number;
  readonly kind: EntityKind;
  readonly slot: number;
  readonly asserted: boolean;
}

/** Fewer are not worth a sort. */
const TOUCHES_IN_HAND_MIN = 1024;

/** The changes at the LSNs above `after` up to `through`: at least `limit` of them, or all, and of the last LSN every one. */
export function changedEntities(tables: GraphTables, after: number, through: number, limit: number): ChangedEntities {
  let touches: Touch[] = [];
  let last = through;
  let hasMore = false;
  const cut = (): void => {
    touches = merged(touches);
    const bound = touches[limit - 1]?.lsn;
    if (bound === undefined || (touches.at(-1)?.lsn ?? 0) <= bound) return;
    touches = touches.filter(({ lsn }) => lsn <= bound);
    last = bound;
    hasMore = true;
  };
  let inHandMax = Math.max(2 * limit, TOUCHES_IN_HAND_MIN);
  for (const kind of ["node", "edge"] as const) {
    tables.of(kind).timelines.eachChange(after, through, (slot, lsn, asserted) => {
      if (lsn > last) {
        hasMore = true;
        return;
      }
      touches.push({ lsn, kind, slot, asserted });
      if (touches.length < inHandMax) return;
      cut();
      // One LSN alone can have more: then sorting again at once would gain nothing.
      inHandMax = Math.max(inHandMax, 2 * touches.length);
    });
  }
  cut();
  const changes = touches.map(({ lsn, kind, slot, asserted }) => ({
    lsn,
    recordedAt: tables.clock.timeOf(lsn),
    kind,
    id: tables.of(kind).id(slot),
    change: asserted ? ("asserted" as const) : ("deleted" as const),
  }));
  return { changes, through: last, hasMore };
}

/** Changes in the order of LSNs as pages of at least `limit`, an LSN in one of them; one empty page where there are none. */
export function pagesOf(changes: readonly EntityChange[], limit: number): EntityChange[][] {
  const pages: EntityChange[][] = [];
  let first = 0;
  do {
    let end = Math.min(first + limit, changes.length);
    while (end > 0 && end < changes.length && changes[end]?.lsn === changes[end - 1]?.lsn) end += 1;
    pages.push(changes.slice(first, end));
    first = end;
  } while (first < changes.length);
  return pages;
}

/** In the order of LSNs, nodes before edges, the first created first; each entity once at an LSN. */
function merged(touches: readonly Touch[]): Touch[] {
  const sorted = touches.toSorted(
    (a, b) => a.lsn - b.lsn || (a.kind === b.kind ? a.slot - b.slot : a.kind === "node" ? -1 : 1),
  );
  const each: Touch[] = [];
  for (const touch of sorted) {
    const last = each.at(-1);
    if (last?.lsn !== touch.lsn || last.kind !== touch.kind || last.slot !== touch.slot) each.push(touch);
    else if (touch.asserted) each[each.length - 1] = touch;
  }
  return each;
}

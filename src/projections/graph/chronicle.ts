/** What the graph knew about single entities, and when: everything that looks along the axes instead of at one point. */

import { changedEntities, type EntityChange } from "./changed-entities.js";
import { type EntityOf, edgeOf, type GraphNode, nodeOf, type Rectangle, rectangleKnownAt } from "./entity.js";
import type { EntityKind } from "./graph-event-kind.js";
import { type GraphHistory, type HistoryOptions, historyOf, rectanglesOf } from "./graph-history.js";
import { checkChoice, checkId, checkKnownKeys, checkRecord, checkTime } from "./graph-input.js";
import {
  type AsOf,
  checkApplied,
  emptyPeriod,
  type GraphPoint,
  lsnOf,
  pointOf,
  type RecordedAt,
  type ValidWindow,
  validBounds,
} from "./graph-point.js";
import type { GraphTables } from "./graph-tables.js";
import { heldPeriods, inBoth } from "./held-periods.js";

/** What an entity held at one point, or null. */
export interface GraphVersion<Entity> {
  readonly version: Entity | null;
  /** As `GraphView.truncatedBefore`: null where nothing can be missing. */
  readonly truncatedBefore: number | null;
}

/** A period of one axis or of both; what is left out, or null, is open. */
export interface HistoryWindow {
  /** µs since 1970, half-open. */
  readonly valid?: ValidWindow;
  /** µs since 1970 or LSNs, half-open. */
  readonly recorded?: { readonly from?: RecordedAt; readonly to?: RecordedAt | null };
}

/** Which node or edge. */
export interface EntityReference<Kind extends EntityKind = EntityKind> {
  readonly kind: Kind;
  readonly id: number;
}

/** A period of valid time in which two entities held. Times are µs since 1970; null is an open end. */
export interface GraphOverlap<A, B> {
  readonly validFrom: number;
  readonly validTo: number | null;
  readonly a: A;
  readonly b: B;
}

/** A list, and whether it lacks something because it was purged. */
export type Truncatable<Item> = Item[] & { readonly truncatedBefore: number | null };

/** A stretch of recorded time. */
export interface ChangesQuery {
  /** The `next` of a page before: only LSNs above it. */
  readonly after?: number;
  /** µs since 1970, half-open. Default: from the beginning, to now. */
  readonly recordedFrom?: number;
  readonly recordedTo?: number;
  /** About how many changes: what an LSN changed stays together, so there can be more. Default 1,000, at most 100,000. */
  readonly limit?: number;
}

export interface ChangesPage {
  /** In the order of LSNs. */
  readonly changes: readonly EntityChange[];
  /** An LSN: give it as `after` to go on behind this page, at any time and in any process. */
  readonly next: number;
  /** Whether there is more by now. */
  readonly hasMore: boolean;
  /** Changes recorded at or before this time may be missing, because they were purged; null: all are there. */
  readonly truncatedBefore: number | null;
}

const CHANGES_LIMIT_DEFAULT = 1000;
const CHANGES_LIMIT_MAX = 100_000;

export class Chronicle {
  readonly #tables: GraphTables;
  /** The wall clock, µs since 1970. */
  readonly #wallClock: () => number;

  constructor(tables: GraphTables, wallClock: () => number) {
    this.#tables = tables;
    this.#wallClock = wallClock;
  }

  /** What the point means now, for questions that ask about it several times. */
  settle(what: string, point: AsOf): GraphPoint {
    return pointOf(this.#tables.clock, this.#wallClock(), what, point);
  }

  history<Kind extends EntityKind>(kind: Kind, id: number, options: HistoryOptions): GraphHistory<EntityOf[Kind]> {
    const slot = this.#slotOf(kind, id);
    checkKnownKeys("history", checkRecord("history", options), ["at", "coalesce"]);
    if (options.at !== undefined) checkChoice("at", options.at, ["valid", "recorded"]);
    const { clock, purged } = this.#tables;
    const now = Math.max(this.#wallClock(), clock.time);
    const rectangles = slot === 0 ? [] : historyOf(this.#tables, kind, slot, now, options);
    // What is in force along valid time is there whatever was purged.
    const truncatedBefore = options.at === "valid" ? null : purged.before;
    return Object.assign(this.#entities(kind, slot, rectangles), { truncatedBefore });
  }

  versionAt<Kind extends EntityKind>(kind: Kind, id: number, at: AsOf): GraphVersion<EntityOf[Kind]> {
    const slot = this.#slotOf(kind, id);
    const { clock, purged, contents } = this.#tables;
    const point = this.settle("versionAt", at);
    const { timelines } = this.#tables.of(kind);
    const row = slot === 0 ? 0 : timelines.rowAt(slot, point.validAt, point.lsn);
    const rectangles = row === 0 ? [] : [rectangleKnownAt(timelines, contents, slot, row, clock.lsn)];
    const [version = null] = this.#entities(kind, slot, rectangles);
    return { version, truncatedBefore: purged.truncation(point.lsn, point.askedAt) };
  }

  between<Kind extends EntityKind>(kind: Kind, id: number, window: HistoryWindow): GraphHistory<EntityOf[Kind]> {
    const slot = this.#slotOf(kind, id);
    checkKnownKeys("between", checkRecord("between", window), ["valid", "recorded"]);
    if (window.valid === undefined && window.recorded === undefined) {
      throw new TypeError("between: say which window, valid or recorded");
    }
    const { from, to } = validBounds(window.valid);
    const { first, until, askedAt } = this.#recordedBounds(window.recorded);
    const rectangles = slot === 0 ? [] : rectanglesOf(this.#tables, kind, slot);
    const inside = rectangles.filter(
      (each) => each.validFrom < to && each.validTo > from && each.lsn < until && each.until > first,
    );
    const truncatedBefore = this.#tables.purged.truncation(first, askedAt);
    return Object.assign(this.#entities(kind, slot, inside), { truncatedBefore });
  }

  overlaps<A extends EntityKind, B extends EntityKind>(
    a: EntityReference<A>,
    b: EntityReference<B>,
    options: { readonly recordedAt?: RecordedAt },
  ): Truncatable<GraphOverlap<EntityOf[A], EntityOf[B]>> {
    checkKnownKeys("overlaps", checkRecord("overlaps", options), ["recordedAt"]);
    const aSlot = this.#referred("a", a);
    const bSlot = this.#referred("b", b);
    const { clock, purged } = this.#tables;
    const { recordedAt } = options;
    const lsn = recordedAt === undefined ? clock.lsn : lsnOf(clock, "recordedAt", recordedAt);
    const both =
      aSlot === 0 || bSlot === 0
        ? []
        : inBoth(heldPeriods(this.#tables, a.kind, aSlot, lsn), heldPeriods(this.#tables, b.kind, bSlot, lsn));
    const overlaps = both.map(({ from, to, first, second }) => ({
      validFrom: from,
      validTo: to === Number.POSITIVE_INFINITY ? null : to,
      a: this.#entity(a.kind, aSlot, first),
      b: this.#entity(b.kind, bSlot, second),
    }));
    const truncatedBefore = purged.truncation(lsn, typeof recordedAt === "number" ? recordedAt : null);
    return Object.assign(overlaps, { truncatedBefore });
  }

  changes(query: ChangesQuery): ChangesPage {
    checkKnownKeys("changes", checkRecord("changes", query), ["after", "recordedFrom", "recordedTo", "limit"]);
    const { clock, purged } = this.#tables;
    const limit = checkId("limit", query.limit === undefined ? CHANGES_LIMIT_DEFAULT : query.limit);
    if (limit > CHANGES_LIMIT_MAX) throw new TypeError(`limit must be at most ${CHANGES_LIMIT_MAX}`);
    const from = query.recordedFrom === undefined ? null : checkTime("recordedFrom", query.recordedFrom);
    const to = query.recordedTo === undefined ? null : checkTime("recordedTo", query.recordedTo);
    if (from !== null && to !== null && from >= to) throw emptyPeriod("the recorded window", from, to);
    const begin = checkApplied(clock, "after", query.after === undefined ? 0 : query.after);
    const after = Math.max(begin, from === null ? 0 : clock.lsnAt(from - 1));
    const last = to === null ? clock.lsn : clock.lsnAt(to - 1);
    const { changes, through, hasMore } = changedEntities(this.#tables, after, last, limit);
    return { changes, next: Math.max(after, through), hasMore, truncatedBefore: purged.truncation(after, null) };
  }

  /** The LSN at which the graph stood at a recorded time. */
  lsnAt(recordedAt: number): number {
    return this.#tables.clock.lsnAt(checkTime("recordedAt", recordedAt));
  }

  /** The effective recordedAt of an LSN; null before anything was recorded. */
  recordedAtOf(lsn: number): number | null {
    const { clock } = this.#tables;
    const time = clock.timeOf(checkApplied(clock, "lsn", lsn));
    return Number.isFinite(time) ? time : null;
  }

  #slotOf(kind: EntityKind, id: number): number {
    return this.#tables.of(checkChoice("kind", kind, ["node", "edge"])).ids.slotOf(checkId("id", id));
  }

  #referred(name: string, reference: EntityReference): number {
    checkKnownKeys(name, checkRecord(name, reference), ["kind", "id"]);
    return this.#slotOf(reference.kind, reference.id);
  }

  #recordedBounds(window: NonNullable<HistoryWindow["recorded"]> = {}): {
    first: number;
    until: number;
    askedAt: number | null;
  } {
    checkKnownKeys("recorded", checkRecord("recorded", window), ["from", "to"]);
    const { from, to } = window;
    const first = from === undefined ? 0 : this.#firstLsn(from);
    const until = to === undefined || to === null ? Number.POSITIVE_INFINITY : this.#lsnAfter(to);
    const reversed = typeof from === "number" && typeof to === "number" ? from >= to : first >= until;
    if (reversed) throw emptyPeriod("the recorded window", from ?? null, to ?? null);
    return { first, until, askedAt: typeof from === "number" ? from : null };
  }

  /** What held when the window began, and what was recorded in that very microsecond before. */
  #firstLsn(from: RecordedAt): number {
    const { clock } = this.#tables;
    const lsn = lsnOf(clock, "recorded.from", from);
    return typeof from === "number" ? Math.min(lsn, clock.lsnAt(from - 1) + 1) : lsn;
  }

  /** The first LSN that a window which ends there does not reach. */
  #lsnAfter(to: RecordedAt): number {
    const { clock } = this.#tables;
    return typeof to === "number" ? clock.lsnAt(checkTime("recorded.to", to) - 1) + 1 : lsnOf(clock, "recorded.to", to);
  }

  #entities<Kind extends EntityKind>(kind: Kind, slot: number, rectangles: readonly Rectangle[]): EntityOf[Kind][] {
    return rectangles.map((each) => this.#entity(kind, slot, each));
  }

  #entity<Kind extends EntityKind>(kind: Kind, slot: number, rectangle: Rectangle): EntityOf[Kind] {
    const entity: GraphNode =
      kind === "node" ? nodeOf(this.#tables, slot, rectangle) : edgeOf(this.#tables, slot, rectangle);
    return entity as EntityOf[Kind]; // an edge has the ends besides
  }
}

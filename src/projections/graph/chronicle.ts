/** What the graph knew about single entities, and when: everything that looks along the axes instead of at one point. */

import { changedEntities, type EntityChange, pagesOf } from "./changed-entities.js";
import { type EntityOf, edgeOf, type GraphNode, nodeOf, type Rectangle, rectangleKnownAt } from "./entity.js";
import { gathered } from "./gathered.js";
import type { EntityKind } from "./graph-event-kind.js";
import { type HistoryOptions, type HistorySubject, historyOf, inHistoryOrder, rectanglesOf } from "./graph-history.js";
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
import { GraphResults } from "./graph-results.js";
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

/** A stretch of recorded time. */
export interface ChangesQuery {
  /** The `next` of a page before: only LSNs above it. */
  readonly after?: number;
  /** µs since 1970, half-open. Default: from the beginning, to now. */
  readonly recordedFrom?: number;
  readonly recordedTo?: number;
  /** About how many changes a page has: what an LSN changed stays together, so there can be more. Default 1,000, at most 100,000. */
  readonly limit?: number;
}

export interface ChangesPage {
  /** In the order of LSNs. */
  readonly changes: readonly EntityChange[];
  /** An LSN: give it as `after` to go on behind this page, at any time and in any process. */
  readonly next: number;
  /** Whether there was more when it was asked. */
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

  history<Kind extends EntityKind>(kind: Kind, id: number, options: HistoryOptions): GraphResults<EntityOf[Kind]> {
    const subject = this.#subject(kind, id);
    checkKnownKeys("history", checkRecord("history", options), ["at", "coalesce"]);
    if (options.at !== undefined) checkChoice("at", options.at, ["valid", "recorded"]);
    const { clock, purged } = this.#tables;
    const now = Math.max(this.#wallClock(), clock.time);
    const how = { ...options };
    const answering = {
      // What is in force along valid time is there whatever was purged.
      get truncatedBefore(): number | null {
        return how.at === "valid" ? null : purged.before;
      },
    };
    return this.#rectangles(answering, kind, subject, () => historyOf(this.#tables, subject, now, how));
  }

  versionAt<Kind extends EntityKind>(kind: Kind, id: number, at: AsOf): GraphVersion<EntityOf[Kind]> {
    const slot = this.#slotOf(kind, id);
    const { clock, purged, contents } = this.#tables;
    const point = this.settle("versionAt", at);
    const { timelines } = this.#tables.of(kind);
    const row = slot === 0 ? 0 : timelines.rowAt(slot, point.validAt, point.lsn);
    const version =
      row === 0 ? null : this.#entity(kind, slot, rectangleKnownAt(timelines, contents, slot, row, clock.lsn));
    return { version, truncatedBefore: purged.truncation(point.lsn, point.askedAt) };
  }

  between<Kind extends EntityKind>(kind: Kind, id: number, window: HistoryWindow): GraphResults<EntityOf[Kind]> {
    const subject = this.#subject(kind, id);
    checkKnownKeys("between", checkRecord("between", window), ["valid", "recorded"]);
    if (window.valid === undefined && window.recorded === undefined) {
      throw new TypeError("between: say which window, valid or recorded");
    }
    const { from, to } = validBounds(window.valid);
    const { first, until, askedAt } = this.#recordedBounds(window.recorded);
    const isInside = (each: Rectangle): boolean =>
      each.validFrom < to && each.validTo > from && each.lsn < until && each.until > first;
    return this.#rectangles(this.#asking(first, askedAt), kind, subject, () =>
      rectanglesOf(this.#tables, subject).filter(isInside),
    );
  }

  overlaps<A extends EntityKind, B extends EntityKind>(
    a: EntityReference<A>,
    b: EntityReference<B>,
    options: { readonly recordedAt?: RecordedAt },
  ): GraphResults<GraphOverlap<EntityOf[A], EntityOf[B]>> {
    checkKnownKeys("overlaps", checkRecord("overlaps", options), ["recordedAt"]);
    const aSlot = this.#referred("a", a);
    const bSlot = this.#referred("b", b);
    const tables = this.#tables;
    const { recordedAt } = options;
    const lsn = recordedAt === undefined ? tables.clock.lsn : lsnOf(tables.clock, "recordedAt", recordedAt);
    const aKind: A = a.kind;
    const bKind: B = b.kind;
    const both = (): readonly { from: number; to: number; first: Rectangle; second: Rectangle }[] =>
      aSlot === 0 || bSlot === 0
        ? []
        : inBoth(heldPeriods(tables, aKind, aSlot, lsn), heldPeriods(tables, bKind, bSlot, lsn));
    const entityA = (rectangle: Rectangle): EntityOf[A] => this.#entity(aKind, aSlot, rectangle);
    const entityB = (rectangle: Rectangle): EntityOf[B] => this.#entity(bKind, bSlot, rectangle);
    const askedAt = typeof recordedAt === "number" ? recordedAt : null;
    return new GraphResults(this.#asking(lsn, askedAt), function* () {
      for (const { from, to, first, second } of gathered(tables.contents, both, (each, last) => each.from > last.from))
        yield {
          validFrom: from,
          validTo: to === Number.POSITIVE_INFINITY ? null : to,
          a: entityA(first),
          b: entityB(second),
        };
    });
  }

  changes(query: ChangesQuery): GraphResults<ChangesPage> {
    checkKnownKeys("changes", checkRecord("changes", query), ["after", "recordedFrom", "recordedTo", "limit"]);
    const { clock } = this.#tables;
    const limit = checkId("limit", query.limit === undefined ? CHANGES_LIMIT_DEFAULT : query.limit);
    if (limit > CHANGES_LIMIT_MAX) throw new TypeError(`limit must be at most ${CHANGES_LIMIT_MAX}`);
    const from = query.recordedFrom === undefined ? null : checkTime("recordedFrom", query.recordedFrom);
    const to = query.recordedTo === undefined ? null : checkTime("recordedTo", query.recordedTo);
    if (from !== null && to !== null && from >= to) throw emptyPeriod("the recorded window", from, to);
    const begin = checkApplied(clock, "after", query.after === undefined ? 0 : query.after);
    const after = Math.max(begin, from === null ? 0 : clock.lsnAt(from - 1));
    const last = to === null ? clock.lsn : clock.lsnAt(to - 1);
    return new GraphResults(this.#asking(after, null), () => this.#pages(after, last, limit));
  }

  *#pages(first: number, last: number, limit: number): Generator<ChangesPage, void, undefined> {
    const { purged } = this.#tables;
    let after = first;
    // Each look at the graph takes more, so that many pages do not cost a look each; who reads one page pays for one.
    for (let wanted = limit, isMore = true; isMore; wanted = Math.min(2 * wanted, CHANGES_LIMIT_MAX)) {
      const { changes, through, hasMore } = changedEntities(this.#tables, after, last, wanted);
      const pages = pagesOf(changes, limit);
      for (const [at, page] of pages.entries()) {
        const isLast = at === pages.length - 1;
        const next = isLast ? Math.max(after, through) : (page.at(-1) as EntityChange).lsn; // `as`: only the last can be empty
        yield { changes: page, next, hasMore: hasMore || !isLast, truncatedBefore: purged.truncation(after, null) };
        after = next;
      }
      isMore = hasMore;
    }
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

  /** The entity as it is known now. */
  #subject(kind: EntityKind, id: number): HistorySubject {
    return { kind, slot: this.#slotOf(kind, id), known: this.#tables.clock.lsn };
  }

  /** Says what a purge has taken of an answer as of an LSN, or of the time that led to it. */
  #asking(lsn: number, askedAt: number | null): { readonly truncatedBefore: number | null } {
    const { purged } = this.#tables;
    return {
      get truncatedBefore(): number | null {
        return purged.truncation(lsn, askedAt);
      },
    };
  }

  #rectangles<Kind extends EntityKind>(
    answering: { readonly truncatedBefore: number | null },
    kind: Kind,
    { slot }: HistorySubject,
    gather: () => readonly Rectangle[],
  ): GraphResults<EntityOf[Kind]> {
    const { contents } = this.#tables;
    const entity = (rectangle: Rectangle): EntityOf[Kind] => this.#entity(kind, slot, rectangle);
    const isBehind = (each: Rectangle, last: Rectangle): boolean => inHistoryOrder(each, last) > 0;
    return new GraphResults(answering, function* () {
      if (slot === 0) return;
      for (const rectangle of gathered(contents, gather, isBehind)) yield entity(rectangle);
    });
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

  #entity<Kind extends EntityKind>(kind: Kind, slot: number, rectangle: Rectangle): EntityOf[Kind] {
    const entity: GraphNode =
      kind === "node" ? nodeOf(this.#tables, slot, rectangle) : edgeOf(this.#tables, slot, rectangle);
    return entity as EntityOf[Kind]; // an edge has the ends besides
  }
}

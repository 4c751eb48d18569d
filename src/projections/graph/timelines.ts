/**
 * The rectangles (valid × recorded) of every node, or of every edge.
 *
 * An assertion recorded at LSN t over [a, b) owns [a, b) × [t, ∞). A later one over [c, d) at u takes its part away:
 *
 *     recorded                                          live:    A [a, c) from t · A [d, b) from t · B [c, d) from u
 *        ▲                                              closed:  A [c, d) from t until u
 *      u ┤  A   │   B   │   A
 *        ├──────┼───────┼──────
 *      t ┤  A   │   A   │   A
 *        └──────┴───────┴─────▶ valid
 *        a      c       d     b
 *
 * - Live rectangles, those that nothing has taken away yet, are a chain per entity from the latest valid period to the earliest,
 *   without overlap. The first is in the entity's own record: "now" is there or near it, and so is what happens next, and
 *   asking whether a node exists costs one cache miss. The others are rows of `#more`, reused once they are closed.
 * - Closed ones are rows of `#closed`, written once, in the order in which they were closed: a chain per entity from the last closed to
 *   the first, so that reading a recent LSN stops early, and reading the present never starts. A purge drops the first rows; those up to
 *   a row can have been moved to files (moved-rows.ts) and keep their numbers: `#closed` holds what comes after them.
 * - `cut` takes a period away and leaves a gap in the chain; `fill` puts rectangles into it, the latest first.
 * - Live rectangles of one assertion that touch and hold the same are always one.
 *
 * A rectangle is named by its entity's slot and a row: `HEAD` is the one in the record, above 0 a row of `#more`, below 0 a row
 * of `#closed` (negated), 0 none. Times are µs, an open end is Infinity.
 */

import { CutParts } from "./cut-parts.js";
import type { MovedRows } from "./moved-rows.js";
import type { Period } from "./period.js";
import { PurgedCuts } from "./purged-cuts.js";
import { Records } from "./records.js";

// A rectangle, in an entity's record, in `#more`, in `#closed` and in pages of history alike: doubles 0–2, ints 6 and 7.
export const VALID_FROM = 0;
export const VALID_TO = 1;
export const LSN = 2;
export const CONTENT = 6;
export const NEXT = 7;
/** How many bytes at the start of every entity's record are its first live rectangle. */
export const RECTANGLE_BYTES = 32;
// A double of closed rectangles.
export const UNTIL = 4;
export const CLOSED_BYTES = 40;
/** The int of every entity's record with its last closed row. */
export const LAST_CLOSED = 10;

/** The row of the rectangle in the entity's record. */
const HEAD = 0x7fffffff;
// In the record of an entity without live rectangles: no period touches one that ends before all times.
const NOTHING_LIVE = Number.NEGATIVE_INFINITY;

export class Timelines {
  readonly cutParts: CutParts = new CutParts();
  readonly #entities: Records;
  readonly #more = new Records(RECTANGLE_BYTES);
  #closed = new Records(CLOSED_BYTES);
  /** Rows 1 to `#moved.count` are there, and row n behind them is row n − `#moved.count` of `#closed`. */
  readonly #moved: MovedRows;
  readonly #purgedCuts = new PurgedCuts();
  /** Rows of `#more` to be reused, chained by NEXT. */
  free = 0;
  /** The live row before the gap that `cut` left; 0: the gap is before all. */
  #beforeGap = 0;

  constructor(entities: Records, moved: MovedRows) {
    this.#entities = entities;
    this.#moved = moved;
  }

  /** Must be called once for each new record: nothing is in force there yet. */
  add(slot: number): void {
    this.#entities.setDouble(slot, VALID_TO, NOTHING_LIVE);
  }

  /** True when something is in force in the period as of the last LSN. */
  overlaps(slot: number, period: Period): boolean {
    const doubles = this.#entities.doubles(slot);
    const offset = this.#entities.offset(slot);
    if ((doubles[offset + VALID_FROM] as number) >= period.to) return this.#overlapsEarlier(slot, period);
    return (doubles[offset + VALID_TO] as number) > period.from;
  }

  /** Takes the period away at an LSN. What was there is closed and listed in `cutParts`; `fill` may follow. */
  cut(slot: number, period: Period, lsn: number): void {
    this.cutParts.count = 0;
    this.#beforeGap = 0;
    if (this.#entities.double(slot, VALID_TO) !== NOTHING_LIVE) this.#cutLive(slot, period, lsn);
  }

  /** Puts a rectangle into the gap that the last `cut` left. Several go in from the latest to the earliest. */
  fill(slot: number, period: Period, lsn: number, content: number): void {
    if (this.#beforeGap === 0) {
      const entities = this.#entities;
      const following = entities.double(slot, VALID_TO) === NOTHING_LIVE ? 0 : this.#copyToMore(entities, slot);
      write(entities, slot, period, lsn, content, following);
      this.#beforeGap = HEAD;
      return;
    }
    const before = this.#beforeGap;
    const row = this.#allocate();
    write(this.#more, row, period, lsn, content, this.#next(slot, before));
    this.#tableOf(before).setInt(this.#indexOf(slot, before), NEXT, row);
    this.#beforeGap = row;
  }

  /** `add`, and the first rectangle of the new record. */
  begin(slot: number, period: Period, lsn: number, content: number): void {
    write(this.#entities, slot, period, lsn, content, 0);
  }

  /** The row in force at a valid time, as it stood at an LSN; 0 when nothing was. */
  rowAt(slot: number, validAt: number, lsn: number): number {
    const doubles = this.#entities.doubles(slot);
    const offset = this.#entities.offset(slot);
    if ((doubles[offset + VALID_FROM] as number) > validAt) return this.#earlierRowAt(slot, validAt, lsn);
    const inForce = (doubles[offset + VALID_TO] as number) > validAt && (doubles[offset + LSN] as number) <= lsn;
    return inForce ? HEAD : this.#closedRowAt(slot, validAt, lsn);
  }

  /** Whether a row is the rectangle in the entity's record, and nothing after the LSN `known` took anything away: it is as it stands there. */
  isWholeInRecord(slot: number, row: number, known: number): boolean {
    return row === HEAD && !this.isCutAfter(slot, known);
  }

  /** Every row of an entity, live and closed. */
  *rows(slot: number): Generator<number, void, undefined> {
    for (let row = this.#firstRow(slot); row !== 0; row = this.#rowAfter(slot, row)) yield row;
  }

  /** The same without those that were moved to files. */
  *rowsInMemory(slot: number): Generator<number, void, undefined> {
    for (let row = this.#firstRow(slot); this.#isInMemory(row); row = this.#rowAfter(slot, row)) yield row;
  }

  /** The live rows of an entity, from the latest valid period to the earliest. */
  *liveRows(slot: number): Generator<number, void, undefined> {
    if (this.#entities.double(slot, VALID_TO) === NOTHING_LIVE) return;
    for (let row = HEAD; row !== 0; row = this.#next(slot, row)) yield row;
  }

  /** The last LSN that asserted anything about an entity or took it away, whatever was purged since; 0 before the first. */
  versionOf(slot: number): number {
    // Of a cut that was moved to files `#purgedCuts` knows, where it counts.
    const cut = this.#closed.double(Math.max(0, this.#entities.int(slot, LAST_CLOSED) - this.#moved.count), UNTIL);
    let version = Math.max(cut, this.#purgedCuts.get(slot));
    for (const row of this.liveRows(slot)) version = Math.max(version, this.lsn(slot, row));
    return version;
  }

  /** The last LSN up to a limit at which anything was asserted or taken away, as far as it is known; 0: none. */
  lastChangeAtMost(limit: number): number {
    const lastClosed = this.lastClosedAtMost(limit);
    let last = lastClosed === 0 ? 0 : this.until(-lastClosed);
    for (let slot = 1; slot < this.#entities.length; slot += 1) {
      for (let row = this.#firstRow(slot); this.#isInMemory(row); row = this.#rowAfter(slot, row)) {
        const lsn = this.lsn(slot, row);
        if (lsn <= limit && lsn > last) last = lsn;
      }
    }
    this.#moved.eachAfter(limit, (table, index) => {
      const lsn = table.double(index, LSN);
      if (lsn <= limit && lsn > last) last = lsn;
    });
    return last;
  }

  /** Visits the LSNs above `after` up to `through` at which something was asserted, or only taken away, perhaps several times each. */
  eachChange(after: number, through: number, visit: (slot: number, lsn: number, asserted: boolean) => void): void {
    const look = (slot: number, lsn: number, until: number): void => {
      if (lsn > after && lsn <= through) visit(slot, lsn, true);
      if (until <= through) visit(slot, until, false);
    };
    for (let slot = 1; slot < this.#entities.length; slot += 1) {
      for (let row = this.#firstRow(slot); this.#isInMemory(row); row = this.#rowAfter(slot, row)) {
        const until = this.until(row);
        // From here on everything was over by then, what is closed being chained from the last to the first.
        if (until <= after) break;
        look(slot, this.lsn(slot, row), until);
      }
    }
    this.#moved.eachAfter(after, (table, index, slot) =>
      look(slot, table.double(index, LSN), table.double(index, UNTIL)),
    );
  }

  /** How many closed rows there are in memory. */
  get closedInMemory(): number {
    return this.#closed.length - 1;
  }

  /** The entities whose closed rows in memory are those up to `through`, in the order of the rows. */
  slotsOfClosed(through: number): Int32Array {
    const { count } = this.#moved;
    const slots = new Int32Array(Math.max(0, through - count));
    for (let slot = 1; slot < this.#entities.length; slot += 1) {
      let row = this.#entities.int(slot, LAST_CLOSED);
      for (; row > count; row = this.#closed.int(row - count, NEXT)) if (row <= through) slots[row - count - 1] = slot;
    }
    return slots;
  }

  /** The closed rows in memory; row n is row n − `#moved.count` in there. */
  get closed(): Records {
    return this.#closed;
  }

  /** Lets go of the closed rows up to `through`, which are in a file that is about to be placed: the others keep their numbers. */
  giveUpClosed(through: number): void {
    this.#keepVersions(through);
    const first = through - this.#moved.count + 1;
    const kept = new Records(CLOSED_BYTES);
    for (let row = first; row < this.#closed.length; row += 1) copyClosed(this.#closed, row, kept, kept.add());
    this.#closed = kept;
  }

  /** Forgets what was taken away up to an LSN; gives the number of rows. Rows below 0 are others afterwards. */
  dropClosedThrough(lsn: number): number {
    const closed = this.#closed;
    const dropped = this.lastClosedAtMost(lsn);
    if (dropped === 0) return 0;
    this.#keepVersions(dropped);
    const kept = new Records(CLOSED_BYTES);
    for (let row = Math.max(0, dropped - this.#moved.count) + 1; row < closed.length; row += 1) {
      const added = kept.add();
      copyClosed(closed, row, kept, added);
      kept.setInt(added, NEXT, Math.max(0, closed.int(row, NEXT) - dropped));
    }
    this.#closed = kept;
    this.#moved.drop(Math.min(dropped, this.#moved.count));
    const entities = this.#entities;
    for (let slot = 1; slot < entities.length; slot += 1)
      entities.setInt(slot, LAST_CLOSED, Math.max(0, entities.int(slot, LAST_CLOSED) - dropped));
    return dropped;
  }

  /** Replaces every reference into the content arena. */
  moveContents(newPlaceOf: (reference: number) => number): void {
    for (let slot = 1; slot < this.#entities.length; slot += 1) {
      for (let row = this.#firstRow(slot); this.#isInMemory(row); row = this.#rowAfter(slot, row)) {
        const table = this.#tableOf(row);
        const index = this.#indexOf(slot, row);
        table.setInt(index, CONTENT, newPlaceOf(table.int(index, CONTENT)));
      }
    }
  }

  validFrom(slot: number, row: number): number {
    return this.#tableOf(row).double(this.#indexOf(slot, row), VALID_FROM);
  }

  validTo(slot: number, row: number): number {
    return this.#tableOf(row).double(this.#indexOf(slot, row), VALID_TO);
  }

  /** The LSN of the event that asserted it. */
  lsn(slot: number, row: number): number {
    return this.#tableOf(row).double(this.#indexOf(slot, row), LSN);
  }

  /** What it holds: a reference that the content arena knows. */
  content(slot: number, row: number): number {
    const content = this.#tableOf(row).int(this.#indexOf(slot, row), CONTENT);
    return row >= 0 || content < 0 || this.#isInMemory(row) ? content : this.#moved.contentOf(-row);
  }

  /** The LSN that took it away; Infinity for a live row. */
  until(row: number): number {
    return row > 0 ? Number.POSITIVE_INFINITY : this.#tableOf(row).double(this.#indexOf(0, row), UNTIL);
  }

  /** Whether anything was taken away from an entity after an LSN. */
  isCutAfter(slot: number, lsn: number): boolean {
    const last = this.#entities.int(slot, LAST_CLOSED);
    if (last !== 0 && last <= this.#moved.count && lsn >= this.#moved.throughLsn) return false;
    return last !== 0 && this.until(-last) > lsn;
  }

  /** The last row of those that were closed up to an LSN, or 0. */
  lastClosedAtMost(lsn: number): number {
    const { count, throughLsn } = this.#moved;
    if (count > 0 && lsn < throughLsn) return this.#moved.lastAtMost(lsn);
    let low = 1;
    let high = this.#closed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#closed.double(middle, UNTIL) <= lsn) low = middle + 1;
      else high = middle;
    }
    return count + low - 1;
  }

  /** What there is to save besides `free` and the entities' records. */
  get tables(): readonly Records[] {
    return [this.#more, this.#closed, this.#purgedCuts.records];
  }

  /** Before rows up to `dropped` go: an entity whose last change was a cut among them would else have an earlier version than it has. */
  #keepVersions(dropped: number): void {
    for (let slot = 1; slot < this.#entities.length; slot += 1) {
      const last = this.#entities.int(slot, LAST_CLOSED);
      // Of rows that were moved before it was kept then.
      if (last <= this.#moved.count || last > dropped) continue;
      const cut = this.#closed.double(last - this.#moved.count, UNTIL);
      if (this.versionOf(slot) === cut && !this.#isAssertedAt(slot, cut)) this.#purgedCuts.set(slot, cut);
    }
  }

  #isAssertedAt(slot: number, lsn: number): boolean {
    for (const row of this.liveRows(slot)) if (this.lsn(slot, row) === lsn) return true;
    return false;
  }

  #cutLive(slot: number, { from, to }: Period, lsn: number): void {
    let row = HEAD;
    while (row !== 0 && this.validFrom(slot, row) >= to) {
      this.#beforeGap = row;
      row = this.#next(slot, row);
    }
    while (row !== 0 && this.validTo(slot, row) > from) {
      const rowFrom = this.validFrom(slot, row);
      const rowTo = this.validTo(slot, row);
      this.#close(slot, row, Math.max(rowFrom, from), Math.min(rowTo, to), lsn);
      if (rowTo > to) {
        if (rowFrom < from) this.#split(slot, row, from);
        this.#tableOf(row).setDouble(this.#indexOf(slot, row), VALID_FROM, to);
        this.#beforeGap = row;
        row = this.#next(slot, row);
      } else if (rowFrom < from) this.#tableOf(row).setDouble(this.#indexOf(slot, row), VALID_TO, from);
      else row = this.#remove(slot, row);
      if (rowFrom < from) return;
    }
  }

  #overlapsEarlier(slot: number, { from, to }: Period): boolean {
    const more = this.#more;
    let row = this.#entities.int(slot, NEXT);
    while (row !== 0 && more.double(row, VALID_FROM) >= to) row = more.int(row, NEXT);
    return row !== 0 && more.double(row, VALID_TO) > from;
  }

  #earlierRowAt(slot: number, validAt: number, lsn: number): number {
    const more = this.#more;
    let row = this.#entities.int(slot, NEXT);
    while (row !== 0 && more.double(row, VALID_FROM) > validAt) row = more.int(row, NEXT);
    if (row !== 0 && more.double(row, VALID_TO) > validAt && more.double(row, LSN) <= lsn) return row;
    return this.#closedRowAt(slot, validAt, lsn);
  }

  #closedRowAt(slot: number, validAt: number, lsn: number): number {
    const closed = this.#closed;
    const { count } = this.#moved;
    let row = this.#entities.int(slot, LAST_CLOSED);
    // What was closed at or before the LSN was gone by then, and so was all that was closed earlier.
    while (row > count && closed.double(row - count, UNTIL) > lsn) {
      const at = row - count;
      const holds = closed.double(at, VALID_FROM) <= validAt && validAt < closed.double(at, VALID_TO);
      if (holds && closed.double(at, LSN) <= lsn) return -row;
      row = closed.int(at, NEXT);
    }
    return row === 0 || row > count || lsn >= this.#moved.throughLsn ? 0 : this.#movedRowAt(row, validAt, lsn);
  }

  #movedRowAt(last: number, validAt: number, lsn: number): number {
    for (let row = last; row > 0; ) {
      const table = this.#moved.tableOf(row);
      const at = this.#moved.indexOf(row);
      if (table.double(at, UNTIL) <= lsn) return 0;
      const holds = table.double(at, VALID_FROM) <= validAt && validAt < table.double(at, VALID_TO);
      if (holds && table.double(at, LSN) <= lsn) return -row;
      row = table.int(at, NEXT);
    }
    return 0;
  }

  #firstRow(slot: number): number {
    const nothing = this.#entities.double(slot, VALID_TO) === NOTHING_LIVE;
    return nothing ? -this.#entities.int(slot, LAST_CLOSED) : HEAD;
  }

  /** First the live ones, then the closed. */
  #rowAfter(slot: number, row: number): number {
    if (row < 0) return -this.#tableOf(row).int(this.#indexOf(slot, row), NEXT);
    const next = this.#next(slot, row);
    return next === 0 ? -this.#entities.int(slot, LAST_CLOSED) : next;
  }

  /** Neither 0 nor moved. */
  #isInMemory(row: number): boolean {
    return row > 0 || row < -this.#moved.count;
  }

  #tableOf(row: number): Records {
    return row === HEAD ? this.#entities : row > 0 ? this.#more : this.#closedTable(-row);
  }

  #closedTable(row: number): Records {
    return row > this.#moved.count ? this.#closed : this.#moved.tableOf(row);
  }

  #indexOf(slot: number, row: number): number {
    return row === HEAD ? slot : row > 0 ? row : this.#closedIndex(-row);
  }

  #closedIndex(row: number): number {
    const { count } = this.#moved;
    return row > count ? row - count : this.#moved.indexOf(row);
  }

  #next(slot: number, row: number): number {
    return this.#tableOf(row).int(this.#indexOf(slot, row), NEXT);
  }

  #allocate(): number {
    const row = this.free;
    if (row === 0) return this.#more.add();
    this.free = this.#more.int(row, NEXT);
    return row;
  }

  #release(row: number): void {
    this.#more.setInt(row, NEXT, this.free);
    this.free = row;
  }

  /** A row of `#more` with the same rectangle. */
  #copyToMore(table: Records, index: number): number {
    const row = this.#allocate();
    copy(table, index, this.#more, row);
    return row;
  }

  /** Puts what lies before `end` of a rectangle that is cut in the middle into a row of its own, after it. */
  #split(slot: number, row: number, end: number): void {
    const table = this.#tableOf(row);
    const index = this.#indexOf(slot, row);
    const lower = this.#copyToMore(table, index);
    this.#more.setDouble(lower, VALID_TO, end);
    table.setInt(index, NEXT, lower);
  }

  /** Takes a row out of the chain, after `#beforeGap`; gives the row that follows. */
  #remove(slot: number, row: number): number {
    const following = this.#next(slot, row);
    if (row !== HEAD) {
      this.#tableOf(this.#beforeGap).setInt(this.#indexOf(slot, this.#beforeGap), NEXT, following);
      this.#release(row);
      return following;
    }
    if (following === 0) {
      this.add(slot);
      return 0;
    }
    copy(this.#more, following, this.#entities, slot);
    this.#release(following);
    return HEAD;
  }

  #close(slot: number, row: number, from: number, to: number, until: number): void {
    const closed = this.#closed;
    const added = closed.add();
    copy(this.#tableOf(row), this.#indexOf(slot, row), closed, added);
    this.cutParts.add(from, to, closed.int(added, CONTENT));
    closed.setDouble(added, VALID_FROM, from);
    closed.setDouble(added, VALID_TO, to);
    closed.setDouble(added, UNTIL, until);
    closed.setInt(added, NEXT, this.#entities.int(slot, LAST_CLOSED));
    this.#entities.setInt(slot, LAST_CLOSED, this.#moved.count + added);
  }
}

function write(table: Records, row: number, period: Period, lsn: number, content: number, next: number): void {
  const doubles = table.doubles(row);
  const ints = table.ints(row);
  const offset = table.offset(row);
  doubles[offset + VALID_FROM] = period.from;
  doubles[offset + VALID_TO] = period.to;
  doubles[offset + LSN] = lsn;
  ints[offset * 2 + CONTENT] = content;
  ints[offset * 2 + NEXT] = next;
  table.note(row);
}

function copyClosed(from: Records, index: number, to: Records, row: number): void {
  copy(from, index, to, row);
  to.setDouble(row, UNTIL, from.double(index, UNTIL));
}

function copy(from: Records, index: number, to: Records, row: number): void {
  to.setDouble(row, VALID_FROM, from.double(index, VALID_FROM));
  to.setDouble(row, VALID_TO, from.double(index, VALID_TO));
  to.setDouble(row, LSN, from.double(index, LSN));
  to.setInt(row, CONTENT, from.int(index, CONTENT));
  to.setInt(row, NEXT, from.int(index, NEXT));
}

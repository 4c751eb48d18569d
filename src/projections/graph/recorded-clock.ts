/**
 * LSNs to transaction times and back.
 *
 * The effective time of an LSN is the running maximum of `recordedAt` over all LSNs up to it. An anchor (lsn, time) is kept
 * for an LSN that the graph heeds and whose time differs from the anchor before, so the events of one group commit share
 * one anchor and events that mean nothing to the graph cost none. Between two anchors the graph did not change.
 */

import { Records } from "./records.js";

// Anchors: doubles 0 and 1.
const ANCHOR_BYTES = 16;
const LSN = 0;
const TIME = 1;
/** Below, halving the table takes no longer than looking where to begin. */
const HINTED_ANCHORS_MIN = 64;

export class RecordedClock {
  readonly anchors: Records = new Records(ANCHOR_BYTES);
  /** The last LSN and its effective time; −Infinity before the first. */
  lsn = 0;
  time: number = Number.NEGATIVE_INFINITY;
  /** The time of the last anchor: asking the table for each event would cost more than anchoring. */
  #anchored = Number.NEGATIVE_INFINITY;
  // Every answer has times, and halving a table of thousands costs a mispredicted branch at each second step: so for each of as many stretches of LSNs
  // as there are anchors, the last anchor before it. Made anew when there are twice as many.
  #hints = new Int32Array(0);
  #hintedAnchors = HINTED_ANCHORS_MIN / 2;
  #stretchLsns = 1;
  /** Anchors that came later are above it. */
  #hintedLsn = 0;

  advance(lsn: number, recordedAt: number): void {
    this.lsn = lsn;
    if (recordedAt > this.time) this.time = recordedAt;
  }

  /** Anchors the current LSN: something of the graph happens at it. */
  anchor(): void {
    if (this.#anchored === this.time) return;
    this.#anchored = this.time;
    const row = this.anchors.add();
    this.anchors.setDouble(row, LSN, this.lsn);
    this.anchors.setDouble(row, TIME, this.time);
  }

  /** Goes on from a checkpoint, `anchors` being restored. */
  resume(lsn: number, time: number): void {
    this.lsn = lsn;
    this.time = time;
    if (this.anchors.length > 1) this.#anchored = this.anchors.double(this.anchors.length - 1, TIME);
  }

  /** The effective time of an LSN that the graph heeded; of another, that of the last one before it. */
  timeOf(lsn: number): number {
    if (lsn >= this.lsn) return this.time;
    const row = this.#anchorOf(lsn);
    return row === 0 ? Number.NEGATIVE_INFINITY : this.anchors.double(row, TIME);
  }

  /** The effective time of the last LSN that the graph heeded by then; by the last LSN, of that one. */
  timeBy(time: number): number {
    if (time >= this.time) return this.time;
    const row = this.#lastAtMost(TIME, time);
    return row === 0 ? Number.NEGATIVE_INFINITY : this.anchors.double(row, TIME);
  }

  /** The LSN at which the graph stood at a time. Events of others' that were recorded after it may be below that, none of the graph's. */
  lsnAt(time: number): number {
    if (time >= this.time) return this.lsn;
    // The last LSN before the first anchor that is too late: nothing of the graph lies between the two.
    const late = this.#lastAtMost(TIME, time) + 1;
    return late < this.anchors.length ? this.anchors.double(late, LSN) - 1 : this.lsn;
  }

  /** The last anchor at or before an LSN that is below the last one, or 0. */
  #anchorOf(lsn: number): number {
    if (this.anchors.length >= this.#hintedAnchors * 2) this.#hint();
    const hints = this.#hints;
    const stretch = Math.floor(lsn / this.#stretchLsns);
    if (lsn > this.#hintedLsn || stretch + 1 >= hints.length) return this.#lastAtMost(LSN, lsn);
    return this.#lastAtMost(LSN, lsn, hints[stretch] as number, hints[stretch + 1] as number);
  }

  #hint(): void {
    const count = this.anchors.length;
    this.#hintedAnchors = count;
    this.#hintedLsn = this.anchors.double(count - 1, LSN);
    this.#stretchLsns = Math.max(1, Math.ceil(this.#hintedLsn / count));
    const hints = new Int32Array(count);
    let row = 0;
    for (let stretch = 0; stretch < count; stretch += 1) {
      while (row + 1 < count && this.anchors.double(row + 1, LSN) < stretch * this.#stretchLsns) row += 1;
      hints[stretch] = row;
    }
    this.#hints = hints;
  }

  /** The last anchor whose LSN or time is at most `limit`, or 0; it is known to be one of `least` to `most`. */
  #lastAtMost(field: number, limit: number, least = 0, most: number = this.anchors.length - 1): number {
    let low = least + 1;
    let high = most + 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.anchors.double(middle, field) <= limit) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

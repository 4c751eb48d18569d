/** What becomes of the events that were parked: applied once more, or given up. */

import { StoreError } from "../errors.js";
import type { ParkedEvent } from "./checkpoint-format.js";
import type { FeedEvent } from "./event-feed.js";
import type { StillTrack } from "./still-track.js";

/** What `retry` did. */
export interface RetryReport {
  /** LSNs of the events that are in the state now, or whose content was forgotten or removed meanwhile. */
  readonly applied: readonly number[];
  /** Those that were refused once more, with the messages of now. */
  readonly parked: readonly ParkedEvent[];
}

export class ParkedEvents<State, Event extends FeedEvent> {
  readonly #parts: StillTrack<State, Event>;

  constructor(parts: StillTrack<State, Event>) {
    this.#parts = parts;
  }

  async retry(lsn?: number): Promise<RetryReport> {
    const wanted = lsn === undefined ? this.#lsns() : [this.#checked(lsn)];
    const applied: number[] = [];
    try {
      for (const parkedLsn of wanted) {
        const event = await this.#eventAt(parkedLsn);
        await this.#parts.whenStill();
        const track = this.#parts.currentTrack();
        // Somebody else may have been quicker.
        if (!track.parked.some((parked) => parked.lsn === parkedLsn)) continue;
        if (event === null) track.unpark(parkedLsn);
        else if (track.retry(event) !== null) continue;
        applied.push(parkedLsn);
      }
    } finally {
      if (wanted.length > 0) await this.#parts.save();
    }
    const { parked } = this.#parts.currentTrack();
    return { applied, parked: parked.filter((event) => wanted.includes(event.lsn)) };
  }

  async skip(lsn: number): Promise<void> {
    this.#checked(lsn);
    await this.#parts.whenStill();
    this.#parts.currentTrack().unpark(this.#checked(lsn));
    await this.#parts.save();
  }

  #lsns(): number[] {
    return this.#parts.currentTrack().parked.map((parked) => parked.lsn);
  }

  #checked(lsn: number): number {
    if (!Number.isSafeInteger(lsn) || lsn < 1) throw new TypeError("lsn must be a safe integer, 1 or more");
    if (this.#lsns().includes(lsn)) return lsn;
    const { name } = this.#parts.currentTrack().projection;
    throw new StoreError("ERR_PROJECTION_NOT_PARKED", `projection "${name}" has no parked event with LSN ${lsn}`, {
      projection: name,
      lsn,
    });
  }

  /** Null: a scavenge has removed it. */
  async #eventAt(lsn: number): Promise<Event | null> {
    for await (const events of this.#parts.feed.readBatches(lsn - 1)) {
      const [first] = events;
      if (first !== undefined) return first.lsn === lsn ? first : null;
    }
    return null;
  }
}

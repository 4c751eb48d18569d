/**
 * Up to which LSN a projection's `react` has been called: a number that outlives every state, so that no rebuild and no new version calls it again.
 *
 * The file `reactions`, text: the LSN, a space, and the CRC-32 of `<store's id> <LSN>` in hexadecimal digits, so that neither a damaged file nor one of
 * another store is believed. A file that is not believed is not passed over: whether to call everything again or to leave something out
 * is not for this code to decide.
 */

import { crc32 } from "node:zlib";
import { StoreError } from "../errors.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import type { FeedEvent } from "./event-feed.js";
import { readMarker, writeMarker } from "./marker-file.js";
import type { Track } from "./track.js";

const MARKER = "reactions";
/** How much is called again at most after a kill. */
const UNSAVED_EVENTS_MAX = 256;
const UNSAVED_MS_MAX = 200;

export class Reactions {
  readonly #directory: CheckpointDirectory;
  readonly #storeId: string | null;
  readonly #name: string;
  #lsn: number;
  #savedLsn: number;
  #unsavedEvents = 0;
  #calling: Promise<void> | null = null;
  #saving: Promise<void> = Promise.resolve();
  #savedMs = performance.now();

  private constructor(directory: CheckpointDirectory, storeId: string | null, name: string, lsn: number) {
    this.#directory = directory;
    this.#storeId = storeId;
    this.#name = name;
    this.#lsn = lsn;
    this.#savedLsn = lsn;
  }

  /**
   * Reads the mark, or begins at the watermark and writes that down, durably.
   *
   * @throws StoreError ERR_PROJECTION_FAILED for a file that cannot be believed or written
   */
  static async load(
    directory: CheckpointDirectory,
    name: string,
    feed: { readonly watermark: number; readonly storeId?: string },
  ): Promise<Reactions> {
    const storeId = feed.storeId ?? null;
    try {
      const text = await readMarker(directory.path, MARKER);
      if (text !== null) return new Reactions(directory, storeId, name, decode(text, storeId, feed.watermark));
      const reactions = new Reactions(directory, storeId, name, feed.watermark);
      await writeMarker(directory.path, MARKER, encode(feed.watermark, storeId));
      return reactions;
    } catch (cause) {
      throw failure(name, "where its reactions begin is not known", cause);
    }
  }

  /** Up to which LSN `react` has been called; no state that was made without calling it may be taken further. */
  get lsn(): number {
    return this.#lsn;
  }

  /** The call that is under way, or null. */
  get calling(): Promise<unknown> | null {
    return this.#calling;
  }

  /** Whether `react` has still to hear of this event. */
  awaits(event: FeedEvent): boolean {
    return event.lsn > this.#lsn;
  }

  /** Those of a batch of which nothing is owed: they come first, and can be applied in one go. */
  notAwaited<Event extends FeedEvent>(events: readonly Event[]): readonly Event[] {
    const last = events.at(-1);
    return last === undefined || !this.awaits(last) ? events : events.filter((event) => !this.awaits(event));
  }

  /** Calls `react` for the event that the track has just been shown, unless it was left out. */
  async after<State, Event extends FeedEvent>(track: Track<State, Event>, event: Event): Promise<void> {
    this.#calling = this.#call(track, event);
    try {
      await this.#calling;
    } finally {
      this.#calling = null;
    }
    const isDue = this.#unsavedEvents >= UNSAVED_EVENTS_MAX || performance.now() - this.#savedMs >= UNSAVED_MS_MAX;
    if (isDue) await this.save();
  }

  async #call<State, Event extends FeedEvent>(track: Track<State, Event>, event: Event): Promise<void> {
    const { lsn, type } = event;
    if (track.appliedLsn === lsn) {
      try {
        await track.projection.react?.(event, track.state);
      } catch (cause) {
        await this.save();
        throw failure(this.#name, `it could not react to LSN ${lsn}, an event of type ${type}`, cause, lsn);
      }
    }
    this.#lsn = lsn;
    this.#unsavedEvents += 1;
  }

  /** Before a checkpoint is written: what it holds has been reacted to, and that is noted. Else the next start would begin behind it. */
  async settle(): Promise<void> {
    while (this.#calling !== null) await Promise.allSettled([this.#calling]);
    await this.save();
  }

  /** Writes the mark where it has moved; one write after the other. */
  save(): Promise<void> {
    const saving = this.#saving.catch(() => {}).then(() => this.#write());
    this.#saving = saving;
    return saving;
  }

  async #write(): Promise<void> {
    if (this.#lsn === this.#savedLsn) return;
    const lsn = this.#lsn;
    try {
      await writeMarker(this.#directory.path, MARKER, encode(lsn, this.#storeId));
    } catch (cause) {
      throw failure(this.#name, `it could not note that it has reacted up to LSN ${lsn}`, cause, lsn);
    }
    this.#savedLsn = lsn;
    this.#unsavedEvents = 0;
    this.#savedMs = performance.now();
  }
}

/** How far a state may be made without calling `react`, by who does not run the projection: as far as it was called, if ever. */
export async function reactionLimit(
  directory: CheckpointDirectory,
  feed: { readonly watermark: number; readonly storeId?: string },
): Promise<number> {
  const text = await readMarker(directory.path, MARKER);
  return text === null ? Number.POSITIVE_INFINITY : decode(text, feed.storeId ?? null, feed.watermark);
}

function encode(lsn: number, storeId: string | null): string {
  return `${lsn} ${checksum(lsn, storeId)}\n`;
}

function decode(text: string, storeId: string | null, watermark: number): number {
  const [, digits = ""] = /^(\d{1,16}) [0-9a-f]{8}\n$/.exec(text) ?? [];
  const lsn = Number(digits);
  if (digits === "" || !Number.isSafeInteger(lsn) || text !== encode(lsn, storeId)) {
    throw new Error(`the file ${MARKER} is damaged, or of another store; without it, reactions begin at the watermark`);
  }
  if (lsn > watermark)
    throw new Error(`the file ${MARKER} says ${lsn}, above the watermark: the store is an older one`);
  return lsn;
}

function checksum(lsn: number, storeId: string | null): string {
  return crc32(`${storeId} ${lsn}`).toString(16).padStart(8, "0");
}

function failure(name: string, what: string, cause: unknown, lsn?: number): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const details = { projection: name, ...(lsn !== undefined && { lsn }), step: "react" };
  return new StoreError("ERR_PROJECTION_FAILED", `projection "${name}": ${what}: ${reason}`, details, { cause });
}

/**
 * Whether this writer has heard everything that was said of streams: no append may be judged by less.
 *
 * `$retention` is a stream, so all writers see its version in the head table, claims of others included, from the moment when they are made.
 * An append that finds a version there that this writer has not read waits until it can be read.
 */

import type { HeadTable } from "../wal/index.js";
import { RETENTION_STREAM } from "./retention-event.js";
import type { RetentionFollower } from "./retention-follower.js";
import type { RetentionState } from "./retention-state.js";

const NAME = Buffer.from(RETENTION_STREAM);

/** For a store of which nothing is sealed, when its streams are in the table: then what was said is in the log, or nothing was. */
export function enterRetention(heads: HeadTable): void {
  heads.insert(NAME, 0);
}

/** What the gate asks of a store. */
export interface RetentionGatePlace {
  readonly heads: HeadTable;
  readonly follower: RetentionFollower;
  /** W. */
  watermark(): number;
  /** The visible version of `$retention`, over all writers. Reads no log but what is sealed of that stream. */
  version(): Promise<number>;
  /** Throws when the heads may not be touched any more. */
  assertOpen(): void;
}

export class RetentionGate {
  readonly #place: RetentionGatePlace;
  readonly #heads: HeadTable;
  readonly #follower: RetentionFollower;
  /** Of `$retention` in the head table; −1: not known yet. */
  #entry: number;

  constructor(place: RetentionGatePlace) {
    this.#place = place;
    this.#heads = place.heads;
    this.#follower = place.follower;
    this.#entry = place.heads.find(NAME);
  }

  get state(): RetentionState {
    return this.#follower.state;
  }

  get isCurrent(): boolean {
    return this.#entry >= 0 && this.#heads.newestVersion(this.#entry) === this.#follower.version;
  }

  /** Whether this writer has heard of anything by which an append to the stream must be judged besides its version. */
  isAnythingSaidOf(stream: string): boolean {
    return this.#follower.version > 0 && this.#follower.state.isAnythingSaidOf(stream);
  }

  /** Hears what is visible. A writer of a store in which nothing was said reads nothing for it. */
  async learn(): Promise<void> {
    const { version, watermark, assertOpen } = this.#place;
    const visible = await version();
    if (visible > this.#follower.version) await this.#follower.catchUp(watermark());
    if (this.#entry >= 0) return;
    assertOpen();
    // Where there is none, nobody has written to the stream since the log was recovered, so that it has the version with which it is sealed.
    this.#entry = this.#heads.insert(NAME, visible);
  }
}

/**
 * Brings the stream index up to what is visible, by reading what was written since it was last looked at.
 *
 * A writer that is alone never reads anything: its batches are entered as they become durable. What other writers wrote is read when
 * somebody asks for a stream, and not before.
 */

import { isStoreError } from "../errors.js";
import type { Frame } from "../wal/index.js";
import type { StreamIndex } from "./stream-index.js";
import type { StreamReplay } from "./stream-replay.js";

export interface FollowedLog {
  readonly watermark: number;
  frames(after: number, through: number): AsyncIterable<Frame>;
}

export class LogFollower {
  readonly #log: FollowedLog;
  readonly #index: StreamIndex;
  readonly #replay: StreamReplay;
  /** One for all who ask meanwhile. */
  #reading: Promise<void> | null = null;

  constructor(log: FollowedLog, index: StreamIndex, replay: StreamReplay) {
    this.#log = log;
    this.#index = index;
    this.#replay = replay;
  }

  /** Resolves when every event up to `through`, which is visible, is indexed or sealed. */
  async catchUp(through: number = this.#log.watermark): Promise<void> {
    while (this.#index.indexedThrough < through) {
      this.#reading ??= this.#read(this.#log.watermark).finally(() => {
        this.#reading = null;
      });
      await this.#reading;
    }
  }

  async #read(through: number): Promise<void> {
    for (;;) {
      const after = this.#index.indexedThrough;
      try {
        // The writer's own batches may be entered meanwhile; their frames are passed over then.
        for await (const frame of this.#log.frames(after, through)) this.#replay.addFrame(frame);
        break;
      } catch (error) {
        // Another writer has truncated the log meanwhile. What it dropped was sealed, so the index begins behind it as soon as that is known.
        if (!isStoreError(error, "ERR_LOG_TRUNCATED") || this.#index.indexedThrough === after) throw error;
      }
    }
    this.#index.noteIndexed(through); // LSNs that no frame has are never written any more
  }
}

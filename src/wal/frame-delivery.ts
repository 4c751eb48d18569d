/** Hands the frames of a log that is read beside its writers on: each once, in LSN order, and only when it is known to be durable. */

import type { LogIndex } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import type { LogPosition } from "./log-facts.js";

interface PlacedFrame {
  readonly frame: Frame;
  readonly position: LogPosition;
}

export class FrameDelivery {
  readonly #index: LogIndex;
  readonly #onFrame: (frame: Frame) => void;
  /** Frames that were read and are not known to be durable yet: those that were in flight together. */
  #pending: PlacedFrame[] = [];
  /** The last LSN of those, or of the last frame that was delivered. */
  #readLsn = 0;
  #deliveredLsn = 0;

  constructor(index: LogIndex, onFrame: (frame: Frame) => void) {
    this.#index = index;
    this.#onFrame = onFrame;
  }

  /** Nothing up to this LSN is delivered any more. */
  get deliveredLsn(): number {
    return this.#deliveredLsn;
  }

  /** Takes a frame that was read, and delivers those that turn out to be durable. */
  readonly take = (frame: Frame, position: LogPosition): void => {
    const { firstLsn, recordCount, durableLsn } = frame.header;
    if (firstLsn > this.#readLsn) {
      this.#readLsn = firstLsn + recordCount - 1;
      this.#pending.push({ frame, position });
    }
    this.through(durableLsn);
  };

  /** Everything up to that LSN is durable. */
  through(durableLsn: number): void {
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      const { firstLsn, recordCount } = next.frame.header;
      if (firstLsn > durableLsn) return;
      this.#pending.shift();
      this.#deliveredLsn = firstLsn + recordCount - 1;
      const { core, segment, fileOffset } = next.position;
      this.#index.of(core).add(firstLsn, segment, fileOffset);
      this.#onFrame(next.frame);
    }
  }

  /** The next frame that was not delivered, of which the index knows and which is durable. */
  deliver(frame: Frame): void {
    const { firstLsn, recordCount } = frame.header;
    this.#deliveredLsn = firstLsn + recordCount - 1;
    this.#onFrame(frame);
  }

  /** What is pending will be read once more; up to that LSN there is nothing to come. */
  restart(deliveredLsn: number = 0): void {
    this.#deliveredLsn = Math.max(this.#deliveredLsn, deliveredLsn);
    this.#readLsn = this.#deliveredLsn;
    this.#pending = [];
  }
}

/** Frames that were read lately, found by any LSN in them. Bounded in number and bytes; the oldest goes first. */

import type { Frame } from "./frame-stream.js";

/** Small frames are what a stream has that is written to event by event; who folds it again looks for all of them. */
export const FRAMES_MAX = 1024;
const BYTES_MAX = 16 * 1024 * 1024;

export class FrameCache {
  /** By first LSN, ascending; they do not overlap. */
  readonly #frames: Frame[] = [];
  /** The same, oldest first. */
  readonly #byAge = new Set<Frame>();
  #byteLength = 0;

  get frameCount(): number {
    return this.#frames.length;
  }

  /** Bytes of the bodies. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** How many frames begin at or below `lsn`. */
  #countThrough(lsn: number): number {
    let low = 0;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#frames[middle] as Frame).header.firstLsn <= lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  find(lsn: number): Frame | null {
    const frame = this.#frames[this.#countThrough(lsn) - 1];
    if (frame === undefined || lsn >= frame.header.firstLsn + frame.header.recordCount) return null;
    return frame;
  }

  add(frame: Frame): void {
    const { firstLsn } = frame.header;
    if (this.find(firstLsn) !== null) return; // read by two at once
    this.#frames.splice(this.#countThrough(firstLsn), 0, frame);
    this.#byAge.add(frame);
    this.#byteLength += frame.body.length;
    for (const oldest of this.#byAge) {
      if (this.#frames.length <= FRAMES_MAX && this.#byteLength <= BYTES_MAX) break;
      this.#byAge.delete(oldest);
      this.#frames.splice(this.#countThrough(oldest.header.firstLsn) - 1, 1);
      this.#byteLength -= oldest.body.length;
    }
  }

  clear(): void {
    this.#frames.length = 0;
    this.#byAge.clear();
    this.#byteLength = 0;
  }
}

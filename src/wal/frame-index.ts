/**
 * LSN → where its frame lies, sparse: one entry for every 64 KiB of log, so that 1 TiB of log takes 256 MiB of memory and a small
 * one next to nothing. Rebuilt when the log is opened.
 */

import type { FramePosition } from "./log-scan.js";

const ENTRY_DISTANCE_BYTES = 64 * 1024;

export class FrameIndex {
  readonly #firstLsns: number[] = [];
  readonly #segments: number[] = [];
  readonly #fileOffsets: number[] = [];

  /** Frames are added in LSN order. */
  add(firstLsn: number, segment: number, fileOffset: number): void {
    const newest = this.#firstLsns.length - 1;
    if (newest >= 0 && this.#segments[newest] === segment) {
      if (fileOffset - (this.#fileOffsets[newest] as number) < ENTRY_DISTANCE_BYTES) return;
    }
    this.#firstLsns.push(firstLsn);
    this.#segments.push(segment);
    this.#fileOffsets.push(fileOffset);
  }

  #floor(lsn: number): number {
    let low = 0;
    let high = this.#firstLsns.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firstLsns[middle] as number) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #position(index: number): FramePosition | null {
    if (index < 0 || index >= this.#firstLsns.length) return null;
    return { segment: this.#segments[index] as number, fileOffset: this.#fileOffsets[index] as number };
  }

  /** An indexed frame at or before the one that holds `lsn`; null before the first. */
  before(lsn: number): FramePosition | null {
    return this.#position(this.#floor(lsn));
  }

  /** The first LSN of the indexed frame at or before the one that holds `lsn`; 1 before the first. */
  firstLsnBefore(lsn: number): number {
    return this.#firstLsns[this.#floor(lsn)] ?? 1;
  }

  /** The first indexed frame that begins after `lsn`; null when there is none. */
  after(lsn: number): FramePosition | null {
    return this.#position(this.#floor(lsn) + 1);
  }
}

/**
 * What the log itself attests, seen from outside: each frame that reached the device says how far the log was durable when it was written. Where
 * a disk is damaged, acknowledged events above what any undamaged frame attests may be gone; nothing else may.
 */

import { decodeFrameHeader, FRAME_HEADER_BYTES } from "../../src/wal/format.js";

interface WrittenFrame {
  readonly path: string;
  readonly offset: number;
  readonly end: number;
  readonly durableLsn: number;
}

export class Attestation {
  #frames: WrittenFrame[] = [];
  #sealedLsn = 0;

  /** As it is now, for a copy of the disk. */
  copy(): Attestation {
    const copy = new Attestation();
    copy.#frames = [...this.#frames];
    copy.#sealedLsn = this.#sealedLsn;
    return copy;
  }

  /** A write has landed where it should, wholly and durably. */
  wrote(path: string, offset: number, bytes: Uint8Array): void {
    const decoded = decodeFrameHeader(Buffer.from(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES));
    if (decoded.kind !== "frame") return;
    const { durableLsn } = decoded.header;
    this.#frames.push({ path, offset, end: offset + bytes.length, durableLsn });
  }

  /** Something that was on the device is not as it was. */
  damaged(path: string, offset: number, end: number): void {
    this.#frames = this.#frames.filter((frame) => frame.path !== path || frame.end <= offset || frame.offset >= end);
  }

  sealed(lsn: number): void {
    this.#sealedLsn = Math.max(this.#sealedLsn, lsn);
  }

  get lsn(): number {
    return this.#frames.reduce((highest, { durableLsn }) => Math.max(highest, durableLsn), this.#sealedLsn);
  }
}

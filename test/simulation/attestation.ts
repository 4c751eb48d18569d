/**
 * What the log itself attests, seen from outside: each frame that reached the device says how far the log was durable when it was written. Where
 * a disk is damaged, acknowledged events above what any undamaged frame attests may be gone; nothing else may.
 *
 * A store that is recovered without such events gives their LSNs to others, which its later frames attest. So it is also known which frames the
 * device confirmed and has not, and what was attested before the store could be recovered without them.
 */

import { decodeFrameHeader, FRAME_HEADER_BYTES, frameBytes } from "../../src/wal/format.js";

interface WrittenFrame {
  readonly path: string;
  readonly offset: number;
  /** Of what was written in one piece with the header. */
  readonly end: number;
  /** Of the frame: a short write is followed by another one. */
  readonly frameEnd: number;
  readonly durableLsn: number;
  readonly firstLsn: number;
  /** Below the first one where it has no records. */
  readonly lastLsn: number;
  readonly incarnation: number;
}

/** A frame that was confirmed, and is not there any more, or never was. */
interface GoneFrame {
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly incarnation: number;
  /** The newest incarnation when it went: later ones may have begun without it. */
  readonly newestIncarnation: number;
}

export class Attestation {
  #frames: WrittenFrame[] = [];
  #gone: GoneFrame[] = [];
  #begun: Pick<WrittenFrame, "firstLsn" | "lastLsn">[] = [];
  #sealed: { readonly lsn: number; readonly incarnation: number }[] = [];
  #newestIncarnation = 0;
  /** The log was truncated through it: what is below was dropped, whether or not a manifest is left that says so. */
  horizonLsn = 0;

  /** As it is now, for a copy of the disk. */
  copy(): Attestation {
    const copy = new Attestation();
    copy.#frames = [...this.#frames];
    copy.#gone = [...this.#gone];
    copy.#begun = [...this.#begun];
    copy.#sealed = [...this.#sealed];
    copy.#newestIncarnation = this.#newestIncarnation;
    copy.horizonLsn = this.horizonLsn;
    return copy;
  }

  /** The device has been given a write: a power cut can leave all of it, though it never landed for anybody. */
  begun(path: string, offset: number, bytes: Uint8Array): void {
    const frame = frameIn(path, offset, bytes);
    if (frame === null || frame.lastLsn < frame.firstLsn) return;
    this.#begun.push({ firstLsn: frame.firstLsn, lastLsn: frame.lastLsn });
  }

  /** Whether the device was ever given a record with that LSN. */
  wasBegun(lsn: number): boolean {
    return this.#begun.some(({ firstLsn, lastLsn }) => firstLsn <= lsn && lsn <= lastLsn);
  }

  /** A write has landed where it should, wholly and durably. */
  wrote(path: string, offset: number, bytes: Uint8Array): void {
    const frame = frameIn(path, offset, bytes);
    if (frame === null) return;
    this.#newestIncarnation = Math.max(this.#newestIncarnation, frame.incarnation);
    this.#frames.push(frame);
  }

  /** A write was confirmed, and nothing of it is where it should be. */
  lost(path: string, offset: number, bytes: Uint8Array): void {
    const frame = frameIn(path, offset, bytes);
    if (frame !== null) {
      this.#newestIncarnation = Math.max(this.#newestIncarnation, frame.incarnation);
      this.#goes(frame);
      return;
    }
    // The rest of a short write: what the header attests is there, and its records are not.
    const end = offset + bytes.length;
    for (const begun of this.#frames)
      if (begun.path === path && begun.end < end && begun.frameEnd > offset) this.#goes(begun);
  }

  /** Something that was on the device is not as it was. */
  damaged(path: string, offset: number, end: number): void {
    this.#frames = this.#frames.filter((frame) => {
      const isHit = frame.path === path && frame.end > offset && frame.offset < end;
      if (isHit) this.#goes(frame);
      return !isHit;
    });
  }

  #goes({ firstLsn, lastLsn, incarnation }: WrittenFrame): void {
    if (lastLsn < firstLsn) return;
    this.#gone.push({ firstLsn, lastLsn, incarnation, newestIncarnation: this.#newestIncarnation });
  }

  /** A manifest of that incarnation says that everything up to the LSN is sealed, and everything up to the horizon dropped. */
  sealed(lsn: number, incarnation: number, horizonLsn: number): void {
    this.#sealed.push({ lsn, incarnation });
    this.horizonLsn = Math.max(this.horizonLsn, horizonLsn);
  }

  get lsn(): number {
    return this.#lsnThrough(Number.POSITIVE_INFINITY);
  }

  /**
   * Whether the frame in which an incarnation wrote that LSN is on the disk, whole, and no later incarnation has begun without it: then nobody may
   * drop it silently, whether or not anything attests it.
   */
  isThere(lsn: number, incarnation: number): boolean {
    const isLatest = incarnation === this.#newestIncarnation;
    return (
      this.#frames.some(
        (frame) =>
          frame.incarnation === incarnation &&
          frame.firstLsn <= lsn &&
          lsn <= frame.lastLsn &&
          frame.end >= frame.frameEnd,
      ) &&
      (isLatest || !this.mayBeGone(lsn, incarnation))
    );
  }

  /** Of the newest incarnation, the frames with records that are on the disk and whole: whatever lies before them. */
  *wholeFrames(): Generator<{ readonly firstLsn: number; readonly lastLsn: number }> {
    for (const frame of this.#frames) {
      const isWhole = frame.end >= frame.frameEnd && frame.lastLsn >= frame.firstLsn;
      if (isWhole && frame.incarnation === this.#newestIncarnation) yield frame;
    }
  }

  #lsnThrough(incarnation: number): number {
    let highest = 0;
    for (const frame of this.#frames)
      if (frame.incarnation <= incarnation) highest = Math.max(highest, frame.durableLsn);
    for (const sealed of this.#sealed) if (sealed.incarnation <= incarnation) highest = Math.max(highest, sealed.lsn);
    return highest;
  }

  /** Where the first whole frame lies that has records, and of which nothing attests all; null where there is none. */
  get firstUnattested(): { readonly path: string; readonly offset: number } | null {
    const { lsn } = this;
    let first: WrittenFrame | null = null;
    for (const frame of this.#frames) {
      const isOfEnd = frame.incarnation === this.#newestIncarnation && frame.lastLsn > lsn;
      if (isOfEnd && frame.lastLsn >= frame.firstLsn && frame.firstLsn < (first?.firstLsn ?? Infinity)) first = frame;
    }
    return first;
  }

  /** In which incarnation a record was written last at that LSN; 0: in none that is known. */
  incarnationOf(lsn: number): number {
    let newest = 0;
    for (const { firstLsn, lastLsn, incarnation } of [...this.#frames, ...this.#gone])
      if (firstLsn <= lsn && lsn <= lastLsn) newest = Math.max(newest, incarnation);
    return newest;
  }

  /**
   * Whether a recovery had to go on without an LSN of that incarnation: its frame, or one below it, is gone, and nothing that was written before
   * that recovery attests either.
   */
  mayBeGone(lsn: number, incarnation: number): boolean {
    return this.#gone.some((gone) => {
      if (gone.incarnation !== incarnation || gone.firstLsn > lsn) return false;
      const attestedLsn = this.#lsnThrough(gone.newestIncarnation);
      return gone.lastLsn > attestedLsn && lsn > attestedLsn;
    });
  }
}

function frameIn(path: string, offset: number, bytes: Uint8Array): WrittenFrame | null {
  if (bytes.length < FRAME_HEADER_BYTES) return null;
  const decoded = decodeFrameHeader(Buffer.from(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES));
  if (decoded.kind !== "frame") return null;
  const { kind, durableLsn, firstLsn, recordCount, incarnation, storedBytes } = decoded.header;
  const lastLsn = kind === "DATA" ? firstLsn + recordCount - 1 : firstLsn - 1;
  const [end, frameEnd] = [offset + bytes.length, offset + frameBytes(storedBytes)];
  return { path, offset, end, frameEnd, durableLsn, firstLsn, lastLsn, incarnation };
}

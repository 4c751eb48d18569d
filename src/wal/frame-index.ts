/**
 * LSN → where its frame lies, sparse: for each core one entry for every 64 KiB of its log, so that 1 TiB of log takes 256 MiB of memory
 * and a small one next to nothing. Rebuilt when the log is opened, and learned while it is written and read: what it does not know
 * only takes longer to find.
 */

/** Where a frame lies in a core's files. */
export interface FramePosition {
  readonly segment: number;
  readonly fileOffset: number;
}

const ENTRY_DISTANCE_BYTES = 64 * 1024;

/** The index of one core. */
export class FrameIndex {
  readonly #firstLsns: number[] = [];
  readonly #segments: number[] = [];
  readonly #fileOffsets: number[] = [];

  /** Frames are added in LSN order; one that is no further than the newest entry is known, and nothing happens. */
  add(firstLsn: number, segment: number, fileOffset: number): void {
    const newest = this.#firstLsns.length - 1;
    if (newest >= 0) {
      if (firstLsn <= (this.#firstLsns[newest] as number)) return;
      if (this.#segments[newest] === segment) {
        if (fileOffset - (this.#fileOffsets[newest] as number) < ENTRY_DISTANCE_BYTES) return;
      }
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

  /** Forgets what lies wholly at or below the LSN. */
  dropThrough(lsn: number): void {
    const count = this.#floor(lsn);
    if (count <= 0) return;
    for (const list of [this.#firstLsns, this.#segments, this.#fileOffsets]) list.splice(0, count);
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

/** The indexes of all cores. */
export class LogIndex {
  readonly #cores: FrameIndex[] = [];

  /** Of one core; empty where nothing is known. */
  of(core: number): FrameIndex {
    while (this.#cores.length <= core) this.#cores.push(new FrameIndex());
    return this.#cores[core] as FrameIndex;
  }

  /** Forgets what a checkpoint has sealed. */
  dropThrough(lsn: number): void {
    for (const index of this.#cores) index.dropThrough(lsn);
  }

  /**
   * A first LSN at or below `lsn` from which reading up to `lsn` is a stretch of about 64 KiB for each core that wrote there; 1 where the
   * index knows none.
   */
  stretchBefore(lsn: number): number {
    const nexts = this.#cores.map((index) => index.firstLsnBefore(lsn));
    let lower = lsn;
    for (let step = 0; step < nexts.length; step++) {
      const newest = nexts.indexOf(Math.max(...nexts));
      lower = nexts[newest] as number;
      if (lower > 1) nexts[newest] = (this.#cores[newest] as FrameIndex).firstLsnBefore(lower - 1);
    }
    return nexts.length === 0 ? 1 : lower;
  }
}

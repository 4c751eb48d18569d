/** The segment files of a log as a reader knows them: listed when it looks, and what it found out about each. */

import { BLOCK_BYTES, type BufferPool } from "../ffi/index.js";
import { decodeFrameHeader, decodePreamble, PREAMBLE_BYTES } from "./format.js";
import type { ScannedSegment } from "./log-facts.js";
import { ReadAhead } from "./read-ahead.js";
import type { SegmentFiles } from "./segment-files.js";
import { listLog } from "./segment-name.js";

export interface KnownSegment {
  readonly segment: number;
  readonly path: string;
  /** Where its last frame ends, once that is settled. */
  endOffset: number | null;
  /** Below this LSN it holds nothing; null while that was not looked up. */
  firstPossibleLsn: number | null;
  /** Of its first frame; null while it was not looked up or has none. */
  firstLsn: number | null;
}

/** Something with reads in flight. */
export interface Reading {
  close(): Promise<void>;
}

/** How files are read: reads are told of while they are in flight, so that closing can wait for them. */
export interface ReadingDoor {
  readonly files: SegmentFiles;
  readonly pool: BufferPool;
  /** Throws when the log was closed. */
  checkOpen(): void;
  started(reading: Reading): void;
  ended(reading: Reading): void;
}

export class SegmentCatalog {
  readonly #directory: string;
  readonly #door: ReadingDoor;
  readonly #listFiles: typeof listLog;
  #cores = new Map<number, KnownSegment[]>();
  #isListed = false;
  #listingCount = 0;
  /** The number of the listing that is known. */
  #knownListing = 0;

  /** `settled`: segments whose end is known. `listFiles`: for tests that need listings to overtake each other. */
  constructor(
    directory: string,
    door: ReadingDoor,
    settled: readonly ScannedSegment[],
    listFiles: typeof listLog = listLog,
  ) {
    this.#directory = directory;
    this.#listFiles = listFiles;
    this.#door = door;
    for (const { core, segment, path, endOffset } of settled) {
      const known = this.#cores.get(core) ?? [];
      known.push({ segment, path, endOffset, firstPossibleLsn: null, firstLsn: null });
      this.#cores.set(core, known);
    }
  }

  get isListed(): boolean {
    return this.#isListed;
  }

  /** Lists the directories; what is known of files that are still there stays known. */
  async list(): Promise<void> {
    const listing = ++this.#listingCount;
    const files = await this.#listFiles(this.#directory, 0);
    // Several read at once: a listing that was begun before another must not undo it.
    if (listing < this.#knownListing) return;
    this.#knownListing = listing;
    const cores = new Map<number, KnownSegment[]>();
    for (const { core, segments } of files) {
      const before = new Map(this.#cores.get(core)?.map((known) => [known.segment, known]));
      const unknown = { endOffset: null, firstPossibleLsn: null, firstLsn: null };
      cores.set(
        core,
        segments.map((name) => before.get(name.segment) ?? { ...name, ...unknown }),
      );
    }
    this.#cores = cores;
    this.#isListed = true;
  }

  get cores(): IterableIterator<number> {
    return this.#cores.keys();
  }

  /** The core's segments with numbers in [`first`, `end`), in order. */
  between(core: number, first: number, end: number): readonly KnownSegment[] {
    const known = this.#cores.get(core) ?? [];
    return known.slice(countBelow(known, first), countBelow(known, end));
  }

  /**
   * The last of these segments that begins at or before `lsn`, or the first; null when there is none. A segment is prepared before the one in
   * front of it is full, so what it can hold at all only says where to look.
   *
   * @throws what opening a file throws when it is gone
   */
  async floor(segments: readonly KnownSegment[], lsn: number): Promise<KnownSegment | null> {
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((await this.#firstPossibleLsnOf(segments[middle] as KnownSegment)) <= lsn) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at > 0; at--) {
      const segment = segments[at] as KnownSegment;
      if (segment.firstLsn === null) await this.#lookUp(segment);
      if (segment.firstLsn !== null && segment.firstLsn <= lsn) return segment;
    }
    return segments[0] ?? null;
  }

  async #firstPossibleLsnOf(segment: KnownSegment): Promise<number> {
    if (segment.firstPossibleLsn === null) await this.#lookUp(segment);
    return segment.firstPossibleLsn ?? Number.POSITIVE_INFINITY;
  }

  /** Reads the preamble and the first frame's header. */
  async #lookUp(segment: KnownSegment): Promise<void> {
    const { files, pool } = this.#door;
    this.#door.checkOpen();
    const file = await files.acquire(segment.path);
    try {
      this.#door.checkOpen();
      const reads = new ReadAhead(file, pool, 0, PREAMBLE_BYTES + BLOCK_BYTES, true);
      this.#door.started(reads);
      try {
        const chunk = await reads.next();
        this.#door.checkOpen();
        if (chunk === null) return;
        const preamble = decodePreamble(chunk.bytes.subarray(0, PREAMBLE_BYTES));
        if (preamble.kind === "preamble") segment.firstPossibleLsn = preamble.preamble.firstPossibleLsn;
        const first = decodeFrameHeader(chunk.bytes.subarray(PREAMBLE_BYTES));
        if (first.kind === "frame" && first.header.segment === segment.segment)
          segment.firstLsn = first.header.firstLsn;
      } finally {
        this.#door.ended(reads);
        await reads.close();
      }
    } finally {
      if (segment.firstLsn === null) files.forget(file);
      files.release(file);
    }
  }
}

function countBelow(segments: readonly KnownSegment[], number: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((segments[middle] as KnownSegment).segment < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

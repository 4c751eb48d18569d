/**
 * Reads on in one core's files of one incarnation, for a reader that merges cores: frame after frame, segment after segment, and again from
 * where it stopped when more may have been written.
 *
 * What comes behind the end of a writer's chain is not part of the log, but for what the core's next writer wrote. Damage is an end
 * like zeros are: whether something is missing there, the LSNs of the other cores tell.
 */

import type { DirectFile } from "../ffi/index.js";
import { type FrameHeader, PREAMBLE_BYTES } from "./format.js";
import type { FramePosition } from "./frame-index.js";
import { type Frame, type FrameStep, FrameStream } from "./frame-stream.js";
import type { DamagedPlace } from "./log-facts.js";
import { firstSegmentOf, type Incarnation } from "./manifest.js";
import type { KnownSegment, ReadingDoor, SegmentCatalog } from "./segment-catalog.js";

/** Durable frames of a core that is being written lie below its tail: nobody needs to read further. */
export interface CoreTail {
  readonly core: number;
  readonly segment: number;
  readonly endOffset: number;
}

/** Where a cursor goes on. */
export interface CursorPosition extends FramePosition {
  /** Of the frame before; null where that is not known. */
  readonly generation: number | null;
  /** The header CRC of the frame before; null where that is not known. */
  readonly chainCrc: number | null;
  /** The frame before, or the one there, is known to be part of the log. */
  readonly isVerified: boolean;
  /** There was nothing more when somebody looked, and nobody was writing there. */
  readonly isQuiet: boolean;
}

export interface CursorSource {
  readonly door: ReadingDoor;
  readonly catalog: SegmentCatalog;
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly incarnation: Incarnation;
  /** The first segment of the next incarnation. */
  readonly endSegment: number;
  readonly tailOf: (core: number) => CoreTail | null;
  /** A frame of the core behind all that is wanted, where one is known. */
  readonly limit: FramePosition | null;
}

interface OpenSegment {
  readonly path: string;
  readonly file: DirectFile;
  readonly stream: FrameStream;
}

export class CoreCursor {
  readonly core: number;
  /** The next frame with records; null at the end. */
  frame: Frame | null = null;
  /** Where the core holds something else than a frame or zeros. */
  brokenAt: DamagedPlace | null = null;
  readonly #source: CursorSource;
  #framePosition: CursorPosition;
  #position: CursorPosition;
  #open: OpenSegment | null = null;
  /** A frame that was read to see whether there is one. */
  #staged: Frame | null = null;
  #isReading = false;
  #hasOpened = false;
  /** Of the segment that was opened last, while it was written: where its writer was then. */
  #tailRead: CoreTail | null = null;
  #isAtEnd: boolean;
  #isFenced = false;

  constructor(source: CursorSource, position: CursorPosition) {
    this.core = source.core;
    this.#source = source;
    this.#position = position;
    this.#framePosition = position;
    this.#isAtEnd = position.isQuiet;
  }

  /** Where `frame` lies, or where the next one would. */
  get position(): CursorPosition {
    return this.frame === null ? this.#position : this.#framePosition;
  }

  get path(): string {
    return this.#segment(this.position.segment)?.path ?? "";
  }

  /** `frame` is part of the log, and so is what is chained to it. */
  verify(): void {
    this.#framePosition = { ...this.#framePosition, isVerified: true };
    this.#position = { ...this.#position, isVerified: true };
  }

  /** `frame` was taken; the next one is not looked for yet. */
  consume(): void {
    this.frame = null;
  }

  /** Looks again where it found nothing more. */
  retry(): void {
    if (!this.#isAtEnd || this.#isFenced) return;
    this.#isAtEnd = false;
    this.#hasOpened = false;
    this.brokenAt = null;
  }

  /** Goes to the next frame with records above `after`. Null: it is there already, without waiting. */
  advance(after: number): Promise<void> | null {
    this.frame = null;
    while (this.#isReading) {
      const step = (this.#open as OpenSegment).stream.next();
      if (step instanceof Promise) return this.#advanceSlowly(step, after);
      this.#take(step, after);
      if (this.frame !== null) return null;
    }
    return this.#isAtEnd ? null : this.#advanceSlowly(null, after);
  }

  async #advanceSlowly(pending: Promise<FrameStep> | null, after: number): Promise<void> {
    const { door } = this.#source;
    let step = pending;
    for (;;) {
      while (this.#isReading) {
        const taken = await (step ?? (this.#open as OpenSegment).stream.next());
        step = null;
        door.checkOpen(); // before what the stream says: a closed one has nothing more
        this.#take(taken, after);
        if (this.frame !== null) return;
      }
      await this.close();
      if (this.#isFenced || !(await this.#goOn())) {
        this.#isAtEnd = true;
        const isQuiet = this.#source.tailOf(this.core) === null && this.#source.limit === null;
        this.#position = { ...this.#position, isQuiet };
        return;
      }
      const staged = this.#staged;
      this.#staged = null;
      if (staged !== null) this.#accept(staged, after);
      if (this.frame !== null) return;
    }
  }

  get #isAtLimit(): boolean {
    const { limit } = this.#source;
    const { segment, fileOffset } = this.#position;
    if (limit === null || segment < limit.segment) return false;
    return segment > limit.segment || fileOffset >= limit.fileOffset;
  }

  /**
   * The first segment that lies wholly behind the limit. One that is begun by the limit's frame has nothing before it: taken for an empty one, it
   * would be passed over for what the core's next writer wrote, and whoever goes on from there would miss it.
   */
  get #limitEnd(): number {
    const { limit } = this.#source;
    if (limit === null) return Number.POSITIVE_INFINITY;
    return limit.fileOffset > PREAMBLE_BYTES ? limit.segment + 1 : limit.segment;
  }

  #segment(number: number): KnownSegment | undefined {
    return this.#source.catalog.between(this.core, number, number + 1)[0];
  }

  /** Opens what is to be read next: the segment at the position, or a later one that goes on from it. False: there is none yet. */
  async #goOn(): Promise<boolean> {
    if (this.#isAtLimit) return false;
    const { segment, fileOffset } = this.#position;
    const tail = this.#source.tailOf(this.core);
    const current = this.#segment(segment);
    // Its writer has gone on since, and may have gone to another segment, or died and been followed by another.
    const before = this.#tailRead?.segment === segment ? this.#tailRead : null;
    const hasGrown = before !== null && (tail?.segment !== segment || tail.endOffset > before.endOffset);
    if (!this.#hasOpened || hasGrown) {
      this.#hasOpened = true;
      this.#tailRead = null;
      const isBehindTail =
        tail !== null && (segment > tail.segment || (segment === tail.segment && fileOffset >= tail.endOffset));
      if (!isBehindTail && current !== undefined && (current.endOffset ?? Number.POSITIVE_INFINITY) > fileOffset) {
        this.#isReading = await this.#openAt(current, fileOffset, tail);
        if (this.#isReading) return true;
      }
      if (isBehindTail) return false;
    }
    const { catalog, endSegment } = this.#source;
    const end = Math.min(endSegment, (tail?.segment ?? endSegment) + 1, this.#limitEnd);
    for (const next of catalog.between(this.core, segment + 1, end)) {
      if (!(await this.#openAt(next, PREAMBLE_BYTES, tail))) continue;
      const step = await (this.#open as OpenSegment).stream.next();
      this.#source.door.checkOpen();
      if (step.kind === "frame" && this.#continues(step.frame.header, current === undefined)) {
        if (current !== undefined && this.brokenAt === null) current.endOffset = fileOffset;
        this.#staged = step.frame;
        this.#isReading = true;
        return true;
      }
      this.#source.door.files.forget((this.#open as OpenSegment).file);
      await this.close();
    }
    return false;
  }

  /** Whether the first frame of a later segment follows the position. `isGap`: what was between is gone. */
  #continues(header: FrameHeader, isGap: boolean): boolean {
    const { generation, chainCrc } = this.#position;
    const isNewWriters = generation === null || header.generation > generation;
    if (isNewWriters || isGap) {
      // Known to be the first of its chain, or not known to be anything.
      const isVerified = header.previousCrc === 0;
      this.#position = { ...this.#position, generation: header.generation, chainCrc: header.previousCrc, isVerified };
      return true;
    }
    return header.generation === generation && (chainCrc === null || header.previousCrc === chainCrc);
  }

  /** False when the file is gone. */
  async #openAt(segment: KnownSegment, fileOffset: number, tail: CoreTail | null): Promise<boolean> {
    const { door, incarnation, storeId } = this.#source;
    door.checkOpen();
    let file: DirectFile;
    try {
      file = await door.files.acquire(segment.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return false; // dropped by a checkpoint
    }
    try {
      door.checkOpen();
      const isTail = tail?.segment === segment.segment;
      this.#tailRead = isTail ? tail : null;
      const { limit } = this.#source;
      const written = isTail ? tail.endOffset : (segment.endOffset ?? (await file.byteLength()));
      const end = limit?.segment === segment.segment ? Math.min(written, limit.fileOffset) : written;
      door.checkOpen();
      const place = { storeId, core: this.core, incarnation: incarnation.incarnation, segment: segment.segment };
      const stream = new FrameStream(file, door.pool, place, fileOffset, end, true);
      door.started(stream);
      this.#open = { path: segment.path, file, stream };
      return true;
    } catch (error) {
      door.files.release(file);
      throw error;
    }
  }

  #take(step: FrameStep, after: number): void {
    if (step.kind === "frame") {
      this.#accept(step.frame, after);
      return;
    }
    this.#isReading = false;
    if (step.kind === "end") {
      if (step.fileOffset === PREAMBLE_BYTES) this.#source.door.files.forget((this.#open as OpenSegment).file);
      return;
    }
    this.brokenAt = { path: (this.#open as OpenSegment).path, fileOffset: step.fileOffset };
  }

  #accept(frame: Frame, after: number): void {
    const { header } = frame;
    const { chainCrc, generation, isVerified } = this.#position;
    const lastLsn = header.firstLsn + header.recordCount - 1;
    const isChained =
      (chainCrc === null || header.previousCrc === chainCrc) &&
      (generation === null || header.generation === generation);
    if (!isChained) {
      this.brokenAt = { path: (this.#open as OpenSegment).path, fileOffset: header.fileOffset };
      this.#isReading = false;
      return;
    }
    if (lastLsn > (this.#source.incarnation.lastLsn ?? Number.POSITIVE_INFINITY)) {
      this.#isFenced = true;
      this.#isReading = false;
      return;
    }
    const { segment } = header;
    const known = { generation: header.generation, isVerified: isVerified || header.previousCrc === 0, isQuiet: false };
    this.#framePosition = { ...known, segment, fileOffset: header.fileOffset, chainCrc: header.previousCrc };
    const fileOffset = (this.#open as OpenSegment).stream.fileOffset;
    this.#position = { ...known, segment, fileOffset, chainCrc: header.headerCrc };
    // Not control frames, frames before the range, and second copies of records.
    if (header.recordCount > 0 && lastLsn > after) this.frame = frame;
  }

  /** Gives back the file and what is in flight; reading can go on with `advance`. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    this.#isReading = false;
    if (open === null) return;
    const { door } = this.#source;
    door.ended(open.stream);
    await open.stream.close();
    door.files.release(open.file);
  }
}

/** Where a core begins in an incarnation. */
export function startOf(incarnation: Incarnation, core: number): CursorPosition {
  return at({ segment: firstSegmentOf(incarnation, core), fileOffset: PREAMBLE_BYTES }, false);
}

/** A position of which only the place is known. */
export function at({ segment, fileOffset }: FramePosition, isVerified: boolean): CursorPosition {
  return { segment, fileOffset, generation: null, chainCrc: null, isVerified, isQuiet: false };
}

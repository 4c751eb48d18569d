/**
 * The files that a writer fills: the current segment, zero-written a few MiB ahead of the writer, and the next one, prepared in the
 * background before it is needed.
 *
 * Why zeros: a durable write into blocks that were written before costs one device write and one flush; into blocks that were only
 * allocated, a journal commit as well (measured on ext4: 3 writes and 2 flushes). Why a few MiB and not the whole file: 64 writers
 * would zero 8 GiB before the first event.
 *
 * Data is only ever placed below `zeroedOffset`, so a zero can never land on top of a record.
 */

import { randomFillSync } from "node:crypto";
import { unlink } from "node:fs/promises";
import { StoreError } from "../errors.js";
import { AlignedBuffer, BLOCK_BYTES, type BlockIo, checkResult, DirectFile, syncDirectory } from "../ffi/index.js";
import { encodePreamble, PREAMBLE_BYTES, SALT_BYTES } from "./format.js";
import { segmentPath } from "./segment-name.js";

const ZERO_WRITE_BYTES = 1024 * 1024;
const ZERO_STEP_BYTES = 4 * ZERO_WRITE_BYTES;
/** Zeroing goes on when less than this lies ahead of the writer. */
const ZERO_AHEAD_BYTES = 2 * ZERO_STEP_BYTES;

export interface SegmentOwner {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly incarnation: number;
  readonly generation: number;
  readonly segmentBytes: number;
}

/** One open segment file and how far it is filled. */
export class OpenSegment {
  readonly file: DirectFile;
  readonly segment: number;
  readonly byteLength: number;
  /** Where the next frame goes. */
  writeOffset: number = PREAMBLE_BYTES;
  /** Zeros are on the device up to here. */
  zeroedOffset = 0;
  writesInFlight = 0;
  retired = false;

  constructor(file: DirectFile, segment: number, byteLength: number) {
    this.file = file;
    this.segment = segment;
    this.byteLength = byteLength;
  }
}

export interface Placement {
  readonly segment: OpenSegment;
  readonly fileOffset: number;
}

export class SegmentPipeline {
  readonly #io: BlockIo;
  readonly #owner: SegmentOwner;
  readonly #zeros: AlignedBuffer = new AlignedBuffer(ZERO_WRITE_BYTES);
  /** Told when room was made or could not be made. */
  readonly #onChange: (error: StoreError | null) => void;
  #nextSegment: number;
  #current: OpenSegment | null = null;
  #next: OpenSegment | null = null;
  #work: Promise<void> | null = null;
  #nextLsn: number;

  constructor(
    io: BlockIo,
    owner: SegmentOwner,
    firstSegment: number,
    nextLsn: number,
    onChange: (error: StoreError | null) => void,
  ) {
    this.#io = io;
    this.#owner = owner;
    this.#nextSegment = firstSegment;
    this.#nextLsn = nextLsn;
    this.#onChange = onChange;
  }

  /** The segment being filled and, if there, the prepared one. */
  get openSegments(): readonly OpenSegment[] {
    return [this.#current, this.#next].filter((segment) => segment !== null);
  }

  /** Prepares the first segment. */
  async start(): Promise<void> {
    this.#current = await this.#create();
  }

  /** A place for one frame of `byteLength`, or null: then the work that makes room has begun, and `onChange` follows. */
  place(byteLength: number, firstLsn: number): Placement | null {
    this.#nextLsn = firstLsn;
    let segment = this.#current;
    if (segment === null || segment.writeOffset + byteLength > segment.byteLength) {
      if (this.#next === null) {
        this.#start(() => this.#prepareNext());
        return null;
      }
      this.#retire();
      segment = this.#next;
      this.#current = segment;
      this.#next = null;
    }
    const end = segment.writeOffset + byteLength;
    if (end > segment.zeroedOffset) {
      this.#zeroAhead(segment, end);
      return null;
    }
    const fileOffset = segment.writeOffset;
    segment.writeOffset = end;
    segment.writesInFlight++;
    if (end + ZERO_AHEAD_BYTES > segment.zeroedOffset && segment.zeroedOffset < segment.byteLength) {
      this.#zeroAhead(segment, end);
    } else if (end > segment.byteLength / 2 && this.#next === null) {
      this.#start(() => this.#prepareNext());
    }
    return { segment, fileOffset };
  }

  /** A write placed earlier has ended. */
  finished(segment: OpenSegment): void {
    segment.writesInFlight--;
    if (segment.retired && segment.writesInFlight === 0) void segment.file.close();
  }

  #retire(): void {
    const segment = this.#current;
    if (segment === null) return;
    segment.retired = true;
    if (segment.writesInFlight === 0) void segment.file.close();
  }

  /** One piece of background work at a time. */
  #start(work: () => Promise<void>): void {
    if (this.#work !== null) return;
    this.#work = work().then(
      () => this.#workDone(null),
      (error: unknown) => this.#workDone(asStoreError(error)),
    );
  }

  #workDone(error: StoreError | null): void {
    this.#work = null;
    this.#onChange(error);
  }

  #zeroAhead(segment: OpenSegment, needed: number): void {
    const target = Math.min(segment.byteLength, Math.max(needed, segment.zeroedOffset + ZERO_STEP_BYTES));
    this.#start(() => this.#zero(segment, target));
  }

  /** Writes zeros from `zeroedOffset` up to `end`, a few writes in flight at once. */
  async #zero(segment: OpenSegment, end: number): Promise<void> {
    while (segment.zeroedOffset < end) {
      const from = segment.zeroedOffset;
      const stop = Math.min(end, from + ZERO_STEP_BYTES);
      const writes: Promise<void>[] = [];
      for (let at = from; at < stop; at += ZERO_WRITE_BYTES) {
        writes.push(this.#writeZeros(segment.file, at, Math.min(ZERO_WRITE_BYTES, stop - at)));
      }
      await Promise.all(writes);
      segment.zeroedOffset = stop;
    }
  }

  async #writeZeros(file: DirectFile, fileOffset: number, length: number): Promise<void> {
    const written = checkResult(await file.write(this.#zeros, 0, length, fileOffset, false), "zeroing", file.path);
    if (written !== length) {
      const message = `zeroing of ${file.path} at ${fileOffset} wrote ${written} of ${length} bytes`;
      throw new StoreError("ERR_IO_FAILED", message, { path: file.path, errno: "ENOSPC" });
    }
  }

  async #prepareNext(): Promise<void> {
    this.#next = await this.#create();
  }

  /** Creates a segment: blocks allocated, preamble and first zeros written, file and name durable. */
  async #create(): Promise<OpenSegment> {
    const { directory, segmentBytes, storeId, core, incarnation, generation } = this.#owner;
    const path = segmentPath(directory, this.#nextSegment);
    const file = await DirectFile.create(this.#io, path);
    try {
      if (!file.tryLock()) throw new StoreError("ERR_STORE_LOCKED", `${path} is locked by another`, { path });
      await file.allocate(segmentBytes);
      const segment = new OpenSegment(file, this.#nextSegment, segmentBytes);
      await this.#zero(segment, Math.min(segmentBytes, ZERO_STEP_BYTES));
      const salt = randomFillSync(new Uint8Array(SALT_BYTES));
      const preamble = {
        core,
        storeId,
        incarnation,
        segment: segment.segment,
        firstPossibleLsn: this.#nextLsn,
        generation,
        segmentBytes,
        salt,
      };
      await this.#writePreamble(file, preamble);
      await syncDirectory(directory);
      this.#nextSegment++;
      return segment;
    } catch (error) {
      await file.close();
      await unlink(path).catch(() => {}); // What failed is told below; an empty file that stays is removed by the next opener.
      throw error;
    }
  }

  async #writePreamble(file: DirectFile, preamble: Parameters<typeof encodePreamble>[1]): Promise<void> {
    const block = new AlignedBuffer(BLOCK_BYTES);
    try {
      encodePreamble(block.bytes, preamble);
      const written = checkResult(await file.write(block, 0, PREAMBLE_BYTES, 0, true), "writing", file.path);
      if (written !== PREAMBLE_BYTES)
        throw new StoreError("ERR_IO_FAILED", `short write to ${file.path}`, { path: file.path });
      await file.dataSync();
    } finally {
      block.unmap();
    }
  }

  /**
   * Ends the pipeline when nothing is in flight: cuts the zeros behind the last frame, removes segments without a frame.
   * Returns whether the current segment was kept.
   */
  async finish(): Promise<void> {
    await this.#work;
    for (const segment of [this.#next, this.#current]) {
      if (segment === null) continue;
      if (segment.writeOffset === PREAMBLE_BYTES) await unlink(segment.file.path);
      else await segment.file.truncate(segment.writeOffset);
      await segment.file.close();
    }
    await syncDirectory(this.#owner.directory);
    this.#current = null;
    this.#next = null;
    this.#zeros.unmap();
  }

  /** Closes the files as they are, after a failure: what is on disk is for recovery to judge. */
  async abandon(): Promise<void> {
    await this.#work;
    for (const segment of this.openSegments) await segment.file.close();
    this.#current = null;
    this.#next = null;
  }
}

function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new StoreError("ERR_IO_FAILED", message, { errno: code ?? "unknown" }, { cause: error });
}

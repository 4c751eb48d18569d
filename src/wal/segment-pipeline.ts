/**
 * The files that a writer fills: the current segment, zero-written a few MiB ahead of the writer, and the next one, prepared in the
 * background before it is needed.
 *
 * Why zeros: a durable write into blocks that were written before costs one device write and one flush; into blocks that were only
 * allocated, a journal commit as well (measured on ext4: 3 writes and 2 flushes). Why a few MiB and not the whole file: 64 writers
 * would zero 8 GiB before the first event.
 *
 * Data is only ever placed below `zeroedOffset`, which moves only when no zero is in flight any more, so a zero can never land on top of
 * a record. A file is closed only when nothing is in flight to it, so nothing can land in the file that gets its descriptor's number.
 */

import { randomFillSync } from "node:crypto";
import { unlink } from "node:fs/promises";
import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { AlignedBuffer, BLOCK_BYTES, type BlockIo, checkResult, DirectFile, syncDirectory } from "../ffi/index.js";
import type { FileKey, StoreKeys } from "./crypt/store-keys.js";
import { encodePreamble, PREAMBLE_BYTES, SALT_BYTES } from "./format.js";
import { segmentPath } from "./segment-name.js";
import { asStoreError } from "./write-failure.js";

const ZERO_WRITE_BYTES = 1024 * 1024;
/** Larger than a write of it, for the sake of a huge page. */
const ZERO_BUFFER_BYTES = 2 * ZERO_WRITE_BYTES;
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
  /** By which frames are encrypted; without, they are not. */
  readonly keys?: StoreKeys | null;
}

/** One open segment file and how far it is filled. */
export class OpenSegment {
  readonly file: DirectFile;
  readonly segment: number;
  readonly byteLength: number;
  readonly salt: Uint8Array;
  /** By which its frames are encrypted; made for the first of them, and anew where the store goes over to another key. */
  key: FileKey | null = null;
  /** Where the next frame goes. */
  writeOffset: number = PREAMBLE_BYTES;
  /** Zeros are on the device up to here. */
  zeroedOffset = 0;
  /** Frames, and one for the work that zeroes. */
  writesInFlight = 0;
  /** Takes no more frames; closed when the last write has ended. */
  isRetired = false;

  constructor(file: DirectFile, segment: number, byteLength: number, salt: Uint8Array) {
    this.file = file;
    this.segment = segment;
    this.byteLength = byteLength;
    this.salt = salt;
  }
}

export interface Placement {
  readonly segment: OpenSegment;
  readonly fileOffset: number;
}

export class SegmentPipeline {
  readonly #io: BlockIo;
  readonly #owner: SegmentOwner;
  readonly #zeros: AlignedBuffer = new AlignedBuffer(ZERO_BUFFER_BYTES);
  /** Told when room was made or could not be made. */
  readonly #onChange: (error: StoreError | null) => void;
  #nextSegment: number;
  #current: OpenSegment | null = null;
  #next: OpenSegment | null = null;
  #work: Promise<void> | null = null;
  /** Below it the next frame takes no LSN. */
  #lsnBound: number;
  /** Segments whose files are open, the retired ones included. */
  readonly #open = new Set<OpenSegment>();
  #closeWaiters: (() => void)[] = [];

  constructor(
    io: BlockIo,
    owner: SegmentOwner,
    firstSegment: number,
    lsnBound: number,
    onChange: (error: StoreError | null) => void,
  ) {
    this.#io = io;
    this.#owner = owner;
    this.#nextSegment = firstSegment;
    this.#lsnBound = lsnBound;
    this.#onChange = onChange;
  }

  /** Prepares the first segment. */
  async start(): Promise<void> {
    this.#current = await this.#create();
  }

  /** A place for one frame of `byteLength`, or null: then the work that makes room has begun, and `onChange` follows. */
  place(byteLength: number, lsnBound: number): Placement | null {
    assert(byteLength <= this.#owner.segmentBytes - PREAMBLE_BYTES, "a frame fits into a segment");
    this.#lsnBound = lsnBound;
    let segment = this.#current;
    if (segment === null || segment.writeOffset + byteLength > segment.byteLength) {
      if (this.#next === null) {
        this.#start(() => this.#prepareNext());
        return null;
      }
      this.#retire(this.#current);
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
    this.#workAhead(segment);
    return { segment, fileOffset };
  }

  /** What is needed soon, one piece at a time: the next segment when half of this one is full, and zeros. */
  #workAhead(segment: OpenSegment): void {
    const aheadBytes = segment.zeroedOffset - segment.writeOffset;
    const isZeroed = segment.zeroedOffset === segment.byteLength;
    const isHalfFull = segment.writeOffset > segment.byteLength / 2;
    if (isHalfFull && this.#next === null && (isZeroed || aheadBytes >= ZERO_AHEAD_BYTES / 2)) {
      this.#start(() => this.#prepareNext());
    } else if (!isZeroed && aheadBytes < ZERO_AHEAD_BYTES) {
      this.#zeroAhead(segment, segment.writeOffset);
    }
  }

  /** A write placed earlier has ended, however. */
  finished(segment: OpenSegment): void {
    segment.writesInFlight--;
    if (segment.isRetired && segment.writesInFlight === 0) this.#close(segment);
  }

  #retire(segment: OpenSegment | null): void {
    if (segment === null) return;
    segment.isRetired = true;
    if (segment.writesInFlight === 0) this.#close(segment);
  }

  #close(segment: OpenSegment): void {
    const closed = (): void => {
      this.#open.delete(segment);
      for (const resolve of this.#closeWaiters.splice(0)) resolve();
    };
    // Every write to it has ended and was judged: a failing close(2) takes nothing away.
    segment.file.close().then(closed, closed);
  }

  async #allClosed(): Promise<void> {
    while (this.#open.size > 0) await new Promise<void>((resolve) => this.#closeWaiters.push(resolve));
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
    // As long as there is enough ahead, one write at a time: records that are written meanwhile wait behind it at the device.
    const isUrgent = segment.zeroedOffset - needed < ZERO_AHEAD_BYTES / 2;
    const step = isUrgent ? ZERO_STEP_BYTES : ZERO_WRITE_BYTES;
    const target = Math.min(segment.byteLength, Math.max(needed, segment.zeroedOffset + step));
    this.#start(() => this.#zero(segment, target));
  }

  /** Writes zeros from `zeroedOffset` up to `end`, a few writes in flight at once. */
  async #zero(segment: OpenSegment, end: number): Promise<void> {
    segment.writesInFlight++;
    try {
      while (segment.zeroedOffset < end && !segment.isRetired) {
        const from = segment.zeroedOffset;
        const stop = Math.min(end, from + ZERO_STEP_BYTES);
        const writes: Promise<void>[] = [];
        for (let at = from; at < stop; at += ZERO_WRITE_BYTES) {
          writes.push(this.#writeZeros(segment.file, at, Math.min(ZERO_WRITE_BYTES, stop - at)));
        }
        // Also behind a failed one: a zero still in flight would land on what is placed here when the next try succeeds.
        const failed = (await Promise.allSettled(writes)).find((write) => write.status === "rejected");
        if (failed !== undefined) throw failed.reason;
        segment.zeroedOffset = stop;
      }
    } finally {
      this.finished(segment);
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
      const salt = randomFillSync(new Uint8Array(SALT_BYTES));
      const segment = new OpenSegment(file, this.#nextSegment, segmentBytes, salt);
      await this.#zero(segment, Math.min(segmentBytes, ZERO_STEP_BYTES));
      const preamble = {
        core,
        storeId,
        incarnation,
        segment: segment.segment,
        firstPossibleLsn: this.#lsnBound,
        generation,
        segmentBytes,
        salt,
      };
      await this.#writePreamble(file, preamble);
      await syncDirectory(directory);
      this.#nextSegment++;
      this.#open.add(segment);
      return segment;
    } catch (error) {
      await file.close().catch(() => {});
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
   * Ends the pipeline when no frame is in flight: removes segments without a frame and, behind a seal, cuts the zeros. A file that
   * is shorter without one is damaged.
   */
  async finish(isSealed: boolean): Promise<void> {
    await this.#work;
    try {
      for (const segment of [this.#next, this.#current]) {
        if (segment === null) continue;
        if (segment.writeOffset === PREAMBLE_BYTES) await unlink(segment.file.path);
        else if (isSealed) await segment.file.truncate(segment.writeOffset);
      }
    } finally {
      await this.abandon();
    }
    await syncDirectory(this.#owner.directory);
  }

  /** Closes the files as they are, each as soon as nothing is in flight to it: what is on disk is for recovery to judge. */
  async abandon(): Promise<void> {
    await this.#work;
    this.#retire(this.#current);
    this.#retire(this.#next);
    this.#current = null;
    this.#next = null;
    await this.#allClosed();
    this.#zeros.unmap();
  }
}

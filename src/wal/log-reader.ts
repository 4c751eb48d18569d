/** Reads frames and records of a log by LSN: a range in order, or single records through a small cache of frames. */

import { StoreError } from "../errors.js";
import { type BlockIo, type BufferPool, DirectFile } from "../ffi/index.js";
import { PREAMBLE_BYTES } from "./format.js";
import type { FrameIndex } from "./frame-index.js";
import { type Frame, FrameStream } from "./frame-stream.js";

const OPEN_FILES_MAX = 16;
/** Frames kept for single reads; a stream's events often share frames. */
const CACHED_FRAMES_MAX = 64;
const CACHED_BYTES_MAX = 16 * 1024 * 1024;

/** A segment as the reader needs it. */
export interface ReadableSegment {
  readonly segment: number;
  readonly path: string;
  readonly incarnation: number;
  /** Where its frames that count end; moves while it is written. */
  readonly endOffset: number;
}

export interface LogReaderSource {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly index: FrameIndex;
  /** In order; grows while the log is written. */
  readonly segments: readonly ReadableSegment[];
}

interface OpenFile {
  readonly file: Promise<DirectFile>;
  users: number;
}

export class LogReader {
  readonly #source: LogReaderSource;
  readonly #files = new Map<number, OpenFile>();
  readonly #cache = new Map<number, Frame>();
  #cachedBytes = 0;
  readonly #streams = new Set<FrameStream>();
  #isClosed = false;

  constructor(source: LogReaderSource) {
    this.#source = source;
  }

  /**
   * The frames that hold LSNs in (`after`, `through`], in order; the first and last may hold others too. `through` must be durable.
   *
   * @throws StoreError `ERR_WAL_CORRUPT` when bytes that were valid when the log was opened no longer are, `ERR_STORE_CLOSED` when the
   *   log is closed before the end.
   */
  async *frames(after: number, through: number): AsyncGenerator<Frame, void, undefined> {
    let delivered = after;
    let position = this.#source.index.before(after + 1);
    while (delivered < through && position !== null) {
      const at = this.#source.segments.findIndex((segment) => segment.segment === position?.segment);
      const segment = this.#source.segments[at] as ReadableSegment;
      const end = this.#source.index.after(through);
      const file = await this.#acquire(segment);
      try {
        const fileEnd = end?.segment === segment.segment ? end.fileOffset : segment.endOffset;
        const { storeId, core, pool } = this.#source;
        const place = { storeId, core, incarnation: segment.incarnation, segment: segment.segment };
        const stream = new FrameStream(file, pool, place, position.fileOffset, fileEnd);
        this.#streams.add(stream);
        try {
          for (;;) {
            this.#checkOpen();
            const pending = stream.next();
            const step = pending instanceof Promise ? await pending : pending;
            this.#checkOpen(); // before what the stream says: a closed one has nothing more
            if (step.kind === "end") break;
            if (step.kind !== "frame") throw corrupt(segment.path, step.fileOffset, delivered + 1);
            const { header } = step.frame;
            const lastLsn = header.firstLsn + header.recordCount - 1;
            // Control frames, frames before the range, and second copies of records.
            if (header.recordCount === 0 || lastLsn <= delivered) continue;
            if (header.firstLsn > delivered + 1) throw corrupt(segment.path, header.fileOffset, delivered + 1);
            delivered = lastLsn;
            yield step.frame;
            if (delivered >= through) return;
          }
        } finally {
          this.#streams.delete(stream);
          await stream.close();
        }
      } catch (error) {
        // Reads of a file that is being closed fail in ways that look like damage.
        this.#checkOpen();
        throw error;
      } finally {
        this.#releaseFile(segment.segment);
      }
      const next = this.#source.segments[at + 1];
      if (next === undefined) throw corrupt(segment.path, position.fileOffset, delivered + 1);
      position = { segment: next.segment, fileOffset: PREAMBLE_BYTES };
    }
  }

  /** The frames with LSNs up to `through`, the newest first. */
  async *framesBackwards(through: number): AsyncGenerator<Frame, void, undefined> {
    let upper = through;
    while (upper > 0) {
      // One stretch of the index at a time is read forwards, and handed out from its end.
      const lower = this.#source.index.firstLsnBefore(upper) - 1;
      const stretch: Frame[] = [];
      for await (const frame of this.frames(lower, upper)) stretch.push(frame);
      for (const frame of stretch.reverse()) yield frame;
      upper = lower;
    }
  }

  /** The frame that holds `lsn`, which is durable. Frames are kept for a while. */
  async frameOf(lsn: number): Promise<Frame> {
    const cached = this.#cachedFrame(lsn);
    if (cached !== undefined) return cached;
    for await (const frame of this.frames(lsn - 1, lsn)) {
      this.#keep(frame);
      return frame;
    }
    throw new StoreError("ERR_WAL_CORRUPT", `LSN ${lsn} is not in the log`, { lsn });
  }

  #cachedFrame(lsn: number): Frame | undefined {
    for (const frame of this.#cache.values()) {
      const { firstLsn, recordCount } = frame.header;
      if (lsn >= firstLsn && lsn < firstLsn + recordCount) return frame;
    }
    return undefined;
  }

  #keep(frame: Frame): void {
    if (this.#cache.has(frame.header.firstLsn)) return; // read by two at once
    this.#cache.set(frame.header.firstLsn, frame);
    this.#cachedBytes += frame.body.length;
    for (const [firstLsn, oldest] of this.#cache) {
      if (this.#cache.size <= CACHED_FRAMES_MAX && this.#cachedBytes <= CACHED_BYTES_MAX) break;
      this.#cache.delete(firstLsn);
      this.#cachedBytes -= oldest.body.length;
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreError("ERR_STORE_CLOSED", "the log was closed while it was being read");
  }

  async #acquire(segment: ReadableSegment): Promise<DirectFile> {
    this.#checkOpen();
    let open = this.#files.get(segment.segment);
    if (open === undefined) {
      open = { file: DirectFile.open(this.#source.io, segment.path, "read"), users: 0 };
      this.#files.set(segment.segment, open);
    }
    open.users++;
    try {
      await open.file;
    } catch (error) {
      open.users--;
      this.#files.delete(segment.segment);
      throw error;
    }
    await this.#closeUnused();
    this.#checkOpen();
    return open.file;
  }

  #releaseFile(segment: number): void {
    const open = this.#files.get(segment);
    if (open !== undefined) open.users--;
  }

  async #closeUnused(): Promise<void> {
    for (const [segment, open] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) return;
      if (open.users > 0) continue;
      this.#files.delete(segment);
      await (await open.file).close();
    }
  }

  /**
   * Whoever is reading hears `ERR_STORE_CLOSED` at the next step, before it touches a file or memory that is gone. Waits for the reads in
   * flight: one that had not reached the kernel yet would find another file under the descriptor's number.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stream of this.#streams) await stream.close();
    for (const open of this.#files.values()) {
      const file = await open.file.catch(() => null); // whoever wanted to read it was told
      await file?.close().catch(() => {});
    }
    this.#files.clear();
    this.#cache.clear();
  }
}

function corrupt(path: string, fileOffset: number, lsn: number): StoreError {
  const message = `the log is damaged: ${path} at offset ${fileOffset} does not hold LSN ${lsn}`;
  return new StoreError("ERR_WAL_CORRUPT", message, { path, offset: fileOffset, lsn });
}

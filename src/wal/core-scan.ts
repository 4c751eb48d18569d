/**
 * Reads one core's files of one incarnation once, frame after frame, and gathers what they tell.
 *
 * The frames of a writer (one generation) are chained by their header CRCs: its run ends where the chain does, and what is left in its
 * files is only looked at for headers. The next writer of the same core begins a run of its own, in a segment of its own. Whether a
 * frame of a run is part of the log is decided where the cores are merged: here LSNs only have to rise.
 */

import { assert } from "../assert.js";
import { type BlockIo, type BufferPool, DirectFile } from "../ffi/index.js";
import type { FrameOpener } from "./crypt/frame-cipher.js";
import {
  type DecodedPreamble,
  decodePreamble,
  type FrameHeader,
  type FramePlace,
  PREAMBLE_BYTES,
  type Preamble,
} from "./format.js";
import { type Frame, type FrameStep, FrameStream, findHeaders } from "./frame-stream.js";
import type { CorePosition, DamagedPlace, ExplainedPlace, ScannedSegment, Stranger } from "./log-facts.js";
import { firstSegmentOf, type Incarnation } from "./manifest.js";
import { ReadAhead } from "./read-ahead.js";
import { type CoreFiles, type SegmentName, segmentPath } from "./segment-name.js";

export interface CoreScanSource {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  readonly incarnation: Incarnation;
  readonly checkpointLsn: number;
  /** Of this incarnation only. */
  readonly files: CoreFiles;
  /** Where to go on; null: at the core's first segment. */
  readonly from: CorePosition | null;
  /** Whether headers behind the end of a run are of interest: those of an incarnation that has ended are not. */
  readonly looksBehind: "always" | "never" | "whenNothingIsNew";
  /** Opens what is encrypted; null: nobody looks into the records. */
  readonly opener: FrameOpener | null;
}

/** The frames of one writer, as far as they are chained. */
export interface CoreRun {
  readonly generation: number;
  hasFrames: boolean;
  /** Of its first record; null while it has none. */
  firstLsn: number | null;
  lastLsn: number;
  /** Where its next frame would be. */
  end: DamagedPlace;
  /** Something else is there. */
  isTorn: boolean;
  /** Its last frame is a seal. */
  isSealed: boolean;
  /** The first valid header behind its end. */
  orphan: { readonly firstLsn: number; readonly isNext: boolean } | null;
}

type FoundPreamble = Preamble | "absent" | "older" | "bad";

interface OpenSegment {
  readonly name: SegmentName;
  readonly file: DirectFile;
  readonly byteLength: number;
  readonly preamble: FoundPreamble;
  /** Null where there is no run to read. */
  readonly stream: FrameStream | null;
  /** The end of its last frame. */
  offset: number;
  frameCount: number;
}

export class CoreScan {
  readonly core: number;
  /** The next record's frame; null at the end. */
  frame: Frame | null = null;
  /** Where that frame begins. */
  framePosition: CorePosition;
  /** Behind that frame, or behind the last one. */
  position: CorePosition;
  attestedLsn = 0;
  lastRecordedAt: number = Number.MIN_SAFE_INTEGER;
  orphanFrameCount = 0;
  bytesRead = 0;
  tornAt: DamagedPlace | null = null;
  stranger: Stranger | null = null;
  damagedAt: ExplainedPlace | null = null;
  readonly runs: CoreRun[] = [];
  readonly segments: ScannedSegment[] = [];
  readonly emptySegments: SegmentName[] = [];
  readonly #source: CoreScanSource;
  #run: CoreRun;
  #isRunning = true;
  #open: OpenSegment | null = null;
  #isReading = false;
  #isAtEnd = false;
  #hasNews = false;
  #nextIndex: number;
  #expectedSegment: number;
  /** A segment that never got its preamble. */
  #absentPath: string | null = null;

  constructor(source: CoreScanSource) {
    this.#source = source;
    this.core = source.files.core;
    const { from, files, incarnation } = source;
    this.#expectedSegment = from?.segment ?? firstSegmentOf(incarnation, this.core);
    this.position = from ?? {
      segment: this.#expectedSegment,
      fileOffset: PREAMBLE_BYTES,
      generation: 0,
      chainCrc: 0,
      lastLsn: 0,
    };
    this.framePosition = this.position;
    const index = files.segments.findIndex(({ segment }) => segment >= this.#expectedSegment);
    this.#nextIndex = index === -1 ? files.segments.length : index;
    this.#run = this.#beginRun(this.position.generation, {
      path: segmentPath(files.directory, this.#expectedSegment),
      fileOffset: from?.fileOffset ?? 0,
    });
  }

  #beginRun(generation: number, end: DamagedPlace): CoreRun {
    const { lastLsn } = this.position;
    const state = { hasFrames: false, firstLsn: null, isTorn: false, isSealed: false, orphan: null };
    const run = { generation, lastLsn, end, ...state };
    this.runs.push(run);
    this.#run = run;
    this.#isRunning = true;
    return run;
  }

  /** Goes to the next frame with records. Null: it is there already, without waiting. */
  advance(): Promise<void> | null {
    this.frame = null;
    while (this.#isReading) {
      const step = this.#step();
      if (step instanceof Promise) return this.#advanceSlowly(step);
      this.#take(step);
      if (this.frame !== null) return null;
    }
    return this.#isAtEnd ? null : this.#advanceSlowly(null);
  }

  async #advanceSlowly(pending: Promise<FrameStep> | null): Promise<void> {
    if (pending !== null) this.#take(await pending);
    while (this.frame === null) {
      while (this.#isReading) {
        this.#take(await this.#step());
        if (this.frame !== null) return;
      }
      await this.#endSegment();
      if (this.stranger !== null || this.#nextIndex === this.#source.files.segments.length) {
        this.#isAtEnd = true;
        return;
      }
      await this.#beginSegment();
    }
  }

  #step(): FrameStep | Promise<FrameStep> {
    const stream = this.#open?.stream ?? null;
    assert(stream !== null, "what is read is open");
    return stream.next();
  }

  /** The file in which `frame` lies. */
  get framePath(): string {
    return this.#open?.name.path ?? "";
  }

  /** Gives files and memory back; what was found stays. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = null;
    this.#isReading = false;
    this.#isAtEnd = true;
    if (open === null) return;
    await open.stream?.close();
    await open.file.close();
  }

  /** Ends the run: the rest is only looked at for what it attests. */
  #stop(path: string, fileOffset: number): void {
    this.tornAt ??= { path, fileOffset };
    if (!this.#run.isTorn && this.#isRunning) this.#run.end = { path, fileOffset };
    this.#run.isTorn = true;
    this.#isRunning = false;
    this.#isReading = false;
  }

  #strange(kind: Stranger["kind"], path: string, fileOffset: number, reason: string): void {
    this.stranger = { kind, path, fileOffset, reason };
    this.#isReading = false;
  }

  async #beginSegment(): Promise<void> {
    const { files, io, pool, from } = this.#source;
    const name = files.segments[this.#nextIndex++] as SegmentName;
    const isGap = name.segment !== this.#expectedSegment;
    // A checkpoint may have dropped what it sealed; whether it was that, the density of the LSNs tells.
    const mayBeDropped = this.#source.checkpointLsn > 0 && this.position.lastLsn <= this.#source.checkpointLsn;
    if (isGap && !mayBeDropped) this.#stop(segmentPath(files.directory, this.#expectedSegment), 0);
    this.#expectedSegment = name.segment + 1;
    const file = await DirectFile.open(io, name.path, "read");
    try {
      const byteLength = await file.byteLength();
      const preamble = await this.#readPreamble(file, byteLength, name);
      const isNewWriters = typeof preamble === "object" && preamble.generation > this.#run.generation;
      if (isNewWriters) {
        this.#beginRun(preamble.generation, { path: name.path, fileOffset: PREAMBLE_BYTES });
        this.position = { ...this.position, generation: preamble.generation, chainCrc: 0 };
      }
      if (isGap && mayBeDropped) this.position = { ...this.position, chainCrc: null };
      if (preamble === "bad") this.#stop(name.path, 0);
      const isResumed = from !== null && from.segment === name.segment;
      const offset = isResumed ? from.fileOffset : PREAMBLE_BYTES;
      this.bytesRead += byteLength - (isResumed ? offset : 0);
      const isRead = typeof preamble === "object" && this.#isRunning && this.stranger === null;
      // Not to one that its writer has only prepared: the next frame can still be written in the segment before.
      if (isRead && !isResumed && (isNewWriters || isGap))
        this.position = { ...this.position, segment: name.segment, fileOffset: offset };
      const place = this.#placeIn(name);
      const stream = isRead ? new FrameStream(file, pool, place, offset, byteLength, from !== null) : null;
      this.#open = { name, file, byteLength, preamble, stream, offset, frameCount: 0 };
      this.#isReading = isRead;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #placeIn({ segment }: SegmentName): Omit<FramePlace, "fileOffset"> {
    const { storeId, incarnation } = this.#source;
    return { storeId, core: this.core, incarnation: incarnation.incarnation, segment };
  }

  /**
   * The preamble, if it is one that this segment can have; strangers are noted. `absent`: a killed writer was preparing the file. `older`:
   * an earlier incarnation prepared it and never used it.
   */
  async #readPreamble(file: DirectFile, byteLength: number, { path, segment }: SegmentName): Promise<FoundPreamble> {
    const { storeId, incarnation } = this.#source;
    const decoded = await decodePreambleOf(file, this.#source.pool, byteLength);
    const found = ((): FoundPreamble => {
      if (decoded.kind === "zero") return "absent";
      if (decoded.kind === "unsupported") this.#strange("newer", path, 0, decoded.reason);
      if (decoded.kind !== "preamble") return "bad";
      const { preamble } = decoded;
      if (Buffer.compare(preamble.storeId, storeId) !== 0) {
        this.#strange("foreign", path, 0, `store ${Buffer.from(preamble.storeId).toString("hex")}`);
      } else if (preamble.incarnation > incarnation.incarnation) {
        this.#strange("ahead", path, 0, `incarnation ${preamble.incarnation}`);
      } else if (preamble.incarnation < incarnation.incarnation) {
        return "older";
      }
      const isOwn = preamble.segment === segment && preamble.core === this.core;
      return isOwn && preamble.generation >= this.#run.generation ? preamble : "bad";
    })();
    // A segment is complete before its writer begins the next one; but the core's next writer can have found it so.
    const isLaterWriters = typeof found === "object" && found.generation > Math.max(1, this.#run.generation);
    if (this.#absentPath !== null && !isLaterWriters) {
      const reason = "it has no preamble, and a segment follows it";
      this.damagedAt ??= { path: this.#absentPath, fileOffset: 0, reason };
    }
    this.#absentPath = found === "absent" && this.#source.looksBehind === "always" ? path : null;
    return found;
  }

  /** What the next step of the stream means; `frame` is set when it has records that continue the run. */
  #take(step: FrameStep): void {
    const { name } = this.#open as OpenSegment;
    switch (step.kind) {
      case "frame":
        this.#accept(step.frame, this.#open as OpenSegment);
        return;
      case "end":
        this.#isReading = false;
        return;
      case "unsupported":
        this.#strange("newer", name.path, step.fileOffset, step.reason);
        return;
      case "damaged":
        if (step.foreign) this.#strange("foreign", name.path, step.fileOffset, "a frame of another store");
        else this.#stop(name.path, step.fileOffset);
    }
  }

  #accept(frame: Frame, open: OpenSegment): void {
    const { header } = frame;
    const { path } = open.name;
    if (header.kind === "VOID" || header.kind === "TAKEOVER") {
      this.#strange("newer", path, header.fileOffset, `a ${header.kind} frame, which this version does not write`);
      return;
    }
    const lastLsn = header.firstLsn + header.recordCount - 1;
    const { incarnation } = this.#source;
    if (incarnation.lastLsn !== null && lastLsn > incarnation.lastLsn) {
      this.#isReading = false; // fenced
      this.#isRunning = false;
      return;
    }
    const { chainCrc, lastLsn: before, generation } = this.position;
    const isChained = (chainCrc === null || header.previousCrc === chainCrc) && header.generation === generation;
    // A seal is written when all before it is durable, and says so.
    const isTrueSeal = header.kind !== "SEAL" || header.durableLsn >= before;
    if (!isChained || header.firstLsn <= before || !isTrueSeal) {
      this.#stop(path, header.fileOffset);
      return;
    }
    const { segment } = open.name;
    const { opener, checkpointLsn } = this.#source;
    const isSealedAway = header.recordCount > 0 && lastLsn <= checkpointLsn; // and not told to anybody
    const opened = opener === null || isSealedAway ? frame : opener.open(frame);
    open.frameCount++;
    open.offset = (open.stream as FrameStream).fileOffset;
    const at = { segment, generation };
    this.framePosition = { ...at, fileOffset: header.fileOffset, chainCrc, lastLsn: before };
    const isData = header.kind === "DATA";
    this.position = {
      ...at,
      fileOffset: open.offset,
      chainCrc: header.headerCrc,
      lastLsn: isData ? lastLsn : before,
    };
    this.#hasNews = true;
    this.#run.hasFrames = true;
    this.#run.isSealed = header.kind === "SEAL";
    if (header.durableLsn > this.attestedLsn) this.attestedLsn = header.durableLsn;
    if (header.recordedAt > this.lastRecordedAt) this.lastRecordedAt = header.recordedAt;
    if (!isData) return;
    this.#run.firstLsn ??= header.firstLsn;
    this.#run.lastLsn = lastLsn;
    this.frame = opened;
  }

  async #endSegment(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    await open.stream?.close();
    const { name, preamble, byteLength, offset, frameCount } = open;
    if (open.stream !== null && this.#isRunning) this.#run.end = { path: name.path, fileOffset: offset };
    if (frameCount > 0) {
      const { incarnation } = this.#source.incarnation;
      this.segments.push({ core: this.core, ...name, incarnation, endOffset: offset });
    }
    const { looksBehind } = this.#source;
    if (this.stranger === null && (looksBehind === "always" || (looksBehind !== "never" && !this.#hasNews))) {
      const isSealed = this.#run.isSealed;
      const lost = await this.#lookBehind(open);
      if (preamble === "bad" && lost.frameCount > 0) {
        this.damagedAt ??= { path: name.path, fileOffset: 0, reason: "its preamble is damaged, and frames follow it" };
      } else if (typeof preamble === "object" && byteLength < preamble.segmentBytes && !isSealed) {
        const reason = `${byteLength} of its ${preamble.segmentBytes} bytes are there`;
        this.damagedAt ??= { path: name.path, fileOffset: byteLength, reason };
      }
      if (frameCount === 0 && lost.isZero && preamble !== "bad") this.emptySegments.push(name);
    }
    this.#open = null;
    await open.file.close();
  }

  /** Looks for frames behind the run's end. */
  async #lookBehind({ file, name, offset, byteLength }: OpenSegment): Promise<{ frameCount: number; isZero: boolean }> {
    let frameCount = 0;
    const onHeader = (header: FrameHeader): void => {
      frameCount++;
      if (header.durableLsn > this.attestedLsn) this.attestedLsn = header.durableLsn;
      const isNext = header.previousCrc === this.position.chainCrc;
      this.#run.orphan ??= { firstLsn: header.firstLsn, isNext };
    };
    const { pool } = this.#source;
    const behind = await findHeaders(file, pool, this.#placeIn(name), offset, byteLength, onHeader);
    if (behind.nonZeroAt !== null) this.#stop(name.path, behind.nonZeroAt);
    if (behind.unsupported !== null) {
      this.#strange("newer", name.path, behind.unsupported.fileOffset, behind.unsupported.reason);
    }
    this.orphanFrameCount += frameCount;
    return { frameCount, isZero: behind.nonZeroAt === null };
  }
}

/** The preamble of a segment file as it is there. */
export async function decodePreambleOf(
  file: DirectFile,
  pool: BufferPool,
  byteLength: number,
): Promise<DecodedPreamble> {
  const reads = new ReadAhead(file, pool, 0, Math.min(PREAMBLE_BYTES, byteLength));
  try {
    const chunk = await reads.next();
    return decodePreamble(chunk === null ? Buffer.alloc(0) : chunk.bytes);
  } finally {
    await reads.close();
  }
}

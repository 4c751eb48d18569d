/**
 * Reads a whole log once, in LSN order: hands every record's frame on, and gathers the facts that `decide` needs.
 *
 * Only reads. What it saw is in `LogFacts`; what it means is in recovery.ts.
 */

import { type BlockIo, type BufferPool, DirectFile } from "../ffi/index.js";
import { type DecodedPreamble, decodePreamble, frameBytes, PREAMBLE_BYTES } from "./format.js";
import { type Frame, FrameStream, findHeaders } from "./frame-stream.js";
import type { Incarnation, Manifest } from "./manifest.js";
import { ReadAhead } from "./read-ahead.js";
import type { RecoveryFacts } from "./recovery.js";
import type { SegmentName } from "./segment-name.js";

/** Where a frame lies. */
export interface FramePosition {
  readonly segment: number;
  readonly fileOffset: number;
}

/** Where a frame lies, and where it ends. */
export interface FrameRange extends FramePosition {
  readonly endOffset: number;
}

/** A place in a file that does not hold what it should. */
export interface DamagedPlace {
  readonly path: string;
  readonly fileOffset: number;
}

export interface ScannedSegment {
  readonly segment: number;
  readonly path: string;
  readonly incarnation: number;
  /** Bytes up to the end of the last frame that counts. */
  readonly endOffset: number;
}

export interface LogFacts {
  /** P: the last LSN of the longest run without a hole; 0 when empty. */
  readonly lastLsn: number;
  /** Wmax: the highest watermark that any valid header or the manifest attests. */
  readonly attestedLsn: number;
  readonly store: RecoveryFacts["store"];
  readonly log: RecoveryFacts["log"];
  readonly tail: RecoveryFacts["tail"];
  /** The first place of the newest incarnation that holds neither a frame nor zeros. */
  readonly tornAt: DamagedPlace | null;
  /** Why a frame or segment cannot be judged: foreign, newer or ahead. */
  readonly strangerAt: (DamagedPlace & { readonly reason: string }) | null;
  /** Valid headers behind the end of the run: frames whose predecessor is lost. */
  readonly orphanFrameCount: number;
  /** The highest recordedAt seen. */
  readonly lastRecordedAt: number;
  /** Segments with frames that count, in order. */
  readonly segments: readonly ScannedSegment[];
  /** Segment files without any frame, which the next writer removes. */
  readonly emptySegments: readonly SegmentName[];
  readonly bytesRead: number;
}

export interface LogScanSource {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly manifest: Manifest;
  readonly segments: readonly SegmentName[];
  /** Called for every frame with records that counts, in LSN order. */
  readonly onFrame?: (frame: Frame, position: FrameRange) => void;
}

interface IncarnationSegments {
  readonly incarnation: Incarnation;
  readonly segments: readonly SegmentName[];
  readonly isNewest: boolean;
}

/** Which segment files belong to which incarnation, by their numbers. */
function segmentsByIncarnation(source: LogScanSource): IncarnationSegments[] {
  const { incarnations } = source.manifest;
  return incarnations.map((incarnation, index) => {
    const end = incarnations[index + 1]?.firstSegment ?? Number.POSITIVE_INFINITY;
    const segments = source.segments.filter((s) => s.segment >= incarnation.firstSegment && s.segment < end);
    return { incarnation, segments, isNewest: index === incarnations.length - 1 };
  });
}

class LogScan {
  readonly #source: LogScanSource;
  #lastLsn = 0;
  #attestedLsn = 0;
  #store: RecoveryFacts["store"] = "own";
  #log: RecoveryFacts["log"] = "known";
  #tail: RecoveryFacts["tail"] = "end";
  #tornAt: DamagedPlace | null = null;
  #strangerAt: LogFacts["strangerAt"] = null;
  #orphanFrameCount = 0;
  #lastRecordedAt = Number.MIN_SAFE_INTEGER;
  #bytesRead = 0;
  readonly #segments: ScannedSegment[] = [];
  readonly #emptySegments: SegmentName[] = [];
  /** Of the incarnation being read: the LSN its next frame must have, and the header CRC that it must name. */
  #nextLsn = 1;
  #chainCrc = 0;

  constructor(source: LogScanSource) {
    this.#source = source;
  }

  async run(): Promise<LogFacts> {
    for (const group of segmentsByIncarnation(this.#source)) {
      const { incarnation, isNewest } = group;
      // Opening the next incarnation proved all before its first LSN durable; closing this one proved all of it.
      this.#attest(incarnation.firstLsn - 1);
      if (isNewest && incarnation.lastLsn !== null) this.#attest(incarnation.lastLsn);
      await this.#readIncarnation(group);
      if (this.#strangerAt !== null) break;
    }
    return {
      lastLsn: this.#lastLsn,
      attestedLsn: this.#attestedLsn,
      store: this.#store,
      log: this.#log,
      tail: this.#tail,
      tornAt: this.#tornAt,
      strangerAt: this.#strangerAt,
      orphanFrameCount: this.#orphanFrameCount,
      lastRecordedAt: this.#lastRecordedAt,
      segments: this.#segments,
      emptySegments: this.#emptySegments,
      bytesRead: this.#bytesRead,
    };
  }

  #attest(lsn: number): void {
    if (lsn > this.#attestedLsn) this.#attestedLsn = lsn;
  }

  async #readIncarnation({ incarnation, segments, isNewest }: IncarnationSegments): Promise<void> {
    this.#nextLsn = incarnation.firstLsn;
    this.#chainCrc = 0;
    this.#tail = "end";
    this.#tornAt = null;
    let expectedSegment = incarnation.firstSegment;
    let running = true;
    for (const name of segments) {
      const file = await DirectFile.open(this.#source.io, name.path, "read");
      try {
        if (name.segment !== expectedSegment++) running = this.#stop(name.path, 0);
        running = await this.#readSegment(file, name, incarnation, isNewest, running);
      } finally {
        await file.close();
      }
      if (this.#strangerAt !== null) return;
    }
  }

  /** Ends the run of frames: the rest is only looked at for what it attests. */
  #stop(path: string, fileOffset: number): false {
    this.#tornAt ??= { path, fileOffset };
    this.#tail = "torn";
    return false;
  }

  #strange(kind: "foreign" | "newer" | "ahead", path: string, fileOffset: number, reason: string): false {
    if (kind === "foreign") this.#store = "foreign";
    else this.#log = kind;
    this.#strangerAt = { path, fileOffset, reason };
    return false;
  }

  async #decodePreamble(file: DirectFile, byteLength: number): Promise<DecodedPreamble> {
    const reads = new ReadAhead(file, this.#source.pool, 0, Math.min(PREAMBLE_BYTES, byteLength));
    try {
      const chunk = await reads.next();
      return decodePreamble(chunk === null ? Buffer.alloc(0) : chunk.bytes);
    } finally {
      await reads.close();
    }
  }

  /**
   * Whether the preamble is the one this segment must have; damage and strangers are noted. `unused` is a file that a killed
   * writer was preparing, or one that an earlier incarnation prepared and never used.
   */
  async #readPreamble(
    file: DirectFile,
    byteLength: number,
    path: string,
    incarnation: Incarnation,
    segment: number,
  ): Promise<"own" | "unused" | "bad"> {
    const decoded = await this.#decodePreamble(file, byteLength);
    if (decoded.kind === "unsupported") {
      this.#strange("newer", path, 0, decoded.reason);
      return "bad";
    }
    if (decoded.kind === "zero") return "unused";
    if (decoded.kind === "damaged") return "bad";
    const { preamble } = decoded;
    if (Buffer.compare(preamble.storeId, this.#source.storeId) !== 0) {
      this.#strange("foreign", path, 0, `store ${Buffer.from(preamble.storeId).toString("hex")}`);
      return "bad";
    }
    if (preamble.incarnation > incarnation.incarnation) {
      this.#strange("ahead", path, 0, `incarnation ${preamble.incarnation}`);
      return "bad";
    }
    if (preamble.incarnation < incarnation.incarnation) return "unused";
    return preamble.segment === segment && preamble.core === this.#source.core ? "own" : "bad";
  }

  async #readSegment(
    file: DirectFile,
    name: SegmentName,
    incarnation: Incarnation,
    isNewest: boolean,
    wasRunning: boolean,
  ): Promise<boolean> {
    const byteLength = await file.byteLength();
    this.#bytesRead += byteLength;
    const { storeId, core } = this.#source;
    const place = { storeId, core, incarnation: incarnation.incarnation, segment: name.segment };
    const preamble = await this.#readPreamble(file, byteLength, name.path, incarnation, name.segment);
    if (this.#strangerAt !== null) return false;
    let running = wasRunning;
    let offset = PREAMBLE_BYTES;
    let frameCount = 0;
    if (preamble === "own") {
      if (running) ({ running, offset, frameCount } = await this.#readFrames(file, name, incarnation, byteLength));
    } else {
      // A file prepared and never used has no frame; if it has, the header search below will find it.
      if (running && preamble === "bad") running = this.#stop(name.path, 0);
    }
    if (this.#strangerAt !== null) return false;
    if (frameCount > 0) {
      this.#segments.push({ ...name, incarnation: incarnation.incarnation, endOffset: offset });
    }
    // A closed incarnation ends where the manifest says; what lies behind is fenced, and of no interest.
    if (!isNewest) return running;
    const lost = await this.#findLost(file, place, name.path, offset, byteLength);
    if (frameCount === 0 && lost === 0 && preamble !== "bad") this.#emptySegments.push(name);
    return running;
  }

  async #findLost(
    file: DirectFile,
    place: { storeId: Uint8Array; core: number; incarnation: number; segment: number },
    path: string,
    from: number,
    end: number,
  ): Promise<number> {
    let count = 0;
    const { nonZeroAt } = await findHeaders(file, this.#source.pool, place, from, end, (header) => {
      count++;
      this.#attest(header.durableLsn);
    });
    if (nonZeroAt !== null) this.#stop(path, nonZeroAt);
    this.#orphanFrameCount += count;
    return count;
  }

  /** Reads the run of valid frames of one segment, as far as it goes. */
  async #readFrames(
    file: DirectFile,
    name: SegmentName,
    incarnation: Incarnation,
    byteLength: number,
  ): Promise<{ running: boolean; offset: number; frameCount: number }> {
    const { storeId, core, pool } = this.#source;
    const place = { storeId, core, incarnation: incarnation.incarnation, segment: name.segment };
    const stream = new FrameStream(file, pool, place, PREAMBLE_BYTES, byteLength);
    let offset = PREAMBLE_BYTES;
    let frameCount = 0;
    try {
      for (;;) {
        const pending = stream.next();
        const step = pending instanceof Promise ? await pending : pending;
        if (step.kind === "end") return { running: true, offset, frameCount };
        if (step.kind === "unsupported") {
          return { running: this.#strange("newer", name.path, step.fileOffset, step.reason), offset, frameCount };
        }
        if (step.kind === "damaged") {
          const running = step.foreign
            ? this.#strange("foreign", name.path, step.fileOffset, "a frame of another store")
            : this.#stop(name.path, step.fileOffset);
          return { running, offset, frameCount };
        }
        if (!this.#accept(step.frame, name, incarnation)) return { running: false, offset, frameCount };
        frameCount++;
        offset = stream.fileOffset;
      }
    } finally {
      await stream.close();
    }
  }

  /** Whether the frame continues the run; if so, and if its records are new, hands it on. */
  #accept(frame: Frame, name: SegmentName, incarnation: Incarnation): boolean {
    const { header } = frame;
    if (header.kind === "VOID" || header.kind === "TAKEOVER") {
      return this.#strange(
        "newer",
        name.path,
        header.fileOffset,
        `a ${header.kind} frame, which belongs to several cores`,
      );
    }
    const lastLsn = header.firstLsn + header.recordCount - 1;
    if (incarnation.lastLsn !== null && lastLsn > incarnation.lastLsn) return false; // fenced
    if (header.previousCrc !== this.#chainCrc || header.firstLsn !== this.#nextLsn) {
      return this.#stop(name.path, header.fileOffset);
    }
    this.#chainCrc = header.headerCrc;
    this.#nextLsn = lastLsn + 1;
    this.#attest(header.durableLsn);
    this.#tail = header.kind === "SEAL" ? "sealed" : "end";
    if (header.recordedAt > this.#lastRecordedAt) this.#lastRecordedAt = header.recordedAt;
    if (header.kind !== "DATA" || lastLsn <= this.#lastLsn) return true; // nothing new: a control frame, or a second copy
    if (header.firstLsn !== this.#lastLsn + 1) return this.#stop(name.path, header.fileOffset);
    this.#lastLsn = lastLsn;
    const { fileOffset, storedBytes } = header;
    this.#source.onFrame?.(frame, {
      segment: name.segment,
      fileOffset,
      endOffset: fileOffset + frameBytes(storedBytes),
    });
    return true;
  }
}

/** Reads the log that `source` names. Damage is a fact in the answer; only a failing file system throws. */
export function scanLog(source: LogScanSource): Promise<LogFacts> {
  return new LogScan(source).run();
}

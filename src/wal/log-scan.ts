/**
 * Reads a whole log once, in LSN order: hands every record's frame on, and gathers the facts that `decide` needs.
 *
 * Only reads. What it saw is in `LogFacts`; what it means is in recovery.ts.
 */

import { type BlockIo, type BufferPool, DirectFile } from "../ffi/index.js";
import { type DecodedPreamble, decodePreamble, PREAMBLE_BYTES, type Preamble } from "./format.js";
import { type Frame, FrameStream, findHeaders } from "./frame-stream.js";
import type { Incarnation, Manifest } from "./manifest.js";
import { ReadAhead } from "./read-ahead.js";
import type { RecoveryFacts } from "./recovery.js";
import { coreDirectory, type SegmentName, segmentPath } from "./segment-name.js";

/** Where a frame lies. */
export interface FramePosition {
  readonly segment: number;
  readonly fileOffset: number;
}

/** A place in a file that does not hold what it should. */
export interface DamagedPlace {
  readonly path: string;
  readonly fileOffset: number;
}

export interface ExplainedPlace extends DamagedPlace {
  readonly reason: string;
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
  /** Where the run ended for the first time before a record that was durable; null when P ≥ Wmax. */
  readonly lostAt: DamagedPlace | null;
  /** Why a frame or segment cannot be judged: foreign, newer or ahead. */
  readonly strangerAt: ExplainedPlace | null;
  /** A file that is not as it was before its first frame was written, which no crash does. */
  readonly damagedAt: ExplainedPlace | null;
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
  /** The store's. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly manifest: Manifest;
  readonly segments: readonly SegmentName[];
  /** Called for every frame with records that counts, in LSN order. */
  readonly onFrame?: (frame: Frame, position: FramePosition) => void;
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
  #strangerAt: ExplainedPlace | null = null;
  #damagedAt: ExplainedPlace | null = null;
  #lostAt: DamagedPlace | null = null;
  /** Where the next frame of the run was looked for last. */
  #runEnd: DamagedPlace = { path: "", fileOffset: 0 };
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
    const isLost = this.#lastLsn < this.#attestedLsn;
    return {
      lastLsn: this.#lastLsn,
      attestedLsn: this.#attestedLsn,
      store: this.#store,
      log: this.#log === "known" && this.#damagedAt !== null ? "damaged" : this.#log,
      tail: this.#tail,
      tornAt: this.#tornAt,
      lostAt: isLost ? (this.#lostAt ?? this.#tornAt ?? this.#runEnd) : null,
      strangerAt: this.#strangerAt,
      damagedAt: this.#damagedAt,
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
    const directory = coreDirectory(this.#source.directory, this.#source.core);
    let expectedSegment = incarnation.firstSegment;
    this.#runEnd = { path: segmentPath(directory, expectedSegment), fileOffset: 0 };
    let running = true;
    for (const name of segments) {
      if (name.segment !== expectedSegment) running = this.#stop(segmentPath(directory, expectedSegment), 0);
      expectedSegment = name.segment + 1;
      const file = await DirectFile.open(this.#source.io, name.path, "read");
      try {
        running = await this.#readSegment(file, name, incarnation, isNewest, running);
      } finally {
        await file.close();
      }
      if (this.#strangerAt !== null) return;
    }
    // A later incarnation can hold the same records once more; if it does, nothing is lost.
    if (incarnation.lastLsn !== null && this.#lastLsn < incarnation.lastLsn) {
      this.#lostAt ??= this.#tornAt ?? this.#runEnd;
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
   * The preamble, if it is one that this segment can have; damage and strangers are noted. `absent`: a killed writer was preparing the
   * file. `older`: an earlier incarnation prepared it and never used it.
   */
  async #readPreamble(
    file: DirectFile,
    byteLength: number,
    path: string,
    incarnation: Incarnation,
    segment: number,
  ): Promise<Preamble | "absent" | "older" | "bad"> {
    const decoded = await this.#decodePreamble(file, byteLength);
    if (decoded.kind === "unsupported") {
      this.#strange("newer", path, 0, decoded.reason);
      return "bad";
    }
    if (decoded.kind === "zero") return "absent";
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
    if (preamble.incarnation < incarnation.incarnation) return "older";
    return preamble.segment === segment && preamble.core === this.#source.core ? preamble : "bad";
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
    if (preamble === "bad") {
      running = this.#stop(name.path, 0);
    } else if (typeof preamble === "object" && running) {
      ({ running, offset, frameCount } = await this.#readFrames(file, name, incarnation, byteLength));
      this.#runEnd = { path: name.path, fileOffset: offset };
    }
    if (this.#strangerAt !== null) return false;
    if (frameCount > 0) {
      this.#segments.push({ ...name, incarnation: incarnation.incarnation, endOffset: offset });
    }
    // A closed incarnation ends where the manifest says; what lies behind is fenced, and of no interest.
    if (!isNewest) return running;
    const isSealed = this.#tail === "sealed";
    const lost = await this.#findLost(file, place, name.path, offset, byteLength);
    if (preamble === "bad" && lost.frameCount > 0) {
      this.#damagedAt ??= { path: name.path, fileOffset: 0, reason: "its preamble is damaged, and frames follow it" };
    } else if (preamble === "absent" && name !== this.#source.segments.at(-1)) {
      // A segment is complete before the next one is begun.
      this.#damagedAt ??= { path: name.path, fileOffset: 0, reason: "it has no preamble, and a segment follows it" };
    } else if (typeof preamble === "object" && byteLength < preamble.segmentBytes && !isSealed) {
      const reason = `${byteLength} of its ${preamble.segmentBytes} bytes are there`;
      this.#damagedAt ??= { path: name.path, fileOffset: byteLength, reason };
    }
    if (frameCount === 0 && lost.isZero && preamble !== "bad") this.#emptySegments.push(name);
    return running;
  }

  async #findLost(
    file: DirectFile,
    place: { storeId: Uint8Array; core: number; incarnation: number; segment: number },
    path: string,
    from: number,
    end: number,
  ): Promise<{ readonly frameCount: number; readonly isZero: boolean }> {
    let frameCount = 0;
    const { nonZeroAt, unsupported } = await findHeaders(file, this.#source.pool, place, from, end, (header) => {
      frameCount++;
      this.#attest(header.durableLsn);
    });
    if (nonZeroAt !== null) this.#stop(path, nonZeroAt);
    if (unsupported !== null) this.#strange("newer", path, unsupported.fileOffset, unsupported.reason);
    this.#orphanFrameCount += frameCount;
    return { frameCount, isZero: nonZeroAt === null };
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
    const isInOrder = header.previousCrc === this.#chainCrc && header.firstLsn === this.#nextLsn;
    // A seal is written when all before it is durable, and says so.
    const isTrueSeal = header.kind !== "SEAL" || header.durableLsn === lastLsn;
    if (!isInOrder || !isTrueSeal) return this.#stop(name.path, header.fileOffset);
    this.#chainCrc = header.headerCrc;
    this.#nextLsn = lastLsn + 1;
    this.#attest(header.durableLsn);
    this.#tail = header.kind === "SEAL" && lastLsn >= this.#lastLsn ? "sealed" : "end";
    if (header.recordedAt > this.#lastRecordedAt) this.#lastRecordedAt = header.recordedAt;
    if (header.kind !== "DATA" || lastLsn <= this.#lastLsn) return true; // nothing new: a control frame, or a second copy
    if (header.firstLsn !== this.#lastLsn + 1) return this.#stop(name.path, header.fileOffset);
    this.#lastLsn = lastLsn;
    this.#lostAt = null;
    this.#source.onFrame?.(frame, { segment: name.segment, fileOffset: header.fileOffset });
    return true;
  }
}

/** Reads the log that `source` names. Damage is a fact in the answer; only a failing file system throws. */
export function scanLog(source: LogScanSource): Promise<LogFacts> {
  return new LogScan(source).run();
}

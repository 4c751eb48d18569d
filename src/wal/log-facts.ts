/** What reading a whole log finds out about it. What that means is in recovery.ts. */

import type { FramePosition } from "./frame-index.js";
import type { RecoveryFacts } from "./recovery.js";
import type { SegmentName } from "./segment-name.js";

/** Where a frame lies in the log. */
export interface LogPosition extends FramePosition {
  readonly core: number;
}

/** A place in a file that does not hold what it should. */
export interface DamagedPlace {
  readonly path: string;
  readonly fileOffset: number;
}

export interface ExplainedPlace extends DamagedPlace {
  readonly reason: string;
}

/** Something that cannot be judged. */
export interface Stranger extends ExplainedPlace {
  readonly kind: "foreign" | "newer" | "ahead";
}

export interface ScannedSegment {
  readonly core: number;
  readonly segment: number;
  readonly path: string;
  readonly incarnation: number;
  /** Bytes up to the end of the last valid frame in order. */
  readonly endOffset: number;
}

/** How far a core was read: where its next frame is to be looked for, and what it must name. */
export interface CorePosition extends FramePosition {
  readonly generation: number;
  /** The header CRC that the next frame names; null when that frame is gone, and any will do. */
  readonly chainCrc: number | null;
  /** Of the core's last record in this incarnation; 0 before its first. */
  readonly lastLsn: number;
}

/** How far a log was read, for going on from there. */
export interface ScanPosition {
  /** The newest then. */
  readonly incarnation: number;
  readonly lastLsn: number;
  readonly attestedLsn: number;
  /** By core, where one has been found. */
  readonly cores: ReadonlyMap<number, CorePosition>;
}

export interface LogFacts {
  /** P: the last LSN of the longest run without a hole; the checkpoint's when nothing follows it. */
  readonly lastLsn: number;
  /** Wmax: the highest watermark that any valid header or the manifest attests. */
  readonly attestedLsn: number;
  /** Records in (Wmax, P]: LSNs of voids are none. */
  readonly unattestedCount: number;
  readonly store: RecoveryFacts["store"];
  readonly log: RecoveryFacts["log"];
  readonly tail: RecoveryFacts["tail"];
  /** The first place of the newest incarnation that holds neither a frame nor zeros, or where a frame is missing. */
  readonly tornAt: DamagedPlace | null;
  /** Where the run ended for the first time before a record that was durable; null when P ≥ Wmax. */
  readonly lostAt: DamagedPlace | null;
  /** Why a frame or segment cannot be judged: foreign, newer or ahead. */
  readonly strangerAt: ExplainedPlace | null;
  /** A file that is not as it was before its first frame was written, which no crash does. */
  readonly damagedAt: ExplainedPlace | null;
  /** Frames that are whole or have a valid header, and are not part of the log: behind a hole, or in a void. */
  readonly orphanFrameCount: number;
  /** The highest recordedAt seen. */
  readonly lastRecordedAt: number;
  /** Segments with frames, by incarnation, core and number. */
  readonly segments: readonly ScannedSegment[];
  /** Segment files without any frame, which the next writer removes. */
  readonly emptySegments: readonly SegmentName[];
  readonly bytesRead: number;
  readonly position: ScanPosition;
}

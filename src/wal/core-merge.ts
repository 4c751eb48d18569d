/** The cores of one incarnation, read side by side: finds the frame that holds the next LSN, whichever core wrote it. */

import { CoreCursor, type CoreTail, type CursorPosition } from "./core-cursor.js";
import type { FramePosition } from "./frame-index.js";
import type { Frame } from "./frame-stream.js";
import type { DamagedPlace } from "./log-facts.js";
import { firstSegmentOf, type Incarnation } from "./manifest.js";
import type { KnownSegment, ReadingDoor, SegmentCatalog } from "./segment-catalog.js";

export interface MergeSource {
  readonly door: ReadingDoor;
  readonly catalog: SegmentCatalog;
  readonly storeId: Uint8Array;
  readonly incarnation: Incarnation;
  /** Null for the newest. */
  readonly nextIncarnation: Incarnation | null;
  readonly tailOf: (core: number) => CoreTail | null;
  /** A frame of the core behind all that is wanted, where one is known. */
  readonly limitOf: (core: number) => FramePosition | null;
  /** Where to begin in a core that has these segments. */
  readonly startIn: (core: number, segments: readonly KnownSegment[]) => Promise<CursorPosition>;
}

export class CoreMerge {
  readonly incarnation: Incarnation;
  readonly #source: MergeSource;
  readonly #cursors: CoreCursor[] = [];
  #latest: CoreCursor | null = null;

  constructor(source: MergeSource) {
    this.#source = source;
    this.incarnation = source.incarnation;
  }

  /** Takes in the cores that have segments here, and reads the first frame above `after` of each. */
  async begin(after: number): Promise<void> {
    const { catalog, nextIncarnation, startIn } = this.#source;
    for (const core of catalog.cores) {
      if (this.#cursors.some((cursor) => cursor.core === core)) continue;
      const first = firstSegmentOf(this.incarnation, core);
      const endSegment = nextIncarnation === null ? Number.POSITIVE_INFINITY : firstSegmentOf(nextIncarnation, core);
      const segments = catalog.between(core, first, endSegment);
      if (segments.length === 0) continue;
      const position = await startIn(core, segments);
      const known = this.#source.limitOf(core);
      const limit = known !== null && known.segment >= first && known.segment < endSegment ? known : null;
      this.#cursors.push(new CoreCursor({ ...this.#source, core, endSegment, limit }, position));
    }
    await this.settle(after);
  }

  /** Lists the files again and reads on wherever there was nothing more. */
  async lookAgain(after: number): Promise<void> {
    await this.#source.catalog.list();
    for (const cursor of this.#cursors) cursor.retry();
    await this.begin(after);
  }

  /** Goes on in the cores that have no frame above `after` at hand, all at the same time. */
  async settle(after: number): Promise<void> {
    const behind = this.#cursors.filter(({ frame }) => frame === null || lastLsnOf(frame) <= after);
    const ends = await Promise.allSettled(behind.map((cursor) => cursor.advance(after)));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  /** The core that has the frame with this LSN at hand. */
  holderOf(lsn: number): CoreCursor | null {
    if (this.#latest !== null && holds(this.#latest, lsn)) return this.#latest; // writers write several in a row
    this.#latest = this.#cursors.find((cursor) => holds(cursor, lsn)) ?? null;
    return this.#latest;
  }

  /** Where each core would be read on. */
  positions(): Map<number, CursorPosition> {
    return new Map(this.#cursors.map((cursor) => [cursor.core, cursor.position]));
  }

  /** Where the next frame most likely should be; null where there is no core at all. */
  missingAt(): DamagedPlace | null {
    const broken = this.#cursors.find(({ brokenAt }) => brokenAt !== null)?.brokenAt ?? null;
    const cursor = this.#cursors.find(({ frame }) => frame === null) ?? this.#cursors[0];
    if (broken !== null || cursor === undefined) return broken;
    return { path: cursor.path, fileOffset: cursor.position.fileOffset };
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors) await cursor.close();
  }
}

function lastLsnOf({ header }: Frame): number {
  return header.firstLsn + header.recordCount - 1;
}

function holds({ frame }: CoreCursor, lsn: number): boolean {
  return frame !== null && frame.header.firstLsn <= lsn && lsn <= lastLsnOf(frame);
}

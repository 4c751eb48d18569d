/** What a core writer and its owner tell each other. */

/** When a batch must be sealed: at once, at the end of the event-loop turn, or when the flush interval is over. */
export type SealDemand = "now" | "turn" | "later";

/**
 * - `"open"`: takes appends.
 * - `"closing"`, `"closed"`: `close()` was called.
 * - `"failed"`: a write failed or was impossible; nothing is written any more.
 */
export type WriterStatus = "open" | "closing" | "closed" | "failed";

export interface WriterCallbacks {
  /** A frame with records became durable and its tickets were told. Called before the watermark is announced. */
  readonly onFrame: (firstLsn: number, segment: number, fileOffset: number, byteLength: number) => void;
  /** W moved. */
  readonly onAdvance: (watermark: number) => void;
  /** A batch took its LSNs: others can sleep until then. */
  readonly onSealed: () => void;
  /** Somebody else must act before this writer can go on. */
  readonly onBlocked: () => void;
}

export interface WriterStats {
  readonly frames: number;
  readonly records: number;
  readonly bytes: number;
  /** Written or being written, and not acknowledged. */
  readonly pendingRecords: number;
  readonly attestations: number;
  /** Every batch up to this epoch is durable, but for those that were refused. */
  readonly durableEpoch: number;
}

/** Up to where superseded versions were purged, and how far back answers are whole because of it. */

export class PurgeHorizon {
  /** The latest `recordedBefore` of a purge, µs since 1970; null: nothing was ever purged. */
  before: number | null = null;
  /** The last LSN at which the graph had changed by then: as of any LSN from here on everything is there. */
  lsn = 0;
  /** How many versions purges have removed in all. */
  removedCount = 0;

  /**
   * What `truncatedBefore` is of an answer as of an LSN: the horizon where the LSN, or the recorded time that led to it, lies before it, else
   * null.
   */
  truncation(lsn: number, askedAt: number | null): number | null {
    const { before } = this;
    if (before === null) return null;
    return lsn < this.lsn || (askedAt !== null && askedAt < before) ? before : null;
  }
}

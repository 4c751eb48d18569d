/** How far a projection is. */

export interface ProjectionProgress {
  /** The LSN that the newest version's state reflects. */
  readonly lsn: number;
  /** The highest visible LSN of the store. */
  readonly watermark: number;
  /** How many LSNs were passed per second, over about the last two seconds. */
  readonly eventsPerSecond: number;
}

/**
 * - `"catching-up"`: behind the watermark since the start; a previous version may be serving.
 * - `"live"`: has caught up once, and follows the log.
 * - `"paused"`: `pause()` was called, here or elsewhere, and `resume()` not yet; the state is served as it is.
 * - `"failed"`: stopped, see `error`; the last state is still there to be read.
 * - `"closing"`, `"closed"`: `close()` was called.
 */
export type ProjectionStatus = "catching-up" | "live" | "paused" | "failed" | "closing" | "closed";

/** What of a projection is worth a graph on a wall. */
export interface ProjectionMetrics {
  readonly name: string;
  /** The version that serves. */
  readonly version: number;
  readonly status: ProjectionStatus;
  /** The LSN that the served state reflects. */
  readonly lsn: number;
  /** The highest visible LSN of the store. */
  readonly watermark: number;
  /** How many LSNs the served state is behind. */
  readonly lag: number;
  /** How many LSNs the newest version passed per second, over about the last two seconds. */
  readonly eventsPerSecond: number;
  /** The LSN of the state that is safe on disk, 0: none; what a restart replays begins there. */
  readonly checkpointLsn: number;
  readonly parkedEvents: number;
  readonly skippedEvents: number;
  /** A rebuild that this process makes or waits for. */
  readonly rebuild: ProjectionProgress | null;
}

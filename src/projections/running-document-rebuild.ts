/** The rebuild of one document in a projection that runs: folded beside, then put into the state between two events. */

import { checkOptionNames } from "../events/index.js";
import { DocumentFold, documentsOf } from "./document-fold.js";
import type { FeedEvent } from "./event-feed.js";
import { closedError } from "./runner-errors.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";
import type { StillTrack } from "./still-track.js";

/** How one document is rebuilt. */
export interface RebuildDocumentOptions {
  /** Ends it: the document stays as it was. */
  readonly signal?: AbortSignal;
}

/** What it needs of the runner. */
export interface DocumentHost<State, Event extends FeedEvent> extends StillTrack<State, Event> {
  readonly onError: FailurePolicy;
  readonly report: (report: ProjectionReport) => void;
  /** Aborted when the projection is being closed. */
  readonly stopping: AbortSignal;
}

/** Resolves with the LSN that the document reflects, when that is durable. */
export async function rebuildRunningDocument<State, Event extends FeedEvent>(
  host: DocumentHost<State, Event>,
  key: string,
  options: RebuildDocumentOptions,
): Promise<number> {
  documentsOf(host.currentTrack().projection, key);
  const own = checkedSignal(options);
  const signal = AbortSignal.any([host.stopping, ...(own === null ? [] : [own])]);
  try {
    let lsn = await attempt(host, key, signal);
    // What was folded is of another state by then: one that was rebuilt, or into which a parked event has come.
    while (lsn === null) lsn = await attempt(host, key, signal);
    await host.save();
    return lsn;
  } catch (error) {
    const isClosing = host.stopping.aborted && error === host.stopping.reason;
    throw isClosing ? closedError(host.currentTrack().projection.name) : error;
  }
}

async function attempt<State, Event extends FeedEvent>(
  { feed, onError, report, currentTrack, hold, whenStill }: DocumentHost<State, Event>,
  key: string,
  signal: AbortSignal,
): Promise<number | null> {
  const track = currentTrack();
  const { startCount } = track;
  const parked = (): ReadonlySet<number> => new Set(track.parked.map(({ lsn }) => lsn));
  const fold = new DocumentFold({ feed, projection: track.projection, key, onError, report, signal });
  // Most of it while the others are served.
  await fold.foldThrough(track.lsn, parked());
  const release = hold();
  try {
    await fold.foldThrough(track.lsn, parked());
    await whenStill();
    const stillParked = parked();
    const isOfThisState = currentTrack() === track && track.startCount === startCount;
    if (!isOfThisState || !fold.leftOut.every((lsn) => stillParked.has(lsn))) return null;
    track.takeDocument(fold.state, key);
    return track.lsn;
  } finally {
    release();
  }
}

function checkedSignal(options: RebuildDocumentOptions): AbortSignal | null {
  if (typeof options !== "object" || options === null) throw new TypeError("the options must be an object");
  checkOptionNames(options, ["signal"], "rebuildDocument");
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new TypeError("option signal must be an AbortSignal");
  return signal ?? null;
}

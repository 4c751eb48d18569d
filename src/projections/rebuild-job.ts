/**
 * A rebuild in a thread or a process of its own: reads the log as any reader does, takes no place among the writers, and leaves the new
 * state as `v<version>.ready` for whoever runs the projection.
 */

import { isStoreError, StoreError } from "../errors.js";
import {
  checkDirectory,
  checkOptionNames,
  choiceOption,
  type EncryptionOptions,
  EventReader,
  type RecordedEvent,
} from "../events/index.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";
import { type Projection, validateProjection } from "./projection.js";
import { reactionLimit } from "./reactions.js";
import { Rebuild } from "./rebuild.js";
import { type RebuildOptions, type RebuildReport, type RebuildSettings, rebuildSettingsOf } from "./rebuild-options.js";
import { FAILURE_POLICIES, type FailurePolicy, type ProjectionReport } from "./runner-options.js";

const CHECKPOINT_EVERY_EVENTS = 1_000_000;
// How much is left to whoever goes over to the state; it folds that on its own loop.
const REMAINING_EVENTS_MAX = 1000;

/** How a projection is rebuilt that runs elsewhere, or nowhere. */
export interface RebuildJobOptions extends Omit<RebuildOptions, "in"> {
  /** .proto files whose message types the events have. */
  readonly schemas?: readonly string[];
  /** The keys of a store that is encrypted. */
  readonly encryption?: EncryptionOptions | null;
  /** What to do when `apply` throws, as `store.project` was told. Default `"stop"`. */
  readonly onError?: FailurePolicy;
  /** How many LSNs are passed between two saves, from which an interrupted rebuild goes on. Default 1,000,000. */
  readonly checkpointEveryEvents?: number;
  /** The signal interrupts it as a kill would, and the next one goes on from there. Default false: it cancels. */
  readonly keepOnAbort?: boolean;
  readonly onReport?: (report: ProjectionReport) => void;
}

const OWN_OPTIONS = ["schemas", "encryption", "onError", "checkpointEveryEvents", "keepOnAbort", "onReport"];

/**
 * Rebuilds a projection from the log in this thread, for a store that is open elsewhere or nowhere. Nothing but the projection's directory is
 * written. A store that runs this version of the projection goes over to the new state within a second; one that will, begins with it.
 *
 * Killed, it is gone on with by the next one, unless `fresh`; cancelled by the signal, nothing is left of it, unless `keepOnAbort`.
 *
 * @throws TypeError for a wrong definition or option
 * @throws StoreError `ERR_PROJECTION_REBUILDING` when somebody rebuilds it already, `ERR_PROJECTION_FAILED` when `apply` throws under the policy
 *   "stop", `ERR_PROJECTION_CHECKPOINT` when the state cannot be written, and what `openReader` throws
 *
 * @example
 * ```ts
 * const { lsn, durationMs } = await rebuildProjection("./bank", balances);
 * ```
 */
export async function rebuildProjection<State, Event extends RecordedEvent = RecordedEvent>(
  storeDirectory: string,
  projection: Projection<State, Event>,
  options: RebuildJobOptions = {},
): Promise<RebuildReport> {
  checkDirectory(storeDirectory);
  validateProjection(projection);
  const { settings, encryption, schemas, keepOnAbort, ...own } = checkedJobOptions(options);
  const startedMs = performance.now();
  const reader = await EventReader.open(storeDirectory, schemas, graphEventCodecs, encryption);
  try {
    const directory = new CheckpointDirectory(reader.directory, projection.name);
    const tellProgress = settings.onProgress;
    const feed = reader as unknown as EventFeed<Event>;
    const reacts = projection.react !== undefined;
    const limit = async (): Promise<number> => (reacts ? reactionLimit(directory, reader) : Number.POSITIVE_INFINITY);
    const parts = { ...own, feed, directory, projection, ...settings, tellProgress, limit };
    const rebuild = await Rebuild.begin(parts);
    const signal = settings.signal ?? new AbortController().signal;
    try {
      await buildReady(reader, rebuild, directory, limit, signal);
    } catch (error) {
      const isGivenUp = isStoreError(error, "ERR_PROJECTION_FAILED") || (signal.aborted && !keepOnAbort);
      await rebuild.end(isGivenUp ? "given-up" : "interrupted");
      throw error;
    }
    rebuild.handOver();
    const durationMs = Math.round(performance.now() - startedMs);
    return { fromLsn: rebuild.startLsn, lsn: rebuild.track.lsn, durationMs };
  } finally {
    await reader.close();
  }
}

/** Folds to the end of the log as it is by then, and puts the state where it is looked for. */
async function buildReady<State, Event extends FeedEvent>(
  reader: EventReader,
  rebuild: Rebuild<State, Event>,
  directory: CheckpointDirectory,
  limit: () => Promise<number>,
  signal: AbortSignal,
): Promise<void> {
  const { track, keeper } = rebuild;
  for (;;) {
    await reader.refresh();
    await rebuild.approach(0, signal);
    await reader.refresh();
    // Those who append meanwhile are not run after for ever: who goes over to the state folds what is left.
    if (Math.min(reader.watermark, await limit()) - track.lsn > REMAINING_EVENTS_MAX) continue;
    const file = directory.readyOf(track.projection.version);
    keeper.moveTo(file);
    await keeper.save();
    await reader.refresh();
    if (!track.hasForgotten((keyId) => reader.isForgotten(keyId))) return;
    // Forgotten between the last event and now: the file that was looked for then was not there yet.
    await directory.remove([file]);
    keeper.startAt(directory.rebuildOf(track.projection.version));
    await rebuild.startOver();
  }
}

/** The options, checked and complete. @throws TypeError */
export function checkedJobOptions(
  options: RebuildJobOptions,
  where?: string,
  names?: readonly string[],
): {
  readonly settings: RebuildSettings;
  readonly encryption: EncryptionOptions | null;
  readonly schemas: readonly string[];
  readonly keepOnAbort: boolean;
  readonly onError: FailurePolicy;
  readonly checkpointEveryEvents: number;
  readonly report: (report: ProjectionReport) => void;
} {
  if (typeof options !== "object" || options === null) throw new TypeError("the options must be an object");
  if (where !== undefined && names !== undefined) checkOptionNames(options, names, where);
  const {
    schemas = [],
    encryption = null,
    onError,
    checkpointEveryEvents = CHECKPOINT_EVERY_EVENTS,
    onReport,
  } = options;
  const { keepOnAbort = false } = options;
  if (typeof keepOnAbort !== "boolean") throw new TypeError("option keepOnAbort must be true or false");
  const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !OWN_OPTIONS.includes(name)));
  const settings = rebuildSettingsOf(rest);
  if (settings.in !== null) throw new TypeError("option in is for a projection that runs");
  if (!Number.isSafeInteger(checkpointEveryEvents) || checkpointEveryEvents < 1)
    throw new TypeError("option checkpointEveryEvents must be a positive integer");
  if (onReport !== undefined && typeof onReport !== "function")
    throw new TypeError("option onReport must be a function");
  return {
    settings,
    encryption,
    schemas,
    keepOnAbort,
    onError: choiceOption(onError, "onError", FAILURE_POLICIES, "stop"),
    checkpointEveryEvents,
    report: (report) => onReport?.(report),
  };
}

/** Loads a module, and finds the one projection of this name (and version) that it exports; without a name, the only one. */
export async function loadProjection(
  module: URL,
  wanted: { readonly name?: string; readonly version?: number } = {},
): Promise<Projection<unknown>> {
  const refuse = (message: string, cause?: unknown): StoreError =>
    new StoreError("ERR_PROJECTION_MODULE", `${module.href}: ${message}`, { module: module.href }, { cause });
  let exported: Record<string, unknown>;
  try {
    exported = (await import(module.href)) as Record<string, unknown>;
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const { name, version } = wanted;
  const found = new Set(Object.values(exported).filter(isProjection));
  const fitting = [...found].filter(
    (projection) =>
      (name === undefined || projection.name === name) && (version === undefined || projection.version === version),
  );
  const [only] = fitting;
  if (fitting.length === 1 && only !== undefined) return only;
  const what =
    name === undefined ? "projection" : `projection "${name}"${version === undefined ? "" : ` of version ${version}`}`;
  const names = [...found].map((projection) => `${projection.name} v${projection.version}`).join(", ");
  const inside = found.size === 0 ? "it exports no projection" : `it exports ${names}`;
  throw refuse(
    fitting.length === 0 ? `it has no ${what}: ${inside}` : `it has more than one ${what}: ${inside}; say which`,
  );
}

function isProjection(value: unknown): value is Projection<unknown> {
  if (typeof value !== "object" || value === null || !("apply" in value) || !("handles" in value)) return false;
  try {
    validateProjection(value as Projection<unknown>);
    return true;
  } catch {
    return false;
  }
}

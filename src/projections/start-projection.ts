/** The way in: checks what the caller gave, loads the checkpoint, and sets the runner going. */

import { StoreError } from "../errors.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import { CheckpointKeeper } from "./checkpoint-keeper.js";
import { PAUSED_MARKER } from "./control-watch.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import { type Projection, validateProjection } from "./projection.js";
import { Reactions } from "./reactions.js";
import { ProjectionRunner } from "./runner.js";
import { type ProjectionReport, type RunnerOptions, settingsOf } from "./runner-options.js";
import { findStart } from "./runner-start.js";
import { Track } from "./track.js";

// Two runners of one name on one open store would overwrite each other's checkpoint. Those of other writers do, and are not kept from
// it: a checkpoint is believed only when it is whole, so at worst a save fails and more is replayed. Read-only openers save nothing.
const runningNames = new WeakMap<object, Set<string>>();

/**
 * Starts a projection on a store and resolves once its checkpoint, if there is a usable one, is loaded. It then catches
 * up in the background; `whenCaughtUp()` waits for that.
 *
 * Rejects with `TypeError` for a definition or option that is not what it should be, and with ERR_PROJECTION_RUNNING when
 * a projection of this name already runs on this store.
 *
 * @example
 * ```ts
 * await using balances = await startProjection(store, balancesProjection, { onError: "park" });
 * const { lsn } = await store.append("account-42", [deposited]);
 * await balances.whenProcessed(lsn);
 * balances.state.get("account-42");
 * ```
 */
export async function startProjection<State, Event extends FeedEvent>(
  feed: EventFeed<Event>,
  projection: Projection<State, Event>,
  options: RunnerOptions<State, Event> = {},
): Promise<ProjectionRunner<State, Event>> {
  validateProjection(projection);
  const settings = settingsOf(projection, options);
  // Listeners run outside of the loop that feeds, so that one that throws is not taken for a failing projection.
  const report = (event: ProjectionReport): void => queueMicrotask(() => settings.onReport(event));
  const release = claimName(feed, projection.name);
  try {
    const directory = new CheckpointDirectory(feed.directory, projection.name);
    if (!feed.readOnly) await directory.removeTemporaryFiles();
    const { current, previous, recovery, otherFiles, startFile, chain } = await findStart(
      feed,
      projection,
      settings.previous,
      directory,
    );
    const forgotten = recovery.refused.filter(({ reason }) => reason === "forgotten").map(({ file }) => file);
    if (!feed.readOnly) await directory.remove(forgotten);
    for (const refused of recovery.refused) report({ kind: "checkpoint-refused", ...refused });

    const track = new Track(projection, current, settings.onError, report);
    const older = previous === null ? null : new Track(previous.projection, previous.start, settings.onError, report);
    const reacts = projection.react !== undefined && !feed.readOnly;
    const reactions = reacts ? await Reactions.load(directory, projection.name, feed) : null;
    const keeper = new CheckpointKeeper({
      directory,
      track,
      file: startFile,
      chain,
      storeId: feed.storeId ?? null,
      ciphers: feed.stateCiphers ?? null,
      savedLsn: recovery.from === "checkpoint" ? recovery.lsn : 0,
      otherFiles,
      everyEvents: settings.checkpointEveryEvents,
      ...(reactions !== null && { beforeSave: () => reactions.settle() }),
    });
    const { onProgress } = settings;
    const isPaused = !feed.readOnly && (await directory.names()).includes(PAUSED_MARKER);
    return new ProjectionRunner({
      feed,
      directory,
      settings,
      reactions,
      isPaused,
      current: track,
      previous: older,
      keeper: feed.readOnly ? null : keeper,
      recovery,
      report,
      tellProgress: onProgress === null ? null : (progress) => queueMicrotask(() => onProgress(progress)),
      release,
    });
  } catch (error) {
    release();
    throw error;
  }
}

/** Takes a name on an open store, for one at a time. Throws ERR_PROJECTION_RUNNING. */
export function claimName(feed: { readonly readOnly: boolean }, name: string): () => void {
  if (feed.readOnly) return () => undefined;
  const names = runningNames.get(feed) ?? new Set();
  runningNames.set(feed, names);
  if (names.has(name)) {
    throw new StoreError("ERR_PROJECTION_RUNNING", `a projection "${name}" already runs on this store`, {
      projection: name,
    });
  }
  names.add(name);
  return () => names.delete(name);
}

/** Where a projection begins: at its own checkpoint, at zero, and with or without an older version that serves. */

import type { CheckpointDirectory } from "./checkpoint-directory.js";
import type { Refusal } from "./checkpoint-file.js";
import type { CheckpointFacts, Witness } from "./checkpoint-format.js";
import { type PartChain, type RefusedCheckpoint, readState } from "./checkpoint-parts.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { Projection } from "./projection.js";
import { traces } from "./subject-traces.js";
import type { TrackStart } from "./track.js";

/** What starting found. */
export interface ProjectionRecovery {
  /** Whether the state came from this version's checkpoint, or is rebuilt from the first event on. */
  readonly from: "checkpoint" | "zero";
  /** The LSN that the state began at. */
  readonly lsn: number;
  /** The version that serves until this one has caught up; null when this one serves at once. */
  readonly servedByVersion: number | null;
  readonly refused: readonly RefusedCheckpoint[];
}

export interface RunnerStart<State, Event extends FeedEvent> {
  readonly current: TrackStart<State>;
  readonly previous: { readonly projection: Projection<State, Event>; readonly start: TrackStart<State> } | null;
  readonly recovery: ProjectionRecovery;
  /** Checkpoints of other versions, to be removed once this one has caught up and is safe on disk. */
  readonly otherFiles: readonly string[];
  /** Where the state came from, if that is not the checkpoint's place: it is to take it. */
  readonly startFile: string;
  /** What lies there, for changes to follow it. */
  readonly chain: PartChain | null;
}

/** Reads what there is of checkpoints. Nothing in them makes this fail; what is refused is in the recovery. */
export async function findStart<State, Event extends FeedEvent>(
  feed: EventFeed<Event>,
  projection: Projection<State, Event>,
  previous: Projection<State, Event> | null,
  checkpoints: CheckpointDirectory,
): Promise<RunnerStart<State, Event>> {
  const refused: RefusedCheckpoint[] = [];
  let chain: PartChain | null = null;

  const read = async (definition: Projection<State, Event>, file: string): Promise<TrackStart<State> | null> => {
    const judged = (facts: CheckpointFacts): Promise<Refusal | null> => judge(facts, definition, feed);
    const found = await readState(file, definition, judged, feed.stateCiphers ?? null);
    const { reading } = found;
    refused.push(...found.refused);
    if (reading.kind === "refused") refused.push({ file, reason: reading.reason, message: reading.message });
    if (definition === projection) chain = found.chain;
    return reading.kind === "usable" ? { ...reading.facts, state: reading.state } : null;
  };

  const { version } = projection;
  let startFile = checkpoints.fileOf(version);
  let own = await read(projection, startFile);
  if (own === null) {
    // Rebuilt before this version came to run here. With a checkpoint, the runner finds it and goes over.
    own = await read(projection, checkpoints.readyOf(version));
    chain = null;
    if (own !== null) startFile = checkpoints.readyOf(version);
  }
  const olderState = previous === null ? null : await read(previous, checkpoints.fileOf(previous.version));
  const older = previous === null || olderState === null ? null : { projection: previous, start: olderState };
  const otherFiles = await checkpoints.otherThan(projection.version);
  for (const file of otherFiles) {
    if (previous !== null && file === checkpoints.fileOf(previous.version)) continue;
    refused.push({ file, reason: "other-version", message: `the projection is of version ${projection.version} now` });
  }
  const current = own ?? { state: projection.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
  const recovery: ProjectionRecovery = {
    from: own === null ? "zero" : "checkpoint",
    lsn: current.lsn,
    servedByVersion: older?.projection.version ?? null,
    refused,
  };
  otherFiles.push(...(await checkpoints.staleRebuilds(version)));
  return { current, previous: older, recovery, otherFiles, startFile, chain };
}

/** Why a checkpoint with these facts is not to be used for this projection on this store; null: it is. */
export async function judge<State, Event extends FeedEvent>(
  facts: CheckpointFacts,
  projection: Projection<State, Event>,
  feed: EventFeed<Event>,
): Promise<Refusal | null> {
  if (facts.name !== projection.name) {
    return { reason: "other-projection", message: `it is of the projection "${facts.name}"` };
  }
  if (facts.version !== projection.version) {
    return { reason: "other-version", message: `it is of version ${facts.version}` };
  }
  if (facts.storeId !== (feed.storeId ?? null)) {
    return { reason: "other-store", message: "it was made from another store" };
  }
  if (facts.lsn > feed.watermark) {
    const message = `its LSN ${facts.lsn} lies above the watermark ${feed.watermark}: the store is an older one`;
    return { reason: "above-watermark", message };
  }
  const { subjectKeys } = facts;
  if (
    subjectKeys !== undefined &&
    subjectKeys !== "many" &&
    traces(subjectKeys, (id) => feed.isForgotten?.(id) === true)
  ) {
    return { reason: "forgotten", message: "it has something of a subject that was forgotten since" };
  }
  if (facts.witness === null || (await recordedDifferently(facts.witness, feed)) === false) return null;
  return { reason: "other-history", message: `the log went on differently before LSN ${facts.witness.lsn}` };
}

/** Whether the event at that LSN is another one now. Of an event that was removed nothing can be told. */
async function recordedDifferently(witness: Witness, feed: EventFeed<FeedEvent>): Promise<boolean> {
  for await (const [first] of feed.readBatches(witness.lsn - 1)) {
    if (first !== undefined) return first.lsn === witness.lsn && first.recordedAt !== witness.recordedAt;
  }
  return false;
}

/** What can be told of a store's projections from their files alone, without their code, and beside whoever runs them. */

import { stat } from "node:fs/promises";
import { StoreError } from "../errors.js";
import { checkDirectory, isStore, type StateCiphers } from "../events/index.js";
import { CheckpointDirectory, type StateFile } from "./checkpoint-directory.js";
import { type RefusalReason, readCheckpoint } from "./checkpoint-file.js";
import type { CheckpointFacts, ParkedEvent } from "./checkpoint-format.js";
import { newestFacts } from "./checkpoint-parts.js";
import { PAUSED_MARKER } from "./control-watch.js";
import { projectionNames } from "./drop-checkpoints.js";
import { removeMarker, writeMarker } from "./marker-file.js";
import { isBeingRebuilt, REBUILD_LOCK } from "./rebuild-lock.js";

/** A state on disk. */
export interface SavedState {
  /** `checkpoint`: the next start begins at it. `rebuild`: of a rebuild that is under way, or was interrupted. `ready`: of one that is done. */
  readonly kind: Exclude<StateFile["kind"], "history">;
  readonly version: number;
  readonly bytes: number;
  /** The LSN that the state reflects; null where the file cannot be believed. */
  readonly lsn: number | null;
  /** How many LSNs of the store it is behind. */
  readonly lag: number | null;
  readonly skippedEvents: number | null;
  readonly parked: readonly ParkedEvent[];
  /** Why the file is not believed; null: its facts are. Whether its state can be decoded only its code knows. */
  readonly refused: { readonly reason: RefusalReason; readonly message: string } | null;
}

/** A projection as its directory shows it. */
export interface ProjectionFiles {
  readonly name: string;
  readonly isPaused: boolean;
  /** Whether somebody rebuilds it at this moment, in whatever process. */
  readonly isBeingRebuilt: boolean;
  /** Newest version first. */
  readonly states: readonly SavedState[];
}

/** What is needed of a store to judge its files. */
export interface ProjectionFilesStore {
  readonly directory: string;
  readonly watermark: number;
  readonly storeId: string;
  readonly stateCiphers?: StateCiphers | null;
}

const NAME = /^[a-z0-9-]{1,64}$/;

/** All projections that have files in a store, by name. */
export async function listProjections(store: ProjectionFilesStore): Promise<ProjectionFiles[]> {
  const names = (await projectionNames(store.directory)).filter((name) => NAME.test(name));
  const listed: ProjectionFiles[] = [];
  for (const name of names) {
    const found = await describe(store, name);
    // A directory with nothing but snapshots is an aggregate's.
    if (found.states.length > 0 || found.isPaused || found.isBeingRebuilt) listed.push(found);
  }
  return listed;
}

/** One of them. Throws ERR_PROJECTION_NOT_FOUND. */
export async function findProjection(store: ProjectionFilesStore, name: string): Promise<ProjectionFiles> {
  await requireProjection(store.directory, name);
  return describe(store, name);
}

/**
 * Has every process that runs this projection on the store stand still (`true`) or go on, within half a second, and those that start it later:
 * by a file in its directory. Resolves when that is durable, and does not wait for them.
 *
 * @throws StoreError `ERR_STORE_NOT_FOUND`, `ERR_PROJECTION_NOT_FOUND`, `ERR_IO_FAILED`
 */
export async function setProjectionPaused(storeDirectory: string, name: string, isPaused: boolean): Promise<void> {
  checkDirectory(storeDirectory);
  if (!isStore(storeDirectory)) {
    const details = { directory: storeDirectory };
    throw new StoreError("ERR_STORE_NOT_FOUND", `there is no store in ${storeDirectory}`, details);
  }
  const { path } = await requireProjection(storeDirectory, name);
  try {
    if (isPaused) await writeMarker(path, PAUSED_MARKER, `${new Date().toISOString()}\n`);
    else await removeMarker(path, PAUSED_MARKER);
  } catch (cause) {
    throw new StoreError("ERR_IO_FAILED", `${path} cannot be written to`, { file: path }, { cause });
  }
}

async function requireProjection(storeDirectory: string, name: string): Promise<CheckpointDirectory> {
  const isKnown = NAME.test(name) && (await projectionNames(storeDirectory)).includes(name);
  if (isKnown) return new CheckpointDirectory(storeDirectory, name);
  throw new StoreError("ERR_PROJECTION_NOT_FOUND", `no projection "${name}" has ever been saved in this store`, {
    projection: name,
  });
}

async function describe(store: ProjectionFilesStore, name: string): Promise<ProjectionFiles> {
  const directory = new CheckpointDirectory(store.directory, name);
  const names = await directory.names();
  const states: SavedState[] = [];
  for (const file of await directory.states()) {
    const { kind } = file;
    if (file.part > 0 || kind === "history") continue; // belongs to the checkpoint
    const state = await inspect(store, name, { ...file, kind });
    if (state !== null) states.push(state);
  }
  states.sort((a, b) => b.version - a.version || a.kind.localeCompare(b.kind));
  return {
    name,
    isPaused: names.includes(PAUSED_MARKER),
    isBeingRebuilt: names.includes(REBUILD_LOCK) && isBeingRebuilt(directory),
    states,
  };
}

/** Null: it has gone meanwhile. */
async function inspect(
  store: ProjectionFilesStore,
  name: string,
  file: StateFile & Pick<SavedState, "kind">,
): Promise<SavedState | null> {
  const { kind, version, path } = file;
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  let facts: CheckpointFacts | null = null;
  const reading = await readCheckpoint(
    path,
    async (read) => {
      facts = read;
      // The state is for its own code to decode.
      return { reason: "not-decodable", message: "" };
    },
    () => null,
    store.stateCiphers ?? null,
  );
  if (reading.kind === "absent") return null;
  const bytes = found.size;
  const unknown = { kind, version, bytes, lsn: null, lag: null, skippedEvents: null, parked: [] };
  const believed = facts as CheckpointFacts | null;
  if (believed === null) {
    return reading.kind === "refused"
      ? { ...unknown, refused: { reason: reading.reason, message: reading.message } }
      : null;
  }
  const refused = judgeFacts(store, name, version, believed);
  if (refused !== null) return { ...unknown, refused };
  const newest = believed.part === undefined ? null : await newestFacts(path, store.stateCiphers ?? null);
  const { lsn, skippedEvents, parked } = newest?.facts ?? believed;
  return {
    kind,
    version,
    bytes: newest?.bytes ?? bytes,
    lsn,
    lag: Math.max(0, store.watermark - lsn),
    skippedEvents,
    parked,
    refused: null,
  };
}

function judgeFacts(
  store: ProjectionFilesStore,
  name: string,
  version: number,
  facts: CheckpointFacts,
): SavedState["refused"] {
  if (facts.name !== name) return { reason: "other-projection", message: `it is of the projection "${facts.name}"` };
  if (facts.version !== version) return { reason: "other-version", message: `it is of version ${facts.version}` };
  if (facts.storeId !== store.storeId) return { reason: "other-store", message: "it was made from another store" };
  return null;
}

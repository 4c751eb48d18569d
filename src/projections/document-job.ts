/**
 * The rebuild of one document from outside, for a store that is open elsewhere or nowhere: the saved state with that document anew, left as
 * `v<version>.ready` for whoever runs the projection, as `rebuild-job.ts` does with a whole state.
 */

import { StoreError } from "../errors.js";
import { checkDirectory, EventReader, type RecordedEvent } from "../events/index.js";
import { CheckpointDirectory } from "./checkpoint-directory.js";
import { CheckpointKeeper } from "./checkpoint-keeper.js";
import { DocumentFold, documentsOf } from "./document-fold.js";
import type { EventFeed } from "./event-feed.js";
import { graphEventCodecs } from "./graph/graph-event-codec.js";
import { type Projection, validateProjection } from "./projection.js";
import { readState } from "./rebuild.js";
import { checkedJobOptions, type RebuildJobOptions } from "./rebuild-job.js";
import { takeRebuildLock } from "./rebuild-lock.js";
import type { RebuildReport } from "./rebuild-options.js";
import { Track } from "./track.js";

/** How one document is rebuilt of a projection that runs elsewhere, or nowhere. */
export type RebuildDocumentJobOptions = Pick<
  RebuildJobOptions,
  "schemas" | "encryption" | "onError" | "signal" | "onReport"
>;

/**
 * Folds one document of `singleStream` or `multiStream` anew, by its key, and leaves the saved state with it for whoever runs the projection: a
 * store that runs this version goes over to it within a second, one that will, soon after its start. The other documents are as they were
 * saved; what has come since is folded by who goes over.
 *
 * @throws TypeError for a wrong definition, key or option, and a projection without documents
 * @throws StoreError `ERR_PROJECTION_NOT_FOUND` when no usable state of this version is saved, `ERR_PROJECTION_REBUILDING`,
 *   `ERR_PROJECTION_FAILED`, `ERR_PROJECTION_CHECKPOINT`, and what `openReader` throws: everything is as it was
 *
 * @example
 * ```ts
 * const { lsn } = await rebuildDocument("./shop", orders, "order-7");
 * ```
 */
export async function rebuildDocument<State, Event extends RecordedEvent = RecordedEvent>(
  storeDirectory: string,
  projection: Projection<State, Event>,
  key: string,
  options: RebuildDocumentJobOptions = {},
): Promise<RebuildReport> {
  checkDirectory(storeDirectory);
  validateProjection(projection);
  documentsOf(projection, key);
  const { settings, encryption, schemas, onError, report } = checkedJobOptions(options, "rebuildDocument", [
    ...["schemas", "encryption", "onError", "signal", "onReport"],
  ]);
  const signal = settings.signal ?? new AbortController().signal;
  const startedMs = performance.now();
  const reader = await EventReader.open(storeDirectory, schemas, graphEventCodecs, encryption);
  const directory = new CheckpointDirectory(reader.directory, projection.name);
  try {
    signal.throwIfAborted();
    const lock = await takeRebuildLock(directory, projection.name);
    try {
      const feed = reader as unknown as EventFeed<Event>;
      const lsn = await writeReady({ feed, directory, projection, key, onError, report, signal }, reader);
      return { fromLsn: 0, lsn, durationMs: Math.round(performance.now() - startedMs) };
    } finally {
      lock.release();
    }
  } finally {
    await reader.close();
  }
}

type Parts<State, Event extends RecordedEvent> = ConstructorParameters<typeof DocumentFold<State, Event>>[0] & {
  readonly directory: CheckpointDirectory;
};

async function writeReady<State, Event extends RecordedEvent>(
  parts: Parts<State, Event>,
  reader: EventReader,
): Promise<number> {
  const { feed, directory, projection, key, onError, report } = parts;
  const { version } = projection;
  await directory.removeTemporaryFiles();
  for (;;) {
    await reader.refresh();
    // One that waits to be gone over to is newer than the checkpoint.
    const file = directory.readyOf(version);
    const start = (await readState(parts, file)) ?? (await readState(parts, directory.fileOf(version)));
    if (start === null) throw nothingSaved(projection);
    const track = new Track(projection, start, onError, report);
    const fold = new DocumentFold(parts);
    await fold.foldThrough(track.lsn, new Set(track.parked.map(({ lsn }) => lsn)));
    track.takeDocument(fold.state, key);
    const keeper = new CheckpointKeeper({
      ...{ directory, track, file, savedLsn: track.lsn, otherFiles: [], everyEvents: Number.POSITIVE_INFINITY },
      storeId: feed.storeId ?? null,
      ciphers: feed.stateCiphers ?? null,
    });
    keeper.touch();
    await keeper.save();
    await reader.refresh();
    if (!track.hasForgotten((keyId) => reader.isForgotten(keyId))) return track.lsn;
    // Forgotten while it was written, and it was not there yet when its traces were looked for.
    await directory.remove([file]);
  }
}

function nothingSaved({ name, version }: { readonly name: string; readonly version: number }): StoreError {
  const message = `projection "${name}" has no saved state of version ${version} that can be used: rebuild the whole`;
  return new StoreError("ERR_PROJECTION_NOT_FOUND", message, { projection: name, version });
}

/**
 * Keeping the states of single streams, and believing none that is not the fold of exactly what a reader sees of the stream now.
 *
 * A snapshot is a file in the format of checkpoints, and derived: whatever is wrong with it, the stream is folded from its events. So it is refused
 * when the stream was truncated, deleted or aged since (an event that it holds is hidden), when it shows events again that were hidden, when
 * the log was truncated above its first event, when it has something of a subject that was forgotten, and when it lies above what is visible.
 * Its last event is read with those after it: the log must still have it at the same LSN and time.
 *
 * Written behind the caller's back, whose state may change as soon as it has it: the bytes are made before. At most SNAPSHOT_WRITES_MAX are
 * being written; one that would be more is left out, and comes with a later fold. Several writers may write one stream's snapshot: whichever
 * has its name last is as good as the other.
 */

import { StoreError } from "../errors.js";
import type { StateCiphers, StreamStanding } from "../events/index.js";
import type { CheckedSnapshotPolicy } from "./aggregate.js";
import { type Refusal, type RefusalReason, readCheckpoint, writeCheckpoint } from "./checkpoint-file.js";
import type { CheckpointFacts, FirstEvent, SnapshotFacts, Witness } from "./checkpoint-format.js";
import { SnapshotDirectory } from "./snapshot-directory.js";
import { type SubjectTrace, traces } from "./subject-traces.js";

export const SNAPSHOT_WRITES_MAX = 16;

/** What keeping snapshots needs of a store. */
export interface SnapshotPlace {
  readonly directory: string;
  readonly storeId: string;
  readonly readOnly: boolean;
  readonly watermark: number;
  /** The last LSN that a truncation of the log has dropped. */
  readonly horizon: number;
  readonly stateCiphers: StateCiphers | null;
  isForgotten(keyId: string): boolean;
}

/** Which state is wanted. */
export interface SnapshotWish<State> {
  readonly stream: string;
  readonly policy: CheckedSnapshotPolicy<State>;
  readonly standing: StreamStanding;
  /** The last version that may be in it. */
  readonly through: number;
}

/** A fold that is not at its stream's beginning. */
export interface FoldStart<State> {
  readonly state: State;
  readonly version: number;
  readonly first: FirstEvent;
  readonly last: Witness;
  readonly subjectKeys: SubjectTrace;
}

/** Refusals that tell of more than the passing of time. */
const WORTH_A_WARNING: readonly RefusalReason[] = ["damaged", "tampered", "unreadable", "not-decodable"];

export class StreamSnapshots {
  readonly #place: SnapshotPlace;
  readonly #writes = new Map<string, Promise<void>>();
  readonly #sweptNames = new Set<string>();

  constructor(place: SnapshotPlace) {
    this.#place = place;
  }

  /** The newest usable state of the stream up to a version, or null. Its last event is still to be compared with the log's. */
  async find<State>(wish: SnapshotWish<State>): Promise<FoldStart<State> | null> {
    const { stream, policy } = wish;
    const directory = new SnapshotDirectory(this.#place.directory, policy.name);
    const file = directory.fileOf(stream);
    const reading = await readCheckpoint(
      file,
      async (facts) => this.#judge(facts, wish),
      async (chunks) => {
        const parts: Uint8Array[] = [];
        for await (const chunk of chunks) parts.push(chunk);
        return policy.codec.decode(parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts));
      },
      this.#place.stateCiphers,
    );
    if (reading.kind === "absent") return null;
    if (reading.kind === "refused") {
      await this.#dismiss(file, directory, reading);
      return null;
    }
    const { witness, snapshot, subjectKeys = [] } = reading.facts;
    const { streamVersion: version, first } = snapshot as SnapshotFacts;
    return { state: reading.state, version, first, last: witness as Witness, subjectKeys };
  }

  async #dismiss(file: string, directory: SnapshotDirectory, { reason, message }: Refusal): Promise<void> {
    // Other refused ones are replaced by the next that is written; this one must not wait for it.
    if (reason === "forgotten" && !this.#place.readOnly) await directory.remove([file]);
    if (!WORTH_A_WARNING.includes(reason)) return;
    process.emitWarning(`the snapshot ${file} is not used: ${message}`, { type: "VarveWarning" });
  }

  #judge<State>(facts: CheckpointFacts, { stream, policy, standing, through }: SnapshotWish<State>): Refusal | null {
    const { snapshot } = facts;
    if (facts.name !== policy.name || snapshot?.stream !== stream || facts.witness === null) {
      return { reason: "other-projection", message: "it is of another stream or aggregate" };
    }
    if (facts.version !== policy.version)
      return { reason: "other-version", message: `it is of version ${facts.version}` };
    if (facts.storeId !== this.#place.storeId)
      return { reason: "other-store", message: "it was made from another store" };
    if (facts.lsn > this.#place.watermark || snapshot.streamVersion > through) {
      return { reason: "above-watermark", message: "it lies above what is asked for" };
    }
    if (traces(facts.subjectKeys ?? [], (id) => this.#place.isForgotten(id))) {
      return { reason: "forgotten", message: "it has something of a subject that was forgotten since" };
    }
    return isOfSameEvents(snapshot, standing, this.#place.horizon)
      ? null
      : { reason: "other-events", message: "the stream has lost events since, or shows some again" };
  }

  /** Writes a snapshot some time, or not. `bytes` are not changed any more. */
  save<State>(
    { stream, policy, standing }: SnapshotWish<State>,
    { version, first, last, subjectKeys }: Omit<FoldStart<State>, "state">,
    bytes: Uint8Array,
  ): void {
    const directory = new SnapshotDirectory(this.#place.directory, policy.name);
    const file = directory.fileOf(stream);
    if (this.#writes.has(file) || this.#writes.size >= SNAPSHOT_WRITES_MAX) return;
    const { rest } = standing;
    const facts: CheckpointFacts = {
      name: policy.name,
      version: policy.version,
      lsn: last.lsn,
      witness: last,
      storeId: this.#place.storeId,
      skippedEvents: 0,
      parked: [],
      ...(subjectKeys.length > 0 && { subjectKeys }),
      snapshot: {
        stream,
        streamVersion: version,
        first,
        firstVersion: rest.firstVersion,
        deletedLsn: rest.deletedLsn,
        oldestUs: Number.isFinite(rest.oldestUs) ? rest.oldestUs : null,
      },
    };
    const write = this.#write(directory, file, facts, bytes)
      .catch((cause: unknown) => policy.onError(writeFailure(stream, policy.name, cause)))
      .finally(() => this.#writes.delete(file));
    this.#writes.set(file, write);
  }

  async #write(directory: SnapshotDirectory, file: string, facts: CheckpointFacts, bytes: Uint8Array): Promise<void> {
    if (!this.#sweptNames.has(facts.name)) {
      this.#sweptNames.add(facts.name);
      await directory.removeTemporaryFiles();
    }
    await writeCheckpoint(file, facts, bytes, this.#place.stateCiphers);
    // The key goes before the files are looked through for it. So either they find this one, or it is known here by now.
    if (traces(facts.subjectKeys ?? [], (id) => this.#place.isForgotten(id))) await directory.remove([file]);
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#writes.size > 0) await Promise.all(this.#writes.values());
  }
}

/** Whether the events that a snapshot is the fold of are those that a reader sees of the stream up to its version; pure. */
export function isOfSameEvents(
  snapshot: SnapshotFacts,
  { rest, version }: StreamStanding,
  horizonLsn: number,
): boolean {
  const { first, firstVersion, deletedLsn, oldestUs, streamVersion } = snapshot;
  if (streamVersion > version) return false;
  // A bound that went back shows events that are not in it.
  const isRelaxed =
    rest.firstVersion < firstVersion ||
    rest.deletedLsn < deletedLsn ||
    rest.oldestUs < (oldestUs ?? Number.NEGATIVE_INFINITY);
  if (isRelaxed) return false;
  // All bounds rise along the stream: where its first event is left, all are.
  return (
    rest.firstVersion <= first.version &&
    rest.deletedLsn < first.lsn &&
    rest.oldestUs <= first.recordedAt &&
    horizonLsn < first.lsn
  );
}

export function writeFailure(stream: string, name: string, cause: unknown): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `a snapshot "${name}" of stream ${stream} could not be written: ${reason}`;
  return new StoreError("ERR_PROJECTION_CHECKPOINT", message, { projection: name, stream }, { cause });
}

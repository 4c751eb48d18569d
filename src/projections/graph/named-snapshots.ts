/** Points with a name: pairs of a valid time and an LSN that were given one by an event, and keep it until another takes it away. */

import type { StoreErrorCode } from "../../errors.js";
import type { SnapshotNamedData } from "./snapshot-events.js";

/** A name for a point. */
export interface NamedSnapshot extends SnapshotNamedData {
  /** The LSN of the event that gave the name. */
  readonly namedBy: number;
}

const SNAPSHOTS_MAX = 10_000;

export class NamedSnapshots {
  readonly #byName = new Map<string, NamedSnapshot>();

  get(name: string): NamedSnapshot | undefined {
    return this.#byName.get(name);
  }

  /** In the order in which they were named. */
  list(): NamedSnapshot[] {
    return [...this.#byName.values()];
  }

  /** Why a name cannot be given by an event at the LSN after `lastLsn`, or null. */
  judgeNaming({ name, lsn }: SnapshotNamedData, lastLsn: number): StoreErrorCode | null {
    if (this.#byName.has(name)) return "ERR_GRAPH_SNAPSHOT_EXISTS";
    if (this.#byName.size >= SNAPSHOTS_MAX) return "ERR_GRAPH_FULL";
    // What is not yet written cannot be fixed by a name.
    return lsn > lastLsn ? "ERR_EVENTS_SCHEMA" : null;
  }

  judgeRemoval(name: string): StoreErrorCode | null {
    return this.#byName.has(name) ? null : "ERR_GRAPH_SNAPSHOT_NOT_FOUND";
  }

  add(snapshot: NamedSnapshot): void {
    this.#byName.set(snapshot.name, snapshot);
  }

  remove(name: string): void {
    this.#byName.delete(name);
  }
}

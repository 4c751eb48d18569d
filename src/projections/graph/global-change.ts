/** Events about the graph as a whole: a purge, names of points, and vectors. Each is judged at its own LSN, by the same lines as a command that is about to append it. */

import type { StoreErrorCode } from "../../errors.js";
import { readPurge } from "./graph-event-fields.js";
import {
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  VECTORS_DEFINED_TYPE,
  VECTORS_REMOVED_TYPE,
} from "./graph-event-kind.js";
import { judgePurge, purge } from "./graph-purge.js";
import type { GraphTables } from "./graph-tables.js";
import { readSnapshotNamed, readSnapshotRemoved } from "./snapshot-events.js";
import { isVectorsType, readVectorsDefined, readVectorsRemoved } from "./vector-events.js";

export interface GlobalChange {
  /** Why it is refused when it is recorded at that time, behind that LSN, or null. */
  judge(recordedAt: number, lastLsn: number): StoreErrorCode | null;
  /** Carries out what `judge` let pass, at its LSN. */
  write(lsn: number): void;
}

export const GLOBAL_TYPES: ReadonlySet<string> = new Set([
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  VECTORS_DEFINED_TYPE,
  VECTORS_REMOVED_TYPE,
]);

/** What an event of `GLOBAL_TYPES` says, or why its bytes say nothing. */
export function readGlobalChange(
  tables: GraphTables,
  type: string,
  bytes: Uint8Array,
  start: number,
  end: number,
): GlobalChange | StoreErrorCode {
  const { snapshots } = tables;
  if (isVectorsType(type)) return readVectorsChange(tables, type, bytes, start, end);
  if (type === PURGED_TYPE) {
    const recordedBefore = readPurge(bytes, start, end);
    if (typeof recordedBefore === "string") return recordedBefore;
    return {
      judge: (recordedAt) => judgePurge(tables, recordedBefore, recordedAt),
      write: () => purge(tables, recordedBefore),
    };
  }
  if (type === SNAPSHOT_NAMED_TYPE) {
    const named = readSnapshotNamed(bytes, start, end);
    if (typeof named === "string") return named;
    return {
      judge: (_, lastLsn) => snapshots.judgeNaming(named, lastLsn),
      write: (lsn) => snapshots.add({ ...named, namedBy: lsn }),
    };
  }
  const removed = readSnapshotRemoved(bytes, start, end);
  if (typeof removed === "string") return removed;
  return {
    judge: () => snapshots.judgeRemoval(removed.name),
    write: () => snapshots.remove(removed.name),
  };
}

function readVectorsChange(
  { vectors }: GraphTables,
  type: string,
  bytes: Uint8Array,
  start: number,
  end: number,
): GlobalChange | StoreErrorCode {
  if (type === VECTORS_DEFINED_TYPE) {
    const defined = readVectorsDefined(bytes, start, end);
    if (typeof defined === "string") return defined;
    return {
      judge: () => vectors.definitions.judgeAdding(defined),
      write: (lsn) => vectors.definitions.add({ ...defined, definedBy: lsn }),
    };
  }
  const removed = readVectorsRemoved(bytes, start, end);
  if (typeof removed === "string") return removed;
  return {
    judge: () => vectors.definitions.judgeRemoval(removed),
    write: () => vectors.remove(removed),
  };
}

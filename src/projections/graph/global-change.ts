/**
 * Events about the graph as a whole: a purge, names of points, constraints, vectors, and batches of changes. Each is judged at its own LSN, by the same
 * lines as a command that is about to append it.
 */

import type { StoreErrorCode } from "../../errors.js";
import { readBatch } from "./batch-events.js";
import { BatchRehearsal } from "./batch-rehearsal.js";
import { writeRehearsed } from "./batch-write.js";
import { brokenByNow } from "./constraint-check.js";
import { type GraphConstraint, readConstraint } from "./constraint-events.js";
import { readPurge } from "./graph-event-fields.js";
import {
  BATCH_TYPE,
  CONSTRAINT_ADDED_TYPE,
  CONSTRAINT_REMOVED_TYPE,
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  VECTORS_DEFINED_TYPE,
  VECTORS_REMOVED_TYPE,
} from "./graph-event-kind.js";
import { judgePurge, purge } from "./graph-purge.js";
import type { GraphTables } from "./graph-tables.js";
import type { Refused } from "./refusal.js";
import { readSnapshotNamed, readSnapshotRemoved } from "./snapshot-events.js";
import { isVectorsType, readVectorsDefined, readVectorsRemoved } from "./vector-events.js";

export interface GlobalChange {
  /** Why it is refused when it is recorded at that time, behind that LSN, or null. */
  judge(recordedAt: number, lastLsn: number): StoreErrorCode | Refused | null;
  /** Carries out what `judge` has just let pass, at its LSN. */
  write(lsn: number): void;
}

export const GLOBAL_TYPES: ReadonlySet<string> = new Set([
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  BATCH_TYPE,
  CONSTRAINT_ADDED_TYPE,
  CONSTRAINT_REMOVED_TYPE,
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
  if (type === BATCH_TYPE) return readBatchChange(tables, bytes, start, end);
  if (type === CONSTRAINT_ADDED_TYPE || type === CONSTRAINT_REMOVED_TYPE) {
    const constraint = readConstraint(bytes, start, end);
    if (typeof constraint === "string") return constraint;
    return type === CONSTRAINT_ADDED_TYPE
      ? constraintAdding(tables, constraint)
      : constraintRemoval(tables, constraint);
  }
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

function readBatchChange(
  tables: GraphTables,
  bytes: Uint8Array,
  start: number,
  end: number,
): GlobalChange | StoreErrorCode {
  const items = readBatch(bytes, start, end);
  if (typeof items === "string") return items;
  const rehearsal = new BatchRehearsal(tables);
  return {
    judge: (recordedAt) => rehearsal.run(items, recordedAt),
    write: (lsn) => writeRehearsed(tables, rehearsal, lsn),
  };
}

function constraintAdding(tables: GraphTables, constraint: GraphConstraint): GlobalChange {
  const { constraints } = tables;
  return {
    judge: (_, lastLsn) =>
      constraints.judgeAdding(constraint) ?? brokenByNow(tables, { ...constraint, addedBy: lastLsn + 1 }),
    write: (lsn) => constraints.add({ ...constraint, addedBy: lsn }),
  };
}

function constraintRemoval({ constraints }: GraphTables, constraint: GraphConstraint): GlobalChange {
  return {
    judge: () => constraints.judgeRemoval(constraint),
    write: () => constraints.remove(constraint),
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

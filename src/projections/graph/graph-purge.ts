/**
 * The purge: drops the versions (rectangles) that nobody sees who asks as of the horizon or later, and gives their memory back.
 *
 * - A rectangle goes when the event that took it away was recorded at or before the horizon. What is in force stays, however old it is, and so
 *   does every entity with its id, an edge with its label and ends: the rules about them must not change by a purge.
 * - It happens at the purge's own LSN, as a function of the state and the event: so replay, other processes and checkpoints agree.
 * - It goes over the whole graph once, and holds its properties twice while it copies those that stay.
 * - Of versions that lie in files it forgets the first rows; the next checkpoint writes those files anew without them. Where a file cannot be read
 *   that it has to ask, the graph goes on with what is in memory, and is rebuilt before it is saved again.
 */

import { isStoreError, type StoreErrorCode } from "../../errors.js";
import { Int32Column } from "./column.js";
import type { GraphTables } from "./graph-tables.js";
import { noteMovedLabels } from "./history-move.js";

/** Why a purge is refused that is recorded at that time, or null. The same horizon again changes nothing and is none. */
export function judgePurge(tables: GraphTables, recordedBefore: number, recordedAt: number): StoreErrorCode | null {
  const { before } = tables.purged;
  const goesBack = before !== null && recordedBefore < before;
  return goesBack || recordedBefore > recordedAt ? "ERR_GRAPH_HORIZON" : null;
}

/** Purges what `judgePurge` let pass. */
export function purge(tables: GraphTables, recordedBefore: number): void {
  const { clock, purged } = tables;
  const through = clock.lsnAt(recordedBefore);
  for (const { timelines } of [tables.nodes, tables.edges]) {
    heedingHistory(tables, () => {
      purged.lsn = Math.max(purged.lsn, timelines.lastChangeAtMost(through));
      purged.removedCount += timelines.dropClosedThrough(through);
    });
  }
  purged.before = recordedBefore;
  tables.compactContents();
  heedingHistory(tables, () => noteMovedLabels(tables));
  for (const label of tables.labelled.keys()) dropPostings(tables, label);
  tables.indexes.dropStale(tables);
  tables.vectors.dropStale(tables);
}

/** Applying must not fail for a file: what came of it is not known then, and not saved. */
function heedingHistory({ history }: GraphTables, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isStoreError(error, "ERR_GRAPH_HISTORY")) throw error;
    history.isUncertain = true;
  }
}

/**
 * Takes the nodes from a label's posting list that are not known to have borne it any more: who bears it again is entered again. In a new
 * column, for a query that was left lying goes on in the old one.
 */
function dropPostings(tables: GraphTables, label: number): void {
  const before = tables.labelled[label] as Int32Column;
  const kept = new Int32Column();
  for (let index = 0; index < before.length; index += 1) {
    const slot = before.get(index);
    if (tables.bore(slot, label)) kept.push(slot);
  }
  tables.labelled[label] = kept;
}

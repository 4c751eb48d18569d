/** What a graph takes in memory, and what of it lies in files. */

import { allTablesOf } from "./graph-checkpoint.js";
import type { GraphTables } from "./graph-tables.js";

export interface GraphMemory {
  /** Of nodes, edges, their versions and properties, as far as it is used; indexes and vectors are besides. */
  readonly bytes: number;
  /** How many superseded versions lie in memory, and how many in files. */
  readonly supersededInMemory: number;
  readonly supersededInFiles: number;
  readonly historyFiles: number;
  readonly historyFileBytes: number;
}

export function memoryOf(tables: GraphTables): GraphMemory {
  const { nodes, edges, contents, history } = tables;
  const rows = allTablesOf(tables).reduce((sum, { length, rowBytes }) => sum + length * rowBytes, 0);
  const { sources } = history;
  return {
    bytes: rows + contents.sizes.reduce((sum, size) => sum + size, 0),
    supersededInMemory: nodes.timelines.closedInMemory + edges.timelines.closedInMemory,
    supersededInFiles: history.nodes.count + history.edges.count,
    historyFiles: sources.length,
    historyFileBytes: sources.reduce((sum, { byteLength }) => sum + byteLength, 0),
  };
}

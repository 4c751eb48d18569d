/** The error that a command fails with. */

import { StoreError, type StoreErrorCode } from "../../errors.js";
import type { Rejection } from "./rejection-list.js";

const REASONS: ReadonlyMap<StoreErrorCode, string> = new Map([
  ["ERR_GRAPH_HORIZON", "its horizon lies in the future, or before that of an earlier purge"],
  ["ERR_GRAPH_SNAPSHOT_EXISTS", "a snapshot has that name"],
  ["ERR_GRAPH_SNAPSHOT_NOT_FOUND", "no snapshot has that name"],
  ["ERR_GRAPH_FULL", "there are as many as there can be"],
  ["ERR_GRAPH_INVALID_VECTOR", "a vector of it has another size than is defined, is none, or cannot be compared"],
  ["ERR_GRAPH_VECTORS_EXISTS", "vectors of that label and property are defined"],
  ["ERR_GRAPH_VECTORS_NOT_FOUND", "no vectors of that label and property are defined"],
]);

/** `lsn` is that of the event that was refused; null: it was not written. */
export function refusal(
  code: StoreErrorCode,
  kind: Rejection["kind"],
  id: number,
  edges: number,
  lsn: number | null,
): StoreError {
  const reason = REASONS.get(code) ?? (code === "ERR_GRAPH_HAS_EDGES" ? `${edges} edges are in force there` : code);
  const where = lsn === null ? "" : ` at LSN ${lsn}`;
  const what = kind === "graph" ? changeOf(code) : id === 0 ? `the ${kind}` : `${kind} ${id}`;
  return new StoreError(code, `${what} was refused${where}: ${reason}`, { kind, id, lsn, edges });
}

function changeOf(code: StoreErrorCode): string {
  if (code === "ERR_GRAPH_HORIZON") return "the purge";
  return code.includes("SNAPSHOT") ? "the snapshot" : "the change";
}

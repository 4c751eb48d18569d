/** What is refused, and the error that its command fails with. */

import { StoreError, type StoreErrorCode } from "../../errors.js";
import type { Rejection, RejectionDetails } from "./rejection-list.js";

/** Why something is refused. */
export interface Refused {
  readonly code: StoreErrorCode;
  /** What it is about, where that is not what the event is about. */
  readonly kind?: Rejection["kind"];
  readonly id?: number;
  /** With ERR_GRAPH_HAS_EDGES: how many. */
  readonly edges: number;
  readonly details?: RejectionDetails;
}

const REASONS: ReadonlyMap<StoreErrorCode, string> = new Map([
  ["ERR_GRAPH_HORIZON", "its horizon lies in the future, or before that of an earlier purge"],
  ["ERR_GRAPH_SNAPSHOT_EXISTS", "a snapshot has that name"],
  ["ERR_GRAPH_SNAPSHOT_NOT_FOUND", "no snapshot has that name"],
  ["ERR_GRAPH_FULL", "there are as many as there can be"],
  ["ERR_GRAPH_CONSTRAINT_EXISTS", "it is there already"],
  ["ERR_GRAPH_CONSTRAINT_NOT_FOUND", "there is no such constraint"],
  ["ERR_GRAPH_KEY_AMBIGUOUS", "several nodes have that value in the period, one after another"],
  ["ERR_GRAPH_INVALID_VECTOR", "a vector of it has another size than is defined, is none, or cannot be compared"],
  ["ERR_GRAPH_VECTORS_EXISTS", "vectors of that label and property are defined"],
  ["ERR_GRAPH_VECTORS_NOT_FOUND", "no vectors of that label and property are defined"],
]);

/** `what` is what was asked for; `lsn` is that of the event that was refused; null: it was not written. */
export function refusal(
  { code, edges, details = {}, ...culprit }: Refused,
  asked: { readonly kind: Rejection["kind"]; readonly id: number; readonly text: string },
  lsn: number | null,
): StoreError {
  const where = lsn === null ? "" : ` at LSN ${lsn}`;
  const { kind = asked.kind, id = asked.id } = culprit;
  // Of a batch, the one item that is to blame.
  const whose = asked.kind === "graph" && kind !== "graph" ? ` because of ${kind} ${id}` : "";
  const reason = reasonOf(code, edges, details);
  const message = `${asked.text} was refused${where}${whose}: ${reason}`;
  return new StoreError(code, message, { kind, id, lsn, edges, ...details });
}

function reasonOf(code: StoreErrorCode, edges: number, details: RejectionDetails): string {
  const { entity = "node", label, property, other, offenders, offenderCount, expected, actual } = details;
  if (code === "ERR_GRAPH_HAS_EDGES") return `${edges} edges are in force there`;
  if (code === "ERR_GRAPH_VERSION_CONFLICT") return `its version is ${actual}, not ${expected}`;
  if (offenders !== undefined) return `${offenderCount} ${entity}s break it: ${offenders}`;
  if (code === "ERR_GRAPH_NOT_UNIQUE")
    return `${entity} ${other} has the same ${JSON.stringify(property)}, which is unique for ${JSON.stringify(label)}`;
  if (code === "ERR_GRAPH_REQUIRED_PROPERTY")
    return `it would lack ${JSON.stringify(property)}, which ${JSON.stringify(label)} requires`;
  return REASONS.get(code) ?? code;
}

/** The graph's event types: what each is about, what it does, and which fields of graph.proto it has. */

/** A node or an edge. Their ids are two kinds of numbers, so every question about an entity says which. */
export type EntityKind = "node" | "edge";

export type GraphOperation = "create" | "put" | "replace" | "patch" | "delete" | "retract" | "upsert";

export interface GraphEventKind {
  readonly type: string;
  readonly entity: EntityKind;
  readonly operation: GraphOperation;
  /** One bit for each field number the message has. */
  readonly fields: number;
}

export const IDS_RESERVED_TYPE = "varve.v1.GraphIdsReserved";
export const PURGED_TYPE = "varve.v1.GraphPurged";
export const SNAPSHOT_NAMED_TYPE = "varve.v1.GraphSnapshotNamed";
export const SNAPSHOT_REMOVED_TYPE = "varve.v1.GraphSnapshotRemoved";
export const BATCH_TYPE = "varve.v1.GraphBatch";
export const CONSTRAINT_ADDED_TYPE = "varve.v1.GraphConstraintAdded";
export const CONSTRAINT_REMOVED_TYPE = "varve.v1.GraphConstraintRemoved";
export const VECTORS_DEFINED_TYPE = "varve.v1.GraphVectorsDefined";
export const VECTORS_REMOVED_TYPE = "varve.v1.GraphVectorsRemoved";

// Field numbers of graph.proto, the same in every message that has the field.
export const FIELD_ID = 1;
export const FIELD_LABEL = 2;
export const FIELD_PROPERTIES = 3;
export const FIELD_VALID_FROM = 4;
export const FIELD_VALID_TO = 5;
export const FIELD_DETACH = 6;
export const FIELD_SOURCE = 7;
export const FIELD_TARGET = 8;
export const FIELD_EXPECTED_VERSION = 9;
export const FIELD_KEY = 10;

const PERIOD = [FIELD_VALID_FROM, FIELD_VALID_TO];
const ENDS = [FIELD_SOURCE, FIELD_TARGET];
const VERSION = FIELD_EXPECTED_VERSION;

// Their order is that of the fields of GraphBatchItem, from 1.
const KINDS: readonly GraphEventKind[] = [
  kind("NodeCreated", "node", "create", [FIELD_LABEL, FIELD_PROPERTIES, ...PERIOD]),
  kind("NodePut", "node", "put", [FIELD_LABEL, FIELD_PROPERTIES, ...PERIOD, VERSION]),
  kind("NodeReplaced", "node", "replace", [FIELD_PROPERTIES, ...PERIOD, VERSION]),
  kind("NodePatched", "node", "patch", [FIELD_PROPERTIES, ...PERIOD, VERSION]),
  kind("NodeDeleted", "node", "delete", [...PERIOD, FIELD_DETACH, VERSION]),
  kind("NodeRetracted", "node", "retract", [FIELD_DETACH, VERSION]),
  kind("EdgeCreated", "edge", "create", [FIELD_LABEL, FIELD_PROPERTIES, ...PERIOD, ...ENDS]),
  kind("EdgePut", "edge", "put", [FIELD_LABEL, FIELD_PROPERTIES, ...PERIOD, ...ENDS, VERSION]),
  kind("EdgeReplaced", "edge", "replace", [FIELD_PROPERTIES, ...PERIOD, VERSION]),
  kind("EdgePatched", "edge", "patch", [FIELD_PROPERTIES, ...PERIOD, VERSION]),
  kind("EdgeDeleted", "edge", "delete", [...PERIOD, VERSION]),
  kind("EdgeRetracted", "edge", "retract", [VERSION]),
  kind("NodeUpserted", "node", "upsert", [FIELD_LABEL, FIELD_PROPERTIES, ...PERIOD, FIELD_KEY]),
];

/** The kinds by type name, without the types above, which are about no entity. */
export const GRAPH_EVENT_KINDS: ReadonlyMap<string, GraphEventKind> = new Map(KINDS.map((each) => [each.type, each]));

export function hasField(kind: GraphEventKind, field: number): boolean {
  return (kind.fields & (1 << field)) !== 0;
}

function kind(name: string, entity: EntityKind, operation: GraphOperation, fields: readonly number[]): GraphEventKind {
  const bits = [FIELD_ID, ...fields].reduce((sum, field) => sum | (1 << field), 0);
  return { type: `varve.v1.${name}`, entity, operation, fields: bits };
}

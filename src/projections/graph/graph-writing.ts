/** The commands that change the graph's nodes and edges. */

import type { BatchBuilder } from "./batch-builder.js";
import type {
  AboutSubject,
  DeleteOptions,
  Detach,
  EdgeInput,
  ExpectedEntityVersion,
  NodeInput,
  PropertyOptions,
  RetractOptions,
  UpsertInput,
} from "./command-input.js";
import type {
  GraphBatchResult,
  GraphCommandResult,
  GraphPurgeResult,
  GraphUpsertResult,
  PurgeOptions,
} from "./graph-commands.js";
import type { Properties } from "./property.js";

export interface GraphWriting {
  /**
   * Asserts a new node over a valid period: from now on, unless the input says otherwise. Every command resolves when its event is
   * durable and the graph reflects it, and takes `provenance`: where the change comes from. What a constraint forbids is refused
   * (`ERR_GRAPH_NOT_UNIQUE`, `ERR_GRAPH_REQUIRED_PROPERTY`), by this command and by all that give nodes properties.
   *
   * @throws TypeError for wrong types and unknown fields.
   * @throws StoreError `ERR_GRAPH_INVALID_PERIOD`, `ERR_GRAPH_INVALID_PROPERTY`, `ERR_STORE_READ_ONLY`, and what an append throws.
   *
   * @example
   * ```ts
   * const alice = await graph.createNode({ label: "Person", properties: { name: "Alice" }, validFrom: Date.UTC(2020, 0, 1) * 1000 });
   * ```
   */
  createNode(node: NodeInput): Promise<GraphCommandResult>;

  /** Asserts a new edge. @throws StoreError `ERR_GRAPH_NO_ENDS` when an end exists nowhere in the edge's period; as `createNode` */
  createEdge(edge: EdgeInput): Promise<GraphCommandResult>;

  /**
   * Gives properties to the node that has this label and this value of `key` somewhere in the period, over all of it: merged where the node exists, these
   * alone where it does not. Where none has it, one is created. Of several at once one creates, and the others find it.
   *
   * @throws StoreError `ERR_GRAPH_CONSTRAINT_NOT_FOUND` where no constraint makes the key unique; `ERR_GRAPH_KEY_AMBIGUOUS` where several nodes have the
   *   value, one after another; `ERR_GRAPH_INVALID_PROPERTY` where `properties` lack it; as `createNode`
   */
  upsertNode(node: UpsertInput): Promise<GraphUpsertResult>;

  /**
   * Several changes at once: one event with one LSN, all of it or nothing. Each item is judged behind those before it, constraints by what the batch
   * leaves, an `expectedVersion` by what was before it. What makes something answers with a reference, which stands for the id in later items.
   *
   * @param build puts the items together. It must not be async. At most 10,000 items and 4 MiB.
   * @throws TypeError for wrong types, unknown fields, and a batch without items; what `build` throws.
   * @throws StoreError `ERR_GRAPH_BATCH_REFERENCE` for a reference of another batch or kind; `ERR_GRAPH_BATCH_LIMIT`; as the items' commands:
   *   `details.item` is the place of the one that is refused, from 0.
   */
  batch(build: (batch: BatchBuilder) => void, options?: AboutSubject): Promise<GraphBatchResult>;

  /** Asserts a node over the whole period, whether it exists there or not. @throws StoreError `ERR_GRAPH_VERSION_CONFLICT`, as all with `expectedVersion` */
  putNode(id: number, node: NodeInput & ExpectedEntityVersion): Promise<GraphCommandResult>;

  /** Asserts an edge over the whole period. @throws StoreError `ERR_GRAPH_EDGE_FIXED` when its label or an end would change */
  putEdge(id: number, edge: EdgeInput & ExpectedEntityVersion): Promise<GraphCommandResult>;

  /** Merges properties into those of every part of the period where the node exists; null removes a key. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  patchNode(id: number, properties: Properties, options?: PropertyOptions): Promise<GraphCommandResult>;

  /** As `patchNode`, for an edge. */
  patchEdge(id: number, properties: Properties, options?: PropertyOptions): Promise<GraphCommandResult>;

  /** Replaces the properties in every part of the period where the node exists. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  replaceNode(id: number, properties: Properties, options?: PropertyOptions): Promise<GraphCommandResult>;

  /** As `replaceNode`, for an edge. */
  replaceEdge(id: number, properties: Properties, options?: PropertyOptions): Promise<GraphCommandResult>;

  /**
   * Asserts that the node does not exist over the period; before it, it is as it was.
   *
   * @throws StoreError `ERR_GRAPH_NOT_FOUND`; `ERR_GRAPH_HAS_EDGES` without `detach` where edges of it are valid in the period
   */
  deleteNode(id: number, options?: DeleteOptions & Detach): Promise<GraphCommandResult>;

  /** Asserts that the edge does not exist over the period. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  deleteEdge(id: number, options?: DeleteOptions): Promise<GraphCommandResult>;

  /** Deletes the node over the whole valid axis: it should never have been recorded. What was known of it stays in its history. */
  retractNode(id: number, options?: RetractOptions & Detach): Promise<GraphCommandResult>;

  /** As `retractNode`, for an edge. */
  retractEdge(id: number, options?: RetractOptions): Promise<GraphCommandResult>;

  /**
   * Drops the versions of nodes and edges that were superseded at or before a recorded time, and gives their memory back. What is in force
   * stays, and all that is asked as of that time or later is answered as before; what is asked as of an earlier time may lack something, and says
   * so by `truncatedBefore`. It cannot be taken back. The events stay in the log.
   *
   * The purge is an event: replay, other processes and checkpoints come to the same. Each process that has the graph goes over all of it once
   * when it applies that, in one turn of its event loop.
   *
   * @throws TypeError for wrong types and unknown fields.
   * @throws StoreError `ERR_GRAPH_HORIZON` for a time in the future or before the horizon of an earlier purge, `ERR_GRAPH_INVALID_PERIOD` for one
   *   outside ±(2^53 − 1) µs, `ERR_STORE_READ_ONLY`, and what an append throws: nothing was purged.
   *
   * @example
   * ```ts
   * await graph.purge({ recordedBefore: (Date.now() - 90 * 24 * 3_600_000) * 1000 });
   * ```
   */
  purge(options: PurgeOptions): Promise<GraphPurgeResult>;
}

/** What is defined for the graph as a whole, each by events: vectors, constraints, and names of points. */

import type { AboutChange } from "./command-input.js";
import type { GraphConstraint } from "./constraint-events.js";
import type { AddedConstraint } from "./constraint-list.js";
import type { AsOf } from "./graph-point.js";
import type { GraphView } from "./graph-view.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { DefinedVectors, VectorDefinition, VectorsReference } from "./vector-definition.js";
import type { OpenedVectors, OpenVectorsOptions } from "./vector-keeper.js";

export interface GraphDefinitions {
  /** The vectors that are defined, in the order in which they were; whether they are open is another matter. */
  readonly vectors: readonly DefinedVectors[];

  /**
   * Has the nodes with a label hold vectors in a property, `Float32Array`s of one size: by an event, so replay, other processes and checkpoints agree. From
   * then on what gives such a node another value there (null excepted) is refused, and `view.nearest` can be asked; what nodes hold already
   * counts where it is of that size. Defining the same again changes nothing.
   *
   * @throws TypeError for what is no label or property, and for unknown options
   * @throws StoreError `ERR_GRAPH_VECTORS_DEFINITION`, `ERR_GRAPH_VECTORS_EXISTS`, `ERR_GRAPH_FULL` above 100, `ERR_STORE_READ_ONLY`, and what an append
   *   throws
   *
   * @example
   * ```ts
   * await graph.defineVectors({ label: "Note", property: "embedding", dimensions: 384, metric: "cosine", storage: "i8" });
   * ```
   */
  defineVectors(definition: VectorDefinition, about?: AboutChange): Promise<DefinedVectors>;

  /** Ends that; the nodes keep what they hold, and the saved index is removed. @throws StoreError `ERR_GRAPH_VECTORS_NOT_FOUND`; as `defineVectors` */
  removeVectors(reference: VectorsReference, about?: AboutChange): Promise<{ readonly lsn: number }>;

  /**
   * Has this process keep an index of vectors, which `view.nearest` needs above 20,000 nodes, and uses above 1,000: loads the one that was saved, and
   * adds what it lacks, in slices between which the event loop turns. It follows what is written, until the store closes, and is saved with
   * the graph's checkpoints and on closing. Opening it again resolves at once.
   *
   * It is the one part of Varve that needs the package `usearch`, an optional peer dependency.
   *
   * @throws TypeError for a wrong option
   * @throws StoreError `ERR_GRAPH_VECTORS_PEER` without that package; `ERR_GRAPH_VECTORS_NOT_FOUND`; `ERR_STORE_CLOSED` when the store closes meanwhile
   *
   * @example
   * ```ts
   * const { count, from } = await graph.openVectors({ label: "Note", property: "embedding" });
   * ```
   */
  openVectors(options: OpenVectorsOptions): Promise<OpenedVectors>;

  /** What must hold of nodes and edges, in the order in which it was added: `addedBy` is the LSN of the event. */
  readonly constraints: readonly AddedConstraint[];

  /**
   * Has a property be unique among the nodes with a label, or required of them, from this event on: at every valid time by itself, so that two nodes
   * can have the same value in periods that do not overlap. Null is no value. Several properties can be unique together, and with `entity: "edge"` it is about
   * edges. What is unique has an index, as by `index`, built when it is first needed.
   *
   * @throws TypeError; StoreError `ERR_GRAPH_NOT_UNIQUE`, `ERR_GRAPH_REQUIRED_PROPERTY` where it is broken: `details.offenders` are the first ten ids,
   *   `details.offenderCount` how many; `ERR_GRAPH_CONSTRAINT_EXISTS`, `ERR_GRAPH_FULL` above 1,000, `ERR_STORE_READ_ONLY`, and what an append throws.
   */
  addConstraint(constraint: GraphConstraint, about?: AboutChange): Promise<AddedConstraint>;

  /** Takes a constraint away again. @throws StoreError `ERR_GRAPH_CONSTRAINT_NOT_FOUND`; as `addConstraint` */
  removeConstraint(constraint: GraphConstraint, about?: AboutChange): Promise<{ readonly lsn: number }>;

  /** The points that were given a name, in the order in which they were: `validAt` and `lsn` are the point, `namedBy` is the LSN of the event. */
  readonly snapshots: readonly NamedSnapshot[];

  /**
   * The view at a named point: the same answers in every process and after every restart, but for what a purge takes (`truncatedBefore`).
   *
   * @throws StoreError `ERR_GRAPH_SNAPSHOT_NOT_FOUND`; TypeError for what is no name
   */
  snapshot(name: string): GraphView;

  /**
   * Gives a point a name, durably: by an event, so replay, other processes and checkpoints agree. Nothing is copied. What is left out of
   * the point is now.
   *
   * @param name at most 256 bytes of UTF-8. There can be 10,000.
   * @throws TypeError and RangeError as `asOf`, and for what is no name
   * @throws StoreError `ERR_GRAPH_SNAPSHOT_EXISTS`, `ERR_GRAPH_FULL`, `ERR_STORE_READ_ONLY`, and what an append throws
   *
   * @example
   * ```ts
   * await graph.nameSnapshot("closing 2025", { validAt: Date.UTC(2026, 0, 1) * 1000 });
   * graph.snapshot("closing 2025").node(ann.id);
   * ```
   */
  nameSnapshot(name: string, point?: AsOf, about?: AboutChange): Promise<NamedSnapshot>;

  /** Takes a name away again. @throws StoreError `ERR_GRAPH_SNAPSHOT_NOT_FOUND`; as `nameSnapshot` */
  removeSnapshot(name: string, about?: AboutChange): Promise<{ readonly lsn: number }>;
}

/** The graph of an open store: the projection's state, kept in step with the log, and the commands that change it. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { StoreError } from "../../errors.js";
import type { ProjectionRunner } from "../runner.js";
import type { BatchBuilder } from "./batch-builder.js";
import type {
  ChangesPage,
  ChangesQuery,
  EntityReference,
  GraphOverlap,
  GraphVersion,
  HistoryWindow,
  Truncatable,
} from "./chronicle.js";
import type {
  AboutChange,
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
import type { GraphConstraint } from "./constraint-events.js";
import type { AddedConstraint } from "./constraint-list.js";
import type { EntityOf } from "./entity.js";
import { type EventLog, eventAt } from "./event-log.js";
import type {
  GraphBatchResult,
  GraphCommandResult,
  GraphCommands,
  GraphPurgeResult,
  GraphUpsertResult,
  PurgeOptions,
} from "./graph-commands.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphChange, GraphHistory, HistoryOptions } from "./graph-history.js";
import { checkChoice, checkId, checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import type { GraphMemory } from "./graph-memory.js";
import type { AsOf, RecordedAt } from "./graph-point.js";
import type { GraphState } from "./graph-state.js";
import type { GraphView } from "./graph-view.js";
import { INDEX_KINDS, type IndexDefinition } from "./indexed-property.js";
import { type GraphLineage, type LineageQuery, lineageOf } from "./lineage.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { During, GraphDuring } from "./overlap-match.js";
import type { Properties } from "./property.js";
import { type GraphProvenance, provenanceOf } from "./provenance.js";
import type { RawEvent } from "./raw-event.js";
import type { Rejection } from "./rejection-list.js";
import type { DefinedVectors, VectorDefinition, VectorsReference } from "./vector-definition.js";
import type { OpenedVectors, OpenVectorsOptions, VectorKeeper } from "./vector-keeper.js";

/** So many nodes are entered within a few milliseconds. */
const NODES_PER_SLICE = 10_000;

export class Graph {
  readonly #runner: ProjectionRunner<GraphState, RawEvent>;
  readonly #log: EventLog;
  /** Null on a store that is open for reading only. */
  readonly #writer: GraphCommands | null;
  readonly #vectors: VectorKeeper;
  readonly #indexes = new Map<string, IndexDefinition>();
  /** The state that has them. */
  #indexed: GraphState;

  /** @internal Use `store.graph()`. */
  constructor(
    runner: ProjectionRunner<GraphState, RawEvent>,
    log: EventLog,
    writer: GraphCommands | null,
    vectors: VectorKeeper,
  ) {
    this.#vectors = vectors;
    this.#runner = runner;
    this.#log = log;
    this.#writer = writer;
    this.#indexed = runner.state;
  }

  /** The commands, or an error on a store that is open for reading only. */
  get #commands(): GraphCommands {
    if (this.#writer === null) throw new StoreError("ERR_STORE_READ_ONLY", "the graph was opened for reading only");
    return this.#writer;
  }

  /** The last LSN that the graph reflects. */
  get lsn(): number {
    return this.#runner.state.lsn;
  }

  /** How many nodes and edges the graph ever knew. */
  get counts(): { readonly nodes: number; readonly edges: number } {
    return this.#runner.state.counts;
  }

  /**
   * The horizon of the last purge, µs since 1970; null: nothing was ever purged. Views, and what `history` gives, have a `truncatedBefore` of their own
   * where that touches them.
   */
  get truncatedBefore(): number | null {
    return this.#runner.state.truncatedBefore;
  }

  /** What the graph takes in memory, and how much of its history lies in files. */
  get memory(): GraphMemory {
    return this.#runner.state.memory;
  }

  /** How many superseded versions purges have removed so far. */
  get purgedVersions(): number {
    return this.#runner.state.purgedVersions;
  }

  /** The most recent events that the graph's rules refused, the oldest first; they changed nothing. */
  get rejections(): readonly Rejection[] {
    return this.#runner.state.rejections;
  }

  /** How many events were refused in all. */
  get rejectedCount(): number {
    return this.#runner.state.rejectedCount;
  }

  /**
   * One consistent view: what held at `validAt`, as the store knew it at `recordedAt`. Both default to now. Later events do not enter it.
   *
   * @throws RangeError for an LSN that was not applied yet; StoreError `ERR_GRAPH_INVALID_PERIOD` for a time outside ±(2^53 − 1) µs.
   *
   * @example
   * ```ts
   * const graph = await store.graph();
   * graph.asOf({ validAt: Date.UTC(2024, 0, 1) * 1000 }).node(alice.id)?.properties;
   * ```
   */
  asOf(point: AsOf = {}): GraphView {
    return this.#state.asOf(point);
  }

  /**
   * A stretch of valid time, the whole of it by default, as the store knew it at one recorded point: for patterns whose nodes and edges held at the same
   * time, and when they did. Later events do not enter it.
   *
   * @throws TypeError for a wrong option; RangeError for an LSN that was not applied yet; StoreError `ERR_GRAPH_INVALID_PERIOD` for an empty or reversed
   *   stretch, or a time outside ±(2^53 − 1) µs
   *
   * @example
   * ```ts
   * const colleagues = graph.during({ valid: { from: Date.UTC(2020, 0) * 1000 } }).match().from(ann.id).out("WORKS_AT").in("WORKS_AT");
   * for (const { nodes, validFrom, validTo } of colleagues) console.log(nodes[2]?.id, validFrom, validTo);
   * ```
   */
  during(during: During = {}): GraphDuring {
    return this.#state.during(during);
  }

  /**
   * Has this process keep an index of a property of the nodes with a label: `find({ label, where: { [property]: value } })` looks it up from then on,
   * whatever time the view is of. Of kind "range" it also answers ranges of values, and gives nodes in their order (`orderBy`). Resolves when it is
   * built, in slices between which the event loop turns. It takes about 20 bytes for each value that a node gets, is not in the checkpoint, and is
   * there until the store closes; asking again changes nothing.
   *
   * @throws TypeError for a label, a property or a kind that is none
   *
   * @example
   * ```ts
   * await graph.index({ label: "Person", property: "email" });
   * const [ann] = graph.asOf().find({ label: "Person", where: { email: "ann@example.org" } });
   *
   * await graph.index({ label: "Person", property: "salary", kind: "range" });
   * for (const person of graph.asOf().find({ label: "Person", where: { salary: { gte: 100, lt: 200 } }, orderBy: "salary" })) …
   * ```
   */
  async index(definition: IndexDefinition): Promise<void> {
    checkKnownKeys("index", checkRecord("index", definition), ["label", "property", "kind"]);
    const { property } = definition;
    const kind = checkChoice("kind", definition.kind ?? "equality", INDEX_KINDS);
    const label = checkLabel(definition.label);
    if (typeof property !== "string" || property === "") throw new TypeError("property must be a non-empty string");
    const index = { label, property, kind };
    while (!this.#runner.state.buildIndex(index, NODES_PER_SLICE)) await nextTurn();
    this.#indexes.set(`${kind}\u0000${label}\u0000${property}`, index);
  }

  /** The state that serves, with the indexes: one that was built anew has none yet. */
  get #state(): GraphState {
    const { state } = this.#runner;
    if (state !== this.#indexed) {
      for (const index of this.#indexes.values()) state.buildIndex(index, Number.POSITIVE_INFINITY);
      this.#indexed = state;
      this.#vectors.follow();
    }
    return state;
  }

  /** The vectors that are defined, in the order in which they were; whether they are open is another matter. */
  get vectors(): readonly DefinedVectors[] {
    return this.#runner.state.vectors;
  }

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
  async defineVectors(definition: VectorDefinition, about: AboutChange = {}): Promise<DefinedVectors> {
    return await this.#commands.defineVectors(definition, about);
  }

  /** Ends that; the nodes keep what they hold, and the saved index is removed. @throws StoreError `ERR_GRAPH_VECTORS_NOT_FOUND`; as `defineVectors` */
  async removeVectors(reference: VectorsReference, about: AboutChange = {}): Promise<{ readonly lsn: number }> {
    const removed = await this.#commands.removeVectors(reference, about);
    await this.#vectors.remove(reference);
    return removed;
  }

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
  async openVectors(options: OpenVectorsOptions): Promise<OpenedVectors> {
    return await this.#vectors.open(options);
  }

  /** The present as the store knows it: `asOf({})`. A view, so what it answers does not change either. */
  current(): GraphView {
    return this.asOf();
  }

  /**
   * All versions of a node or an edge: everything the graph knows or knew about it, as rectangles in the order (recordedFrom, validFrom). Of
   * an edge its own, whether its ends existed there or not.
   */
  history<Kind extends EntityKind>(kind: Kind, id: number, options?: HistoryOptions): GraphHistory<EntityOf[Kind]> {
    return this.#runner.state.history(kind, id, options);
  }

  /**
   * The version that held at a point: the one rectangle of `history` that contains it, or null. Unlike `view.edge`, it does not ask whether an
   * edge's ends exist there.
   *
   * @throws as `asOf`
   */
  versionAt<Kind extends EntityKind>(kind: Kind, id: number, point: AsOf = {}): GraphVersion<EntityOf[Kind]> {
    return this.#runner.state.chronicle.versionAt(kind, id, point);
  }

  /**
   * The versions that held somewhere in a window of valid time, of recorded time, or of both: those rectangles of `history` that overlap it,
   * also those that were replaced within their own microsecond.
   *
   * @throws TypeError without a window; StoreError `ERR_GRAPH_INVALID_PERIOD` for an empty or reversed one, or a time outside ±(2^53 − 1) µs;
   *   RangeError for an LSN that was not applied yet
   *
   * @example
   * ```ts
   * graph.between("node", ann.id, { valid: { from: Date.UTC(2020, 0) * 1000, to: Date.UTC(2021, 0) * 1000 } });
   * graph.between("node", ann.id, { recorded: { from: { lsn: 17 }, to: null } });
   * ```
   */
  between<Kind extends EntityKind>(kind: Kind, id: number, window: HistoryWindow): GraphHistory<EntityOf[Kind]> {
    return this.#runner.state.chronicle.between(kind, id, window);
  }

  /**
   * The periods of valid time in which two entities both held, as the store knew it at one recorded point (default: now), the earliest first: a
   * temporal join. A new one begins where either changes. An edge holds where it and both its ends exist.
   *
   * @throws TypeError, RangeError and StoreError as `asOf`
   *
   * @example
   * ```ts
   * for (const { validFrom, validTo, a } of graph.overlaps({ kind: "edge", id: job }, { kind: "edge", id: lease })) …
   * ```
   */
  overlaps<A extends EntityKind, B extends EntityKind>(
    a: EntityReference<A>,
    b: EntityReference<B>,
    options: { readonly recordedAt?: RecordedAt } = {},
  ): Truncatable<GraphOverlap<EntityOf[A], EntityOf[B]>> {
    return this.#runner.state.chronicle.overlaps(a, b, options);
  }

  /**
   * Which nodes and edges changed in a stretch of recorded time, in the order of LSNs, a page at a time. `next` is an LSN, so it can be
   * kept anywhere and used by any process. Edges that went with a node (`detach`) are among them; what the graph's rules refused is not.
   *
   * A page looks at every entity of the graph once, in one turn of the event loop: who follows all changes subscribes to the log instead.
   *
   * @throws TypeError; RangeError for an `after` that was not applied yet; StoreError `ERR_GRAPH_INVALID_PERIOD`
   *
   * @example
   * ```ts
   * let { next, changes } = graph.changes({ recordedFrom: midnight });
   * // later, perhaps after a restart:
   * ({ next, changes } = graph.changes({ after: next }));
   * ```
   */
  changes(query: ChangesQuery = {}): ChangesPage {
    return this.#runner.state.chronicle.changes(query);
  }

  /**
   * The LSN at which the graph stood at a recorded time (µs since 1970), which is how `asOf({ recordedAt })` takes it. Events that are none of the
   * graph's do not count: between two of its own it stood still, so the store's last LSN by then can be another one.
   */
  lsnAt(recordedAt: number): number {
    return this.#runner.state.chronicle.lsnAt(recordedAt);
  }

  /**
   * When an LSN was recorded (µs since 1970, the running maximum of `recordedAt`); of an event that is none of the graph's, when the last one of
   * the graph before it was. Null before the first. @throws RangeError for an LSN that was not applied yet
   */
  recordedAtOf(lsn: number): number | null {
    return this.#runner.state.chronicle.recordedAtOf(lsn);
  }

  /**
   * Which event made what a node or an edge held at a point, or one property of it: the event is read from the log. For a property this leads
   * back over patches that do not name it, one read each.
   *
   * @throws as `asOf`, and what reading throws
   *
   * @example
   * ```ts
   * const { lsn, event } = await graph.lineage("node", ann.id, { property: "salary", validAt: Date.UTC(2022, 0) * 1000 });
   * console.log(lsn, event?.metadata);
   * ```
   */
  async lineage<Kind extends EntityKind>(
    kind: Kind,
    id: number,
    query: LineageQuery = {},
  ): Promise<GraphLineage<EntityOf[Kind]>> {
    return await lineageOf(this.#runner.state.chronicle, this.#log, kind, id, query);
  }

  /**
   * What the event at an LSN (`lsn` of what `history` gives) says about where it comes from; null where it says nothing, and where the log has no event
   * there (any more). One read of the log. @throws TypeError for what is no LSN, and what reading throws
   */
  async provenance(lsn: number): Promise<GraphProvenance | null> {
    const event = await eventAt(this.#log, checkId("lsn", lsn));
    return event === null ? null : provenanceOf(event);
  }

  /** The version of a node or an edge, as `expectedVersion` has it: the LSN of the last event that changed it, whenever it is valid; 0: none ever did. */
  versionOf(kind: EntityKind, id: number): number {
    return this.#runner.state.versionOf(checkChoice("kind", kind, ["node", "edge"]), checkId("id", id));
  }

  /** What must hold of the nodes, in the order in which it was added: `addedBy` is the LSN of the event. */
  get constraints(): readonly AddedConstraint[] {
    return this.#runner.state.constraints;
  }

  /**
   * Has a property be unique among the nodes with a label, or required of them, from this event on: at every valid time by itself, so that two nodes
   * can have the same value in periods that do not overlap. Null is no value. A unique property has an index, as by `index`, built when it is first needed.
   *
   * @throws TypeError; StoreError `ERR_GRAPH_NOT_UNIQUE`, `ERR_GRAPH_REQUIRED_PROPERTY` where nodes break it: `details.offenders` are the first ten ids,
   *   `details.offenderCount` how many; `ERR_GRAPH_CONSTRAINT_EXISTS`, `ERR_GRAPH_FULL` above 1,000, `ERR_STORE_READ_ONLY`, and what an append throws.
   */
  async addConstraint(constraint: GraphConstraint, about: AboutChange = {}): Promise<AddedConstraint> {
    return await this.#commands.addConstraint(constraint, about);
  }

  /** Takes a constraint away again. @throws StoreError `ERR_GRAPH_CONSTRAINT_NOT_FOUND`; as `addConstraint` */
  async removeConstraint(constraint: GraphConstraint, about: AboutChange = {}): Promise<{ readonly lsn: number }> {
    return await this.#commands.removeConstraint(constraint, about);
  }

  /** The points that were given a name, in the order in which they were: `validAt` and `lsn` are the point, `namedBy` is the LSN of the event. */
  get snapshots(): readonly NamedSnapshot[] {
    return this.#runner.state.snapshots;
  }

  /**
   * The view at a named point: the same answers in every process and after every restart, but for what a purge takes (`truncatedBefore`).
   *
   * @throws StoreError `ERR_GRAPH_SNAPSHOT_NOT_FOUND`; TypeError for what is no name
   */
  snapshot(name: string): GraphView {
    return this.#state.snapshot(name);
  }

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
  async nameSnapshot(name: string, point: AsOf = {}, about: AboutChange = {}): Promise<NamedSnapshot> {
    return await this.#commands.nameSnapshot(name, point, about);
  }

  /** Takes a name away again. @throws StoreError `ERR_GRAPH_SNAPSHOT_NOT_FOUND`; as `nameSnapshot` */
  async removeSnapshot(name: string, about: AboutChange = {}): Promise<{ readonly lsn: number }> {
    return await this.#commands.removeSnapshot(name, about);
  }

  /** What is different in the second view: entities that exist in one only, or hold something else. One at a time. */
  diff(before: GraphView, after: GraphView): Generator<GraphChange, void, undefined> {
    return this.#runner.state.diff(before, after);
  }

  /** Resolves once the graph reflects this LSN, for reading one's own writes. */
  whenApplied(lsn: number): Promise<void> {
    return this.#runner.whenProcessed(lsn);
  }

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
  async createNode(node: NodeInput): Promise<GraphCommandResult> {
    return await this.#commands.create("node", node);
  }

  /** Asserts a new edge. @throws StoreError `ERR_GRAPH_NO_ENDS` when an end exists nowhere in the edge's period; as `createNode` */
  async createEdge(edge: EdgeInput): Promise<GraphCommandResult> {
    return await this.#commands.create("edge", edge);
  }

  /**
   * Gives properties to the node that has this label and this value of `key` somewhere in the period, over all of it: merged where the node exists, these
   * alone where it does not. Where none has it, one is created. Of several at once one creates, and the others find it.
   *
   * @throws StoreError `ERR_GRAPH_CONSTRAINT_NOT_FOUND` where no constraint makes the key unique; `ERR_GRAPH_KEY_AMBIGUOUS` where several nodes have the
   *   value, one after another; `ERR_GRAPH_INVALID_PROPERTY` where `properties` lack it; as `createNode`
   */
  async upsertNode(node: UpsertInput): Promise<GraphUpsertResult> {
    return await this.#commands.upsert(node);
  }

  /**
   * Several changes at once: one event with one LSN, all of it or nothing. Each item is judged behind those before it, constraints by what the batch
   * leaves, an `expectedVersion` by what was before it. What makes something answers with a reference, which stands for the id in later items.
   *
   * @param build puts the items together. It must not be async. At most 10,000 items and 4 MiB.
   * @throws TypeError for wrong types, unknown fields, and a batch without items; what `build` throws.
   * @throws StoreError `ERR_GRAPH_BATCH_REFERENCE` for a reference of another batch or kind; `ERR_GRAPH_BATCH_LIMIT`; as the items' commands:
   *   `details.item` is the place of the one that is refused, from 0.
   */
  async batch(build: (batch: BatchBuilder) => void, options: AboutSubject = {}): Promise<GraphBatchResult> {
    return await this.#commands.batch(build, options);
  }

  /** Asserts a node over the whole period, whether it exists there or not. @throws StoreError `ERR_GRAPH_VERSION_CONFLICT`, as all with `expectedVersion` */
  async putNode(id: number, node: NodeInput & ExpectedEntityVersion): Promise<GraphCommandResult> {
    return await this.#commands.put("node", id, node);
  }

  /** Asserts an edge over the whole period. @throws StoreError `ERR_GRAPH_EDGE_FIXED` when its label or an end would change */
  async putEdge(id: number, edge: EdgeInput & ExpectedEntityVersion): Promise<GraphCommandResult> {
    return await this.#commands.put("edge", id, edge);
  }

  /** Merges properties into those of every part of the period where the node exists; null removes a key. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  async patchNode(id: number, properties: Properties, options: PropertyOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.change("node", "Patched", id, properties, options);
  }

  /** As `patchNode`, for an edge. */
  async patchEdge(id: number, properties: Properties, options: PropertyOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.change("edge", "Patched", id, properties, options);
  }

  /** Replaces the properties in every part of the period where the node exists. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  async replaceNode(id: number, properties: Properties, options: PropertyOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.change("node", "Replaced", id, properties, options);
  }

  /** As `replaceNode`, for an edge. */
  async replaceEdge(id: number, properties: Properties, options: PropertyOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.change("edge", "Replaced", id, properties, options);
  }

  /**
   * Asserts that the node does not exist over the period; before it, it is as it was.
   *
   * @throws StoreError `ERR_GRAPH_NOT_FOUND`; `ERR_GRAPH_HAS_EDGES` without `detach` where edges of it are valid in the period
   */
  async deleteNode(id: number, options: DeleteOptions & Detach = {}): Promise<GraphCommandResult> {
    return await this.#commands.remove("node", "Deleted", id, options);
  }

  /** Asserts that the edge does not exist over the period. @throws StoreError `ERR_GRAPH_NOT_FOUND` */
  async deleteEdge(id: number, options: DeleteOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.remove("edge", "Deleted", id, options);
  }

  /** Deletes the node over the whole valid axis: it should never have been recorded. What was known of it stays in its history. */
  async retractNode(id: number, options: RetractOptions & Detach = {}): Promise<GraphCommandResult> {
    return await this.#commands.remove("node", "Retracted", id, options);
  }

  /** As `retractNode`, for an edge. */
  async retractEdge(id: number, options: RetractOptions = {}): Promise<GraphCommandResult> {
    return await this.#commands.remove("edge", "Retracted", id, options);
  }

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
  async purge(options: PurgeOptions): Promise<GraphPurgeResult> {
    return await this.#commands.purge(options);
  }
}

/** The graph of an open store: the projection's state, kept in step with the log, and the commands that change it. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { StoreError } from "../../errors.js";
import type { ProjectionRunner } from "../runner.js";
import type { AddedConstraint } from "./constraint-list.js";
import { type EventLog, eventAt } from "./event-log.js";
import type { GraphCommands } from "./graph-commands.js";
import type { GraphDefinitions } from "./graph-definitions.js";
import { checkChoice, checkId, checkKnownKeys, checkLabel, checkRecord } from "./graph-input.js";
import type { GraphMemory } from "./graph-memory.js";
import type { AsOf } from "./graph-point.js";
import type { GraphState } from "./graph-state.js";
import type { GraphTimes } from "./graph-times.js";
import type { GraphView } from "./graph-view.js";
import type { GraphWriting } from "./graph-writing.js";
import { INDEX_KINDS, type IndexDefinition } from "./indexed-property.js";
import { lineageOf } from "./lineage.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { During, GraphDuring } from "./overlap-match.js";
import { provenanceOf } from "./provenance.js";
import type { RawEvent } from "./raw-event.js";
import type { Rejection } from "./rejection-list.js";
import type { DefinedVectors } from "./vector-definition.js";
import type { VectorKeeper } from "./vector-keeper.js";

/** So many nodes are entered within a few milliseconds. */
const NODES_PER_SLICE = 10_000;

/** Its questions and commands are said in graph-times.ts, graph-definitions.ts and graph-writing.ts; what is asked of a point is in graph-view.ts. */
export class Graph implements GraphTimes, GraphDefinitions, GraphWriting {
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

  get vectors(): readonly DefinedVectors[] {
    return this.#runner.state.vectors;
  }

  readonly defineVectors: GraphDefinitions["defineVectors"] = async (definition, about = {}) =>
    await this.#commands.defineVectors(definition, about);

  readonly removeVectors: GraphDefinitions["removeVectors"] = async (reference, about = {}) => {
    const removed = await this.#commands.removeVectors(reference, about);
    await this.#vectors.remove(reference);
    return removed;
  };

  readonly openVectors: GraphDefinitions["openVectors"] = async (options) => await this.#vectors.open(options);

  /** The present as the store knows it: `asOf({})`. A view, so what it answers does not change either. */
  current(): GraphView {
    return this.asOf();
  }

  readonly history: GraphTimes["history"] = (kind, id, options = {}) => this.#runner.state.history(kind, id, options);

  readonly versionAt: GraphTimes["versionAt"] = (kind, id, point = {}) =>
    this.#runner.state.chronicle.versionAt(kind, id, point);

  readonly between: GraphTimes["between"] = (kind, id, window) =>
    this.#runner.state.chronicle.between(kind, id, window);

  readonly overlaps: GraphTimes["overlaps"] = (a, b, options = {}) =>
    this.#runner.state.chronicle.overlaps(a, b, options);

  readonly changes: GraphTimes["changes"] = (query = {}) => this.#runner.state.chronicle.changes(query);

  readonly lsnAt: GraphTimes["lsnAt"] = (recordedAt) => this.#runner.state.chronicle.lsnAt(recordedAt);

  readonly recordedAtOf: GraphTimes["recordedAtOf"] = (lsn) => this.#runner.state.chronicle.recordedAtOf(lsn);

  readonly lineage: GraphTimes["lineage"] = async (kind, id, query = {}) =>
    await lineageOf(this.#runner.state.chronicle, this.#log, kind, id, query);

  readonly provenance: GraphTimes["provenance"] = async (lsn) => {
    const event = await eventAt(this.#log, checkId("lsn", lsn));
    return event === null ? null : provenanceOf(event);
  };

  readonly versionOf: GraphTimes["versionOf"] = (kind, id) =>
    this.#runner.state.versionOf(checkChoice("kind", kind, ["node", "edge"]), checkId("id", id));

  get constraints(): readonly AddedConstraint[] {
    return this.#runner.state.constraints;
  }

  readonly addConstraint: GraphDefinitions["addConstraint"] = async (constraint, about = {}) =>
    await this.#commands.addConstraint(constraint, about);

  readonly removeConstraint: GraphDefinitions["removeConstraint"] = async (constraint, about = {}) =>
    await this.#commands.removeConstraint(constraint, about);

  get snapshots(): readonly NamedSnapshot[] {
    return this.#runner.state.snapshots;
  }

  readonly snapshot: GraphDefinitions["snapshot"] = (name) => this.#state.snapshot(name);

  readonly nameSnapshot: GraphDefinitions["nameSnapshot"] = async (name, point = {}, about = {}) =>
    await this.#commands.nameSnapshot(name, point, about);

  readonly removeSnapshot: GraphDefinitions["removeSnapshot"] = async (name, about = {}) =>
    await this.#commands.removeSnapshot(name, about);

  readonly diff: GraphTimes["diff"] = (before, after) => this.#runner.state.diff(before, after);

  /** Resolves once the graph reflects this LSN, for reading one's own writes. */
  whenApplied(lsn: number): Promise<void> {
    return this.#runner.whenProcessed(lsn);
  }

  readonly createNode: GraphWriting["createNode"] = async (node) => await this.#commands.create("node", node);

  readonly createEdge: GraphWriting["createEdge"] = async (edge) => await this.#commands.create("edge", edge);

  readonly upsertNode: GraphWriting["upsertNode"] = async (node) => await this.#commands.upsert(node);

  readonly batch: GraphWriting["batch"] = async (build, options = {}) => await this.#commands.batch(build, options);

  readonly putNode: GraphWriting["putNode"] = async (id, node) => await this.#commands.put("node", id, node);

  readonly putEdge: GraphWriting["putEdge"] = async (id, edge) => await this.#commands.put("edge", id, edge);

  readonly patchNode: GraphWriting["patchNode"] = async (id, properties, options = {}) =>
    await this.#commands.change("node", "Patched", id, properties, options);

  readonly patchEdge: GraphWriting["patchEdge"] = async (id, properties, options = {}) =>
    await this.#commands.change("edge", "Patched", id, properties, options);

  readonly replaceNode: GraphWriting["replaceNode"] = async (id, properties, options = {}) =>
    await this.#commands.change("node", "Replaced", id, properties, options);

  readonly replaceEdge: GraphWriting["replaceEdge"] = async (id, properties, options = {}) =>
    await this.#commands.change("edge", "Replaced", id, properties, options);

  readonly deleteNode: GraphWriting["deleteNode"] = async (id, options = {}) =>
    await this.#commands.remove("node", "Deleted", id, options);

  readonly deleteEdge: GraphWriting["deleteEdge"] = async (id, options = {}) =>
    await this.#commands.remove("edge", "Deleted", id, options);

  readonly retractNode: GraphWriting["retractNode"] = async (id, options = {}) =>
    await this.#commands.remove("node", "Retracted", id, options);

  readonly retractEdge: GraphWriting["retractEdge"] = async (id, options = {}) =>
    await this.#commands.remove("edge", "Retracted", id, options);

  readonly purge: GraphWriting["purge"] = async (options) => await this.#commands.purge(options);
}

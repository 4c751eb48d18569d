/**
 * Changing the graph: each command appends one event and resolves when the graph reflects it.
 *
 * What the graph can see is wrong is refused before anything is written. What turns out wrong only at the event's own LSN, because
 * another command was faster, changes nothing there, and the command fails with the same code.
 */

import { isStoreError } from "../../errors.js";
import type { AppendResult, BufferedResult, EventInput } from "../../events/index.js";
import { type AnyGraphData, encodeGraphEvent, type GraphEventData } from "./graph-event-codec.js";
import {
  type EntityKind,
  PURGED_TYPE,
  SNAPSHOT_NAMED_TYPE,
  SNAPSHOT_REMOVED_TYPE,
  VECTORS_DEFINED_TYPE,
  VECTORS_REMOVED_TYPE,
} from "./graph-event-kind.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import type { AsOf } from "./graph-point.js";
import type { GraphState } from "./graph-state.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import type { Properties } from "./property.js";
import { refusal } from "./refusal.js";
import { checkSnapshotName } from "./snapshot-events.js";
import {
  checkDefinition,
  checkReference,
  type DefinedVectors,
  sameDefinition,
  type VectorDefinition,
  type VectorsDefinedData,
  type VectorsReference,
} from "./vector-definition.js";

/** A valid period, half-open, in µs since 1970. Default: from the event's own recordedAt on, with an open end. */
export interface ValidPeriod {
  readonly validFrom?: number;
  readonly validTo?: number;
}

/** Whom a change is about. */
export interface AboutSubject {
  /**
   * The event's content, id and label included, is encrypted under this subject's key; once the subject is forgotten, the graph is as if it had never
   * been written. See README § Privacy.
   */
  readonly subject?: string;
}

/** A node to be asserted. */
export interface NodeInput extends ValidPeriod, AboutSubject {
  readonly label: string;
  readonly properties?: Properties;
}

/** An edge to be asserted, between the ids of two nodes. */
export interface EdgeInput extends NodeInput {
  readonly source: number;
  readonly target: number;
}

/** Where properties are changed, and whom that is about. */
export interface PropertyOptions extends ValidPeriod, AboutSubject {}

/** How a node's edges are dealt with when it goes. */
export interface Detach {
  /** Delete the node's edges over the same period; without it they are a reason to refuse. */
  readonly detach?: boolean;
}

/** Up to where superseded versions are purged. */
export interface PurgeOptions {
  /** µs since 1970, at most now: what was superseded at or before that recorded time goes. */
  readonly recordedBefore: number;
}

/** What a purge answers. */
export interface GraphPurgeResult {
  /** Of the event that was written. */
  readonly lsn: number;
  /** The graph's horizon now. */
  readonly truncatedBefore: number;
  /** How many versions all purges so far have removed from the graph. */
  readonly purgedVersions: number;
}

/** What every command answers: the entity's id, and the LSN of the event that was written. */
export interface GraphCommandResult {
  readonly id: number;
  readonly lsn: number;
}

/** What commands need of the store around the graph. */
export interface GraphCommandStore {
  readonly watermark: number;
  append(
    stream: string,
    event: EventInput,
    options: { readonly durability: "group" },
  ): Promise<AppendResult | BufferedResult>;
}

/** What commands need of the running projection. */
export interface AppliedGraph {
  readonly state: Pick<
    GraphState,
    "asOf" | "foresee" | "lsn" | "purgedVersions" | "rejectionAt" | "truncatedBefore" | "vectors"
  >;
  whenProcessed(lsn: number): Promise<void>;
}

/** Where ids that nothing ever had come from. */
export interface IdSource {
  take(kind: EntityKind): Promise<number>;
}

const GRAPH_STREAM = "graph";

type Operation = "Created" | "Put" | "Replaced" | "Patched" | "Deleted" | "Retracted";

export class GraphCommands {
  readonly #store: GraphCommandStore;
  readonly #applied: AppliedGraph;
  readonly #ids: IdSource;

  constructor(store: GraphCommandStore, applied: AppliedGraph, ids: IdSource) {
    this.#store = store;
    this.#applied = applied;
    this.#ids = ids;
  }

  async create(kind: EntityKind, input: NodeInput | EdgeInput): Promise<GraphCommandResult> {
    const { subject, ...data } = assertion(kind, input);
    // Before an id is taken: what is refused must cost none.
    this.#refuseVectors(kind, encodeGraphEvent(typeOf(kind, "Created"), { id: Number.MAX_SAFE_INTEGER, ...data }));
    return this.#run(kind, "Created", { ...data, id: await this.#ids.take(kind) }, subject);
  }

  put(kind: EntityKind, id: number, input: NodeInput | EdgeInput): Promise<GraphCommandResult> {
    const { subject, ...data } = assertion(kind, input);
    return this.#run(kind, "Put", { ...data, id }, subject);
  }

  replace(kind: EntityKind, id: number, properties: Properties, options: PropertyOptions): Promise<GraphCommandResult> {
    const { subject, ...period } = changeOf(kind, options);
    return this.#run(kind, "Replaced", { ...period, id, properties }, subject);
  }

  patch(kind: EntityKind, id: number, properties: Properties, options: PropertyOptions): Promise<GraphCommandResult> {
    const { subject, ...period } = changeOf(kind, options);
    return this.#run(kind, "Patched", { ...period, id, properties }, subject);
  }

  deleteNode(id: number, options: ValidPeriod & Detach): Promise<GraphCommandResult> {
    checkKnownKeys("deleteNode", checkRecord("deleteNode", options), ["validFrom", "validTo", "detach"]);
    return this.#run("node", "Deleted", { ...options, id });
  }

  deleteEdge(id: number, period: ValidPeriod): Promise<GraphCommandResult> {
    return this.#run("edge", "Deleted", { ...periodOf("edge", period), id });
  }

  retractNode(id: number, options: Detach): Promise<GraphCommandResult> {
    checkKnownKeys("retractNode", checkRecord("retractNode", options), ["detach"]);
    return this.#run("node", "Retracted", { ...options, id });
  }

  retractEdge(id: number): Promise<GraphCommandResult> {
    return this.#run("edge", "Retracted", { id });
  }

  async purge(options: PurgeOptions): Promise<GraphPurgeResult> {
    checkKnownKeys("purge", checkRecord("purge", options), ["recordedBefore"]);
    const { recordedBefore } = options;
    const lsn = await this.#write({ kind: "graph", id: 0 }, PURGED_TYPE, { recordedBefore });
    const { purgedVersions, truncatedBefore } = this.#applied.state;
    return { lsn, truncatedBefore: truncatedBefore ?? recordedBefore, purgedVersions };
  }

  async nameSnapshot(name: string, point: AsOf): Promise<NamedSnapshot> {
    checkSnapshotName(name);
    const { validAt, lsn } = this.#applied.state.asOf(point);
    const data = { name, validAt, lsn };
    return { ...data, namedBy: await this.#write({ kind: "graph", id: 0 }, SNAPSHOT_NAMED_TYPE, data) };
  }

  async removeSnapshot(name: string): Promise<{ readonly lsn: number }> {
    const data = { name: checkSnapshotName(name) };
    return { lsn: await this.#write({ kind: "graph", id: 0 }, SNAPSHOT_REMOVED_TYPE, data) };
  }

  async defineVectors(definition: VectorDefinition): Promise<DefinedVectors> {
    const data = checkDefinition(definition);
    try {
      return { ...data, definedBy: await this.#write({ kind: "graph", id: 0 }, VECTORS_DEFINED_TYPE, data) };
    } catch (error) {
      const isSame = (each: VectorsDefinedData): boolean => sameDefinition(each, data);
      const known = this.#applied.state.vectors.find(isSame);
      if (known !== undefined && isStoreError(error, "ERR_GRAPH_VECTORS_EXISTS")) return known;
      throw error;
    }
  }

  async removeVectors(reference: VectorsReference): Promise<{ readonly lsn: number }> {
    const data = checkReference("removeVectors", reference);
    return { lsn: await this.#write({ kind: "graph", id: 0 }, VECTORS_REMOVED_TYPE, data) };
  }

  /** Refuses what is going to be refused whatever the id is. */
  #refuseVectors(kind: EntityKind, payload: Uint8Array): void {
    const { state } = this.#applied;
    if (state.vectors.length === 0 || state.lsn < this.#store.watermark) return;
    const code = state.foresee(typeOf(kind, "Created"), payload)?.code;
    if (code === "ERR_GRAPH_INVALID_VECTOR") throw refusal(code, kind, 0, 0, null);
  }

  async #run(
    kind: EntityKind,
    operation: Operation,
    data: GraphEventData,
    subject?: string,
  ): Promise<GraphCommandResult> {
    const { id } = data;
    return { id, lsn: await this.#write({ kind, id }, typeOf(kind, operation), data, subject) };
  }

  /** The LSN of the event, when the graph reflects it. */
  async #write(
    { kind, id }: { readonly kind: EntityKind | "graph"; readonly id: number },
    type: string,
    data: AnyGraphData,
    subject?: string,
  ): Promise<number> {
    const payload = encodeGraphEvent(type, data);
    let foreseen = this.#applied.state.foresee(type, payload);
    if (foreseen !== null && this.#applied.state.lsn < this.#store.watermark) {
      // The graph lags behind events that may well be what is missing.
      await this.#applied.whenProcessed(this.#store.watermark);
      foreseen = this.#applied.state.foresee(type, payload);
    }
    if (foreseen !== null) throw refusal(foreseen.code, kind, id, foreseen.edges, null);
    // `as`: a group append answers with its LSN.
    const event = { type, data, ...(subject !== undefined && { subject }) };
    const { lsn } = (await this.#store.append(GRAPH_STREAM, event, { durability: "group" })) as AppendResult;
    await this.#applied.whenProcessed(lsn);
    const rejected = this.#applied.state.rejectionAt(lsn);
    if (rejected !== undefined) throw refusal(rejected.code, kind, id, rejected.edges, lsn);
    return lsn;
  }
}

function typeOf(kind: EntityKind, operation: Operation): string {
  return `varve.v1.${kind === "node" ? "Node" : "Edge"}${operation}`;
}

const PERIOD_FIELDS = ["validFrom", "validTo"];
const CHANGE_FIELDS = [...PERIOD_FIELDS, "subject"];
const NODE_FIELDS = ["label", "properties", ...CHANGE_FIELDS];

/** The input's fields, whose values the codec checks. */
function assertion(kind: EntityKind, input: NodeInput | EdgeInput): Omit<GraphEventData, "id"> & AboutSubject {
  checkKnownKeys(kind, checkRecord(kind, input), kind === "node" ? NODE_FIELDS : [...NODE_FIELDS, "source", "target"]);
  return { ...input };
}

function changeOf(kind: EntityKind, options: PropertyOptions): PropertyOptions {
  checkKnownKeys(`the period of the ${kind}`, checkRecord("the period", options), CHANGE_FIELDS);
  return { ...options };
}

function periodOf(kind: EntityKind, period: ValidPeriod): ValidPeriod {
  checkKnownKeys(`the period of the ${kind}`, checkRecord("the period", period), PERIOD_FIELDS);
  return { ...period };
}

/**
 * Changing the graph: each command appends one event and resolves when the graph reflects it.
 *
 * What the graph can see is wrong is refused before anything is written. What turns out wrong only at the event's own LSN, because
 * another command was faster, changes nothing there, and the command fails with the same code.
 */

import { isStoreError } from "../../errors.js";
import type { AppendResult, BufferedResult, EventInput } from "../../events/index.js";
import { type BatchBuilder, BatchDraft, type BatchReference } from "./batch-builder.js";
import {
  type AboutChange,
  type AboutSubject,
  type Change,
  changeOf,
  type DeleteOptions,
  type Detach,
  type EdgeInput,
  type ExpectedEntityVersion,
  type NodeInput,
  type PropertyOptions,
  type RetractOptions,
  type UpsertInput,
} from "./command-input.js";
import { checkConstraint, type GraphConstraint } from "./constraint-events.js";
import type { AddedConstraint } from "./constraint-list.js";
import { encodeGraphEvent, type GraphPurgedData } from "./graph-event-codec.js";
import {
  BATCH_TYPE,
  CONSTRAINT_ADDED_TYPE,
  CONSTRAINT_REMOVED_TYPE,
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
import { provenanceMetadata } from "./provenance.js";
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

/** Up to where superseded versions are purged. */
export interface PurgeOptions extends AboutChange {
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

/** What an upsert answers. */
export interface GraphUpsertResult extends GraphCommandResult {
  /** Whether the node is new: none had the key. */
  readonly created: boolean;
}

/** What a batch answers. */
export interface GraphBatchResult {
  /** Of the one event that was written. */
  readonly lsn: number;
  /** The id that each item is about, in their order: of an upsert, that of the node that it found or created. */
  readonly ids: readonly number[];
  /** The id of what an item made. @throws TypeError for a reference of another batch */
  idOf(reference: BatchReference): number;
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
    "asOf" | "foresee" | "lsn" | "purgedVersions" | "rejectionAt" | "truncatedBefore" | "upserted" | "vectors"
  >;
  whenProcessed(lsn: number): Promise<void>;
}

/** Where ids that nothing ever had come from. */
export interface IdSource {
  take(kind: EntityKind): Promise<number>;
}

const GRAPH_STREAM = "graph";

/** What is asked for, for messages: an entity, or something about the graph as a whole. */
interface Asked {
  readonly kind: EntityKind | "graph";
  readonly id: number;
  readonly text: string;
}

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
    const change = changeOf(kind, "Created", input);
    this.#refuseAtOnce(kind, change);
    return await this.#run(kind, await this.#ids.take(kind), change);
  }

  put(
    kind: EntityKind,
    id: number,
    input: (NodeInput | EdgeInput) & ExpectedEntityVersion,
  ): Promise<GraphCommandResult> {
    return this.#run(kind, id, changeOf(kind, "Put", input));
  }

  async upsert(input: UpsertInput): Promise<GraphUpsertResult> {
    const change = changeOf("node", "Upserted", input);
    this.#refuseAtOnce("node", change);
    const given = await this.#ids.take("node");
    const { lsn } = await this.#run("node", given, change);
    const id = this.#applied.state.upserted(given);
    return { id, lsn, created: id === given };
  }

  change(
    kind: EntityKind,
    operation: "Replaced" | "Patched",
    id: number,
    properties: Properties,
    options: PropertyOptions,
  ): Promise<GraphCommandResult> {
    return this.#run(kind, id, changeOf(kind, operation, options, { properties }));
  }

  remove(
    kind: EntityKind,
    operation: "Deleted" | "Retracted",
    id: number,
    options: (DeleteOptions | RetractOptions) & Detach,
  ): Promise<GraphCommandResult> {
    return this.#run(kind, id, changeOf(kind, operation, options));
  }

  async batch(build: (batch: BatchBuilder) => void, options: AboutSubject): Promise<GraphBatchResult> {
    checkKnownKeys("batch", checkRecord("batch", options), ["subject", "provenance"]);
    const draft = new BatchDraft();
    draft.build(build);
    const ids: number[] = [];
    for (const { kind, takesId } of draft.items) ids.push(takesId ? await this.#ids.take(kind) : 0);
    const items = draft.resolved(ids);
    const lsn = await this.#write({ kind: "graph", id: 0, text: "the batch" }, BATCH_TYPE, { items }, options);
    const { state } = this.#applied;
    const found = items.map(({ data }, item) =>
      draft.items[item]?.kind === "node" ? state.upserted(data.id) : data.id,
    );
    return { lsn, ids: found, idOf: (reference) => found[draft.itemOf(reference)] as number };
  }

  async purge(options: PurgeOptions): Promise<GraphPurgeResult> {
    checkKnownKeys("purge", checkRecord("purge", options), ["recordedBefore", "provenance"]);
    const { recordedBefore, ...about } = options;
    const lsn = await this.#writeGlobal("the purge", PURGED_TYPE, { recordedBefore } satisfies GraphPurgedData, about);
    const { purgedVersions, truncatedBefore } = this.#applied.state;
    return { lsn, truncatedBefore: truncatedBefore ?? recordedBefore, purgedVersions };
  }

  async nameSnapshot(name: string, point: AsOf, about: AboutChange): Promise<NamedSnapshot> {
    checkSnapshotName(name);
    const { validAt, lsn } = this.#applied.state.asOf(point);
    const data = { name, validAt, lsn };
    return { ...data, namedBy: await this.#writeGlobal("the snapshot", SNAPSHOT_NAMED_TYPE, data, about) };
  }

  async removeSnapshot(name: string, about: AboutChange): Promise<{ readonly lsn: number }> {
    const data = { name: checkSnapshotName(name) };
    return { lsn: await this.#writeGlobal("the snapshot", SNAPSHOT_REMOVED_TYPE, data, about) };
  }

  async addConstraint(constraint: GraphConstraint, about: AboutChange): Promise<AddedConstraint> {
    const data = checkConstraint(constraint);
    return { ...data, addedBy: await this.#writeGlobal("the constraint", CONSTRAINT_ADDED_TYPE, data, about) };
  }

  async removeConstraint(constraint: GraphConstraint, about: AboutChange): Promise<{ readonly lsn: number }> {
    const data = checkConstraint(constraint);
    return { lsn: await this.#writeGlobal("the constraint", CONSTRAINT_REMOVED_TYPE, data, about) };
  }

  async defineVectors(definition: VectorDefinition, about: AboutChange): Promise<DefinedVectors> {
    const data = checkDefinition(definition);
    try {
      return { ...data, definedBy: await this.#writeGlobal("the change", VECTORS_DEFINED_TYPE, data, about) };
    } catch (error) {
      const isSame = (each: VectorsDefinedData): boolean => sameDefinition(each, data);
      const known = this.#applied.state.vectors.find(isSame);
      if (known !== undefined && isStoreError(error, "ERR_GRAPH_VECTORS_EXISTS")) return known;
      throw error;
    }
  }

  async removeVectors(reference: VectorsReference, about: AboutChange): Promise<{ readonly lsn: number }> {
    const data = checkReference("removeVectors", reference);
    return { lsn: await this.#writeGlobal("the change", VECTORS_REMOVED_TYPE, data, about) };
  }

  /** Before an id is taken: what is refused whatever the id is must cost none. */
  #refuseAtOnce(kind: EntityKind, { type, data }: Change): void {
    const payload = encodeGraphEvent(type, { ...data, id: Number.MAX_SAFE_INTEGER });
    const { state } = this.#applied;
    if (state.vectors.length === 0 || state.lsn < this.#store.watermark) return;
    const foreseen = state.foresee(type, payload);
    if (foreseen?.code === "ERR_GRAPH_INVALID_VECTOR")
      throw refusal(foreseen, { kind, id: 0, text: `the ${kind}` }, null);
  }

  async #run(kind: EntityKind, id: number, { type, data, about }: Change): Promise<GraphCommandResult> {
    return { id, lsn: await this.#write({ kind, id, text: `${kind} ${id}` }, type, { ...data, id }, about) };
  }

  #writeGlobal(text: string, type: string, data: object, about: AboutChange): Promise<number> {
    checkKnownKeys(text, checkRecord(text, about), ["provenance"]);
    return this.#write({ kind: "graph", id: 0, text }, type, data, about);
  }

  /** The LSN of the event, when the graph reflects it. */
  async #write(asked: Asked, type: string, data: object, { subject, provenance }: AboutSubject): Promise<number> {
    const metadata = provenance === undefined ? undefined : provenanceMetadata(provenance);
    const payload = encodeGraphEvent(type, data);
    let foreseen = this.#applied.state.foresee(type, payload);
    if (foreseen !== null && this.#applied.state.lsn < this.#store.watermark) {
      // The graph lags behind events that may well be what is missing.
      await this.#applied.whenProcessed(this.#store.watermark);
      foreseen = this.#applied.state.foresee(type, payload);
    }
    if (foreseen !== null) throw refusal(foreseen, asked, null);
    const event = {
      type,
      data,
      ...(metadata !== undefined && { metadata }),
      ...(subject !== undefined && { subject }),
    };
    // `as`: a group append answers with its LSN.
    const { lsn } = (await this.#store.append(GRAPH_STREAM, event, { durability: "group" })) as AppendResult;
    await this.#applied.whenProcessed(lsn);
    const rejected = this.#applied.state.rejectionAt(lsn);
    if (rejected !== undefined) throw refusal(rejected, asked, lsn);
    return lsn;
  }
}

/** Puts a batch together: its items, and references to what earlier ones make. Nothing is written, and no id taken, before it is whole. */

import { StoreError } from "../../errors.js";
import { BATCH_ITEMS_MAX, type GraphBatchItem } from "./batch-events.js";
import {
  type ChangeOperation,
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
import { encodeGraphEvent, type GraphEventData } from "./graph-event-codec.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { Properties } from "./property.js";

/** How many bytes the items of a batch take at most, encoded: a frame of the log holds all of it. */
export const BATCH_BYTES_MAX: number = 4 * 2 ** 20;

/** What an item of a batch makes: it stands for the id, which is not known yet, in later items of the same batch. */
export class BatchReference<Kind extends EntityKind = EntityKind> {
  readonly kind: Kind;

  /** @internal A batch makes them. */
  constructor(kind: Kind) {
    this.kind = kind;
  }
}

/** A node of the graph, or one that the batch makes. */
export type BatchNode = number | BatchReference<"node">;
/** An edge of the graph, or one that the batch makes. */
export type BatchEdge = number | BatchReference<"edge">;

type WithoutAbout<Input> = Omit<Input, "subject" | "provenance">;
export type BatchNodeInput = WithoutAbout<NodeInput>;
export interface BatchEdgeInput extends WithoutAbout<Omit<EdgeInput, "source" | "target">> {
  readonly source: BatchNode;
  readonly target: BatchNode;
}
export type BatchPropertyOptions = WithoutAbout<PropertyOptions>;

/**
 * Takes the items of a batch, in the order in which they count. Each call checks what it is given, and does nothing else. Subject and provenance
 * are those of the batch. @throws as the command of the same name, and StoreError `ERR_GRAPH_BATCH_REFERENCE`, `ERR_GRAPH_BATCH_LIMIT`
 */
export interface BatchBuilder {
  createNode(node: BatchNodeInput): BatchReference<"node">;
  /** The reference stands for the node that is found or created. */
  upsertNode(node: WithoutAbout<UpsertInput>): BatchReference<"node">;
  putNode(node: BatchNode, input: BatchNodeInput & ExpectedEntityVersion): void;
  patchNode(node: BatchNode, properties: Properties, options?: BatchPropertyOptions): void;
  replaceNode(node: BatchNode, properties: Properties, options?: BatchPropertyOptions): void;
  deleteNode(node: BatchNode, options?: WithoutAbout<DeleteOptions & Detach>): void;
  retractNode(node: BatchNode, options?: WithoutAbout<RetractOptions & Detach>): void;
  createEdge(edge: BatchEdgeInput): BatchReference<"edge">;
  putEdge(edge: BatchEdge, input: BatchEdgeInput & ExpectedEntityVersion): void;
  patchEdge(edge: BatchEdge, properties: Properties, options?: BatchPropertyOptions): void;
  replaceEdge(edge: BatchEdge, properties: Properties, options?: BatchPropertyOptions): void;
  deleteEdge(edge: BatchEdge, options?: WithoutAbout<DeleteOptions>): void;
  retractEdge(edge: BatchEdge, options?: WithoutAbout<RetractOptions>): void;
}

interface DraftItem {
  readonly kind: EntityKind;
  /** Whether it is about something new, or about what it may have to make. */
  readonly takesId: boolean;
  readonly type: string;
  readonly data: Omit<GraphEventData, "id">;
  /** Ids, or the places of the items that make them. */
  readonly about: Readonly<Record<string, Target>>;
}

type Target = { readonly id: number } | { readonly item: number };

/** In the place of an id that is not taken yet, while the rest is checked. */
const SOME_ID = 1;

export class BatchDraft implements BatchBuilder {
  readonly items: DraftItem[] = [];
  readonly #places = new Map<BatchReference, number>();
  #isOpen = true;
  #byteLength = 0;

  /** Has the caller put in what there is to be. */
  build(build: (batch: BatchBuilder) => void): void {
    if (typeof build !== "function") throw new TypeError("batch takes a function that puts its items together");
    let answer: unknown;
    try {
      answer = build(this);
    } finally {
      this.#isOpen = false;
    }
    if (typeof (answer as PromiseLike<unknown> | undefined)?.then === "function") {
      // Nobody waits for it: what it throws is not to end the process.
      Promise.resolve(answer).catch(() => {});
      throw new TypeError(
        "the function that puts a batch together must not be async: nothing is written before it returns",
      );
    }
    if (this.items.length === 0) throw new TypeError("the batch has no items");
  }

  createNode(node: BatchNodeInput): BatchReference<"node"> {
    return this.#make("node", "Created", node);
  }

  upsertNode(node: WithoutAbout<UpsertInput>): BatchReference<"node"> {
    return this.#make("node", "Upserted", node);
  }

  putNode(node: BatchNode, input: BatchNodeInput & ExpectedEntityVersion): void {
    this.#add("node", "Put", node, input);
  }

  patchNode(node: BatchNode, properties: Properties, options: BatchPropertyOptions = {}): void {
    this.#add("node", "Patched", node, options, properties);
  }

  replaceNode(node: BatchNode, properties: Properties, options: BatchPropertyOptions = {}): void {
    this.#add("node", "Replaced", node, options, properties);
  }

  deleteNode(node: BatchNode, options: WithoutAbout<DeleteOptions & Detach> = {}): void {
    this.#add("node", "Deleted", node, options);
  }

  retractNode(node: BatchNode, options: WithoutAbout<RetractOptions & Detach> = {}): void {
    this.#add("node", "Retracted", node, options);
  }

  createEdge(edge: BatchEdgeInput): BatchReference<"edge"> {
    return this.#make("edge", "Created", edge);
  }

  putEdge(edge: BatchEdge, input: BatchEdgeInput & ExpectedEntityVersion): void {
    this.#add("edge", "Put", edge, input);
  }

  patchEdge(edge: BatchEdge, properties: Properties, options: BatchPropertyOptions = {}): void {
    this.#add("edge", "Patched", edge, options, properties);
  }

  replaceEdge(edge: BatchEdge, properties: Properties, options: BatchPropertyOptions = {}): void {
    this.#add("edge", "Replaced", edge, options, properties);
  }

  deleteEdge(edge: BatchEdge, options: WithoutAbout<DeleteOptions> = {}): void {
    this.#add("edge", "Deleted", edge, options);
  }

  retractEdge(edge: BatchEdge, options: WithoutAbout<RetractOptions> = {}): void {
    this.#add("edge", "Retracted", edge, options);
  }

  /** The place of the item that made it. */
  itemOf(reference: BatchReference): number {
    const place = this.#places.get(reference);
    if (place === undefined) throw new TypeError("idOf takes a reference that this batch has given");
    return place;
  }

  /** The items with ids: `ids` has one for each item that takes one. */
  resolved(ids: readonly number[]): (GraphBatchItem & { readonly data: GraphEventData })[] {
    const resolved: number[] = [];
    return this.items.map(({ type, data, about, takesId }, place) => {
      const idOf = (target: Target): number => ("id" in target ? target.id : (resolved[target.item] as number));
      const named = Object.fromEntries(Object.entries(about).map(([field, target]) => [field, idOf(target)]));
      const id = takesId ? (ids[place] as number) : (named["id"] as number);
      resolved.push(id);
      return { type, data: { ...data, ...named, id } };
    });
  }

  #make<Kind extends EntityKind>(kind: Kind, operation: ChangeOperation, input: object): BatchReference<Kind> {
    this.#add(kind, operation, null, input);
    const reference = new BatchReference(kind);
    this.#places.set(reference, this.items.length - 1);
    return reference;
  }

  /** `entity` is null where the item makes one. */
  #add(
    kind: EntityKind,
    operation: ChangeOperation,
    entity: number | BatchReference | null,
    input: object,
    properties?: Properties,
  ): void {
    if (!this.#isOpen) throw new TypeError("the batch is put together already");
    if (this.items.length === BATCH_ITEMS_MAX) {
      const details = { itemCountMax: BATCH_ITEMS_MAX };
      throw new StoreError("ERR_GRAPH_BATCH_LIMIT", `a batch has at most ${BATCH_ITEMS_MAX} items`, details);
    }
    const change = changeOf(kind, operation, input, { ...(properties !== undefined && { properties }) });
    for (const name of Object.keys(change.about)) throw new TypeError(`${name} is said of the whole batch`);
    const about: Record<string, Target> = {};
    if (entity !== null) about["id"] = this.#targetOf("id", kind, entity);
    const { source, target, ...data } = change.data as { source?: number; target?: number };
    if (source !== undefined) about["source"] = this.#targetOf("source", "node", source);
    if (target !== undefined) about["target"] = this.#targetOf("target", "node", target);
    const item = { kind, takesId: entity === null, type: change.type, data, about };
    const ids = Object.entries(about).map(([field, each]) => [field, "id" in each ? each.id : SOME_ID]);
    const encoded = encodeGraphEvent(item.type, { id: SOME_ID, ...data, ...Object.fromEntries(ids) });
    this.#byteLength += encoded.length;
    if (this.#byteLength > BATCH_BYTES_MAX) {
      const details = { byteLengthMax: BATCH_BYTES_MAX };
      throw new StoreError("ERR_GRAPH_BATCH_LIMIT", `a batch takes at most ${BATCH_BYTES_MAX} bytes`, details);
    }
    this.items.push(item);
  }

  #targetOf(field: string, kind: EntityKind, entity: number | BatchReference): Target {
    if (!(entity instanceof BatchReference)) return { id: entity };
    const item = this.#places.get(entity);
    if (item !== undefined && entity.kind === kind) return { item };
    const why = item === undefined ? "of another batch" : `to something that is no ${kind}`;
    const details = { item: this.items.length, field };
    throw new StoreError(
      "ERR_GRAPH_BATCH_REFERENCE",
      `${field} of item ${details.item} is a reference ${why}`,
      details,
    );
  }
}

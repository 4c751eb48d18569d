/**
 * Opens the indexes of a graph's vectors, has them follow the state that serves, and saves them.
 *
 * - Opening loads what was saved, then enters what it lacks of what the nodes hold, in slices between which the event loop turns. Until that is done,
 *   questions are answered by comparing all nodes.
 * - An index lies with the tables of the state that it is of. When another state comes to serve, those that were open are opened with it.
 * - Saving takes a copy in one turn, and writes that while events go on being applied.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { StoreError } from "../../errors.js";
import { CheckpointDirectory } from "../checkpoint-directory.js";
import { readCheckpoint, writeCheckpoint } from "../checkpoint-file.js";
import type { CheckpointFacts } from "../checkpoint-format.js";
import type { EventFeed } from "../event-feed.js";
import { judge } from "../runner-start.js";
import { checkId } from "./graph-input.js";
import { GRAPH_PROJECTION } from "./graph-projection.js";
import type { GraphState } from "./graph-state.js";
import type { RawEvent } from "./raw-event.js";
import { checkReference, type DefinedVectors, type VectorsReference } from "./vector-definition.js";
import { readVectorIndex, VECTOR_FILE_VERSION, VectorSnapshot, vectorDirectoryName } from "./vector-file.js";
import { VectorIndex } from "./vector-index.js";
import { loadVectorPeer, type VectorPeer } from "./vector-peer.js";
import { notDefined } from "./vector-search.js";

/** Which vectors are opened, and how. */
export interface OpenVectorsOptions extends VectorsReference {
  /** How many threads insert into the index, 1 to 64. Default 1: the event loop's own. It waits for them. */
  readonly threads?: number;
}

/** Vectors whose index is there. */
export interface OpenedVectors {
  /** How many different vectors of nodes are in the index, those of former versions included. */
  readonly count: number;
  /** Where it came from: a file, with what that lacked, or only what the nodes hold. */
  readonly from: "file" | "nodes";
}

/** What is asked of the graph that runs. */
export interface ServingGraph {
  readonly state: GraphState;
  /** What a checkpoint of this moment says beside the state. */
  readonly facts: CheckpointFacts;
}

const SLICE_MS = 10;
const THREADS_MAX = 64;

interface Opened {
  readonly reference: VectorsReference;
  readonly threads: number;
  opening: Promise<OpenedVectors> | null;
  /** The index that lies in the file, and how far it had changed. */
  saved: { readonly index: VectorIndex; readonly changeCount: number } | null;
}

export class VectorKeeper {
  readonly #feed: EventFeed<RawEvent>;
  readonly #opened = new Map<string, Opened>();
  #serving: ServingGraph | null = null;
  #peer: VectorPeer | null = null;
  #saving: Promise<void> | null = null;
  #removing: Promise<void> = Promise.resolve();
  /** Raised when what was saved must go: a save that began before is of what must go too. */
  #round = 0;
  #isClosed = false;

  constructor(feed: EventFeed<RawEvent>) {
    this.#feed = feed;
  }

  /** Must be called once, before anything else. */
  attend(serving: ServingGraph): void {
    this.#serving = serving;
  }

  open(options: OpenVectorsOptions): Promise<OpenedVectors> {
    const reference = checkReference("openVectors", options, ["threads"]);
    const { threads = 1 } = options;
    if (checkId("threads", threads) > THREADS_MAX) throw new TypeError(`threads must be at most ${THREADS_MAX}`);
    this.#definitionOf(reference);
    const key = keyOf(reference);
    let opened = this.#opened.get(key);
    if (opened === undefined) {
      opened = { reference, threads, opening: null, saved: null };
      this.#opened.set(key, opened);
    }
    return this.#begin(opened);
  }

  /** Another state serves: opens with it what was open with the one before. */
  follow(): void {
    for (const opened of this.#opened.values())
      this.#begin(opened).catch((error: unknown) => this.#warn(opened, error));
  }

  /** Saves every index that has changed since it was saved. Throws ERR_PROJECTION_CHECKPOINT. */
  save(): Promise<void> {
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = null;
    });
    return this.#saving;
  }

  /** The graph's checkpoint is being written: that of the vectors need not wait for anybody to ask. */
  saveBeside(): void {
    if (this.#isClosed) return;
    this.save().catch((error: unknown) => this.#warn(null, error));
  }

  /** The state began anew, because it had something of a subject that was forgotten; so have the files. */
  discard(): void {
    this.#round += 1;
    this.#removing = this.#removing.then(() => this.#removeAll()).catch((error: unknown) => this.#warn(null, error));
  }

  /** Resolves when what is to go has gone. */
  async whenDiscarded(): Promise<void> {
    await this.#removing;
  }

  /** These are defined no more. */
  async remove(reference: VectorsReference): Promise<void> {
    this.#opened.delete(keyOf(reference));
    await this.#saving?.catch(() => {});
    await this.#removeFile(reference);
  }

  /** Stops what is being opened, and saves. Throws as `save`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(Array.from(this.#opened.values(), ({ opening }) => opening));
    await this.#removing;
    await this.#saving?.catch(() => {});
    await this.save();
  }

  #begin(opened: Opened): Promise<OpenedVectors> {
    opened.opening ??= this.#open(opened).finally(() => {
      opened.opening = null;
    });
    return opened.opening;
  }

  async #open(opened: Opened): Promise<OpenedVectors> {
    const peer = loadVectorPeer();
    this.#peer = peer;
    let from: OpenedVectors["from"] = "nodes";
    for (;;) {
      this.#requireOpen();
      const { tables } = this.#state;
      const definition = this.#definitionOf(opened.reference);
      let index = tables.vectors.indexOf(definition);
      if (index === undefined) {
        const saved = await this.#load(definition, peer, opened.threads);
        if (this.#state.tables !== tables || this.#definitionOf(opened.reference) !== definition) continue;
        index = saved ?? new VectorIndex(definition, peer.create(definition), opened.threads);
        from = saved === null ? "nodes" : "file";
        index.dropStale(tables);
        // What of it was stale is to be saved as gone.
        if (saved !== null && index.changeCount === 0) opened.saved = { index, changeCount: 0 };
        tables.vectors.open(index);
      }
      while (tables.vectors.indexOf(definition) === index && this.#state.tables === tables && !this.#isClosed) {
        if (this.#build(index)) return { count: index.count, from };
        await nextTurn();
      }
    }
  }

  #build(index: VectorIndex): boolean {
    const { tables } = this.#state;
    try {
      return tables.vectors.build(index, tables, performance.now() + SLICE_MS);
    } catch (error) {
      // Of what is in it by now nobody knows.
      tables.vectors.close(index.definition);
      throw error;
    }
  }

  async #load(definition: DefinedVectors, peer: VectorPeer, threads: number): Promise<VectorIndex | null> {
    const name = vectorDirectoryName(definition);
    const directory = new CheckpointDirectory(this.#feed.directory, name);
    const file = directory.fileOf(VECTOR_FILE_VERSION);
    const reading = await readCheckpoint(
      file,
      (facts) => judge(facts, { ...GRAPH_PROJECTION, name, version: VECTOR_FILE_VERSION }, this.#feed),
      (pieces) => readVectorIndex(pieces, definition, peer, threads),
      this.#feed.stateCiphers ?? null,
    );
    if (reading.kind === "usable") return reading.state;
    if (reading.kind === "refused") {
      process.emitWarning(`${file} is not used: ${reading.message}`, { type: "VarveWarning" });
      if (reading.reason === "forgotten" && !this.#feed.readOnly) await directory.remove([file]);
    }
    return null;
  }

  async #saveAll(): Promise<void> {
    const peer = this.#peer;
    if (this.#feed.readOnly || peer === null) return;
    for (const opened of this.#opened.values()) {
      const definition = this.#state.tables.vectors.definitions.get(opened.reference);
      const index = definition === undefined ? undefined : this.#state.tables.vectors.indexOf(definition);
      if (index === undefined || index.count === 0) continue;
      const { saved } = opened;
      if (saved?.index === index && saved.changeCount === index.changeCount) continue;
      await this.#saveOne(opened, index, peer);
    }
  }

  async #saveOne(opened: Opened, index: VectorIndex, peer: VectorPeer): Promise<void> {
    const round = this.#round;
    const name = vectorDirectoryName(opened.reference);
    const directory = new CheckpointDirectory(this.#feed.directory, name);
    // Both of this turn.
    const facts = { ...this.#graph.facts, name, version: VECTOR_FILE_VERSION, skippedEvents: 0, parked: [] };
    try {
      const snapshot = new VectorSnapshot(index, peer);
      try {
        await directory.removeTemporaryFiles();
        const file = directory.fileOf(VECTOR_FILE_VERSION);
        await writeCheckpoint(file, facts, snapshot.pieces(), this.#feed.stateCiphers ?? null);
        opened.saved = { index, changeCount: snapshot.changeCount };
        if (round !== this.#round) await this.#removeFile(opened.reference);
      } finally {
        snapshot.close();
      }
    } catch (cause) {
      const { label, property } = opened.reference;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the index of the vectors ${label}.${property} could not be saved: ${reason}`;
      throw new StoreError("ERR_PROJECTION_CHECKPOINT", message, { projection: name, lsn: facts.lsn }, { cause });
    }
  }

  async #removeAll(): Promise<void> {
    await this.#saving?.catch(() => {});
    for (const { reference } of this.#opened.values()) await this.#removeFile(reference);
  }

  async #removeFile(reference: VectorsReference): Promise<void> {
    const opened = this.#opened.get(keyOf(reference));
    if (opened !== undefined) opened.saved = null;
    if (this.#feed.readOnly) return;
    const directory = new CheckpointDirectory(this.#feed.directory, vectorDirectoryName(reference));
    await directory.removeTemporaryFiles();
    await directory.remove(await directory.all());
  }

  #definitionOf(reference: VectorsReference): DefinedVectors {
    const definition = this.#state.tables.vectors.definitions.get(reference);
    if (definition === undefined) throw notDefined(reference);
    return definition;
  }

  get #graph(): ServingGraph {
    if (this.#serving === null) throw new Error("nothing is attended");
    return this.#serving;
  }

  get #state(): GraphState {
    return this.#graph.state;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new StoreError("ERR_STORE_CLOSED", "the store is closing: the vectors are not opened");
  }

  #warn(opened: Opened | null, error: unknown): void {
    const which = opened === null ? "vectors" : `the vectors ${opened.reference.label}.${opened.reference.property}`;
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`${which}: ${reason}`, { type: "VarveWarning" });
  }
}

function keyOf({ label, property }: VectorsReference): string {
  return JSON.stringify([label, property]);
}

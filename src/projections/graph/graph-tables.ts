/** The graph's data: nodes, edges, what they hold, and when it was recorded. Only graph-writer.ts, batch-write.ts and graph-purge.ts change it. */

import { Int32Column } from "./column.js";
import { ConstraintList } from "./constraint-list.js";
import { ContentArena } from "./content-arena.js";
import type { EntityKind } from "./graph-event-kind.js";
import { GraphVectors } from "./graph-vectors.js";
import { GraphHistoryFiles } from "./history-files.js";
import { IdIndex } from "./id-index.js";
import { KeyIndexes } from "./key-indexes.js";
import { LabelTable } from "./label-table.js";
import { MovedLabels } from "./moved-labels.js";
import type { MovedRows } from "./moved-rows.js";
import { NamedSnapshots } from "./named-snapshots.js";
import { PropertyIndexes } from "./property-indexes.js";
import { PurgeHorizon } from "./purge-horizon.js";
import { RecordedClock } from "./recorded-clock.js";
import { Records } from "./records.js";
import { RejectionList } from "./rejection-list.js";
import { Timelines } from "./timelines.js";
import { UpsertOutcomes } from "./upsert-outcomes.js";
import { VectorDefinitions } from "./vector-definitions.js";

/** Which of a node's edges: those that leave it, those that reach it, or all, a loop once. */
export type EdgeDirection = "out" | "in" | "both";

// Every entity's record begins with its first live rectangle; int 10 is its last closed one (timelines.ts), double 6 its id. Together
// a record is 64 bytes, a cache line.
const RECORD_BYTES = 64;
const ID = 6;
const LAST_OUT = 8;
const LAST_IN = 9;
const NEXT_OUT = 8;
const NEXT_IN = 9;
const LABEL = 11;
const SOURCE = 14;
const TARGET = 15;

export class NodeTable {
  readonly records: Records = new Records(RECORD_BYTES);
  readonly ids: IdIndex = new IdIndex(this.records, ID);
  readonly timelines: Timelines;

  constructor(moved: MovedRows) {
    this.timelines = new Timelines(this.records, moved);
  }

  insert(id: number): number {
    const slot = this.records.add();
    this.records.setDouble(slot, ID, id);
    this.timelines.add(slot);
    this.ids.insert(slot);
    return slot;
  }

  id(slot: number): number {
    return this.records.double(slot, ID);
  }

  /** The last edge that leaves a node, or 0. */
  lastOut(slot: number): number {
    return this.records.int(slot, LAST_OUT);
  }

  /** The last edge that reaches a node, or 0. */
  lastIn(slot: number): number {
    return this.records.int(slot, LAST_IN);
  }

  /** Puts an edge before those that leave `source` and those that reach `target`. */
  link(edge: number, source: number, target: number): void {
    this.records.setInt(source, LAST_OUT, edge);
    this.records.setInt(target, LAST_IN, edge);
  }
}

/** An edge has its label and its ends (node slots) from its first assertion on and never loses its place between them. */
export class EdgeTable {
  readonly records: Records = new Records(RECORD_BYTES);
  readonly ids: IdIndex = new IdIndex(this.records, ID);
  readonly timelines: Timelines;

  constructor(moved: MovedRows) {
    this.timelines = new Timelines(this.records, moved);
  }

  insert(nodes: NodeTable, id: number, label: number, source: number, target: number): number {
    const { records } = this;
    const slot = records.add();
    const ints = records.ints(slot);
    const offset = records.offset(slot);
    const at = offset * 2;
    // A new row was never saved, so nothing is to be noted.
    records.doubles(slot)[offset + ID] = id;
    ints[at + LABEL] = label;
    ints[at + SOURCE] = source;
    ints[at + TARGET] = target;
    ints[at + NEXT_OUT] = nodes.lastOut(source);
    ints[at + NEXT_IN] = nodes.lastIn(target);
    nodes.link(slot, source, target);
    this.timelines.add(slot);
    this.ids.insert(slot);
    return slot;
  }

  id(slot: number): number {
    return this.records.double(slot, ID);
  }

  label(slot: number): number {
    return this.records.int(slot, LABEL);
  }

  source(slot: number): number {
    return this.records.int(slot, SOURCE);
  }

  target(slot: number): number {
    return this.records.int(slot, TARGET);
  }

  /** The edge that left the same source before it, or 0. */
  nextOut(slot: number): number {
    return this.records.int(slot, NEXT_OUT);
  }

  /** The edge that reached the same target before it, or 0. */
  nextIn(slot: number): number {
    return this.records.int(slot, NEXT_IN);
  }
}

export class GraphTables {
  readonly history: GraphHistoryFiles = new GraphHistoryFiles();
  readonly nodes: NodeTable = new NodeTable(this.history.nodes);
  readonly edges: EdgeTable = new EdgeTable(this.history.edges);
  readonly contents: ContentArena = new ContentArena(this.history);
  readonly labels: LabelTable = new LabelTable();
  /** Per label: every node slot that bore it in any version that is left, in the order in which it first did. */
  readonly labelled: Int32Column[] = [];
  readonly movedLabels: MovedLabels = new MovedLabels();
  readonly clock: RecordedClock = new RecordedClock();
  readonly rejections: RejectionList = new RejectionList();
  readonly indexes: PropertyIndexes = new PropertyIndexes();
  readonly keyIndexes: KeyIndexes = new KeyIndexes();
  readonly purged: PurgeHorizon = new PurgeHorizon();
  readonly snapshots: NamedSnapshots = new NamedSnapshots();
  readonly constraints: ConstraintList = new ConstraintList();
  /** Not part of a checkpoint: only who waits for an upsert asks. */
  readonly upserts: UpsertOutcomes = new UpsertOutcomes();
  readonly vectors: GraphVectors;

  /** Tables of a part of a graph share the definitions of the whole. */
  constructor(definitions: VectorDefinitions = new VectorDefinitions()) {
    this.vectors = new GraphVectors(definitions);
  }

  of(kind: EntityKind): NodeTable | EdgeTable {
    return kind === "node" ? this.nodes : this.edges;
  }

  /** Nothing is asked or told of what nodes hold: there is no constraint, no index and no vector. */
  get hasOnlyEntities(): boolean {
    const { constraints, indexes, vectors } = this;
    return constraints.count === 0 && indexes.isEmpty && vectors.isEmpty;
  }

  /** The posting list of a label, an empty one if need be. */
  postingsOf(label: number): Int32Column {
    while (this.labelled.length <= label) this.labelled.push(new Int32Column());
    return this.labelled[label] as Int32Column;
  }

  /** Whether a node bore a label in any version that is left. */
  bore(slot: number, label: number): boolean {
    const { nodes, contents } = this;
    for (const row of nodes.timelines.rowsInMemory(slot)) {
      contents.open(nodes.timelines.content(slot, row));
      if (contents.label === label) return true;
    }
    return this.movedLabels.has(slot, label);
  }

  /** Gives the room of contents back that nothing in memory holds. */
  compactContents(): void {
    this.contents.keepOnly((newPlaceOf) => {
      for (const { timelines } of [this.nodes, this.edges]) timelines.moveContents(newPlaceOf);
    });
  }

  /** The edge slots at a node, whatever their time, the last created first. Edges created meanwhile are not among them. */
  *edgesOf(node: number, direction: EdgeDirection): Generator<number, void, undefined> {
    const { edges } = this;
    if (direction !== "in") {
      for (let edge = this.nodes.lastOut(node); edge !== 0; edge = edges.nextOut(edge)) yield edge;
    }
    if (direction !== "out") {
      for (let edge = this.nodes.lastIn(node); edge !== 0; edge = edges.nextIn(edge)) {
        if (direction === "in" || edges.source(edge) !== node) yield edge;
      }
    }
  }
}

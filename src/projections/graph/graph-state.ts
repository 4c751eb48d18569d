/**
 * The bi-temporal graph: the log's graph events, applied.
 *
 * - Events are applied in LSN order. What is refused at its own LSN changes nothing and is listed as rejected.
 * - The state is a function of the events alone: the same events give the same bytes of `encode`.
 * - Events of other types only move the LSN and the time.
 */

import { assert } from "../../assert.js";
import { StoreError, type StoreErrorCode } from "../../errors.js";
import type { StateChanges, StateLoad } from "../state-pieces.js";
import { Chronicle } from "./chronicle.js";
import type { AddedConstraint } from "./constraint-list.js";
import type { EntityOf } from "./entity.js";
import { GLOBAL_TYPES, readGlobalChange } from "./global-change.js";
import { decodeTables, encodeChanges, encodeTables, markSaved, TablesLoad } from "./graph-checkpoint.js";
import { GraphEventFields } from "./graph-event-fields.js";
import { type EntityKind, GRAPH_EVENT_KINDS, type GraphEventKind } from "./graph-event-kind.js";
import { differences, type GraphChange, type HistoryOptions } from "./graph-history.js";
import { type GraphMemory, memoryOf } from "./graph-memory.js";
import { type AsOf, pointOf } from "./graph-point.js";
import { GraphResults } from "./graph-results.js";
import type { GraphRows } from "./graph-rows.js";
import { GraphTables } from "./graph-tables.js";
import { GraphView } from "./graph-view.js";
import { GraphWriter } from "./graph-writer.js";
import type { OpenHistory } from "./history-files.js";
import type { IndexDefinition } from "./indexed-property.js";
import type { NamedSnapshot } from "./named-snapshots.js";
import { type During, GraphDuring } from "./overlap-match.js";
import type { RawEvent } from "./raw-event.js";
import type { Refused } from "./refusal.js";
import type { Rejection } from "./rejection-list.js";
import { ROWS_AHEAD_MAX, RowWriter } from "./row-writer.js";
import { checkSnapshotName } from "./snapshot-events.js";
import type { DefinedVectors } from "./vector-definition.js";

// As many as a processor can usefully fetch for; their lines fit its first-level cache.
const EVENTS_AHEAD_MAX = 64;

export interface GraphStateOptions {
  /** The wall clock, µs since 1970. */
  readonly clock?: () => number;
  /** Opens the files that a checkpoint names. */
  readonly openHistory?: OpenHistory;
}

export class GraphState {
  /** Answers what is asked along the axes. */
  readonly chronicle: Chronicle;
  readonly #tables: GraphTables;
  readonly #writer: GraphWriter;
  readonly #rowWriter: RowWriter;
  readonly #fields = new GraphEventFields();
  readonly #clock: () => number;
  /** What `prepare` took apart, and how far `apply` got in it. */
  readonly #ahead = Array.from({ length: EVENTS_AHEAD_MAX }, () => new GraphEventFields());
  #nextAhead = 0;
  // Runs of one type are the rule: the last look-up saves the next.
  #lastType = "";
  #lastKind: GraphEventKind | undefined;

  constructor(options: GraphStateOptions = {}, tables: GraphTables = new GraphTables()) {
    this.#tables = tables;
    this.#writer = new GraphWriter(tables);
    this.#rowWriter = new RowWriter(tables);
    this.#clock = options.clock ?? (() => Date.now() * 1000);
    this.chronicle = new Chronicle(tables, this.#clock);
  }

  /** @internal */
  get tables(): GraphTables {
    return this.#tables;
  }

  /** The vectors that are defined, in the order in which they were. */
  get vectors(): readonly DefinedVectors[] {
    return this.#tables.vectors.definitions.list();
  }

  /** The last LSN applied, 0 before the first. */
  get lsn(): number {
    return this.#tables.clock.lsn;
  }

  /** The effective recordedAt of that LSN, µs since 1970; −Infinity before the first. */
  get recordedAt(): number {
    return this.#tables.clock.time;
  }

  /** How many nodes and edges ever existed, by id. */
  get counts(): { readonly nodes: number; readonly edges: number } {
    return { nodes: this.#tables.nodes.records.length - 1, edges: this.#tables.edges.records.length - 1 };
  }

  /** Up to where superseded versions were purged, µs since 1970; null: nothing ever was. */
  get truncatedBefore(): number | null {
    return this.#tables.purged.before;
  }

  /** How many superseded versions purges have removed so far. */
  get purgedVersions(): number {
    return this.#tables.purged.removedCount;
  }

  /** What the graph takes, and where its history lies. */
  get memory(): GraphMemory {
    return memoryOf(this.#tables);
  }

  /** How many events were rejected. */
  get rejectedCount(): number {
    return this.#tables.rejections.count;
  }

  /** The most recent rejections, the oldest first. */
  get rejections(): readonly Rejection[] {
    return this.#tables.rejections.list();
  }

  /** What became of the event at an LSN, when it was rejected. */
  rejectionAt(lsn: number): Rejection | undefined {
    return this.#tables.rejections.at(lsn);
  }

  /**
   * A hint that these events are applied next: they are taken apart, and what they touch is fetched from memory, all of it at
   * once instead of one wait after another. Nothing changes. At most `EVENTS_AHEAD_MAX` are looked at.
   */
  prepare(events: readonly RawEvent[], from: number, to: number): void {
    const ahead = this.#ahead;
    this.#nextAhead = 0;
    let count = 0;
    for (let index = from; index < to && count < EVENTS_AHEAD_MAX; index += 1) {
      const event = events[index] as RawEvent;
      const kind = this.#kindOf(event.type);
      if (kind === undefined) continue;
      const fields = ahead[count] as GraphEventFields;
      fields.malformed = fields.read(kind, event.bytes, event.payloadStart, event.payloadEnd);
      fields.lsn = event.lsn;
      count += 1;
    }
    const { nodes } = this.#tables;
    for (let index = 0; index < count; index += 1) {
      const fields = ahead[index] as GraphEventFields;
      if (fields.source === 0) continue;
      fields.sourceSlot = nodes.ids.slotOf(fields.source);
      fields.targetSlot = nodes.ids.slotOf(fields.target);
    }
    let sum = 0;
    for (let index = 0; index < count; index += 1) {
      const fields = ahead[index] as GraphEventFields;
      sum += nodes.lastOut(fields.sourceSlot) + nodes.lastIn(fields.targetSlot);
    }
    // Says what is true, and keeps the compiler from leaving out reads that nothing needs.
    assert(sum >= 0, "links are rows");
  }

  apply(event: RawEvent): void {
    const { clock } = this.#tables;
    assert(event.lsn > clock.lsn, "events are applied in LSN order");
    clock.advance(event.lsn, event.recordedAt);
    const kind = this.#kindOf(event.type);
    if (kind === undefined) {
      if (GLOBAL_TYPES.has(event.type)) this.#applyGlobal(event);
      return;
    }
    clock.anchor();
    this.#applyFields(kind, this.#fieldsOf(kind, event), event.lsn);
  }

  /** The same for rows `[from, end)`, none of which is a record. Of a throw `rows.applying` says which of them it was. */
  applyRows(rows: GraphRows, from: number, end: number): void {
    // What has to be asked or told of each node is left to the one place that does.
    const isPlain = this.#tables.hasOnlyEntities;
    for (let first = from; first < end; first += ROWS_AHEAD_MAX) {
      const last = Math.min(end, first + ROWS_AHEAD_MAX);
      rows.applying = first;
      this.#rowWriter.lookAhead(rows, first, last);
      for (let row = first; row < last; row += 1) this.#applyRow(rows, row, isPlain);
    }
  }

  #applyRow(rows: GraphRows, row: number, isPlain: boolean): void {
    const { clock } = this.#tables;
    rows.applying = row;
    const lsn = rows.lsnAt(row);
    assert(lsn > clock.lsn, "events are applied in LSN order");
    clock.advance(lsn, rows.recordedAtOf(row));
    const kind = rows.kindAt(row);
    if (kind === null) return;
    clock.anchor();
    if (isPlain && this.#rowWriter.create(rows, row)) return;
    this.#applyFields(kind, rows.fieldsOf(row), lsn);
  }

  /**
   * What the rules say about an event if it came next, recorded at the present: the code of its refusal, or null.
   * Nothing changes. With ERR_GRAPH_HAS_EDGES, `edges` says how many.
   */
  foresee(type: string, payload: Uint8Array): Refused | null {
    const kind = this.#kindOf(type);
    const time = Math.max(this.#clock(), this.#tables.clock.time);
    if (GLOBAL_TYPES.has(type)) {
      const change = readGlobalChange(this.#tables, type, payload, 0, payload.length);
      const refused = typeof change === "string" ? change : change.judge(time, this.lsn);
      return typeof refused === "string" ? { code: refused, edges: 0 } : refused;
    }
    if (kind === undefined) return null;
    const fields = this.#fields;
    const malformed = fields.read(kind, payload, 0, payload.length);
    if (malformed !== null) return { code: malformed, edges: 0 };
    const code = this.#judge(kind, fields, time);
    return code === null ? null : { code, edges: this.#edgesInTheWay(fields, code), ...this.#details() };
  }

  /**
   * One consistent view. It is fixed: events applied later do not enter it.
   *
   * Throws `RangeError` for an LSN that was not applied yet, ERR_GRAPH_INVALID_PERIOD for a time outside ±(2^53 − 1).
   */
  asOf(point: AsOf = {}): GraphView {
    return new GraphView(this.#tables, pointOf(this.#tables.clock, this.#clock(), "asOf", point));
  }

  /** A stretch of valid time at one recorded point. Throws as `asOf`. */
  during(during: During = {}): GraphDuring {
    return new GraphDuring(this.#tables, during);
  }

  /** Builds some of an index of nodes; true when it is there. */
  buildIndex(definition: IndexDefinition, slotCountMax: number): boolean {
    const { indexes } = this.#tables;
    const index = indexes.of(definition);
    return index.of.isComplete || indexes.build(index, this.#tables, slotCountMax);
  }

  /** Everything the graph knows or knew about a node or an edge: its rectangles in the order (recordedFrom, validFrom). */
  history<Kind extends EntityKind>(kind: Kind, id: number, options: HistoryOptions = {}): GraphResults<EntityOf[Kind]> {
    return this.chronicle.history(kind, id, options);
  }

  /** The points that have a name, in the order in which they were given it. */
  get snapshots(): readonly NamedSnapshot[] {
    return this.#tables.snapshots.list();
  }

  /** The view at a named point. Throws ERR_GRAPH_SNAPSHOT_NOT_FOUND. */
  snapshot(name: string): GraphView {
    const found = this.#tables.snapshots.get(checkSnapshotName(name));
    if (found === undefined) {
      throw new StoreError("ERR_GRAPH_SNAPSHOT_NOT_FOUND", `no snapshot is named ${JSON.stringify(name)}`, { name });
    }
    return new GraphView(this.#tables, { validAt: found.validAt, lsn: found.lsn, askedAt: null });
  }

  /** What must hold of the nodes, in the order in which it was added. */
  get constraints(): readonly AddedConstraint[] {
    return this.#tables.constraints.list();
  }

  /** The last LSN that changed an entity, whatever the valid time; 0: none ever did. */
  versionOf(kind: EntityKind, id: number): number {
    const { ids, timelines } = this.#tables.of(kind);
    const slot = ids.slotOf(id);
    return slot === 0 ? 0 : timelines.versionOf(slot);
  }

  /** The node that an upsert has found instead of creating this one; the same where it has created it. */
  upserted(id: number): number {
    return this.#tables.upserts.of(id);
  }

  /** What is different in the second view: entities that exist in one only, or hold something else. One at a time. */
  diff(before: GraphView, after: GraphView): GraphResults<GraphChange> {
    const isView = (view: unknown): boolean => view instanceof GraphView && view.tables === this.#tables;
    if (!isView(before) || !isView(after)) {
      throw new TypeError("diff: both views must be of this graph");
    }
    const answering = {
      get truncatedBefore(): number | null {
        return before.truncatedBefore ?? after.truncatedBefore;
      },
    };
    return new GraphResults(answering, () => differences(before, after));
  }

  /** The state as bytes. They are views of it: take them all before the next `apply`. */
  encode(): Iterable<Uint8Array> {
    return encodeTables(this.#tables);
  }

  /** The state that `encode` gave, however its bytes are cut. Throws ERR_PROJECTION_CHECKPOINT when they are none. */
  static decode(chunks: Iterable<Uint8Array>, options: GraphStateOptions = {}): GraphState {
    return new GraphState(options, decodeTables(chunks, options.openHistory));
  }

  /** What was written to since the last `markSaved`; null: all is to be saved. Its pieces are as those of `encode`. */
  changes(): StateChanges | null {
    return encodeChanges(this.#tables);
  }

  /** Says that the state as it is lies on disk. */
  markSaved(): void {
    markSaved(this.#tables);
  }

  /** For a state that comes from files, whole and then its changes. */
  static load(options: GraphStateOptions = {}): StateLoad<GraphState> {
    const tables = new TablesLoad(options.openHistory);
    return {
      whole: (bytesLeft) => tables.whole(bytesLeft),
      changes: (bytesLeft) => tables.changes(bytesLeft),
      finish: () => new GraphState(options, tables.finish()),
    };
  }

  #kindOf(type: string): GraphEventKind | undefined {
    if (type === this.#lastType) return this.#lastKind;
    this.#lastType = type;
    this.#lastKind = GRAPH_EVENT_KINDS.get(type);
    return this.#lastKind;
  }

  #fieldsOf(kind: GraphEventKind, event: RawEvent): GraphEventFields {
    const ahead = this.#ahead[this.#nextAhead];
    if (ahead?.lsn === event.lsn) {
      this.#nextAhead += 1;
      return ahead;
    }
    const fields = this.#fields;
    fields.malformed = fields.read(kind, event.bytes, event.payloadStart, event.payloadEnd);
    return fields;
  }

  #applyFields(kind: GraphEventKind, fields: GraphEventFields, lsn: number): void {
    const code = fields.malformed ?? this.#judge(kind, fields, this.#tables.clock.time);
    if (code === null) this.#write(kind, fields, lsn);
    else this.#reject(kind, fields, code, lsn);
  }

  #judge(kind: GraphEventKind, fields: GraphEventFields, recordedAt: number): StoreErrorCode | null {
    fields.settlePeriod(kind, recordedAt);
    return this.#writer.judge(kind, fields);
  }

  #write(kind: GraphEventKind, fields: GraphEventFields, lsn: number): void {
    const { nodes, upserts } = this.#tables;
    const found = kind.operation === "upsert" ? this.#writer.slot : 0;
    this.#writer.write(kind, fields, lsn);
    if (found !== 0) upserts.note(fields.id, nodes.id(found));
  }

  /** What is about the graph as a whole, judged at its own LSN. */
  #applyGlobal({ type, lsn, bytes, payloadStart, payloadEnd }: RawEvent): void {
    const { clock, rejections } = this.#tables;
    clock.anchor();
    const change = readGlobalChange(this.#tables, type, bytes, payloadStart, payloadEnd);
    const refused = typeof change === "string" ? change : change.judge(clock.time, lsn - 1);
    if (refused === null) {
      if (typeof change !== "string") change.write(lsn);
    } else if (typeof refused === "string") rejections.add({ lsn, code: refused, kind: "graph", id: 0, edges: 0 });
    else rejections.add({ lsn, kind: "graph", id: 0, ...refused });
  }

  #reject(kind: GraphEventKind, fields: GraphEventFields, code: StoreErrorCode, lsn: number): void {
    const { rejections } = this.#tables;
    const edges = this.#edgesInTheWay(fields, code);
    // What was never judged has the details of nothing.
    const details = fields.malformed === null ? this.#details() : {};
    rejections.add({ lsn, code, kind: kind.entity, id: Math.max(fields.id, 0), edges, ...details });
  }

  #details(): Pick<Rejection, "details"> {
    const { details } = this.#writer;
    return details === null ? {} : { details };
  }

  #edgesInTheWay(fields: GraphEventFields, code: StoreErrorCode): number {
    return code === "ERR_GRAPH_HAS_EDGES" ? this.#writer.countEdges(fields) : 0;
  }
}

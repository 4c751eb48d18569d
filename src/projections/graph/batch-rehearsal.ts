/**
 * A batch, tried on a copy of what it touches.
 *
 * Whether its last item is refused hangs on what the items before it do, and nothing may be done where one is refused. So the entities that it
 * touches are copied, as they are in force, into small tables of their own, and the items are judged and written there, one after the other, by
 * the same writer as single events. What is left there then is what the batch comes to: batch-write.ts carries that over at one LSN.
 *
 * The alternative, to write for real and take back, would need the inverse of every change of every table.
 */

import { Buffer } from "node:buffer";
import type { BatchItemFields } from "./batch-events.js";
import { brokenBy, type ContentPart, constraintsFor, livePartsOf } from "./constraint-check.js";
import { targetOf } from "./constraint-events.js";
import { ANY_VERSION, type GraphEventFields } from "./graph-event-fields.js";
import type { EntityKind, GraphEventKind } from "./graph-event-kind.js";
import { type EdgeTable, GraphTables, type NodeTable } from "./graph-tables.js";
import { GraphWriter } from "./graph-writer.js";
import { holdersOf, type Key, type KeyValue } from "./key-holders.js";
import { Period } from "./period.js";
import type { Refused } from "./refusal.js";

/** In the place of the batch's LSN: greater than that of anything that is copied. */
export const BATCH_LSN: number = Number.MAX_SAFE_INTEGER;

export class BatchRehearsal {
  /** What the batch touches, and what becomes of it: rectangles at `BATCH_LSN` are the batch's. */
  readonly tables: GraphTables;
  /** The nodes that upserts found, by the ids that they would have created. */
  readonly found: ReadonlyMap<number, number>;
  readonly #real: GraphTables;
  readonly #writer: GraphWriter;
  readonly #found = new Map<number, number>();
  readonly #withEdges = new Set<number>();
  /** Labels and contents of the real tables, by what they are here. */
  readonly #labels = new Map<number, number>();

  constructor(real: GraphTables) {
    this.#real = real;
    this.found = this.#found;
    // No item of a batch defines vectors or takes them away.
    this.tables = new GraphTables(real.vectors.definitions);
    this.#writer = new GraphWriter(this.tables, (label, property, value, period) =>
      real.constraints.isUnique(label, property) ? this.#copiedHolders(label, property, value, period) : null,
    );
  }

  /** Why the batch is refused when it is recorded at that time, or null. */
  run(items: readonly BatchItemFields[], recordedAt: number): Refused | null {
    for (const [index, { kind, fields }] of items.entries()) {
      const refused = this.#try(kind, fields, recordedAt);
      if (refused === null) continue;
      return { ...refused, kind: kind.entity, id: fields.id, details: { item: index, ...refused.details } };
    }
    return this.#brokenConstraint();
  }

  #try(kind: GraphEventKind, fields: GraphEventFields, recordedAt: number): Refused | null {
    this.#resolve(kind, fields);
    fields.settlePeriod(kind, recordedAt);
    if (fields.period.from >= fields.period.to) return { code: "ERR_GRAPH_INVALID_PERIOD", edges: 0 };
    const conflict = this.#versionConflict(kind, fields);
    if (conflict !== null) return conflict;
    this.#copyTouched(kind, fields);
    const writer = this.#writer;
    const code = writer.judge(kind, fields);
    if (code !== null) {
      const edges = code === "ERR_GRAPH_HAS_EDGES" ? writer.countEdges(fields) : 0;
      return { code, edges, ...(writer.details !== null && { details: writer.details }) };
    }
    if (kind.operation === "upsert" && writer.slot !== 0) {
      const found = this.tables.nodes.id(writer.slot);
      if (found !== fields.id) this.#found.set(fields.id, found);
    }
    writer.write(kind, fields, BATCH_LSN);
    return null;
  }

  /** The id that an upsert before would have created stands for the node that it found. */
  #resolve({ entity }: GraphEventKind, fields: GraphEventFields): void {
    if (this.#found.size === 0) return;
    if (entity === "node") fields.id = this.#found.get(fields.id) ?? fields.id;
    fields.source = this.#found.get(fields.source) ?? fields.source;
    fields.target = this.#found.get(fields.target) ?? fields.target;
  }

  /** Versions are those before the batch: within it nothing has one yet. */
  #versionConflict({ entity }: GraphEventKind, fields: GraphEventFields): Refused | null {
    const expected = fields.expectedVersion;
    if (expected === ANY_VERSION) return null;
    const { ids, timelines } = this.#real.of(entity);
    const slot = ids.slotOf(fields.id);
    const actual = slot === 0 ? 0 : timelines.versionOf(slot);
    fields.expectedVersion = ANY_VERSION;
    return actual === expected ? null : { code: "ERR_GRAPH_VERSION_CONFLICT", edges: 0, details: { expected, actual } };
  }

  #copyTouched({ entity, operation }: GraphEventKind, fields: GraphEventFields): void {
    if (entity === "edge") {
      this.#copyEdge(fields.id);
      if (fields.source !== 0) this.#copyNode(fields.source);
      if (fields.target !== 0) this.#copyNode(fields.target);
      return;
    }
    this.#copyNode(fields.id);
    if (operation === "delete" || operation === "retract") this.#copyEdgesOf(fields.id);
  }

  #copyNode(id: number): void {
    const { nodes } = this.#real;
    const slot = nodes.ids.slotOf(id);
    if (slot === 0 || this.tables.nodes.ids.slotOf(id) !== 0) return;
    const copy = this.tables.nodes.insert(id);
    this.#copyLive(nodes, slot, this.tables.nodes, copy);
    for (const row of this.tables.nodes.timelines.liveRows(copy)) {
      const content = this.tables.nodes.timelines.content(copy, row);
      this.tables.indexes.note(copy, content, this.tables);
      this.tables.keyIndexes.note("node", copy, content, this.tables);
    }
  }

  #copyEdge(id: number): void {
    const { nodes, edges } = this.#real;
    const slot = edges.ids.slotOf(id);
    const { tables } = this;
    if (slot === 0 || tables.edges.ids.slotOf(id) !== 0) return;
    const [source, target] = [edges.source(slot), edges.target(slot)].map((end) => {
      this.#copyNode(nodes.id(end));
      return tables.nodes.ids.slotOf(nodes.id(end));
    }) as [number, number];
    const copy = tables.edges.insert(tables.nodes, id, this.#labelHere(edges.label(slot)), source, target);
    this.#copyLive(edges, slot, tables.edges, copy);
    const { timelines } = tables.edges;
    for (const row of timelines.liveRows(copy))
      tables.keyIndexes.note("edge", copy, timelines.content(copy, row), tables);
  }

  #copyEdgesOf(id: number): void {
    const slot = this.#real.nodes.ids.slotOf(id);
    if (slot === 0 || this.#withEdges.has(slot)) return;
    this.#withEdges.add(slot);
    const { edges } = this.#real;
    for (const edge of this.#real.edgesOf(slot, "both")) this.#copyEdge(edges.id(edge));
  }

  #copyLive(from: NodeTable | EdgeTable, slot: number, to: NodeTable | EdgeTable, copy: number): void {
    const period = new Period();
    to.timelines.cut(copy, period, 0); // what is filled goes into the gap of a cut
    for (const row of from.timelines.liveRows(slot)) {
      period.from = from.timelines.validFrom(slot, row);
      period.to = from.timelines.validTo(slot, row);
      const content = this.#contentHere(from.timelines.content(slot, row));
      to.timelines.fill(copy, period, from.timelines.lsn(slot, row), content);
    }
  }

  #contentHere(reference: number): number {
    const { contents } = this.#real;
    contents.open(reference);
    const { bytes, start, end } = contents;
    return this.tables.contents.store(this.#labelHere(contents.label), bytes, start, end);
  }

  #labelHere(label: number): number {
    const known = this.#labels.get(label);
    if (known !== undefined) return known;
    const name = Buffer.from(this.#real.labels.name(label));
    const here = this.tables.labels.intern(name, 0, name.length);
    this.#labels.set(label, here);
    return here;
  }

  /** Those of the real tables are copied; what is copied counts as it is here. */
  #copiedHolders(label: string, property: string, value: KeyValue, period: Period): number[] {
    const { nodes } = this.#real;
    const key: Key = { entity: "node", label, properties: [property], values: [value] };
    for (const slot of holdersOf(this.#real, key, period)) this.#copyNode(nodes.id(slot));
    return holdersOf(this.tables, key, period);
  }

  /** The constraints are about what the batch leaves, not about what is between its items. */
  #brokenConstraint(): Refused | null {
    const { constraints } = this.#real;
    if (constraints.count === 0) return null;
    const changed = { node: this.#changed("node"), edge: this.#changed("edge") };
    // In the order of the constraints, and then of the ids: whatever the items' order, everybody names the same.
    const concerned = (["node", "edge"] as const)
      .flatMap((entity) =>
        constraintsFor(
          constraints,
          entity,
          changed[entity].flatMap(({ parts }) => parts),
        ),
      )
      .sort((a, b) => a.addedBy - b.addedBy);
    for (const constraint of concerned) {
      for (const { id, parts } of changed[targetOf(constraint).entity]) {
        const broken = brokenBy([constraint], id, parts, (...asked) => this.#holderIds(...asked));
        if (broken !== null) return broken;
      }
    }
    return null;
  }

  /** What the batch has left of nodes or edges that it gave something, by id. */
  #changed(entity: EntityKind): ChangedEntity[] {
    if (!this.#real.constraints.isAbout(entity)) return [];
    const table = this.tables.of(entity);
    const { timelines } = table;
    const changed: ChangedEntity[] = [];
    for (let slot = 1; slot < table.records.length; slot += 1) {
      const rows = [...timelines.liveRows(slot)];
      const parts = livePartsOf(this.tables, entity, slot).filter(
        (_, index) => timelines.lsn(slot, rows[index] as number) === BATCH_LSN,
      );
      if (parts.length > 0) changed.push({ id: table.id(slot), parts });
    }
    return changed.sort((a, b) => a.id - b.id);
  }

  *#holderIds(key: Key, period: Pick<Period, "from" | "to">): Generator<number, void, undefined> {
    const real = this.#real.of(key.entity);
    const here = this.tables.of(key.entity);
    for (const slot of holdersOf(this.#real, key, period)) {
      const id = real.id(slot);
      if (here.ids.slotOf(id) === 0) yield id;
    }
    for (const slot of holdersOf(this.tables, key, period)) yield here.id(slot);
  }
}

interface ChangedEntity {
  readonly id: number;
  readonly parts: readonly ContentPart[];
}

/**
 * The rules of bitemporal.md: what each event asserts, and what is refused.
 *
 * `judge` decides about the event in hand and changes nothing; `write` carries out what `judge` has just let pass. Whether an
 * event is judged at its own LSN or by a command that is about to append it, the rules are the same lines.
 */

import type { StoreErrorCode } from "../../errors.js";
import { Int32Column } from "./column.js";
import type { GraphEventFields } from "./graph-event-fields.js";
import type { GraphEventKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { mergeProperties } from "./property-merge.js";
import { Period } from "./timelines.js";
import { WireWriter } from "./wire.js";

export class GraphWriter {
  readonly #tables: GraphTables;
  readonly #merged = new WireWriter();
  readonly #filled = new Period();
  // What `judge` looked up, for `write`: 0 when there is none.
  #slot = 0;
  #source = 0;
  #target = 0;

  constructor(tables: GraphTables) {
    this.#tables = tables;
  }

  /** Why the event is refused, or null. Its period must be settled. */
  judge(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    if (fields.period.from >= fields.period.to) return "ERR_GRAPH_INVALID_PERIOD";
    const { ids, timelines } = this.#tables.of(kind.entity);
    this.#slot = fields.slot || ids.slotOf(fields.id);
    const exists = this.#slot !== 0 && timelines.overlaps(this.#slot, fields.period);
    if (kind.operation === "create" && exists) return "ERR_GRAPH_EXISTS";
    if (kind.operation === "create" || kind.operation === "put") {
      return kind.entity === "edge" ? this.#judgeEnds(fields) : this.#judgeVectors(kind, fields);
    }
    if (!exists) return "ERR_GRAPH_NOT_FOUND";
    const removes = kind.operation === "delete" || kind.operation === "retract";
    if (removes && kind.entity === "node" && !fields.detach && this.countEdges(fields) > 0)
      return "ERR_GRAPH_HAS_EDGES";
    return this.#judgeVectors(kind, fields);
  }

  #judgeVectors(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    return this.#tables.vectors.definitions.judge(kind, fields, this.#slot, this.#tables);
  }

  /** How many edges are in force at the judged node, somewhere in the period. */
  countEdges(fields: GraphEventFields): number {
    let count = 0;
    for (const edge of this.#tables.edgesOf(this.#slot, "both")) {
      if (this.#tables.edges.timelines.overlaps(edge, fields.period)) count += 1;
    }
    return count;
  }

  write(kind: GraphEventKind, fields: GraphEventFields, lsn: number): void {
    switch (kind.operation) {
      case "create":
      case "put":
        if (kind.entity === "node") this.#putNode(fields, lsn);
        else this.#putEdge(fields, lsn);
        break;
      case "replace":
      case "patch":
        this.#change(kind, fields, lsn);
        break;
      case "delete":
      case "retract":
        if (kind.entity === "node") this.#deleteNode(fields, lsn);
        else this.#tables.edges.timelines.cut(this.#slot, fields.period, lsn);
    }
  }

  #judgeEnds(fields: GraphEventFields): StoreErrorCode | null {
    const { nodes, edges, labels } = this.#tables;
    this.#source = fields.sourceSlot || nodes.ids.slotOf(fields.source);
    this.#target = fields.targetSlot || nodes.ids.slotOf(fields.target);
    if (this.#slot !== 0) {
      const sameLabel = edges.label(this.#slot) === labels.find(fields.bytes, fields.labelStart, fields.labelEnd);
      const sameEnds = edges.source(this.#slot) === this.#source && edges.target(this.#slot) === this.#target;
      if (!sameLabel || !sameEnds) return "ERR_GRAPH_EDGE_FIXED";
    }
    return this.#nodeExists(this.#source, fields) && this.#nodeExists(this.#target, fields)
      ? null
      : "ERR_GRAPH_NO_ENDS";
  }

  #nodeExists(slot: number, fields: GraphEventFields): boolean {
    return slot !== 0 && this.#tables.nodes.timelines.overlaps(slot, fields.period);
  }

  #putNode(fields: GraphEventFields, lsn: number): void {
    const { nodes, labels } = this.#tables;
    const label = labels.intern(fields.bytes, fields.labelStart, fields.labelEnd);
    if (this.#slot === 0) {
      this.#slot = nodes.insert(fields.id);
      this.#postings(label).push(this.#slot);
    } else if (!this.#tables.bore(this.#slot, label)) this.#postings(label).push(this.#slot);
    const content = this.#store(label, fields);
    nodes.timelines.cut(this.#slot, fields.period, lsn);
    nodes.timelines.fill(this.#slot, fields.period, lsn, content);
    this.#tables.indexes.note(this.#slot, content, this.#tables);
    this.#tables.vectors.note(this.#slot, content, this.#tables);
  }

  #putEdge(fields: GraphEventFields, lsn: number): void {
    const { nodes, edges, labels } = this.#tables;
    const label = labels.intern(fields.bytes, fields.labelStart, fields.labelEnd);
    if (this.#slot === 0) this.#slot = edges.insert(nodes, fields.id, label, this.#source, this.#target);
    const content = this.#store(label, fields);
    edges.timelines.cut(this.#slot, fields.period, lsn);
    edges.timelines.fill(this.#slot, fields.period, lsn, content);
  }

  /** Replace and patch: each part of the period where the entity exists gets what it holds from now on. */
  #change(kind: GraphEventKind, fields: GraphEventFields, lsn: number): void {
    const { contents } = this.#tables;
    const { timelines } = this.#tables.of(kind.entity);
    timelines.cut(this.#slot, fields.period, lsn);
    const parts = timelines.cutParts;
    const filled = this.#filled;
    let content = 0;
    for (let index = 0; index < parts.count; index += 1) {
      const base = parts.content[index] as number;
      const changed =
        kind.operation === "patch"
          ? this.#patched(base, fields)
          : this.#replaced(base, fields, index > 0 ? content : null);
      // From the latest to the earliest: parts that touch and now hold the same are one rectangle of this assertion.
      const joins = index > 0 && parts.to[index] === filled.from && contents.same(changed, content);
      if (index > 0 && !joins) timelines.fill(this.#slot, filled, lsn, content);
      if (!joins) filled.to = parts.to[index] as number;
      filled.from = parts.from[index] as number;
      content = changed;
      if (kind.entity === "node") {
        this.#tables.indexes.note(this.#slot, content, this.#tables);
        this.#tables.vectors.note(this.#slot, content, this.#tables);
      }
    }
    timelines.fill(this.#slot, filled, lsn, content);
  }

  #patched(base: number, { properties, propertiesStart, propertiesEnd }: GraphEventFields): number {
    const { contents } = this.#tables;
    contents.open(base);
    const { label, bytes, start, end } = contents;
    this.#merged.clear();
    mergeProperties(this.#merged, bytes, start, end, properties, propertiesStart, propertiesEnd);
    return contents.store(label, this.#merged.bytes, 0, this.#merged.length);
  }

  /** The new properties under the old label; what the part before was given, when that is the same. */
  #replaced(base: number, fields: GraphEventFields, given: number | null): number {
    const { contents } = this.#tables;
    contents.open(base);
    const { label } = contents;
    if (given !== null) {
      contents.open(given);
      if (contents.label === label) return given;
    }
    return this.#store(label, fields);
  }

  #deleteNode(fields: GraphEventFields, lsn: number): void {
    const { nodes, edges } = this.#tables;
    nodes.timelines.cut(this.#slot, fields.period, lsn);
    if (!fields.detach) return;
    for (const edge of this.#tables.edgesOf(this.#slot, "both")) edges.timelines.cut(edge, fields.period, lsn);
  }

  #store(label: number, fields: GraphEventFields): number {
    return this.#tables.contents.store(label, fields.properties, fields.propertiesStart, fields.propertiesEnd);
  }

  #postings(label: number): Int32Column {
    const { labelled } = this.#tables;
    while (labelled.length <= label) labelled.push(new Int32Column());
    return labelled[label] as Int32Column;
  }
}

/**
 * The rules of bitemporal.md: what each event asserts, and what is refused.
 *
 * `judge` decides about the event in hand and changes nothing; `write` carries out what `judge` has just let pass. Whether an
 * event is judged at its own LSN or by a command that is about to append it, the rules are the same lines.
 */

import type { StoreErrorCode } from "../../errors.js";
import { brokenBy, constraintsFor, holdersAmong } from "./constraint-check.js";
import { partsAfter } from "./content-parts.js";
import { ANY_VERSION, type GraphEventFields } from "./graph-event-fields.js";
import type { GraphEventKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { holdersOf, type KeyValue } from "./key-holders.js";
import { Period } from "./period.js";
import { mergeProperties } from "./property-merge.js";
import type { RejectionDetails } from "./rejection-list.js";
import { decodeText } from "./text.js";
import { WireWriter } from "./wire.js";

/** The slots of the nodes that hold the value of a unique property somewhere in the period; null where nothing makes it unique. */
export type UniqueKeys = (label: string, property: string, value: KeyValue, period: Period) => readonly number[] | null;

export class GraphWriter {
  readonly #tables: GraphTables;
  readonly #keys: UniqueKeys;
  /** Constraints are somebody else's matter. */
  readonly #isLenient: boolean;
  /** About what `judge` last refused. */
  details: RejectionDetails | null = null;
  readonly #merged = new WireWriter();
  readonly #filled = new Period();
  // What `judge` looked up, for `write`: 0 when there is none.
  #slot = 0;
  #source = 0;
  #target = 0;

  /** With `keys` the constraints are left to who gives them. */
  constructor(tables: GraphTables, keys?: UniqueKeys) {
    this.#tables = tables;
    this.#isLenient = keys !== undefined;
    this.#keys =
      keys ??
      ((label, property, value, period) =>
        tables.constraints.isUnique(label, property)
          ? holdersOf(tables, { entity: "node", label, properties: [property], values: [value] }, period)
          : null);
  }

  /** The slot of the entity that was judged; 0 when it is new. */
  get slot(): number {
    return this.#slot;
  }

  /** Why the event is refused, or null. Its period must be settled. */
  judge(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    if (fields.period.from >= fields.period.to) return this.#refuse("ERR_GRAPH_INVALID_PERIOD");
    const code = this.#judgeRules(kind, fields);
    if (code !== null || this.#isLenient || !this.#tables.constraints.isAbout(kind.entity)) return code;
    return kind.operation === "delete" || kind.operation === "retract" ? null : this.#judgeConstraints(kind, fields);
  }

  #judgeRules(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    const { ids, timelines } = this.#tables.of(kind.entity);
    this.#slot = fields.slot || ids.slotOf(fields.id);
    if (fields.expectedVersion !== ANY_VERSION) {
      const actual = this.#slot === 0 ? 0 : timelines.versionOf(this.#slot);
      const expected = fields.expectedVersion;
      if (actual !== expected) return this.#refuse("ERR_GRAPH_VERSION_CONFLICT", { expected, actual });
    }
    if (kind.operation === "upsert") return this.#judgeUpsert(kind, fields);
    const exists = this.#slot !== 0 && timelines.overlaps(this.#slot, fields.period);
    if (kind.operation === "create" && exists) return this.#refuse("ERR_GRAPH_EXISTS");
    if (kind.operation === "create" || kind.operation === "put") {
      return kind.entity === "edge" ? this.#judgeEnds(fields) : this.#judgeVectors(kind, fields);
    }
    if (!exists) return this.#refuse("ERR_GRAPH_NOT_FOUND");
    const removes = kind.operation === "delete" || kind.operation === "retract";
    if (removes && kind.entity === "node" && !fields.detach && this.countEdges(fields) > 0)
      return this.#refuse("ERR_GRAPH_HAS_EDGES");
    return this.#judgeVectors(kind, fields);
  }

  #judgeVectors(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    const code = this.#tables.vectors.definitions.judge(kind, fields, this.#slot, this.#tables);
    return code === null ? null : this.#refuse(code);
  }

  /** The node that is found becomes the judged one. */
  #judgeUpsert(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    const { bytes, labelStart, labelEnd, keyStart, keyEnd, period } = fields;
    const label = decodeText(bytes, labelStart, labelEnd);
    const property = decodeText(bytes, keyStart, keyEnd);
    const value = fields.keyValue();
    if (value === null) return this.#refuse("ERR_GRAPH_INVALID_PROPERTY");
    const key = { bytes: value.bytes, start: value.valueStart, end: value.next };
    const holders = this.#keys(label, property, key, period);
    if (holders === null) return this.#refuse("ERR_GRAPH_CONSTRAINT_NOT_FOUND", { label, property });
    if (holders.length > 1) return this.#refuse("ERR_GRAPH_KEY_AMBIGUOUS", { label, property });
    const [found] = holders;
    if (found !== undefined) this.#slot = found;
    else if (this.#slot !== 0 && this.#tables.nodes.timelines.overlaps(this.#slot, period))
      return this.#refuse("ERR_GRAPH_EXISTS");
    return this.#judgeVectors(kind, fields);
  }

  #judgeConstraints(kind: GraphEventKind, fields: GraphEventFields): StoreErrorCode | null {
    const tables = this.#tables;
    const { entity } = kind;
    const parts = partsAfter(tables, kind, fields, this.#slot);
    const id = this.#slot === 0 ? fields.id : tables.of(entity).id(this.#slot);
    const broken = brokenBy(constraintsFor(tables.constraints, entity, parts), id, parts, holdersAmong(tables));
    return broken === null ? null : this.#refuse(broken.code, broken.details);
  }

  #refuse(code: StoreErrorCode, details: RejectionDetails | null = null): StoreErrorCode {
    this.details = details;
    return code;
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
      case "upsert":
        if (this.#slot !== 0 && this.#tables.nodes.timelines.overlaps(this.#slot, fields.period))
          this.#upsert(fields, lsn);
        else this.#putNode(fields, lsn);
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
      if (!sameLabel || !sameEnds) return this.#refuse("ERR_GRAPH_EDGE_FIXED");
    }
    return this.#nodeExists(this.#source, fields) && this.#nodeExists(this.#target, fields)
      ? null
      : this.#refuse("ERR_GRAPH_NO_ENDS");
  }

  #nodeExists(slot: number, fields: GraphEventFields): boolean {
    return slot !== 0 && this.#tables.nodes.timelines.overlaps(slot, fields.period);
  }

  #putNode(fields: GraphEventFields, lsn: number): void {
    const { nodes, labels } = this.#tables;
    const label = labels.intern(fields.bytes, fields.labelStart, fields.labelEnd);
    if (this.#slot === 0) {
      this.#slot = nodes.insert(fields.id);
      this.#tables.postingsOf(label).push(this.#slot);
    } else if (!this.#tables.bore(this.#slot, label)) this.#tables.postingsOf(label).push(this.#slot);
    const content = this.#store(label, fields);
    nodes.timelines.cut(this.#slot, fields.period, lsn);
    nodes.timelines.fill(this.#slot, fields.period, lsn, content);
    this.#noteNode(content);
  }

  /** Has all know who look nodes up by what they hold. */
  #noteNode(content: number): void {
    const tables = this.#tables;
    tables.indexes.note(this.#slot, content, tables);
    tables.keyIndexes.note("node", this.#slot, content, tables);
    tables.vectors.note(this.#slot, content, tables);
  }

  #putEdge(fields: GraphEventFields, lsn: number): void {
    const { nodes, edges, labels } = this.#tables;
    const label = labels.intern(fields.bytes, fields.labelStart, fields.labelEnd);
    if (this.#slot === 0) this.#slot = edges.insert(nodes, fields.id, label, this.#source, this.#target);
    const content = this.#store(label, fields);
    edges.timelines.cut(this.#slot, fields.period, lsn);
    edges.timelines.fill(this.#slot, fields.period, lsn, content);
    this.#tables.keyIndexes.note("edge", this.#slot, content, this.#tables);
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
      if (kind.entity === "node") this.#noteNode(content);
      else this.#tables.keyIndexes.note("edge", this.#slot, content, this.#tables);
    }
    timelines.fill(this.#slot, filled, lsn, content);
  }

  /** Every part of the period: patched where the node exists, as given where it does not. */
  #upsert(fields: GraphEventFields, lsn: number): void {
    const { contents, labels, nodes } = this.#tables;
    const { timelines } = nodes;
    const label = labels.intern(fields.bytes, fields.labelStart, fields.labelEnd);
    const given = this.#store(label, fields);
    timelines.cut(this.#slot, fields.period, lsn);
    const parts = timelines.cutParts;
    const filled = this.#filled;
    filled.to = fields.period.to;
    filled.from = fields.period.to;
    let content = given;
    const extend = (from: number, next: number): void => {
      if (filled.from < filled.to && !contents.same(next, content)) {
        timelines.fill(this.#slot, filled, lsn, content);
        filled.to = filled.from;
      }
      filled.from = from;
      content = next;
      this.#noteNode(next);
    };
    for (let index = 0; index < parts.count; index += 1) {
      if ((parts.to[index] as number) < filled.from) extend(parts.to[index] as number, given);
      extend(parts.from[index] as number, this.#patched(parts.content[index] as number, fields));
    }
    if (fields.period.from < filled.from) extend(fields.period.from, given);
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
}

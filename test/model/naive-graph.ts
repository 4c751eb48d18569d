/**
 * The naive model: bitemporal.md § Assertions and rectangles as one question over the list of all events.
 *
 * At a point (v, r), the assertion in force about an entity is the one with the greatest LSN among those recorded at or before r whose
 * valid period contains v. Nothing is split, closed or merged as the graph does it, and no code is shared with it: of src/projections/graph only
 * types are imported. A batch is its items in their order, at one LSN: so of the assertions of one LSN the last counts. What is remembered here (a filtered list, an answer) is forgotten with the next event, or never changes.
 *
 * The queries are in naive-view.ts, one function each.
 */

import type { StoreErrorCode } from "../../src/errors.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { NamedSnapshot } from "../../src/projections/graph/named-snapshots.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";
import type { Rejection } from "../../src/projections/graph/rejection-list.js";
import type { TestEvent } from "../projections/graph/raw-events.js";
import { brokenConstraint, type NaiveConstraint, offendersOf, sameConstraint } from "./naive-constraints.js";
import { type NaiveValue, type Refusal, samePropertyValue } from "./naive-value.js";

export interface NaiveEdge {
  readonly id: number;
  readonly label: string;
  readonly source: number;
  readonly target: number;
}

/** What one assertion owns: the points of valid time at which it said the same and was taken away by the same event. */
export interface NaiveRectangle {
  readonly from: number;
  /** Infinity: an open end. */
  readonly to: number;
  readonly value: NaiveValue;
  /** The LSN that took it away; Infinity: none. */
  readonly until: number;
}

/** What an event says before anybody judged it. */
interface Assertion {
  readonly event: TestEvent;
  readonly from: number;
  readonly to: number;
  /** What it made of its entity, by point of valid time: an event never changes what it says. */
  readonly values: Map<number, NaiveValue | null>;
  /** Among all that were accepted. */
  readonly place: number;
}

interface BatchItem {
  readonly type: string;
  readonly data: TestEvent["data"];
}

const GLOBAL = /^Graph/;

export class NaiveGraph {
  readonly rejections: Rejection[] = [];
  /** In the order of their creation. */
  readonly nodeIds = new Set<number>();
  readonly edgesById = new Map<number, NaiveEdge>();
  /** In the order in which they were added. */
  constraints: readonly NaiveConstraint[] = [];
  /** Of the last purge that was accepted, µs. */
  horizon: number | null = null;
  /** The last LSN at which the graph had changed by then. */
  horizonLsn = 0;
  /** What was taken away at or before this LSN was purged. */
  purgedThrough = 0;
  /** Points that have a name, in the order in which they were given it. */
  readonly snapshots = new Map<string, NamedSnapshot>();
  readonly #accepted: Assertion[] = [];
  readonly #events: TestEvent[] = [];
  /** Effective times by LSN − 1. */
  readonly #times: number[] = [];
  /** Whether an LSN is an event of the graph, by LSN − 1. */
  readonly #heeded: boolean[] = [];
  readonly #concerning = {
    node: new Map<number, readonly Assertion[]>(),
    edge: new Map<number, readonly Assertion[]>(),
  };
  readonly #rectangles = new Map<string, readonly NaiveRectangle[]>();

  get lsn(): number {
    return this.#times.length;
  }

  /** The effective recordedAt of an LSN: no LSN is earlier than one before it. */
  timeOf(lsn: number): number {
    return lsn === 0 ? Number.NEGATIVE_INFINITY : (this.#times[lsn - 1] as number);
  }

  /** The last LSN recorded by then. */
  lsnAt(time: number): number {
    return this.#times.filter((each) => each <= time).length;
  }

  /** The last event of the graph's own up to an LSN, or 0. */
  lastHeeded(lsn: number): number {
    return lsn === 0 ? 0 : this.#heeded.lastIndexOf(true, lsn - 1) + 1;
  }

  /** The next event, whose LSN must be the next. */
  apply(event: TestEvent): void {
    this.#events.push(event);
    this.#times.push(Math.max(this.timeOf(this.lsn), event.recordedAt));
    const isHeeded = /^(Node|Edge)/.test(event.type) || GLOBAL.test(event.type);
    this.#heeded.push(isHeeded);
    if (!isHeeded) return;
    const { lsn, type, data } = event;
    const refusal = this.#judge(event, this.timeOf(lsn), lsn, true);
    if (refusal === null) return;
    const kind = GLOBAL.test(type) ? "graph" : kindOf(type);
    this.rejections.push({ lsn, kind, id: kind === "graph" ? 0 : (data["id"] as number), ...refusal });
  }

  /** Why an event is refused that is recorded at that time, after the LSNs up to `after`; or null. */
  refusalOf(event: TestEvent, recordedAt: number, after: number): Refusal | null {
    return this.#judge(event, recordedAt, after + 1, false);
  }

  /** The version of an entity behind an LSN: the last that asserted anything of it, or took it away. */
  versionOf(kind: EntityKind, id: number, known: number): number {
    const lsns = this.rectangles(kind, id, known).flatMap(({ value, until }) => [value.lsn, until]);
    return Math.max(0, ...lsns.filter(Number.isFinite));
  }

  /** Every valid time at which anything about any node begins or ends. */
  idsOf(kind: EntityKind): readonly number[] {
    return [...(kind === "node" ? this.nodeIds : this.edgesById.keys())];
  }

  boundsOf(kind: EntityKind): readonly number[] {
    const ids = new Set(this.#accepted.map(({ event }) => event.data["id"] as number));
    return [...new Set([...ids].flatMap((id) => this.bounds(kind, id)))].sort((x, y) => x - y);
  }

  #judge(event: TestEvent, recordedAt: number, lsn: number, keep: boolean): Refusal | null {
    const { type, data } = event;
    if (type === "GraphPurged") {
      const horizon = data["recordedBefore"] as number;
      const isWrong = horizon > recordedAt || (this.horizon !== null && horizon < this.horizon);
      if (isWrong) return { code: "ERR_GRAPH_HORIZON", edges: 0 };
      if (keep) this.#purge(horizon);
      return null;
    }
    if (type.startsWith("GraphSnapshot")) return this.#judgeSnapshot(event, lsn, keep);
    if (type.startsWith("GraphConstraint")) return this.#judgeConstraint(event, lsn, keep);
    const isBatch = type === "GraphBatch";
    const items = isBatch ? (data["items"] as readonly BatchItem[]) : [{ type: `varve.v1.${type}`, data }];
    const events = items.map((item) => ({
      lsn,
      recordedAt,
      type: item.type.slice("varve.v1.".length),
      data: item.data,
    }));
    return this.#attempt(events, recordedAt, isBatch, keep);
  }

  #judgeConstraint({ type, data }: TestEvent, lsn: number, keep: boolean): Refusal | null {
    const constraint = data as unknown as NaiveConstraint;
    const isKnown = this.constraints.some((each) => sameConstraint(each, constraint));
    if (type.endsWith("Removed")) {
      if (!isKnown) return { code: "ERR_GRAPH_CONSTRAINT_NOT_FOUND", edges: 0 };
      if (keep) this.constraints = this.constraints.filter((each) => !sameConstraint(each, constraint));
      return null;
    }
    if (isKnown) return { code: "ERR_GRAPH_CONSTRAINT_EXISTS", edges: 0 };
    const offenders = offendersOf(this, constraint, lsn);
    if (offenders !== null) return offenders;
    if (keep) this.constraints = [...this.constraints, constraint];
    return null;
  }

  /** Accepts the events one after another and, where one is refused or nothing is to be kept, takes them all back. */
  #attempt(events: readonly TestEvent[], recordedAt: number, isBatch: boolean, keep: boolean): Refusal | null {
    const before = { count: this.#accepted.length, nodes: [...this.nodeIds], edges: [...this.edgesById] };
    const found = new Map<number, number>();
    let refusal: Refusal | null = null;
    for (const [item, given] of events.entries()) {
      const event = renamed(given, found);
      refusal = this.#acceptOne(event, recordedAt, found);
      if (refusal === null) continue;
      const { id } = event.data as { id: number };
      if (isBatch) refusal = { ...refusal, kind: kindOf(event.type), id, details: { item, ...refusal.details } };
      break;
    }
    const { lsn } = events[0] as TestEvent;
    if (refusal === null) {
      refusal = brokenConstraint(this, lsn);
      if (refusal !== null && !isBatch) refusal = { code: refusal.code, edges: 0, details: refusal.details ?? {} };
    }
    if (refusal !== null || !keep) {
      this.#accepted.length = before.count;
      this.nodeIds.clear();
      for (const id of before.nodes) this.nodeIds.add(id);
      this.edgesById.clear();
      for (const [id, edge] of before.edges) this.edgesById.set(id, edge);
    } else this.#forgetWhatNeverWas(lsn, before.nodes, new Set(before.edges.map(([id]) => id)));
    this.#forgetAnswers();
    return refusal;
  }

  #acceptOne(event: TestEvent, recordedAt: number, found: Map<number, number>): Refusal | null {
    const asserted = this.#assertionOf(event, recordedAt);
    if (asserted.from >= asserted.to) return { code: "ERR_GRAPH_INVALID_PERIOD", edges: 0 };
    const { id, expectedVersion: expected } = event.data as { id: number; expectedVersion?: number };
    if (expected !== undefined) {
      const actual = this.versionOf(kindOf(event.type), id, event.lsn - 1);
      if (actual !== expected) return { code: "ERR_GRAPH_VERSION_CONFLICT", edges: 0, details: { expected, actual } };
    }
    if (event.type === "NodeUpserted") {
      const holder = this.#holderOf(asserted);
      if (typeof holder === "object") return holder;
      if (holder !== id) found.set(id, holder);
      this.#accept({ ...asserted, event: { ...event, data: { ...event.data, id: holder } } });
      return null;
    }
    const code = this.#refusalCode(asserted);
    if (code === null) this.#accept(asserted);
    if (code === null) return null;
    return { code, edges: code === "ERR_GRAPH_HAS_EDGES" ? this.#edgesIn(asserted).length : 0 };
  }

  /** The node that has the key somewhere in the period, or the given one; or why there is none. */
  #holderOf(asserted: Assertion): number | Refusal {
    const { id, label, key, properties } = asserted.event.data as {
      id: number;
      label: string;
      key: string;
      properties: Record<string, PropertyValue>;
    };
    const details = { label, property: key };
    if (!this.constraints.some((each) => sameConstraint(each, { kind: "unique", ...details })))
      return { code: "ERR_GRAPH_CONSTRAINT_NOT_FOUND", edges: 0, details };
    const holders = [...this.nodeIds].filter((each) =>
      this.#pointsOf("node", each, asserted).some((v) => {
        const value = this.valueAt("node", each, v, asserted.event.lsn);
        return value?.label === label && samePropertyValue(value.properties.get(key), properties[key]);
      }),
    );
    if (holders.length > 1) return { code: "ERR_GRAPH_KEY_AMBIGUOUS", edges: 0, details };
    if (holders.length === 0 && this.#existsIn("node", id, asserted)) return { code: "ERR_GRAPH_EXISTS", edges: 0 };
    return holders[0] ?? id;
  }

  /** What came and went within one batch was never there, but for the ends of edges that were left. */
  #forgetWhatNeverWas(lsn: number, nodesBefore: readonly number[], edgesBefore: ReadonlySet<number>): void {
    this.#forgetAnswers();
    const holds = (kind: EntityKind, id: number): boolean =>
      this.bounds(kind, id).some((v) => this.valueAt(kind, id, v, lsn) !== null);
    const never = new Set([...this.edgesById.keys()].filter((id) => !edgesBefore.has(id) && !holds("edge", id)));
    for (const id of never) this.edgesById.delete(id);
    // Without its ends nobody knows that it went with them.
    const left = this.#accepted.filter(
      ({ event }) => kindOf(event.type) === "node" || !never.has(event.data["id"] as number),
    );
    this.#accepted.splice(0, Number.POSITIVE_INFINITY, ...left);
    this.#forgetAnswers();
    const ends = new Set([...this.edgesById.values()].flatMap(({ source, target }) => [source, target]));
    for (const id of [...this.nodeIds])
      if (!nodesBefore.includes(id) && !holds("node", id) && !ends.has(id)) this.nodeIds.delete(id);
  }

  /** What an LSN said about an entity at a valid time, in its order: of a batch, its items. */
  saidAt(kind: EntityKind, id: number, v: number, lsn: number): TestEvent[] {
    const said = this.#about(kind, id).filter(({ event, from, to }) => event.lsn === lsn && from <= v && v < to);
    return said.map(({ event }) => event);
  }

  /** The event at an LSN. */
  eventAt(lsn: number): TestEvent {
    return this.#events[lsn - 1] as TestEvent;
  }

  /** Whether what is asked as of an LSN, or of a time that leads to it, lies before the horizon. */
  liesBeforeHorizon(lsn: number, askedAt: number | null): boolean {
    return lsn < this.horizonLsn || (this.horizon !== null && askedAt !== null && askedAt < this.horizon);
  }

  /** What is asserted about an entity at a point, whatever its ends; null where it is absent. The one sentence. */
  valueAt(kind: EntityKind, id: number, v: number, r: number, before = Number.POSITIVE_INFINITY): NaiveValue | null {
    let latest: Assertion | null = null;
    for (const each of this.#about(kind, id)) {
      if (each.event.lsn <= r && each.place < before && each.from <= v && v < each.to) latest = each;
    }
    return latest === null ? null : this.#valueOf(latest, kind, id, v);
  }

  /** As a reader sees it: an edge only where it and both ends are. */
  visibleAt(kind: EntityKind, id: number, v: number, r: number): NaiveValue | null {
    const value = this.valueAt(kind, id, v, r);
    const edge = kind === "edge" ? this.edgesById.get(id) : undefined;
    if (value === null || edge === undefined) return value;
    const ends = [edge.source, edge.target].every((end) => this.valueAt("node", end, v, r) !== null);
    return ends ? value : null;
  }

  /** An entity's rectangles as they were when only the LSNs up to `known` were, in the order (LSN, validFrom). */
  rectangles(kind: EntityKind, id: number, known: number): readonly NaiveRectangle[] {
    const key = `${kind} ${id} ${known}`;
    const found = this.#rectangles.get(key) ?? this.#computeRectangles(kind, id, known);
    this.#rectangles.set(key, found);
    return found;
  }

  /** Every bound of a valid period of an entity, in order. Between two of them nothing changes along valid time. */
  bounds(kind: EntityKind, id: number): number[] {
    const all = this.#about(kind, id).flatMap(({ from, to }) => [from, to]);
    return [...new Set(all)].filter(Number.isFinite).sort((a, b) => a - b);
  }

  /** How many rectangles purges have taken. */
  get purgedVersions(): number {
    const nodes = [...this.nodeIds].map((id) => this.rectangles("node", id, this.lsn));
    const edges = [...this.edgesById.keys()].map((id) => this.rectangles("edge", id, this.lsn));
    return [...nodes, ...edges].flat().filter(({ until }) => until <= this.purgedThrough).length;
  }

  #judgeSnapshot(event: TestEvent, lsn: number, keep: boolean): Refusal | null {
    const { type, data } = event;
    const refusal = this.#snapshotRefusal(event, lsn - 1);
    if (refusal !== null || !keep) return refusal;
    const named = data as unknown as NamedSnapshot;
    if (type === "GraphSnapshotRemoved") this.snapshots.delete(named.name);
    else this.snapshots.set(named.name, { ...named, namedBy: lsn });
    return null;
  }

  #snapshotRefusal({ type, data }: TestEvent, after: number): Refusal | null {
    const isNamed = this.snapshots.has(data["name"] as string);
    if (type === "GraphSnapshotRemoved") return isNamed ? null : { code: "ERR_GRAPH_SNAPSHOT_NOT_FOUND", edges: 0 };
    if (isNamed) return { code: "ERR_GRAPH_SNAPSHOT_EXISTS", edges: 0 };
    return (data["lsn"] as number) > after ? { code: "ERR_EVENTS_SCHEMA", edges: 0 } : null;
  }

  #computeRectangles(kind: EntityKind, id: number, known: number): readonly NaiveRectangle[] {
    const open: NaiveRectangle[] = [];
    const bounds = this.bounds(kind, id);
    for (const [index, from] of bounds.entries()) {
      const to = bounds[index + 1] ?? Number.POSITIVE_INFINITY;
      const covering = this.#about(kind, id).filter(
        (each) => each.event.lsn <= known && each.from <= from && from < each.to,
      );
      for (const [place, assertion] of covering.entries()) {
        const value = this.#valueOf(assertion, kind, id, from);
        if (value === null) continue;
        const until = covering[place + 1]?.event.lsn ?? Number.POSITIVE_INFINITY;
        if (until === value.lsn) continue; // never in force
        const before = open.findIndex(
          (each) =>
            each.to === from && each.until === until && each.value.lsn === value.lsn && sameContent(each.value, value),
        );
        if (before === -1) open.push({ from, to, value, until });
        else open[before] = { ...(open[before] as NaiveRectangle), to };
      }
    }
    return open.sort((a, b) => a.value.lsn - b.value.lsn || a.from - b.from);
  }

  #assertionOf(event: TestEvent, recordedAt: number): Assertion {
    const whole = event.type.endsWith("Retracted");
    const { validFrom, validTo } = event.data as { validFrom?: number; validTo?: number };
    return {
      event,
      from: whole ? Number.NEGATIVE_INFINITY : (validFrom ?? recordedAt),
      to: whole ? Number.POSITIVE_INFINITY : (validTo ?? Number.POSITIVE_INFINITY),
      values: new Map(),
      place: (this.#accepted.at(-1)?.place ?? 0) + 1,
    };
  }

  #accept(assertion: Assertion): void {
    const { type, data } = assertion.event;
    this.#accepted.push(assertion);
    this.#forgetAnswers();
    const id = data["id"] as number;
    if (/^Node(Created|Put|Upserted)$/.test(type)) this.nodeIds.add(id);
    if (/^Edge(Created|Put)$/.test(type) && !this.edgesById.has(id)) this.edgesById.set(id, edgeFrom(assertion.event));
  }

  #forgetAnswers(): void {
    this.#concerning.node.clear();
    this.#concerning.edge.clear();
    this.#rectangles.clear();
  }

  #purge(recordedBefore: number): void {
    this.horizon = recordedBefore;
    this.purgedThrough = this.lsnAt(recordedBefore);
    // A batch that takes back all that it says changes nothing.
    const nodes = [...this.nodeIds].flatMap((id) => this.rectangles("node", id, this.lsn));
    const edges = [...this.edgesById.keys()].flatMap((id) => this.rectangles("edge", id, this.lsn));
    const changed = [...nodes, ...edges].flatMap(({ value, until }) => [value.lsn, until]);
    this.horizonLsn = Math.max(this.horizonLsn, ...changed.filter((lsn) => lsn <= this.purgedThrough));
  }

  /** What an assertion whose period contains v made of an entity there. */
  #valueOf(assertion: Assertion, kind: EntityKind, id: number, v: number): NaiveValue | null {
    const { lsn, type, data } = assertion.event;
    if (/Deleted$|Retracted$/.test(type)) return null;
    const known = assertion.values.get(v);
    if (known !== undefined) return known;
    const given = new Map(Object.entries((data["properties"] as Record<string, PropertyValue> | undefined) ?? {}));
    let value: NaiveValue | null;
    if (/Created$|Put$/.test(type)) value = { label: data["label"] as string, properties: given, lsn };
    else {
      const before = this.valueAt(kind, id, v, lsn, assertion.place);
      const properties = before === null || type.endsWith("Replaced") ? given : merged(before.properties, given);
      if (before !== null) value = { label: before.label, properties, lsn };
      else value = type === "NodeUpserted" ? { label: data["label"] as string, properties, lsn } : null;
    }
    assertion.values.set(v, value);
    return value;
  }

  /** The assertions about an entity, from the list of all. */
  #about(kind: EntityKind, id: number): readonly Assertion[] {
    const known = this.#concerning[kind].get(id);
    if (known !== undefined) return known;
    const found = this.#accepted.filter(({ event }) => this.#concerns(event, kind, id));
    this.#concerning[kind].set(id, found);
    return found;
  }

  #concerns({ type, data }: TestEvent, kind: EntityKind, id: number): boolean {
    if (kindOf(type) === kind) return data["id"] === id;
    if (kind === "node" || data["detach"] !== true) return false;
    // Detaching deletes the edges that are there; of one that is not, it asserts nothing.
    const edge = this.edgesById.get(id);
    return edge !== undefined && (edge.source === data["id"] || edge.target === data["id"]);
  }

  /** The points of a period between which nothing about an entity changes. */
  #pointsOf(kind: EntityKind, id: number, { from, to }: Assertion): number[] {
    return [from, ...this.bounds(kind, id)].filter((v) => from <= v && v < to && Number.isFinite(v));
  }

  #existsIn(kind: EntityKind, id: number, asserted: Assertion): boolean {
    const { lsn } = asserted.event;
    return this.#pointsOf(kind, id, asserted).some((v) => this.valueAt(kind, id, v, lsn) !== null);
  }

  #edgesIn(asserted: Assertion): NaiveEdge[] {
    const id = asserted.event.data["id"];
    const attached = [...this.edgesById.values()].filter((edge) => edge.source === id || edge.target === id);
    return attached.filter((edge) => this.#existsIn("edge", edge.id, asserted));
  }

  #refusalCode(asserted: Assertion): StoreErrorCode | null {
    const { type, data } = asserted.event;
    const exists = this.#existsIn(kindOf(type), data["id"] as number, asserted);
    if (type.endsWith("Created") && exists) return "ERR_GRAPH_EXISTS";
    if (/^Edge(Created|Put)$/.test(type)) {
      const edge = edgeFrom(asserted.event);
      const known = this.edgesById.get(edge.id);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(edge)) return "ERR_GRAPH_EDGE_FIXED";
      const ends = [edge.source, edge.target].every((end) => this.#existsIn("node", end, asserted));
      return ends ? null : "ERR_GRAPH_NO_ENDS";
    }
    if (/Created$|Put$/.test(type)) return null;
    if (!exists) return "ERR_GRAPH_NOT_FOUND";
    const isInTheWay = /^Node(Deleted|Retracted)$/.test(type) && data["detach"] !== true;
    return isInTheWay && this.#edgesIn(asserted).length > 0 ? "ERR_GRAPH_HAS_EDGES" : null;
  }
}

/** The ids of nodes that upserts before in the same batch found stand for those nodes. */
function renamed(event: TestEvent, found: ReadonlyMap<number, number>): TestEvent {
  const fields = kindOf(event.type) === "node" ? ["id"] : ["source", "target"];
  const data: Record<string, unknown> = { ...event.data };
  for (const field of fields) if (field in data) data[field] = found.get(data[field] as number) ?? data[field];
  return { ...event, data };
}

/** The same label and the same values under the same keys, in whatever order. */
export function sameContent(a: NaiveValue, b: NaiveValue): boolean {
  if (a.label !== b.label || a.properties.size !== b.properties.size) return false;
  return [...a.properties].every(([key, value]) => samePropertyValue(value, b.properties.get(key)));
}

function merged(before: ReadonlyMap<string, PropertyValue>, given: ReadonlyMap<string, PropertyValue>) {
  const properties = new Map(before);
  for (const [key, value] of given) {
    if (value === null) properties.delete(key);
    else properties.set(key, value);
  }
  return properties;
}

function kindOf(type: string): EntityKind {
  return type.startsWith("Node") ? "node" : "edge";
}

function edgeFrom({ data }: TestEvent): NaiveEdge {
  const { id, label, source, target } = data as unknown as NaiveEdge;
  return { id, label, source, target };
}

/**
 * The naive model: bitemporal.md § Assertions and rectangles as one question over the list of all events.
 *
 * At a point (v, r), the assertion in force about an entity is the one with the greatest LSN among those recorded at or before r whose
 * valid period contains v. Nothing is split, closed or merged as the graph does it, and no code is shared with it: of src/projections/graph only
 * types are imported. What is remembered here (a filtered list, an answer) is forgotten with the next event, or never changes.
 *
 * The queries are in naive-view.ts, one function each.
 */

import type { StoreErrorCode } from "../../src/errors.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { NamedSnapshot } from "../../src/projections/graph/named-snapshots.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";
import type { Rejection } from "../../src/projections/graph/rejection-list.js";
import type { TestEvent } from "../projections/graph/raw-events.js";

export interface NaiveValue {
  readonly label: string;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  /** Of the event that asserted it. */
  readonly lsn: number;
}

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
}

export interface Refusal {
  readonly code: StoreErrorCode;
  /** With ERR_GRAPH_HAS_EDGES: how many. */
  readonly edges: number;
}

export class NaiveGraph {
  readonly rejections: Rejection[] = [];
  /** In the order of their creation. */
  readonly nodeIds = new Set<number>();
  readonly edgesById = new Map<number, NaiveEdge>();
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
    const isHeeded = /^(Node|Edge|Graph)/.test(event.type);
    this.#heeded.push(isHeeded);
    if (!isHeeded) return;
    const { lsn, type, data } = event;
    const refusal = this.refusalOf(event, this.timeOf(lsn), lsn - 1);
    if (refusal !== null) {
      const kind = type.startsWith("Graph") ? "graph" : kindOf(type);
      this.rejections.push({ lsn, kind, id: kind === "graph" ? 0 : (data["id"] as number), ...refusal });
    } else if (type === "GraphPurged") this.#purge(data["recordedBefore"] as number);
    else if (type === "GraphSnapshotRemoved") this.snapshots.delete(data["name"] as string);
    else if (type === "GraphSnapshotNamed") {
      const named = data as unknown as NamedSnapshot;
      this.snapshots.set(named.name, { ...named, namedBy: lsn });
    } else this.#accept(this.#assertionOf(event, this.timeOf(lsn)));
  }

  /** Why an event is refused that is recorded at that time, after the LSNs up to `after`; or null. */
  refusalOf(event: TestEvent, recordedAt: number, after: number): Refusal | null {
    if (event.type === "GraphPurged") {
      const horizon = event.data["recordedBefore"] as number;
      const isWrong = horizon > recordedAt || (this.horizon !== null && horizon < this.horizon);
      return isWrong ? { code: "ERR_GRAPH_HORIZON", edges: 0 } : null;
    }
    if (/^GraphSnapshot/.test(event.type)) return this.#snapshotRefusal(event, after);
    const asserted = this.#assertionOf(event, recordedAt);
    const code = this.#refusalCode(asserted, after);
    if (code === null) return null;
    return { code, edges: code === "ERR_GRAPH_HAS_EDGES" ? this.#edgesIn(asserted, after).length : 0 };
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
  valueAt(kind: EntityKind, id: number, v: number, r: number): NaiveValue | null {
    let latest: Assertion | null = null;
    for (const each of this.#about(kind, id)) {
      if (each.event.lsn <= r && each.from <= v && v < each.to) latest = each;
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
    };
  }

  #accept(assertion: Assertion): void {
    const { type, data } = assertion.event;
    this.#accepted.push(assertion);
    this.#concerning.node.clear();
    this.#concerning.edge.clear();
    this.#rectangles.clear();
    const id = data["id"] as number;
    if (/^Node(Created|Put)$/.test(type)) this.nodeIds.add(id);
    if (/^Edge(Created|Put)$/.test(type) && !this.edgesById.has(id)) this.edgesById.set(id, edgeFrom(assertion.event));
  }

  #purge(recordedBefore: number): void {
    this.horizon = recordedBefore;
    this.purgedThrough = this.lsnAt(recordedBefore);
    for (const { event } of this.#accepted)
      if (event.lsn <= this.purgedThrough) this.horizonLsn = Math.max(this.horizonLsn, event.lsn);
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
      const before = this.valueAt(kind, id, v, lsn - 1);
      const properties = before === null || type.endsWith("Replaced") ? given : merged(before.properties, given);
      value = before === null ? null : { label: before.label, properties, lsn };
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

  #existsIn(kind: EntityKind, id: number, { from, to }: Assertion, after: number): boolean {
    const points = [from, ...this.bounds(kind, id)].filter((v) => from <= v && v < to && Number.isFinite(v));
    return points.some((v) => this.valueAt(kind, id, v, after) !== null);
  }

  #edgesIn(asserted: Assertion, after: number): NaiveEdge[] {
    const id = asserted.event.data["id"];
    const attached = [...this.edgesById.values()].filter((edge) => edge.source === id || edge.target === id);
    return attached.filter((edge) => this.#existsIn("edge", edge.id, asserted, after));
  }

  #refusalCode(asserted: Assertion, after: number): StoreErrorCode | null {
    const { type, data } = asserted.event;
    if (asserted.from >= asserted.to) return "ERR_GRAPH_INVALID_PERIOD";
    const exists = this.#existsIn(kindOf(type), data["id"] as number, asserted, after);
    if (type.endsWith("Created") && exists) return "ERR_GRAPH_EXISTS";
    if (/^Edge(Created|Put)$/.test(type)) {
      const edge = edgeFrom(asserted.event);
      const known = this.edgesById.get(edge.id);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(edge)) return "ERR_GRAPH_EDGE_FIXED";
      const ends = [edge.source, edge.target].every((end) => this.#existsIn("node", end, asserted, after));
      return ends ? null : "ERR_GRAPH_NO_ENDS";
    }
    if (/Created$|Put$/.test(type)) return null;
    if (!exists) return "ERR_GRAPH_NOT_FOUND";
    const isInTheWay = /^Node(Deleted|Retracted)$/.test(type) && data["detach"] !== true;
    return isInTheWay && this.#edgesIn(asserted, after).length > 0 ? "ERR_GRAPH_HAS_EDGES" : null;
  }
}

export function samePropertyValue(a: PropertyValue | undefined, b: PropertyValue | undefined): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : Object.is(a, b);
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

/**
 * The oracle: bitemporal.md § Assertions and rectangles as one recursive question over the list of all events.
 *
 * At a point (v, r), the assertion in force about an entity is the one with the greatest LSN among those recorded at or
 * before r whose valid period contains v. Nothing is indexed, split or cached, and no code is shared with the graph. All times
 * are whole numbers of a small range, so that every period can be looked through point by point.
 */

import type { TestEvent } from "./raw-events.js";

/** Every bound of a period lies within; what holds at the outermost points holds beyond. */
export const FIRST_TIME = -4;
export const LAST_TIME = 24;
export const POINTS: readonly number[] = Array.from(
  { length: LAST_TIME - FIRST_TIME + 3 },
  (_, index) => FIRST_TIME - 1 + index,
);

type Kind = "node" | "edge";

export interface NaiveValue {
  readonly label: string;
  /** By key in the order of their first setting. */
  readonly properties: ReadonlyMap<string, unknown>;
  readonly lsn: number;
}

interface Accepted {
  readonly event: TestEvent;
  readonly from: number;
  readonly to: number;
}

export interface NaiveEdge {
  readonly id: number;
  readonly label: string;
  readonly source: number;
  readonly target: number;
}

export class NaiveGraph {
  readonly rejected = new Map<number, string>();
  readonly nodeIds = new Set<number>();
  readonly edgesById = new Map<number, NaiveEdge>();
  /** Of the last purge that was accepted; it takes nothing from this model. */
  horizon: number | null = null;
  /** The last LSN at which the graph had changed by then. */
  horizonLsn = 0;
  readonly #accepted: Accepted[] = [];
  readonly #times: number[] = [];

  /** The effective recordedAt of an LSN. */
  timeOf(lsn: number): number {
    return Math.max(...this.#times.slice(0, lsn));
  }

  /** The last LSN recorded by then. */
  lsnAt(time: number): number {
    return this.#times.filter((_, index) => this.timeOf(index + 1) <= time).length;
  }

  get lsn(): number {
    return this.#times.length;
  }

  apply(event: TestEvent): void {
    this.#times.push(event.recordedAt);
    const { data, type } = event;
    if (type === "GraphPurged") {
      this.#purge(event.lsn, data["recordedBefore"] as number);
      return;
    }
    const whole = type.endsWith("Retracted");
    const accepted = {
      event,
      from: whole ? Number.NEGATIVE_INFINITY : ((data["validFrom"] as number | undefined) ?? this.timeOf(event.lsn)),
      to: whole ? Number.POSITIVE_INFINITY : ((data["validTo"] as number | undefined) ?? Number.POSITIVE_INFINITY),
    };
    const code = this.#refusal(accepted);
    if (code !== null) {
      this.rejected.set(event.lsn, code);
      return;
    }
    this.#accepted.push(accepted);
    const id = data["id"] as number;
    if (/^Node(Created|Put)$/.test(type)) this.nodeIds.add(id);
    if (/^Edge(Created|Put)$/.test(type)) this.edgesById.set(id, edgeFrom(event));
  }

  /** Whether what is asked as of an LSN, or of a time that leads to it, lies before the horizon. */
  liesBeforeHorizon(lsn: number, askedAt: number | null): boolean {
    return lsn < this.horizonLsn || (this.horizon !== null && askedAt !== null && askedAt < this.horizon);
  }

  #purge(lsn: number, recordedBefore: number): void {
    if (recordedBefore > this.timeOf(lsn) || (this.horizon !== null && recordedBefore < this.horizon)) {
      this.rejected.set(lsn, "ERR_GRAPH_HORIZON");
      return;
    }
    this.horizon = recordedBefore;
    for (const { event } of this.#accepted)
      if (this.timeOf(event.lsn) <= recordedBefore) this.horizonLsn = Math.max(this.horizonLsn, event.lsn);
  }

  /** What is asserted about an entity at a point, whatever its ends; null where it is absent. */
  valueAt(kind: Kind, id: number, v: number, r: number): NaiveValue | null {
    let latest: Accepted | null = null;
    for (const each of this.#accepted) {
      if (each.event.lsn <= r && each.from <= v && v < each.to && this.#concerns(each.event, kind, id)) latest = each;
    }
    if (latest === null) return null;
    const { lsn, type, data } = latest.event;
    const given = new Map(Object.entries((data["properties"] as Record<string, unknown> | undefined) ?? {}));
    if (/Created$|Put$/.test(type)) return { label: data["label"] as string, properties: given, lsn };
    if (/Deleted$|Retracted$/.test(type)) return null;
    const before = this.valueAt(kind, id, v, lsn - 1);
    if (before === null) return null;
    if (/Replaced$/.test(type)) return { label: before.label, properties: given, lsn };
    const merged = new Map(before.properties);
    for (const [key, value] of given) {
      if (value === null) merged.delete(key);
      else merged.set(key, value);
    }
    return { label: before.label, properties: merged, lsn };
  }

  /** As a reader sees it: an edge only where it and both ends are. */
  visibleAt(kind: Kind, id: number, v: number, r: number): NaiveValue | null {
    const value = this.valueAt(kind, id, v, r);
    if (kind === "node" || value === null) return value;
    const edge = this.edgesById.get(id);
    if (edge === undefined) return null;
    const ends = [edge.source, edge.target].every((end) => this.valueAt("node", end, v, r) !== null);
    return ends ? value : null;
  }

  #concerns(event: TestEvent, kind: Kind, id: number): boolean {
    if (event.type.startsWith("Node")) {
      if (kind === "node") return event.data["id"] === id;
      const edge = this.edgesById.get(id);
      const end = event.data["id"];
      // Detaching deletes the edges that are there; of one that is not, it asserts nothing.
      return event.data["detach"] === true && edge !== undefined && (edge.source === end || edge.target === end);
    }
    return kind === "edge" && event.data["id"] === id;
  }

  #existsIn(kind: Kind, id: number, { event, from, to }: Accepted): boolean {
    return POINTS.some((v) => from <= v && v < to && this.valueAt(kind, id, v, event.lsn - 1) !== null);
  }

  #refusal(asserted: Accepted): string | null {
    const { event, from, to } = asserted;
    const { type, data } = event;
    const id = data["id"] as number;
    const kind = type.startsWith("Node") ? "node" : "edge";
    if (from >= to) return "ERR_GRAPH_INVALID_PERIOD";
    const exists = this.#existsIn(kind, id, asserted);
    if (type.endsWith("Created") && exists) return "ERR_GRAPH_EXISTS";
    if (/Edge(Created|Put)$/.test(type)) {
      const edge = edgeFrom(event);
      const known = this.edgesById.get(id);
      const changed = known !== undefined && JSON.stringify(known) !== JSON.stringify(edge);
      if (changed) return "ERR_GRAPH_EDGE_FIXED";
      const ends = [edge.source, edge.target].every((end) => this.#existsIn("node", end, asserted));
      return ends ? null : "ERR_GRAPH_NO_ENDS";
    }
    if (/Created$|Put$/.test(type)) return null;
    if (!exists) return "ERR_GRAPH_NOT_FOUND";
    if (!/Node(Deleted|Retracted)/.test(type) || data["detach"] === true) return null;
    const attached = [...this.edgesById.values()].filter((edge) => edge.source === id || edge.target === id);
    return attached.some((edge) => this.#existsIn("edge", edge.id, asserted)) ? "ERR_GRAPH_HAS_EDGES" : null;
  }
}

function edgeFrom({ data }: TestEvent): NaiveEdge {
  return {
    id: data["id"] as number,
    label: data["label"] as string,
    source: data["source"] as number,
    target: data["target"] as number,
  };
}

/** What the graph says along the axes, over the naive model: overlaps, patterns, and which event made a value. */

import type { GraphEdge, GraphNode } from "../../src/projections/graph/entity.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { NodeQuery } from "../../src/projections/graph/node-filter.js";
import type { NaiveGraph, NaiveRectangle } from "./naive-graph.js";
import { naiveMatches } from "./naive-range.js";
import { edgeOf, NaiveView, nodeOf } from "./naive-view.js";

export interface NaiveReference {
  readonly kind: EntityKind;
  readonly id: number;
}

/** A step of a pattern: over which edges, and onto which nodes. */
export interface NaiveStep {
  readonly direction: "out" | "in" | "both";
  readonly edge?: string;
  readonly onto: NodeQuery;
}

/** Every bound at which anything about these entities changes, an edge's ends included. */
function boundsOf(model: NaiveGraph, all: readonly NaiveReference[]): number[] {
  const bounds = all.flatMap(({ kind, id }) => {
    const edge = kind === "edge" ? model.edgesById.get(id) : undefined;
    const ends = edge === undefined ? [] : [edge.source, edge.target];
    return [...model.bounds(kind, id), ...ends.flatMap((end) => model.bounds("node", end))];
  });
  return [...new Set(bounds)].sort((a, b) => a - b);
}

/** What is in force about an entity at a point as it was known there. */
function inForce(model: NaiveGraph, { kind, id }: NaiveReference, v: number, r: number): NaiveRectangle {
  const found = model
    .rectangles(kind, id, r)
    .filter(({ from, to, until }) => from <= v && v < to && until === Number.POSITIVE_INFINITY);
  if (found.length !== 1) throw new Error(`the model has ${found.length} rectangles of ${kind} ${id} at one point`);
  return found[0] as NaiveRectangle;
}

/** Looks between every two bounds whether both are there, and joins what is the same. */
export function naiveOverlaps(model: NaiveGraph, a: NaiveReference, b: NaiveReference, r: number): unknown[] {
  const pieces: { from: number; to: number; first: NaiveRectangle; second: NaiveRectangle }[] = [];
  const bounds = boundsOf(model, [a, b]);
  for (const [index, v] of bounds.entries()) {
    if ([a, b].some(({ kind, id }) => model.visibleAt(kind, id, v, r) === null)) continue;
    const [first, second] = [inForce(model, a, v, r), inForce(model, b, v, r)];
    const to = bounds[index + 1] ?? Number.POSITIVE_INFINITY;
    const last = pieces.at(-1);
    if (last?.to === v && last.first === first && last.second === second) last.to = to;
    else pieces.push({ from: v, to, first, second });
  }
  return pieces.map(({ from, to, first, second }) => ({
    validFrom: from,
    validTo: to === Number.POSITIVE_INFINITY ? null : to,
    a: entityOf(model, a, first),
    b: entityOf(model, b, second),
  }));
}

function entityOf(model: NaiveGraph, { kind, id }: NaiveReference, rectangle: NaiveRectangle): GraphNode | GraphEdge {
  return kind === "node" ? nodeOf(model, id, rectangle) : edgeOf(model, id, rectangle);
}

/** A way through a pattern: ids. */
export interface NaiveRow {
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
}

/** Every way, step by step over all edges; no edge twice in one. */
export function naiveRows(naive: NaiveView, start: NodeQuery, steps: readonly NaiveStep[]): NaiveRow[] {
  const isMeant = (id: number, query: NodeQuery): boolean => naiveMatches(naive.value("node", id), query);
  let rows: NaiveRow[] = [...naive.model.nodeIds]
    .filter((id) => isMeant(id, start))
    .map((id) => ({ nodes: [id], edges: [] }));
  for (const { direction, edge: label, onto } of steps) {
    rows = rows.flatMap(({ nodes, edges }) => {
      const at = nodes.at(-1) as number;
      return naive
        .edgesAt(at, { direction, ...(label !== undefined && { label }) })
        .map(({ id, source, target }) => ({ id, other: source === at ? target : source }))
        .filter(({ id, other }) => !edges.includes(id) && isMeant(other, onto))
        .map(({ id, other }) => ({ nodes: [...nodes, other], edges: [...edges, id] }));
    });
  }
  return rows;
}

/**
 * The LSN of the event that said the last word about a property of what is in force at a point, or null when the way there leads over what
 * was purged.
 */
export function naiveLineage(
  model: NaiveGraph,
  { kind, id }: NaiveReference,
  property: string,
  v: number,
  r: number,
): number | null {
  let value = model.valueAt(kind, id, v, r);
  while (value !== null) {
    const { lsn } = value;
    const { type, data } = model.eventAt(lsn);
    if (!type.endsWith("Patched") || Object.hasOwn((data["properties"] as object | undefined) ?? {}, property))
      return lsn;
    // What this event took away is what the way leads over next.
    if (lsn <= model.purgedThrough) return null;
    value = model.valueAt(kind, id, v, lsn - 1);
  }
  return null;
}

/** When every way through a pattern held, and what its parts were then: between every two bounds the ways there are, joined where they stay the same. */
export function naiveDuring(
  model: NaiveGraph,
  start: NodeQuery,
  steps: readonly NaiveStep[],
  r: number,
  valid: { readonly from?: number; readonly to?: number | null },
): { readonly key: string; readonly row: unknown }[] {
  const end = valid.to ?? Number.POSITIVE_INFINITY;
  const begin = valid.from ?? Number.NEGATIVE_INFINITY;
  const all = [
    ...Array.from(model.nodeIds, (id) => ({ kind: "node", id }) as const),
    ...Array.from(model.edgesById.keys(), (id) => ({ kind: "edge", id }) as const),
  ];
  const bounds = [...new Set([...boundsOf(model, all), begin])].filter(
    (v) => begin <= v && v < end && Number.isFinite(v),
  );
  bounds.sort((a, b) => a - b);
  const pieces: { key: string; from: number; to: number; row: NaiveRow; parts: readonly NaiveRectangle[] }[] = [];
  for (const [index, v] of bounds.entries()) {
    const to = Math.min(end, bounds[index + 1] ?? Number.POSITIVE_INFINITY);
    for (const row of naiveRows(new NaiveView(model, v, r, r), start, steps)) {
      const key = JSON.stringify(row);
      const parts = [
        ...row.nodes.map((id) => inForce(model, { kind: "node", id }, v, r)),
        ...row.edges.map((id) => inForce(model, { kind: "edge", id }, v, r)),
      ];
      const last = pieces.find(
        (each) => each.key === key && each.to === v && each.parts.every((part, at) => part === parts[at]),
      );
      if (last === undefined) pieces.push({ key, from: v, to, row, parts });
      else last.to = to;
    }
  }
  return pieces.map(({ key, from, to, row, parts }) => ({
    key: `${key} ${from}`,
    row: {
      validFrom: from,
      validTo: to === Number.POSITIVE_INFINITY ? null : to,
      nodes: row.nodes.map((id, at) => nodeOf(model, id, parts[at] as NaiveRectangle)),
      edges: row.edges.map((id, at) => edgeOf(model, id, parts[row.nodes.length + at] as NaiveRectangle)),
    },
  }));
}

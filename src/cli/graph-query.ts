/** What the graph commands are asked, and what they print. */

import { StoreError } from "../errors.js";
import type {
  AsOf,
  EdgeQuery,
  FindQuery,
  Graph,
  GraphEdge,
  GraphNode,
  GraphProvenance,
  GraphView,
  PropertyConditions,
} from "../index.js";
import { UsageError } from "./failure.js";
import { formatInstant } from "./instant.js";
import { type Output, stringify } from "./output.js";
import { type RangeClause, rangesOf } from "./range-clause.js";

type PropertyValue = GraphNode["properties"][string];

/** One `--where key=value`. */
export interface WhereClause {
  readonly key: string;
  readonly text: string;
}

/** How a command says which nodes it means. */
export interface NodeSelection {
  readonly id?: number;
  readonly label?: string;
  readonly where?: readonly WhereClause[];
  readonly range?: readonly RangeClause[];
}

/** In which order nodes are listed. */
export type NodeOrder = Pick<FindQuery, "orderBy" | "descending" | "limit">;

/** A view at the point; a point outside what the log holds is a usage error. */
export function viewAt(graph: Graph, point: AsOf): GraphView {
  return within(() => graph.asOf(point));
}

/** Asks; an LSN outside what the log holds is a usage error. */
export function within<Answer>(ask: () => Answer): Answer {
  try {
    return ask();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/**
 * Says before a list that something may be missing from it, because it was purged. An item of its own: a list that lacks something can be
 * empty.
 */
export function printTruncation(output: Output, truncatedBefore: number | null): Promise<void> | undefined {
  return truncatedBefore === null
    ? undefined
    : output.print({ truncatedBefore }, () => formatTruncation(truncatedBefore));
}

export function formatTruncation(truncatedBefore: number): string {
  return `what was superseded at or before ${formatInstant(truncatedBefore)} was purged: some may be missing`;
}

/** The nodes that the selection means, in the graph's own order. */
export function* selectNodes(
  view: GraphView,
  { id, label, where = [], range = [] }: NodeSelection,
  order: NodeOrder = {},
): Generator<GraphNode, void> {
  if (id !== undefined) {
    const node = view.node(id);
    if (node !== undefined) yield node;
    return;
  }
  const query = { ...(label !== undefined && { label }), ...order };
  const all = conditionsOf(where, range);
  // In an order, a value that reads as a number is one: what several readings find is in the order of each only.
  const meant = order.orderBy === undefined ? all : all.slice(-1);
  for (const conditions of meant) {
    yield* view.find({ ...query, ...(Object.keys(conditions).length > 0 && { where: conditions }) });
  }
}

/** What `--where` can mean, each with what `--range` says. */
export function conditionsOf(where: readonly WhereClause[], range: readonly RangeClause[]): PropertyConditions[] {
  const ranges = rangesOf(range);
  const both = where.find(({ key }) => key in ranges);
  if (both !== undefined) throw new UsageError(`--where and --range are both about ${JSON.stringify(both.key)}`);
  return interpret(where).map((properties) => Object.assign(properties, ranges));
}

/** The one node that the selection means. Throws ERR_GRAPH_NOT_FOUND for none, a usage error for several. */
export function selectNode(view: GraphView, selection: NodeSelection): GraphNode {
  if (
    selection.id === undefined &&
    selection.label === undefined &&
    selection.where === undefined &&
    selection.range === undefined
  )
    throw new UsageError("say which node: --id, or --label, --where and --range");
  const [first, second] = selectNodes(view, selection);
  if (first === undefined) throw notFound(view);
  if (second !== undefined)
    throw new UsageError(
      `several nodes are like that, among them ${first.id} and ${second.id}: use graph find, or --id`,
    );
  return first;
}

/** Throws ERR_GRAPH_NOT_FOUND for an id that the graph never knew: an empty answer would look as if nothing had happened to it. */
export function requireKnown(graph: Graph, kind: "node" | "edge", id: number): void {
  const history = graph.history(kind, id);
  // What was purged is not there any more, and says so.
  if (history.first() !== undefined || history.truncatedBefore !== null) return;
  throw new StoreError("ERR_GRAPH_NOT_FOUND", `the graph never had a ${kind} ${id}`, { kind, id });
}

function notFound({ validAt, lsn, truncatedBefore }: GraphView): StoreError {
  const details = { validAt, lsn };
  if (truncatedBefore === null) return new StoreError("ERR_GRAPH_NOT_FOUND", "no such node exists there", details);
  const message = `no such node is known there: what was superseded at or before ${formatInstant(truncatedBefore)} was purged`;
  return new StoreError("ERR_GRAPH_NOT_FOUND", message, { ...details, truncatedBefore });
}

/** The nodes around a node, each once, with the edges that lead there. */
export function* neighborsOf(
  view: GraphView,
  nodeId: number,
  query: EdgeQuery,
): Generator<{ readonly node: GraphNode; readonly edges: readonly GraphEdge[] }, void> {
  const edgesByNode = new Map<number, GraphEdge[]>();
  for (const edge of view.edges(nodeId, query)) {
    const other = edge.source === nodeId ? edge.target : edge.source;
    const edges = edgesByNode.get(other);
    if (edges === undefined) edgesByNode.set(other, [edge]);
    else edges.push(edge);
  }
  for (const [id, edges] of edgesByNode) {
    const node = view.node(id);
    if (node !== undefined) yield { node, edges };
  }
}

export function printableNode(node: GraphNode): object {
  const { id, label, properties, validFrom, validTo, recordedFrom, recordedTo } = node;
  return { id, label, properties, validFrom, validTo, recordedFrom, recordedTo };
}

export function printableEdge(edge: GraphEdge): object {
  const { id, label, source, target, properties, validFrom, validTo, recordedFrom, recordedTo } = edge;
  return { id, label, source, target, properties, validFrom, validTo, recordedFrom, recordedTo };
}

/** With the LSNs that bound it. */
export function printableRectangle(rectangle: GraphNode | GraphEdge): object {
  const { lsn, supersededBy } = rectangle;
  const entity = "source" in rectangle ? printableEdge(rectangle) : printableNode(rectangle);
  return { ...entity, lsn, supersededBy };
}

export function formatRectangle(rectangle: GraphNode | GraphEdge): string {
  return `${formatEntity(rectangle)}  recorded ${formatPeriod(rectangle.recordedFrom, rectangle.recordedTo)}`;
}

/** Behind a rectangle; nothing where nothing was said. */
export function formatProvenance(provenance: GraphProvenance | null): string {
  return provenance === null ? "" : `  by ${stringify(provenance)}`;
}

/** A node or an edge as one line for people. */
export function formatEntity(entity: GraphNode | GraphEdge): string {
  const ends = "source" in entity ? ` ${entity.source} → ${entity.target}` : "";
  return `${entity.label} ${entity.id}${ends}  ${stringify(entity.properties)}  valid ${formatPeriod(entity.validFrom, entity.validTo)}`;
}

export function formatPeriod(from: number, to: number | null): string {
  return `${formatInstant(from)} … ${to === null ? "" : formatInstant(to)}`;
}

/**
 * The property values that the clauses can mean: `n=5` finds the text "5" and the number 5.
 *
 * The keys are the user's, so the objects have no prototype to fall over.
 */
export function interpret(where: readonly WhereClause[]): Record<string, PropertyValue>[] {
  let queries: Record<string, PropertyValue>[] = [Object.create(null)];
  for (const { key, text } of where) {
    queries = queries.flatMap((query) =>
      valuesOf(text).map((value) => Object.assign(Object.create(null), query, { [key]: value })),
    );
  }
  return queries;
}

function valuesOf(text: string): PropertyValue[] {
  if (text === "true" || text === "false") return [text, text === "true"];
  const number = Number(text);
  return text.trim() !== "" && Number.isFinite(number) ? [text, number] : [text];
}

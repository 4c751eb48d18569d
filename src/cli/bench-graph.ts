/**
 * The graph benchmark: what the graph of a store answers and how fast, beside two other ways of keeping a graph in memory, which know no times.
 *
 * All of them hold the nodes and edges of the replay benchmark. Every kind of read is checked before it is timed.
 */

import type { EventInput } from "../events/index.js";
import type { Graph, GraphView } from "../index.js";
import { endsOf, type GraphSize, nodeOf, REPLAY_STREAM, type ReplayStore } from "./bench-replay.js";
import { readNs } from "./read-timer.js";

/** What is read of each of them. */
export interface GraphReadFigures {
  /** A node with its properties, by id; p50. */
  readonly nodeNs: number;
  /** All nodes that lie up to three edges away, along the direction of the edges; p50. */
  readonly hops3Us: number;
  /** A node by its label and one of its properties, through an index where there is one; p50. */
  readonly findUs: number;
}

export interface GraphReader {
  /** A number that the node holds, or NaN. */
  weight(id: number): number;
  countWithin3(id: number): number;
  /** The id, or NaN. */
  findNamed(id: number): number;
}

const NS_PER_US = 1_000;
/** Coprime to any number of nodes that is not a multiple of it: every read is of another node, far from the one before. */
const STRIDE = 7_919;

/** Checks some answers and measures; returns what is wrong instead, if anything is. */
export function measureReads(reader: GraphReader, { nodes, edges }: GraphSize): GraphReadFigures | string {
  for (let id = 1; id <= nodes; id += Math.ceil(nodes / 100)) {
    if (reader.weight(id) !== nodeOf(id).properties.weight) return `node ${id} holds something else`;
    if (reader.findNamed(id) !== id) return `node ${id} is not found by its name`;
  }
  const middle = Math.ceil(nodes / 2);
  if (edges > nodes && reader.countWithin3(middle) + reader.countWithin3(1) === 0)
    return "nothing is reached in three hops";
  const idOf = (turn: number): number => 1 + ((middle + turn * STRIDE) % nodes);
  return {
    nodeNs: readNs((turn) => reader.weight(idOf(turn)) + 1),
    hops3Us: readNs((turn) => reader.countWithin3(idOf(turn)) + 1) / NS_PER_US,
    findUs: readNs((turn) => reader.findNamed(idOf(turn))) / NS_PER_US,
  };
}

/** A view of the store's graph, whose nodes have an index by name. */
export function readerOf(view: GraphView): GraphReader {
  return {
    weight: (id) => Number(view.node(id)?.properties["weight"]),
    countWithin3: (id) => {
      let count = 0;
      for (const _ of view.traverse(id, { direction: "out", maxDepth: 3 })) count += 1;
      return count;
    },
    findNamed: (id) => {
      const { label, properties } = nodeOf(id);
      for (const found of view.find({ label, where: { name: properties.name } })) return found.id;
      return Number.NaN;
    },
  };
}

/** Has every label's nodes be found by name. */
export async function indexNames(graph: Graph, { nodes }: GraphSize): Promise<void> {
  const labels = new Set(Array.from({ length: Math.min(nodes, 16) }, (_, index) => nodeOf(index + 1).label));
  for (const label of labels) await graph.index({ label, property: "name" });
}

const CORRECTIONS = 5;
const CORRECTED_SHARE = 10;
const CORRECTED_FROM = Date.UTC(2025, 0, 1) * 1_000;
const DAY_US = 24 * 3_600 * 1_000_000;
const EVENTS_PER_APPEND = 1_000;

/** Corrects a past day of every tenth entity, five times each; returns how many events that were. */
export async function appendCorrections(store: ReplayStore, { nodes, edges }: GraphSize): Promise<number> {
  let pending: EventInput[] = [];
  let count = 0;
  const appendPending = async (): Promise<void> => {
    const events = pending;
    pending = [];
    count += events.length;
    if (events.length > 0) await store.append(REPLAY_STREAM, events, { durability: "group" });
  };
  for (let correction = 0; correction < CORRECTIONS; correction += 1) {
    const validFrom = CORRECTED_FROM + correction * DAY_US;
    for (const [type, last] of [
      ["varve.v1.NodePatched", nodes],
      ["varve.v1.EdgePatched", edges],
    ] as const) {
      for (let id = 1; id <= last; id += CORRECTED_SHARE) {
        pending.push({
          type,
          data: { id, properties: { weight: correction }, validFrom, validTo: validFrom + DAY_US },
        });
        if (pending.length === EVENTS_PER_APPEND) await appendPending();
      }
    }
  }
  await appendPending();
  return count;
}

/** Of a peer: what it is told to be, and what it answers. */
export interface GraphPeerTask {
  readonly kind: "map" | "graphology";
  readonly size: GraphSize;
}

export type GraphPeerReport =
  | (GraphReadFigures & { readonly bytesPerEntity: number; readonly fault: null })
  | { readonly fault: string };

/** Calls `onNode` and `onEdge` for everything that the graph has. */
export function eachEntity(
  { nodes, edges }: GraphSize,
  onNode: (id: number, node: ReturnType<typeof nodeOf>) => void,
  onEdge: (id: number, source: number, target: number) => void,
): void {
  for (let id = 1; id <= nodes; id += 1) onNode(id, nodeOf(id));
  for (let id = 1; id <= edges; id += 1) {
    const { source, target } = endsOf(id, nodes);
    onEdge(id, source, target);
  }
}

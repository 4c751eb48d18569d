/** Random graphs of some dozens of nodes, with what a view of one shows, in plain lists: what algorithms are compared over. */

import type { GraphEdge, GraphNode } from "../../../src/projections/graph/entity.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { GraphView } from "../../../src/projections/graph/graph-view.js";
import type { SeededRandom } from "../../support/seeded-random.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

export const NODE_LABELS = ["Person", "Place"] as const;
export const EDGE_LABELS = ["KNOWS", "LIVES_IN"] as const;

export interface ShownGraph {
  readonly view: GraphView;
  /** In the order of creation. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly nodeIds: readonly number[];
}

/** Valid from 0 on, but for what was deleted or begins late; the view is at valid time 10, and more was changed after its LSN. */
export function randomGraph(random: SeededRandom, nodeCount: number, edgeCount: number): ShownGraph {
  const nodeIds = Array.from({ length: nodeCount }, (_, index) => (index + 1) * (index % 3 === 0 ? 1_000_003 : 1));
  const events: TestEvent[] = [];
  const add = (type: string, data: TestEvent["data"]): void => {
    events.push({ lsn: events.length + 1, recordedAt: events.length, type, data });
  };
  const validFrom = () => (random.integer(12) === 0 ? 11 : 0);
  for (const id of nodeIds) {
    const properties = { color: random.pick(["red", "blue"]) };
    add("NodePut", { id, label: random.pick(NODE_LABELS), properties, validFrom: validFrom() });
  }
  for (let id = 1; id <= edgeCount; id += 1) {
    const ends = { source: random.pick(nodeIds), target: random.pick(nodeIds) };
    add("EdgePut", { id, label: random.pick(EDGE_LABELS), ...ends, validFrom: validFrom(), validTo: 50 });
  }
  for (let count = Math.floor(nodeCount / 8); count > 0; count -= 1) {
    add("NodeRetracted", { id: random.pick(nodeIds), detach: true });
  }
  const state = new GraphState({ clock: () => 0 });
  for (const event of events) state.apply(rawEvent(event));
  const view = state.asOf({ validAt: 10 });
  for (let index = 0; index < nodeCount / 4; index += 1) {
    const lsn = state.lsn + 1;
    const target = random.pick(nodeIds);
    const data = { id: edgeCount + 1 + index, label: "KNOWS", source: target, target, validFrom: 0 };
    state.apply(rawEvent({ lsn, recordedAt: lsn, type: "EdgePut", data }));
  }
  const edges = Array.from({ length: edgeCount }, (_, index) => view.edge(index + 1));
  return {
    view,
    nodes: nodeIds.map((id) => view.node(id)).filter((node) => node !== undefined),
    edges: edges.filter((edge) => edge !== undefined),
    nodeIds,
  };
}

type Direction = "out" | "in" | "both";

/** Where one comes to over a single edge. */
export function stepsFrom(graph: ShownGraph, id: number, direction: Direction, label?: string): GraphEdge[] {
  return graph.edges.filter(
    (edge) =>
      (label === undefined || edge.label === label) &&
      ((direction !== "in" && edge.source === id) || (direction !== "out" && edge.target === id)),
  );
}

/** How far each node is from the start over nodes that may be walked on: by relaxing until nothing changes. */
export function distancesFrom(
  graph: ShownGraph,
  start: number,
  direction: Direction,
  label?: string,
  mayStep: (node: GraphNode) => boolean = () => true,
): Map<number, number> {
  const distances = new Map<number, number>();
  if (graph.nodes.some(({ id }) => id === start)) distances.set(start, 0);
  for (let grew = true; grew; ) {
    grew = false;
    for (const [id, depth] of [...distances]) {
      for (const { source, target } of stepsFrom(graph, id, direction, label)) {
        const other = source === id ? target : source;
        const node = graph.nodes.find((each) => each.id === other);
        if (node === undefined || !mayStep(node) || (distances.get(other) ?? Number.POSITIVE_INFINITY) <= depth + 1)
          continue;
        distances.set(other, depth + 1);
        grew = true;
      }
    }
  }
  return distances;
}

export const DIRECTIONS: readonly Direction[] = ["out", "in", "both"];

/** A label to ask for, or none. */
export function someLabel(random: SeededRandom): { readonly label?: string } {
  return random.integer(2) === 0 ? {} : { label: random.pick(EDGE_LABELS) };
}

/**
 * The process of the graph benchmark that keeps the same graph some other way: a `Map` of objects, as one would write it by hand, or graphology.
 * Neither knows of times; both find nodes by name through a `Map` beside it.
 */

import { setFlagsFromString } from "node:v8";
import { eachEntity, type GraphPeerReport, type GraphPeerTask, type GraphReader, measureReads } from "./bench-graph.js";
import { type GraphSize, measureMemory } from "./bench-replay.js";
import { servePeer } from "./peer-parent.js";

/** A million nodes as objects do not fit into what Node allows itself. */
const HEAP_MIB = 12_288;
const BYTES_DECIMALS = 10;

interface PlainNode {
  readonly id: number;
  readonly label: string;
  readonly properties: { readonly name: string; readonly weight: number };
  readonly out: PlainNode[];
}

function plainGraph(size: GraphSize): GraphReader {
  const nodes = new Map<number, PlainNode>();
  const named = new Map<string, PlainNode>();
  eachEntity(
    size,
    (id, { label, properties }) => {
      const node = { id, label, properties, out: [] };
      nodes.set(id, node);
      named.set(properties.name, node);
    },
    (_, source, target) => nodes.get(source)?.out.push(nodes.get(target) as PlainNode),
  );
  return {
    weight: (id) => nodes.get(id)?.properties.weight ?? Number.NaN,
    countWithin3: (id) => countWithin3(nodes.get(id) as PlainNode, ({ out }) => out),
    findNamed: (id) => named.get(`node ${id}`)?.id ?? Number.NaN,
  };
}

async function graphologyGraph(size: GraphSize): Promise<GraphReader> {
  const { MultiDirectedGraph } = await import("graphology");
  const graph = new MultiDirectedGraph();
  const named = new Map<string, string>();
  eachEntity(
    size,
    (id, { label, properties }) => {
      graph.addNode(id, { label, ...properties });
      named.set(properties.name, String(id));
    },
    (id, source, target) => graph.addEdgeWithKey(id, source, target, { label: "KNOWS" }),
  );
  return {
    weight: (id) => Number(graph.getNodeAttributes(id)["weight"]),
    countWithin3: (id) => countWithin3(String(id), (node) => graph.outNeighbors(node)),
    findNamed: (id) => Number(named.get(`node ${id}`)),
  };
}

/** Breadth first, each node once, without the start. */
function countWithin3<Node>(start: Node, nextOf: (node: Node) => readonly Node[]): number {
  const seen = new Set([start]);
  let frontier = [start];
  for (let depth = 1; depth <= 3; depth += 1) {
    const next: Node[] = [];
    for (const node of frontier) {
      for (const other of nextOf(node)) {
        if (seen.has(other)) continue;
        seen.add(other);
        next.push(other);
      }
    }
    frontier = next;
  }
  return seen.size - 1;
}

await servePeer<GraphPeerTask, never, GraphPeerReport>(async ({ kind, size }, parent) => {
  setFlagsFromString(`--max-old-space-size=${HEAP_MIB}`);
  const before = await measureMemory();
  let reader: GraphReader;
  try {
    reader = kind === "map" ? plainGraph(size) : await graphologyGraph(size);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    parent.tell({ fault: code === "ERR_MODULE_NOT_FOUND" ? `${kind} is not installed` : message });
    return;
  }
  const bytesPerEntity = ((await measureMemory()) - before) / (size.nodes + size.edges);
  const figures = measureReads(reader, size);
  parent.tell(
    typeof figures === "string"
      ? { fault: figures }
      : { ...figures, bytesPerEntity: Math.round(bytesPerEntity * BYTES_DECIMALS) / BYTES_DECIMALS, fault: null },
  );
});

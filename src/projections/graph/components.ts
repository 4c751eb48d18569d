/**
 * The weakly connected components of a view: which nodes hang together, whatever the direction of the edges.
 *
 * Union-find in one pass over all edges, by size and with path halving, so it costs little more than looking at each edge. Memory: four Int32s
 * for each node the graph ever knew.
 */

import type { GraphView } from "./graph-view.js";

export interface ComponentQuery {
  /** Only edges with this label connect. */
  readonly label?: string;
  /** How many components to give at most. No limit by default. */
  readonly limit?: number;
}

export interface GraphComponent {
  /** Ids, the first created first. */
  readonly nodes: readonly number[];
}

/** The largest first; of equal ones, the one with the node that was created first. */
export function* components(
  view: GraphView,
  label: number | null,
  limit: number,
): Generator<GraphComponent, void, undefined> {
  const { nodes } = view.tables;
  const roots = connected(view, label);
  const { starts, members } = grouped(roots);
  const order = Array.from({ length: starts.length - 1 }, (_, component) => component);
  const sizeOf = (component: number) => (starts[component + 1] as number) - (starts[component] as number);
  order.sort((a, b) => sizeOf(b) - sizeOf(a) || a - b);
  for (const component of order.slice(0, limit)) {
    const slots = members.subarray(starts[component], starts[component + 1]);
    yield { nodes: Array.from(slots, (slot) => nodes.id(slot)) };
  }
}

/** For each node slot a slot that stands for its component; 0 where the view has no such node. */
function connected(view: GraphView, label: number | null): Int32Array {
  const { nodes, edges } = view.tables;
  const parents = new Int32Array(nodes.records.length);
  const sizes = new Int32Array(nodes.records.length);
  for (let slot = 1; slot < parents.length; slot += 1) {
    if (view.nodeRow(slot) === 0) continue;
    parents[slot] = slot;
    sizes[slot] = 1;
  }
  for (let edge = 1; edge < edges.records.length; edge += 1) {
    if ((label !== null && edges.label(edge) !== label) || view.edgeRow(edge) === 0) continue;
    const a = rootOf(parents, edges.source(edge));
    const b = rootOf(parents, edges.target(edge));
    if (a === b) continue;
    const size = (sizes[a] as number) + (sizes[b] as number);
    const [root, child] = (sizes[a] as number) < (sizes[b] as number) ? [b, a] : [a, b];
    parents[child] = root;
    sizes[root] = size;
  }
  for (let slot = 1; slot < parents.length; slot += 1) {
    if (parents[slot] !== 0) parents[slot] = rootOf(parents, slot);
  }
  return parents;
}

function rootOf(parents: Int32Array, slot: number): number {
  let at = slot;
  while (parents[at] !== at) {
    const above = parents[parents[at] as number] as number;
    parents[at] = above;
    at = above;
  }
  return at;
}

/** The slots of component c are `members[starts[c], starts[c + 1])`; components are numbered by their first slot. */
function grouped(roots: Int32Array): { readonly starts: Int32Array; readonly members: Int32Array } {
  const numbers = new Int32Array(roots.length);
  const sizes: number[] = [];
  for (const root of roots) {
    if (root === 0) continue;
    if (numbers[root] === 0) numbers[root] = sizes.push(0);
    const component = (numbers[root] as number) - 1;
    sizes[component] = (sizes[component] as number) + 1;
  }
  const starts = new Int32Array(sizes.length + 1);
  for (const [component, size] of sizes.entries()) starts[component + 1] = (starts[component] as number) + size;
  const members = new Int32Array(starts[sizes.length] as number);
  const filled = starts.slice();
  for (const [slot, root] of roots.entries()) {
    if (root === 0) continue;
    const component = (numbers[root] as number) - 1;
    members[filled[component] as number] = slot;
    filled[component] = (filled[component] as number) + 1;
  }
  return { starts, members };
}

import type { GitGraphIds } from "../../../src/cli/git-graph.js";

/** Ids from 1, as a store that nobody else uses would give them. */
export function countingIds(): GitGraphIds & { readonly used: { nodes: number; edges: number } } {
  const used = { nodes: 0, edges: 0 };
  return {
    used,
    nextNodeId: () => {
      used.nodes += 1;
      return used.nodes;
    },
    nextEdgeId: () => {
      used.edges += 1;
      return used.edges;
    },
  };
}

import type { Command } from "commander";
import {
  addEdgeOptions,
  addNodeSelection,
  type EdgeOptions,
  edgeQueryOf,
  graphCommand,
  type PointOptions,
  withGraph,
} from "../graph-arguments.js";
import {
  formatEntity,
  type NodeSelection,
  neighborsOf,
  printableEdge,
  printableNode,
  printTruncation,
  selectNode,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

type NeighborsOptions = PointOptions & NodeSelection & EdgeOptions;

export function graphNeighborsCommand({ output }: CommandContext): Command {
  return addEdgeOptions(
    addNodeSelection(graphCommand("neighbors", "list the nodes around a node, each with the edges that lead there")),
  ).action(async (options: NeighborsOptions) => {
    await withGraph(options, async (_graph, view) => {
      const center = selectNode(view, options);
      await printTruncation(output, view.truncatedBefore);
      for (const { node, edges } of neighborsOf(view, center.id, edgeQueryOf(options))) {
        if (output.gone.aborted) break;
        await output.print({ ...printableNode(node), edges: edges.map(printableEdge) }, () =>
          edges.map((edge) => `${formatEntity(edge)}\n    ${formatEntity(node)}`).join("\n"),
        );
      }
    });
  });
}

import { type Command, Option } from "commander";
import { addNodeSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
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

const DIRECTIONS = ["in", "out", "both"] as const;

interface NeighborsOptions extends PointOptions, NodeSelection {
  readonly direction: (typeof DIRECTIONS)[number];
  readonly edge?: string;
}

export function graphNeighborsCommand({ output }: CommandContext): Command {
  return addNodeSelection(
    graphCommand("neighbors", "list the nodes around a node, each with the edges that lead there"),
  )
    .addOption(
      new Option("--direction <way>", "the direction of the edges, seen from the node")
        .choices(DIRECTIONS)
        .default("both"),
    )
    .option("--edge <label>", "only over edges with this label")
    .action(async (options: NeighborsOptions) => {
      const { direction, edge: label } = options;
      await withGraph(options, async (_graph, view) => {
        const center = selectNode(view, options);
        await printTruncation(output, view.truncatedBefore);
        const query = { direction, ...(label !== undefined && { label }) };
        for (const { node, edges } of neighborsOf(view, center.id, query)) {
          if (output.gone.aborted) break;
          await output.print({ ...printableNode(node), edges: edges.map(printableEdge) }, () =>
            edges.map((edge) => `${formatEntity(edge)}\n    ${formatEntity(node)}`).join("\n"),
          );
        }
      });
    });
}

import type { Command } from "commander";
import { wholeNumber } from "../arguments.js";
import {
  addEdgeOptions,
  type EdgeOptions,
  edgeQueryOf,
  graphCommand,
  type PointOptions,
  withGraph,
} from "../graph-arguments.js";
import { formatEntity, printableEdge, printableNode, printTruncation, requireKnown } from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface PathOptions extends PointOptions, EdgeOptions {
  readonly from: number;
  readonly to: number;
  readonly depth?: number;
}

export function graphPathCommand({ output }: CommandContext): Command {
  return addEdgeOptions(graphCommand("path", "show a path with the fewest edges between two nodes"))
    .requiredOption("--from <id>", "the node where it begins", wholeNumber(1))
    .requiredOption("--to <id>", "the node where it ends", wholeNumber(1))
    .option("--depth <edges>", "at most so many edges", wholeNumber(1))
    .addHelpText("after", "\nWhere there is none, the path has no nodes.")
    .action(async (options: PathOptions) => {
      const { from, to, depth } = options;
      await withGraph(options, async (graph, view) => {
        for (const id of [from, to]) requireKnown(graph, "node", id);
        await printTruncation(output, view.truncatedBefore);
        const query = { ...edgeQueryOf(options), ...(depth !== undefined && { maxDepth: depth }) };
        const { nodes, edges } = view.shortestPath(from, to, query) ?? { nodes: [], edges: [] };
        await output.print({ nodes: nodes.map(printableNode), edges: edges.map(printableEdge) }, () =>
          nodes.length === 0
            ? "no path"
            : nodes.flatMap((node, at) => [node, ...edges.slice(at, at + 1)].map(formatEntity)).join("\n"),
        );
      });
    });
}

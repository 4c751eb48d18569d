import type { Command } from "commander";
import { wholeNumber } from "../arguments.js";
import {
  addNodeSelection,
  addStepOptions,
  graphCommand,
  type PointOptions,
  type StepOptions,
  stepQueryOf,
  withGraph,
} from "../graph-arguments.js";
import {
  formatEntity,
  type NodeSelection,
  printableEdge,
  printableNode,
  printTruncation,
  selectNode,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

type SubgraphOptions = PointOptions & NodeSelection & StepOptions & { readonly hops: number };

export function graphSubgraphCommand({ output }: CommandContext): Command {
  return addStepOptions(
    addNodeSelection(graphCommand("subgraph", "list the nodes around a node, and every edge between them")),
  )
    .requiredOption("--hops <edges>", "at most so many edges away", wholeNumber(1))
    .addHelpText("after", '\nWhere --limit leaves nodes out, the list begins with { "complete": false }.')
    .action(async (options: SubgraphOptions) => {
      await withGraph(options, async (_graph, view) => {
        const start = selectNode(view, options);
        await printTruncation(output, view.truncatedBefore);
        const { nodes, edges, complete } = view.subgraph(start.id, { ...stepQueryOf(options), hops: options.hops });
        if (!complete) await output.print({ complete }, () => "there are more nodes than this");
        for (const node of nodes) {
          if (output.gone.aborted) return;
          await output.print({ kind: "node", ...printableNode(node) }, () => formatEntity(node));
        }
        for (const edge of edges) {
          if (output.gone.aborted) return;
          await output.print({ kind: "edge", ...printableEdge(edge) }, () => formatEntity(edge));
        }
      });
    });
}

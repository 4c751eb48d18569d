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
import { formatEntity, type NodeSelection, printableNode, printTruncation, selectNode } from "../graph-query.js";
import type { CommandContext } from "../program.js";

type TraverseOptions = PointOptions & NodeSelection & StepOptions & { readonly depth: number };

export function graphTraverseCommand({ output }: CommandContext): Command {
  return addStepOptions(
    addNodeSelection(graphCommand("traverse", "list what can be reached from a node, nearest first")),
  )
    .requiredOption("--depth <edges>", "at most so many edges away", wholeNumber(1))
    .action(async (options: TraverseOptions) => {
      await withGraph(options, async (_graph, view) => {
        const start = selectNode(view, options);
        await printTruncation(output, view.truncatedBefore);
        const query = { ...stepQueryOf(options), maxDepth: options.depth };
        for (const { id, depth, edge, from } of view.traverse(start.id, query)) {
          if (output.gone.aborted) break;
          const node = view.node(id);
          if (node === undefined) continue;
          await output.print({ ...printableNode(node), depth, edge, from }, () => `${depth}  ${formatEntity(node)}`);
        }
      });
    });
}

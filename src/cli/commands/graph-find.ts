import type { Command } from "commander";
import { wholeNumber } from "../arguments.js";
import { addSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import { formatEntity, type NodeSelection, printableNode, printTruncation, selectNodes } from "../graph-query.js";
import type { CommandContext } from "../program.js";

type FindOptions = PointOptions & NodeSelection & { readonly limit?: number };

export function graphFindCommand({ output }: CommandContext): Command {
  return addSelection(graphCommand("find", "list the nodes with a label and properties"))
    .option("--limit <count>", "at most so many nodes", wholeNumber(0))
    .action(async (options: FindOptions) => {
      await withGraph(options, async (_graph, view) => {
        await printTruncation(output, view.truncatedBefore);
        let left = options.limit ?? Number.POSITIVE_INFINITY;
        for (const node of selectNodes(view, options)) {
          if (left === 0 || output.gone.aborted) break;
          left -= 1;
          await output.print(printableNode(node), () => formatEntity(node));
        }
      });
    });
}

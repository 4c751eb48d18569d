import type { Command } from "commander";
import { nonEmpty, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { addSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import {
  formatEntity,
  type NodeOrder,
  type NodeSelection,
  printableNode,
  printTruncation,
  selectNodes,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

type FindOptions = PointOptions & NodeSelection & NodeOrder;

const DETAILS = `
A --range is key>=value, or the same with >, <= or <, in quotes for the shell; two of one key are its two ends. What reads as a number is one, text can
stand in double quotes, and time:2025-01-01 is µs since 1970. With --order-by, --where means numbers wherever it reads as one.`;

export function graphFindCommand({ output }: CommandContext): Command {
  return addSelection(graphCommand("find", "list the nodes with a label and properties"))
    .option("--limit <count>", "at most so many nodes", wholeNumber(0))
    .option("--order-by <key>", "in the order of this property, without the nodes that do not have it", nonEmpty)
    .option("--descending", "the last of that order first")
    .addHelpText("after", DETAILS)
    .action(async (options: FindOptions) => {
      await withGraph(options, async (_graph, view) => {
        await printTruncation(output, view.truncatedBefore);
        let left = options.limit ?? Number.POSITIVE_INFINITY;
        for (const node of selectNodes(view, options, orderOf(options))) {
          if (left === 0 || output.gone.aborted) break;
          left -= 1;
          await output.print(printableNode(node), () => formatEntity(node));
        }
      });
    });
}

function orderOf({ orderBy, descending, limit }: FindOptions): NodeOrder {
  if (orderBy === undefined) {
    if (descending) throw new UsageError("--descending goes with --order-by");
    return {};
  }
  // With a limit less is remembered where no index has the order.
  return {
    orderBy,
    ...(descending !== undefined && { descending }),
    ...(limit !== undefined && limit > 0 && { limit }),
  };
}

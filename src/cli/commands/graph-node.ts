import type { Command } from "commander";
import { addNodeSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import { formatEntity, formatTruncation, type NodeSelection, printableNode, selectNode } from "../graph-query.js";
import type { CommandContext } from "../program.js";

export function graphNodeCommand({ output }: CommandContext): Command {
  return addNodeSelection(graphCommand("node", "show one node")).action(
    async (options: PointOptions & NodeSelection) => {
      await withGraph(options, async (_graph, view) => {
        const node = selectNode(view, options);
        const { truncatedBefore } = view;
        const mark = truncatedBefore === null ? {} : { truncatedBefore };
        await output.print({ ...printableNode(node), ...mark }, () =>
          truncatedBefore === null ? formatEntity(node) : `${formatTruncation(truncatedBefore)}\n${formatEntity(node)}`,
        );
      });
    },
  );
}

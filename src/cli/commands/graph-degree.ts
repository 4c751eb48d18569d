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
import { formatTruncation, type NodeSelection, selectNode } from "../graph-query.js";
import type { CommandContext } from "../program.js";

export function graphDegreeCommand({ output }: CommandContext): Command {
  return addEdgeOptions(addNodeSelection(graphCommand("degree", "count the edges at a node"))).action(
    async (options: PointOptions & NodeSelection & EdgeOptions) => {
      await withGraph(options, async (_graph, view) => {
        const { id } = selectNode(view, options);
        const degree = view.degree(id, edgeQueryOf(options));
        const { truncatedBefore } = view;
        await output.print({ id, degree, ...(truncatedBefore !== null && { truncatedBefore }) }, () =>
          truncatedBefore === null ? `${degree} edges` : `${formatTruncation(truncatedBefore)}\n${degree} edges`,
        );
      });
    },
  );
}

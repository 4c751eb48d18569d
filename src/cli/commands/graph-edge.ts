import type { Command } from "commander";
import { StoreError } from "../../errors.js";
import { wholeNumber } from "../arguments.js";
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
  formatTruncation,
  type NodeSelection,
  printableEdge,
  printTruncation,
  selectNode,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

export function graphEdgeCommand({ output }: CommandContext): Command {
  return graphCommand("edge", "show one edge, where it and both its ends exist")
    .argument("<id>", "its id", wholeNumber(1))
    .action(async (id: number, options: PointOptions) => {
      await withGraph(options, async (_graph, view) => {
        const edge = view.edge(id);
        const { validAt, lsn, truncatedBefore } = view;
        const mark = truncatedBefore === null ? {} : { truncatedBefore };
        if (edge === undefined)
          throw new StoreError("ERR_GRAPH_NOT_FOUND", `no edge ${id} exists there`, { id, validAt, lsn, ...mark });
        const lines = truncatedBefore === null ? [] : [formatTruncation(truncatedBefore)];
        await output.print({ ...printableEdge(edge), ...mark }, () => [...lines, formatEntity(edge)].join("\n"));
      });
    });
}

export function graphEdgesCommand({ output }: CommandContext): Command {
  return addEdgeOptions(addNodeSelection(graphCommand("edges", "list the edges at a node"))).action(
    async (options: PointOptions & NodeSelection & EdgeOptions) => {
      await withGraph(options, async (_graph, view) => {
        const { id } = selectNode(view, options);
        await printTruncation(output, view.truncatedBefore);
        for (const edge of view.edges(id, edgeQueryOf(options))) {
          if (output.gone.aborted) break;
          await output.print(printableEdge(edge), () => formatEntity(edge));
        }
      });
    },
  );
}

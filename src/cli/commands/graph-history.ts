import { type Command, Option } from "commander";
import type { GraphEdge, GraphNode } from "../../index.js";
import { wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { addNodeSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import {
  formatEntity,
  formatPeriod,
  type NodeSelection,
  printableEdge,
  printableNode,
  printTruncation,
  selectNode,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

const AXES = ["valid", "recorded"] as const;

interface HistoryOptions extends PointOptions, NodeSelection {
  readonly edgeId?: number;
  readonly at?: (typeof AXES)[number];
  readonly coalesce?: true;
}

const DETAILS = `
Each line is a rectangle: what was said about a period of valid time, and from when to when the store believed it.
--valid and --recorded say where --label and --where look for the node; its whole history is shown.`;

export function graphHistoryCommand({ output }: CommandContext): Command {
  return addNodeSelection(graphCommand("history", "show everything that was ever said about a node or an edge"))
    .option("--edge-id <id>", "the edge with this id", wholeNumber(1))
    .addOption(new Option("--at <axis>", "only along this axis").choices(AXES))
    .option("--coalesce", "join rectangles that touch and hold the same")
    .addHelpText("after", DETAILS)
    .action(async (options: HistoryOptions) => {
      const { at, coalesce, edgeId } = options;
      if (edgeId !== undefined && (options.id ?? options.label ?? options.where) !== undefined)
        throw new UsageError("--edge-id goes without --id, --label and --where");
      await withGraph(options, async (graph, view) => {
        const how = { ...(at !== undefined && { at }), ...(coalesce !== undefined && { coalesce }) };
        const rectangles =
          edgeId === undefined
            ? graph.history("node", options.id ?? selectNode(view, options).id, how)
            : graph.history("edge", edgeId, how);
        await printTruncation(output, rectangles.truncatedBefore);
        for (const rectangle of rectangles) {
          if (output.gone.aborted) break;
          await output.print(printableRectangle(rectangle), () => formatRectangle(rectangle));
        }
      });
    });
}

function printableRectangle(rectangle: GraphNode | GraphEdge): object {
  const { lsn, supersededBy } = rectangle;
  const entity = "source" in rectangle ? printableEdge(rectangle) : printableNode(rectangle);
  return { ...entity, lsn, supersededBy };
}

function formatRectangle(rectangle: GraphNode | GraphEdge): string {
  return `${formatEntity(rectangle)}  recorded ${formatPeriod(rectangle.recordedFrom, rectangle.recordedTo)}`;
}

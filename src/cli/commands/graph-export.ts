import { type Command, Option } from "commander";
import type { GraphView } from "../../index.js";
import { CSV_FORMAT } from "../csv-format.js";
import { DOT_FORMAT } from "../dot-format.js";
import { UsageError } from "../failure.js";
import { graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import type { GraphFormat } from "../graph-format.js";
import { formatTruncation, printableEdge, printableNode, printTruncation } from "../graph-query.js";
import { graphmlFormat } from "../graphml-format.js";
import type { CommandContext } from "../program.js";

const FORMATS = ["dot", "graphml", "csv"] as const;

interface ExportOptions extends PointOptions {
  readonly format?: (typeof FORMATS)[number];
}

const DETAILS = `
Nodes come first, then edges, in the order of creation of the nodes. With --json one object per line, each with its kind.`;

export function graphExportCommand({ output, stderr }: CommandContext): Command {
  return graphCommand("export", "print all nodes and edges of one point for another tool")
    .addOption(new Option("--format <format>", "how they are written").choices(FORMATS))
    .addHelpText("after", DETAILS)
    .action(async ({ format, ...options }: ExportOptions) => {
      if ((format === undefined) === (options.json === undefined))
        throw new UsageError("say either --format or --json");
      await withGraph(options, async (_graph, view) => {
        const { truncatedBefore } = view;
        if (format === undefined) await printTruncation(output, truncatedBefore);
        else if (truncatedBefore !== null) stderr.write(`varve: ${formatTruncation(truncatedBefore)}\n`);
        // With --json nothing of it is printed.
        const { before, after, node, edge } = formatOf(format ?? "csv", view);
        const print = async (lines: readonly string[]): Promise<void> => {
          if (format !== undefined && lines.length > 0) await output.print(null, () => lines.join("\n"));
        };
        await print(before);
        for (const each of view.find({})) {
          if (output.gone.aborted) return;
          await output.print({ kind: "node", ...printableNode(each) }, () => node(each));
        }
        for (const { id } of view.find({})) {
          for (const each of view.edges(id, { direction: "out" })) {
            if (output.gone.aborted) return;
            await output.print({ kind: "edge", ...printableEdge(each) }, () => edge(each));
          }
        }
        await print(after);
      });
    });
}

function formatOf(format: (typeof FORMATS)[number], view: GraphView): GraphFormat {
  if (format === "graphml") return graphmlFormat(view);
  return format === "dot" ? DOT_FORMAT : CSV_FORMAT;
}

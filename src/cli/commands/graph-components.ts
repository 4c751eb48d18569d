import type { Command } from "commander";
import { nonEmpty } from "../arguments.js";
import { addLimit, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import { printTruncation } from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface ComponentsOptions extends PointOptions {
  readonly edge?: string;
  readonly limit?: number;
}

export function graphComponentsCommand({ output }: CommandContext): Command {
  return addLimit(
    graphCommand("components", "list which nodes hang together, the largest component first"),
    "components",
  )
    .option("--edge <label>", "only over edges with this label", nonEmpty)
    .action(async ({ edge, limit, ...point }: ComponentsOptions) => {
      await withGraph(point, async (_graph, view) => {
        await printTruncation(output, view.truncatedBefore);
        const query = { ...(edge !== undefined && { label: edge }), ...(limit !== undefined && { limit }) };
        for (const { nodes } of view.components(query)) {
          if (output.gone.aborted) break;
          await output.print({ size: nodes.length, nodes }, () => `${nodes.length} nodes  ${nodes.join(" ")}`);
        }
      });
    });
}

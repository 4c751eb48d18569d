import { type Command, InvalidArgumentError } from "commander";
import { nonEmpty, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { addLimit, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import { formatEntity, printableNode, printTruncation } from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface RankOptions extends PointOptions {
  readonly edge?: string;
  readonly damping?: number;
  readonly tolerance?: number;
  readonly iterations?: number;
  readonly limit?: number;
}

export function graphRankCommand({ output }: CommandContext): Command {
  return addLimit(graphCommand("rank", "list the nodes by PageRank, the highest first"), "nodes")
    .option("--edge <label>", "only over edges with this label", nonEmpty)
    .option("--damping <share>", "the chance to go on along an edge (default: 0.85)", share)
    .option("--tolerance <change>", "ends when a round changes no more than this (default: 0.000001)", share)
    .option("--iterations <rounds>", "at most so many rounds (default: 100)", wholeNumber(1))
    .action(async ({ edge, damping, tolerance, iterations, limit, ...point }: RankOptions) => {
      if (iterations !== undefined && iterations > ITERATIONS_MAX)
        throw new UsageError(`--iterations is at most ${ITERATIONS_MAX}`);
      await withGraph(point, async (_graph, view) => {
        const ranks = view.pageRank({
          ...(edge !== undefined && { label: edge }),
          ...(damping !== undefined && { damping }),
          ...(tolerance !== undefined && { tolerance }),
          ...(iterations !== undefined && { iterations }),
        });
        await printTruncation(output, view.truncatedBefore);
        let left = limit ?? Number.POSITIVE_INFINITY;
        for (const { id, rank } of ranks) {
          const node = view.node(id);
          if (left === 0 || output.gone.aborted || node === undefined) break;
          left -= 1;
          await output.print({ ...printableNode(node), rank }, () => `${rank.toFixed(6)}  ${formatEntity(node)}`);
        }
      });
    });
}

/** What the graph itself allows. */
const ITERATIONS_MAX = 10_000;

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < 1)) throw new InvalidArgumentError("It must be from 0 to below 1.");
  return value;
}

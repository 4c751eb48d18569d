import { type Command, Option } from "commander";
import type { GraphChange, GraphEdge, GraphNode, RecordedAt } from "../../index.js";
import { instant } from "../arguments.js";
import { UsageError } from "../failure.js";
import { graphCommand, type PointOptions, pointOf, recordedAt, withGraph } from "../graph-arguments.js";
import { formatEntity, printableEdge, printableNode, printTruncation, viewAt } from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface DiffOptions extends PointOptions {
  readonly sinceValid?: number;
  readonly sinceRecorded?: RecordedAt;
  readonly only?: "node" | "edge";
}

const DETAILS = `
Shows what is different at --valid and --recorded from what was at --since-valid and --since-recorded. Where only one of
the latter is given, both points are the same on the other axis.`;

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;

export function graphDiffCommand({ output }: CommandContext): Command {
  return graphCommand("diff", "list the nodes and edges that differ between two points")
    .option("--since-valid <time>", "the valid time to compare with", instant)
    .option("--since-recorded <time>", "the recorded time to compare with", recordedAt)
    .addOption(new Option("--only <kind>", "only nodes, or only edges").choices(["node", "edge"]))
    .addHelpText("after", DETAILS)
    .action(async (options: DiffOptions) => {
      const { sinceValid, sinceRecorded } = options;
      if (sinceValid === undefined && sinceRecorded === undefined)
        throw new UsageError("say what to compare with: --since-valid, --since-recorded, or both");
      await withGraph(options, async (graph, after) => {
        const before = viewAt(graph, pointOf(sinceValid ?? after.validAt, sinceRecorded ?? { lsn: after.lsn }));
        await printTruncation(output, before.truncatedBefore ?? after.truncatedBefore);
        for (const change of graph.diff(before, after)) {
          if (output.gone.aborted) break;
          if (options.only !== undefined && options.only !== change.kind) continue;
          await output.print(printableChange(change), () => formatChange(change));
        }
      });
    });
}

function printableChange({ kind, change, before, after }: GraphChange): object {
  return { kind, change, before: printableEntity(before), after: printableEntity(after) };
}

function printableEntity(entity: GraphNode | GraphEdge | null): object | null {
  if (entity === null) return null;
  return "source" in entity ? printableEdge(entity) : printableNode(entity);
}

function formatChange({ change, before, after }: GraphChange): string {
  const lines = [];
  if (before !== null) lines.push(`${after === null ? SIGNS.removed : SIGNS[change]} ${formatEntity(before)}`);
  if (after !== null) lines.push(`${before === null ? SIGNS.added : " "} ${formatEntity(after)}`);
  return lines.join("\n");
}

import { type Command, InvalidArgumentError } from "commander";
import type { GraphMatch } from "../../index.js";
import { addLimit, addNodeSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import {
  conditionsOf,
  formatEntity,
  type NodeSelection,
  printableEdge,
  printableNode,
  printTruncation,
} from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface Step {
  readonly direction: "out" | "in" | "both";
  readonly edge: string;
  readonly node: string;
}

interface MatchOptions extends PointOptions, NodeSelection {
  readonly step?: readonly Step[];
  readonly limit?: number;
}

const DETAILS = `
Begins at the nodes that --id, --label, --where and --range mean, and goes on with each --step, which is out, in or both, then perhaps a colon
and the label of the edge, and another with the label of the node: out:KNOWS:Person, in::Place, both. Each row is one way through.`;

export function graphMatchCommand({ output }: CommandContext): Command {
  return addLimit(addNodeSelection(graphCommand("match", "list the ways through a pattern of nodes and edges")), "rows")
    .option("--step <pattern>", "a step over an edge to a node (may be repeated)", gatheredStep)
    .addHelpText("after", DETAILS)
    .action(async (options: MatchOptions) => {
      const { id, label, where = [], range = [], step: steps = [], limit } = options;
      await withGraph(options, async (_graph, view) => {
        await printTruncation(output, view.truncatedBefore);
        let left = limit ?? Number.POSITIVE_INFINITY;
        // A property can be text or a number; nothing is both.
        for (const conditions of conditionsOf(where, range)) {
          let match = view.match();
          if (id !== undefined) match = match.from(id);
          if (label !== undefined) match = match.label(label);
          match = match.where(conditions);
          for (const { nodes, edges } of steps.reduce(stepped, match)) {
            if (left === 0 || output.gone.aborted) return;
            left -= 1;
            await output.print({ nodes: nodes.map(printableNode), edges: edges.map(printableEdge) }, () =>
              nodes
                .flatMap((node, at) => [node, ...edges.slice(at, at + 1)])
                .map((entity, at) => `${at === 0 ? "" : "    "}${formatEntity(entity)}`)
                .join("\n"),
            );
          }
        }
      });
    });
}

function stepped(match: GraphMatch, { direction, edge, node }: Step): GraphMatch {
  const on = edge === "" ? match[direction]() : match[direction](edge);
  return node === "" ? on : on.label(node);
}

function gatheredStep(text: string, before: readonly Step[] = []): readonly Step[] {
  const [direction, edge = "", node = "", ...more] = text.split(":");
  if ((direction !== "out" && direction !== "in" && direction !== "both") || more.length > 0)
    throw new InvalidArgumentError("It must be out, in or both, then perhaps :EDGE or :EDGE:NODE.");
  return [...before, { direction, edge, node }];
}

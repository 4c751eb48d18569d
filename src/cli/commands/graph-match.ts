import { type Command, InvalidArgumentError } from "commander";
import type { Graph, GraphMatch, GraphView, MatchRow, OverlapRow } from "../../index.js";
import { instant } from "../arguments.js";
import { UsageError } from "../failure.js";
import { addLimit, addNodeSelection, graphCommand, type PointOptions, withGraph } from "../graph-arguments.js";
import {
  conditionsOf,
  formatEntity,
  formatPeriod,
  type NodeSelection,
  printableEdge,
  printableNode,
  printTruncation,
  requireKnown,
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
  readonly ever?: true;
  readonly validFrom?: number;
  readonly validTo?: number;
}

const DETAILS = `
Begins at the nodes that --id, --label, --where and --range mean, and goes on with each --step, which is out, in or both, then perhaps a colon
and the label of the edge, and another with the label of the node: out:KNOWS:Person, in::Place, both. Each row is one way through.

With --ever, or a window of --valid-from and --valid-to, it is about all of that time instead of one point: each row says when all of it held at once.`;

export function graphMatchCommand({ output }: CommandContext): Command {
  return addLimit(addNodeSelection(graphCommand("match", "list the ways through a pattern of nodes and edges")), "rows")
    .option("--step <pattern>", "a step over an edge to a node (may be repeated)", gatheredStep)
    .option("--ever", "at any valid time, each row with its period")
    .option("--valid-from <time>", "the same from this time on", instant)
    .option("--valid-to <time>", "and before this time", instant)
    .addHelpText("after", DETAILS)
    .action(async (options: MatchOptions) => {
      const { id, label, where = [], range = [], step: steps = [], limit } = options;
      await withGraph(options, async (graph, view) => {
        if (id !== undefined) requireKnown(graph, "node", id);
        const asked = askedOf(graph, view, options);
        await printTruncation(output, asked.truncatedBefore);
        let left = limit ?? Number.POSITIVE_INFINITY;
        // A property can be text or a number; nothing is both.
        for (const conditions of conditionsOf(where, range)) {
          let match: GraphMatch<MatchRow | OverlapRow> = asked.match();
          if (id !== undefined) match = match.from(id);
          if (label !== undefined) match = match.label(label);
          match = match.where(conditions);
          for (const row of steps.reduce(stepped, match)) {
            if (left === 0 || output.gone.aborted) return;
            left -= 1;
            await output.print(printableRow(row), () => formatRow(row));
          }
        }
      });
    });
}

/** A point, or a stretch of valid time. */
function askedOf(graph: Graph, view: GraphView, { ever, validFrom, validTo, valid, snapshot }: MatchOptions) {
  if (ever === undefined && validFrom === undefined && validTo === undefined) return view;
  if (valid !== undefined || snapshot !== undefined)
    throw new UsageError("--ever, --valid-from and --valid-to go without --valid and --snapshot");
  const window = { ...(validFrom !== undefined && { from: validFrom }), ...(validTo !== undefined && { to: validTo }) };
  return graph.during({ valid: window, recordedAt: { lsn: view.lsn } });
}

function printableRow(row: MatchRow | OverlapRow): object {
  const entities = { nodes: row.nodes.map(printableNode), edges: row.edges.map(printableEdge) };
  return "validFrom" in row ? { validFrom: row.validFrom, validTo: row.validTo, ...entities } : entities;
}

function formatRow(row: MatchRow | OverlapRow): string {
  const lines = row.nodes
    .flatMap((node, at) => [node, ...row.edges.slice(at, at + 1)])
    .map((entity, at) => `${at === 0 ? "" : "    "}${formatEntity(entity)}`);
  if ("validFrom" in row) lines.unshift(formatPeriod(row.validFrom, row.validTo));
  return lines.join("\n");
}

function stepped<Row extends MatchRow>(match: GraphMatch<Row>, { direction, edge, node }: Step): GraphMatch<Row> {
  const on = edge === "" ? match[direction]() : match[direction](edge);
  return node === "" ? on : on.label(node);
}

function gatheredStep(text: string, before: readonly Step[] = []): readonly Step[] {
  const [direction, edge = "", node = "", ...more] = text.split(":");
  if ((direction !== "out" && direction !== "in" && direction !== "both") || more.length > 0)
    throw new InvalidArgumentError("It must be out, in or both, then perhaps :EDGE or :EDGE:NODE.");
  return [...before, { direction, edge, node }];
}

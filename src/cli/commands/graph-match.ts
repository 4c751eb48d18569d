import { type Command, InvalidArgumentError } from "commander";
import type { Graph, GraphMatch, GraphView, MatchRow, OverlapRow, PropertyConditions } from "../../index.js";
import { instant, jsonObject } from "../arguments.js";
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
import { conditionsOption } from "../property-json.js";

interface Step {
  readonly direction: "out" | "in" | "both";
  readonly label?: string;
  readonly edgeWhere?: PropertyConditions;
  readonly nodeLabel?: string;
  readonly where?: PropertyConditions;
}

interface MatchOptions extends PointOptions, NodeSelection {
  readonly step?: readonly Step[];
  readonly limit?: number;
  readonly ends?: true;
  readonly ever?: true;
  readonly validFrom?: number;
  readonly validTo?: number;
}

const DETAILS = `
Begins at the nodes that --id, --label, --where and --range mean, and goes on with each --step, which is out, in or both, then perhaps a colon
and the label of the edge, and another with the label of the node: out:KNOWS:Person, in::Place, both. With properties a step is JSON:
{"direction":"out","label":"KNOWS","edgeWhere":{"since":{"gte":2020}},"nodeLabel":"Person","where":{"name":"Bo"}}. Each row is one way through.

With --ever, or a window of --valid-from and --valid-to, it is about all of that time instead of one point: each row says when all of it held at once.`;

export function graphMatchCommand({ output }: CommandContext): Command {
  return addLimit(addNodeSelection(graphCommand("match", "list the ways through a pattern of nodes and edges")), "rows")
    .option("--step <pattern>", "a step over an edge to a node (may be repeated)", gatheredStep)
    .option("--ends", "only the nodes at the ends of the ways, each once")
    .option("--ever", "at any valid time, each row with its period")
    .option("--valid-from <time>", "the same from this time on", instant)
    .option("--valid-to <time>", "and before this time", instant)
    .addHelpText("after", DETAILS)
    .action(async (options: MatchOptions) => {
      const { id, label, where = [], range = [], step: steps = [], limit, ends } = options;
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
          const whole = steps.reduce(stepped, match);
          if (ends === true) {
            for (const node of whole.ends()) {
              if (left === 0 || output.gone.aborted) return;
              left -= 1;
              await output.print(printableNode(node), () => formatEntity(node));
            }
            continue;
          }
          for (const row of whole) {
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

function stepped<Row extends MatchRow>(match: GraphMatch<Row>, step: Step): GraphMatch<Row> {
  const { direction, label, edgeWhere, nodeLabel, where } = step;
  const on = match[direction](label, edgeWhere);
  const onto = nodeLabel === undefined ? on : on.label(nodeLabel);
  return where === undefined ? onto : onto.where(where);
}

function gatheredStep(text: string, before: readonly Step[] = []): readonly Step[] {
  if (text.startsWith("{")) return [...before, stepOf(jsonObject(text))];
  const [direction, label = "", nodeLabel = "", ...more] = text.split(":");
  if (!isDirection(direction) || more.length > 0)
    throw new InvalidArgumentError("It must be out, in or both, then perhaps :EDGE or :EDGE:NODE, or a JSON object.");
  return [...before, { direction, ...(label !== "" && { label }), ...(nodeLabel !== "" && { nodeLabel }) }];
}

function stepOf({ direction, label, edgeWhere, nodeLabel, where, ...more }: Record<string, unknown>): Step {
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw new InvalidArgumentError(`Its field ${JSON.stringify(unknown)} is not known.`);
  if (!isDirection(direction)) throw new InvalidArgumentError("Its direction must be out, in or both.");
  for (const text of [label, nodeLabel])
    if (text !== undefined && (typeof text !== "string" || text === ""))
      throw new InvalidArgumentError("Its labels must be strings that are not empty.");
  return {
    direction,
    ...(label !== undefined && { label: label as string }),
    ...(nodeLabel !== undefined && { nodeLabel: nodeLabel as string }),
    ...(edgeWhere !== undefined && { edgeWhere: conditionsOption(JSON.stringify(edgeWhere)) }),
    ...(where !== undefined && { where: conditionsOption(JSON.stringify(where)) }),
  };
}

function isDirection(value: unknown): value is Step["direction"] {
  return value === "out" || value === "in" || value === "both";
}

import { type Command, InvalidArgumentError } from "commander";
import { StoreError } from "../../errors.js";
import type { GraphView, NearestQuery, NearNode } from "../../index.js";
import { wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import {
  addEdgeOptions,
  type EdgeOptions,
  edgeQueryOf,
  graphCommand,
  type PointOptions,
  whereClause,
  withGraph,
} from "../graph-arguments.js";
import { formatEntity, interpret, printableNode, printTruncation, type WhereClause } from "../graph-query.js";
import type { CommandContext } from "../program.js";

interface NearestOptions extends PointOptions, EdgeOptions {
  readonly label: string;
  readonly property: string;
  readonly vector?: readonly number[];
  readonly like?: number;
  readonly where?: readonly WhereClause[];
  readonly from?: number;
  readonly within?: number;
  readonly limit: number;
}

const DETAILS = `
All nodes are compared, one by one: for one question that is quicker than reading an index. --direction and --edge are about --from.`;

export function graphNearestCommand({ output }: CommandContext): Command {
  return addEdgeOptions(graphCommand("nearest", "list the nodes whose vectors are nearest to one, the nearest first"))
    .requiredOption("--label <label>", "nodes with this label")
    .requiredOption("--property <name>", "the property with the vectors")
    .option("--vector <numbers>", "nearest to this one: a JSON array", vectorOf)
    .option("--like <id>", "nearest to that of this node", wholeNumber(1))
    .option("--where <key=value>", "nodes with this property (may be repeated)", whereClause)
    .option("--from <id>", "only nodes that are reached from this one, by --within", wholeNumber(1))
    .option("--within <edges>", "so many edges at most", wholeNumber(1))
    .option("--limit <count>", "at most so many nodes", wholeNumber(1), 10)
    .addHelpText("after", DETAILS)
    .action(async (options: NearestOptions) => {
      await withGraph(options, async (_graph, view) => {
        const near = ask(view, options);
        await printTruncation(output, view.truncatedBefore);
        for (const { id, distance } of near) {
          const node = view.node(id);
          if (output.gone.aborted || node === undefined) break;
          await output.print(
            { ...printableNode(node), distance },
            () => `${distance.toFixed(6)}  ${formatEntity(node)}`,
          );
        }
      });
    });
}

function ask(view: GraphView, options: NearestOptions): NearNode[] {
  const { label, property, where = [], limit } = options;
  const query: NearestQuery = { label, property, vector: wanted(view, options), k: limit, exact: true };
  const around = reached(view, options);
  const asked = interpret(where).map((properties) =>
    view.nearest({
      ...query,
      ...(where.length > 0 && { where: properties }),
      ...(around !== null && { among: around }),
    }),
  );
  return asked
    .flat()
    .sort((a, b) => a.distance - b.distance || a.id - b.id)
    .slice(0, limit);
}

function wanted(view: GraphView, { vector, like, property }: NearestOptions): Float32Array | readonly number[] {
  if ((vector === undefined) === (like === undefined)) throw new UsageError("say nearest to what: --vector, or --like");
  if (vector !== undefined) return vector;
  const held = view.node(like as number)?.properties[property];
  if (held instanceof Float32Array) return held;
  const message = `node ${like} holds no vector in ${property} there`;
  throw new StoreError("ERR_GRAPH_NOT_FOUND", message, { id: like as number, property });
}

/** The ids that --from and --within mean; null: all. */
function reached(view: GraphView, { from, within, ...edges }: NearestOptions): readonly number[] | null {
  if (from === undefined && within === undefined) return null;
  if (from === undefined || within === undefined) throw new UsageError("--from and --within go together");
  return Array.from(view.traverse(from, { ...edgeQueryOf(edges), maxDepth: within }), ({ id }) => id);
}

function vectorOf(text: string): readonly number[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (Array.isArray(value) && value.every((each) => typeof each === "number")) return value;
  throw new InvalidArgumentError("It must be a JSON array of numbers.");
}

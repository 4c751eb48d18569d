/** What the graph commands have in common: the point that is asked about, and which nodes are meant. */

import { type Command, InvalidArgumentError, Option } from "commander";
import type {
  AboutChange,
  AsOf,
  EdgeQuery,
  EntityReference,
  Graph,
  GraphView,
  PropertyConditions,
  RecordedAt,
  StepQuery,
} from "../index.js";
import { type CommonOptions, instant, nonEmpty, storeCommand, wholeNumber } from "./arguments.js";
import { UsageError } from "./failure.js";
import { type NodeSelection, selectNode, viewAt, type WhereClause } from "./graph-query.js";
import { conditionsOption } from "./property-json.js";
import { rangeClause } from "./range-clause.js";
import { withReader } from "./stores.js";

/** A point on both axes; what is left out is now. */
export interface PointOptions extends CommonOptions {
  readonly valid?: number;
  readonly recorded?: RecordedAt;
  /** A named point instead of the two. */
  readonly snapshot?: string;
}

const TIMES = `
A time is ISO 8601 (UTC unless it says otherwise) or µs since 1970. --recorded also takes lsn:<number>.`;

export function graphCommand(name: string, summary: string): Command {
  return pointCommand(name, summary).option("--snapshot <name>", "at the point that has this name");
}

/** A command with the options of a point that cannot be a named one. */
export function pointCommand(name: string, summary: string): Command {
  return storeCommand(name, summary)
    .option("--valid <time>", "when it held in the world (default: now)", instant)
    .option("--recorded <time>", "as the store knew it then (default: now)", recordedAt)
    .addHelpText("after", TIMES);
}

export function addSelection(command: Command): Command {
  return command
    .option("--label <label>", "nodes with this label", nonEmpty)
    .option("--where <key=value>", "nodes with this property (may be repeated)", whereClause)
    .option(
      "--range <bound>",
      "nodes with a property in a range: age>=18, since<time:2025-01-01 (may be repeated)",
      rangeClause,
    );
}

export function addNodeSelection(command: Command): Command {
  return addSelection(command.option("--id <id>", "the node with this id", wholeNumber(1)));
}

/** An entity of either kind. */
export interface EntitySelection extends NodeSelection {
  readonly edgeId?: number;
}

export function addEntitySelection(command: Command): Command {
  return addNodeSelection(command).option("--edge-id <id>", "the edge with this id", wholeNumber(1));
}

/** The edge, or the one node that is meant. */
export function entityOf(view: GraphView, options: EntitySelection): EntityReference {
  const { edgeId } = options;
  if (edgeId === undefined) return { kind: "node", id: options.id ?? selectNode(view, options).id };
  if ((options.id ?? options.label ?? options.where ?? options.range) !== undefined)
    throw new UsageError("--edge-id goes without --id, --label, --where and --range");
  return { kind: "edge", id: edgeId };
}

const DIRECTIONS = ["in", "out", "both"] as const;

/** Which edges are followed. */
export interface EdgeOptions {
  readonly direction: (typeof DIRECTIONS)[number];
  readonly edge?: string;
  readonly edgeWhere?: PropertyConditions;
}

export function addEdgeOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--direction <way>", "the direction of the edges, seen from the node")
        .choices(DIRECTIONS)
        .default("both"),
    )
    .option("--edge <label>", "only over edges with this label", nonEmpty)
    .option("--edge-where <json>", 'only over edges with these properties: {"since":{"gte":2020}}', conditionsOption);
}

export function edgeQueryOf({ direction, edge, edgeWhere }: EdgeOptions): EdgeQuery & Pick<EdgeOptions, "direction"> {
  return { direction, ...(edge !== undefined && { label: edge }), ...(edgeWhere !== undefined && { edgeWhere }) };
}

/** Which nodes are walked over, and how many are printed. */
export interface StepOptions extends EdgeOptions {
  readonly over?: string;
  readonly overWhere?: PropertyConditions;
  readonly limit?: number;
}

export function addStepOptions(command: Command): Command {
  return addLimit(
    addEdgeOptions(command)
      .option("--over <label>", "only over nodes with this label", nonEmpty)
      .option("--over-where <json>", 'only over nodes with these properties: {"age":{"gte":18}}', conditionsOption),
    "nodes",
  );
}

export function stepQueryOf(options: StepOptions): StepQuery & { readonly limit?: number } {
  const { over, overWhere, limit } = options;
  return {
    ...edgeQueryOf(options),
    ...(over !== undefined && { nodeLabel: over }),
    ...(overWhere !== undefined && { where: overWhere }),
    ...(limit !== undefined && { limit }),
  };
}

export function addLimit(command: Command, what: string): Command {
  return command.option("--limit <count>", `at most so many ${what}`, wholeNumber(1));
}

/** Where a change comes from. */
export interface ProvenanceOptions {
  readonly transactionId?: string;
  readonly source?: string;
  readonly actor?: string;
  readonly note?: string;
}

export function addProvenance(command: Command): Command {
  return command
    .option("--transaction-id <id>", "of the caller: which of its transactions this belongs to", provenanceText)
    .option("--source <text>", "where it was taken from", provenanceText)
    .option("--actor <text>", "who makes the change", provenanceText)
    .option("--note <text>", "why", provenanceText);
}

export function aboutOf({ transactionId, source, actor, note }: ProvenanceOptions): AboutChange {
  const provenance = {
    ...(transactionId !== undefined && { transactionId }),
    ...(source !== undefined && { source }),
    ...(actor !== undefined && { actor }),
    ...(note !== undefined && { note }),
  };
  return Object.keys(provenance).length === 0 ? {} : { provenance };
}

/** What the graph itself allows. */
const PROVENANCE_BYTES_MAX = 4096;

function provenanceText(text: string): string {
  if (text === "" || Buffer.byteLength(text) > PROVENANCE_BYTES_MAX)
    throw new InvalidArgumentError(`It must have 1 to ${PROVENANCE_BYTES_MAX} bytes.`);
  return text;
}

/** Opens the store for reading, builds its graph and runs work on it and on the view at the options' point. */
export async function withGraph(
  options: PointOptions,
  work: (graph: Graph, view: GraphView) => Promise<void>,
): Promise<void> {
  const { valid, recorded, snapshot } = options;
  if (snapshot !== undefined && (valid ?? recorded) !== undefined)
    throw new UsageError("--snapshot goes without --valid and --recorded");
  await withReader(options, [], async (reader) => {
    const graph = await reader.graph();
    await work(graph, snapshot === undefined ? viewAt(graph, pointOf(valid, recorded)) : namedView(graph, snapshot));
  });
}

function namedView(graph: Graph, name: string): GraphView {
  try {
    return graph.snapshot(name);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

export function pointOf(validAt: number | undefined, recorded: RecordedAt | undefined): AsOf {
  return { ...(validAt !== undefined && { validAt }), ...(recorded !== undefined && { recordedAt: recorded }) };
}

export function recordedAt(text: string): RecordedAt {
  return text.startsWith("lsn:") ? { lsn: wholeNumber(0)(text.slice("lsn:".length)) } : instant(text);
}

export function whereClause(text: string, before: readonly WhereClause[] = []): readonly WhereClause[] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be key=value.");
  return [...before, { key: text.slice(0, at), text: text.slice(at + 1) }];
}

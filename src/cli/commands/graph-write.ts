/** `varve graph create`, `put`, `patch` and so on: one change of one node or edge each. */

import { Argument, type Command } from "commander";
import type { EdgeInput, Graph, GraphCommandResult, NodeInput, Properties, Store } from "../../index.js";
import { type CommonOptions, instant, nonEmpty, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { aboutOf, addProvenance, type ProvenanceOptions } from "../graph-arguments.js";
import type { CommandBuilder, CommandContext } from "../program.js";
import { propertiesOption } from "../property-json.js";
import { withExistingStore, withStore } from "../stores.js";

const KINDS = ["node", "edge"] as const;
type Kind = (typeof KINDS)[number];

interface PeriodOptions {
  readonly validFrom?: number;
  readonly validTo?: number;
}

interface WriteOptions extends CommonOptions, ProvenanceOptions, PeriodOptions {
  readonly subject?: string;
  readonly expectedVersion?: number;
  readonly properties?: Properties;
  readonly detach?: true;
}

interface AssertOptions extends WriteOptions {
  readonly label: string;
  readonly from?: number;
  readonly to?: number;
}

const PERIOD_DETAILS = `
The period is half-open: from now on without --valid-from, without an end without --valid-to. A time is ISO 8601 (UTC unless it says otherwise) or µs since 1970.`;

const PROPERTY_DETAILS = `
Properties are a JSON object: {"name":"Ann","age":7}. A vector is an array of numbers, bytes are {"bytes":"<base64>"}.`;

const CHANGE_DETAILS = `
--expected-version is what graph version shows as entityVersion, or the lsn of a change before: where it is another by then, nothing is changed.`;

export const graphCreateCommand: CommandBuilder = (context) =>
  addAsserted(kindCommand("create", "assert a new node or edge"))
    .addHelpText("after", PROPERTY_DETAILS + PERIOD_DETAILS)
    .action((kind: Kind, options: AssertOptions) =>
      write(context, kind, options, "makes a store", (graph) =>
        kind === "node" ? graph.createNode(nodeOf(options)) : graph.createEdge(edgeOf(options)),
      ),
    );

export const graphPutCommand: CommandBuilder = (context) =>
  addExpected(
    addAsserted(entityCommand("put", "assert a node or an edge over the whole period, whether it is there or not")),
  )
    .addHelpText("after", PROPERTY_DETAILS + PERIOD_DETAILS + CHANGE_DETAILS)
    .action((kind: Kind, id: number, options: AssertOptions) =>
      write(context, kind, options, "makes a store", (graph) =>
        kind === "node"
          ? graph.putNode(id, { ...nodeOf(options), ...expectedOf(options) })
          : graph.putEdge(id, { ...edgeOf(options), ...expectedOf(options) }),
      ),
    );

export const graphPatchCommand: CommandBuilder = (context) =>
  propertiesCommand("patch", "merge properties into those of a node or an edge; null takes one away").action(
    (kind: Kind, id: number, options: WriteOptions) =>
      write(context, kind, options, "an existing store", (graph) => {
        const how = { ...periodOf(options), ...expectedOf(options), ...saidOf(options) };
        return graph[kind === "node" ? "patchNode" : "patchEdge"](id, options.properties ?? {}, how);
      }),
  );

export const graphReplaceCommand: CommandBuilder = (context) =>
  propertiesCommand("replace", "give a node or an edge these properties and no others").action(
    (kind: Kind, id: number, options: WriteOptions) =>
      write(context, kind, options, "an existing store", (graph) => {
        const how = { ...periodOf(options), ...expectedOf(options), ...saidOf(options) };
        return graph[kind === "node" ? "replaceNode" : "replaceEdge"](id, options.properties ?? {}, how);
      }),
  );

export const graphDeleteCommand: CommandBuilder = (context) =>
  addDetach(
    addPeriod(addExpected(entityCommand("delete", "assert that a node or an edge does not exist over a period"))),
  )
    .addHelpText("after", PERIOD_DETAILS + CHANGE_DETAILS)
    .action((kind: Kind, id: number, options: WriteOptions) =>
      write(context, kind, options, "an existing store", (graph) => {
        const how = { ...periodOf(options), ...expectedOf(options), ...aboutOf(options) };
        return kind === "node"
          ? graph.deleteNode(id, { ...how, ...detachOf(kind, options) })
          : graph.deleteEdge(id, { ...how, ...detachOf(kind, options) });
      }),
    );

export const graphRetractCommand: CommandBuilder = (context) =>
  addDetach(
    addExpected(entityCommand("retract", "delete a node or an edge at all times: it should never have been recorded")),
  )
    .addHelpText("after", `\nWhat was known of it stays in its history.${CHANGE_DETAILS}`)
    .action((kind: Kind, id: number, options: WriteOptions) =>
      write(context, kind, options, "an existing store", (graph) => {
        const how = { ...expectedOf(options), ...aboutOf(options) };
        return kind === "node"
          ? graph.retractNode(id, { ...how, ...detachOf(kind, options) })
          : graph.retractEdge(id, { ...how, ...detachOf(kind, options) });
      }),
    );

export const graphUpsertCommand: CommandBuilder = (context) =>
  addProperties(
    addSubject(addPeriod(addProvenance(storeCommand("upsert", "change the node with a unique key, or create it")))),
  )
    .requiredOption("--label <label>", "of the node", nonEmpty)
    .requiredOption("--key <property>", "the unique property that it is found by", nonEmpty)
    .addHelpText("after", PROPERTY_DETAILS + PERIOD_DETAILS)
    .action((options: AssertOptions & { readonly key: string }) =>
      write(context, "node", options, "an existing store", (graph) =>
        graph.upsertNode({ ...nodeOf(options), key: options.key, properties: options.properties ?? {} }),
      ),
    );

function kindCommand(name: string, summary: string): Command {
  return addProvenance(storeCommand(name, summary).addArgument(new Argument("<kind>", "of what").choices(KINDS)));
}

function entityCommand(name: string, summary: string): Command {
  return kindCommand(name, summary).argument("<id>", "its id", wholeNumber(1));
}

function propertiesCommand(name: string, summary: string): Command {
  const command = addSubject(addPeriod(addExpected(entityCommand(name, summary))));
  return command
    .requiredOption("--properties <json>", "the properties", propertiesOption)
    .addHelpText("after", PROPERTY_DETAILS + PERIOD_DETAILS + CHANGE_DETAILS);
}

function addAsserted(command: Command): Command {
  return addProperties(addSubject(addPeriod(command)))
    .requiredOption("--label <label>", "of the node or edge", nonEmpty)
    .option("--from <id>", "of an edge: the node that it leaves", wholeNumber(1))
    .option("--to <id>", "of an edge: the node that it reaches", wholeNumber(1));
}

function addProperties(command: Command): Command {
  return command.option("--properties <json>", "the properties (default: none)", propertiesOption);
}

function addPeriod(command: Command): Command {
  return command
    .option("--valid-from <time>", "when the period begins", instant)
    .option("--valid-to <time>", "when it ends", instant);
}

function addExpected(command: Command): Command {
  return command.option("--expected-version <lsn>", "only where this is its version; 0: none", wholeNumber(0));
}

function addSubject(command: Command): Command {
  return command.option("--subject <name>", "whom it is about: the event is encrypted under this subject's key");
}

function addDetach(command: Command): Command {
  return command.option("--detach", "of a node: its edges go with it");
}

function periodOf({ validFrom, validTo }: PeriodOptions): PeriodOptions {
  return { ...(validFrom !== undefined && { validFrom }), ...(validTo !== undefined && { validTo }) };
}

function expectedOf({ expectedVersion }: WriteOptions): Pick<WriteOptions, "expectedVersion"> {
  return expectedVersion === undefined ? {} : { expectedVersion };
}

function saidOf(options: WriteOptions): Pick<NodeInput, "subject" | "provenance"> {
  const { subject } = options;
  return { ...aboutOf(options), ...(subject !== undefined && { subject }) };
}

function detachOf(kind: Kind, { detach }: WriteOptions): { readonly detach?: boolean } {
  if (detach === undefined) return {};
  if (kind === "edge") throw new UsageError("--detach is about a node");
  return { detach };
}

function nodeOf(options: AssertOptions): NodeInput {
  const { label, properties, from, to } = options;
  if ((from ?? to) !== undefined) throw new UsageError("--from and --to are about an edge");
  return { label, ...(properties !== undefined && { properties }), ...periodOf(options), ...saidOf(options) };
}

function edgeOf(options: AssertOptions): EdgeInput {
  const { from, to, ...rest } = options;
  if (from === undefined || to === undefined) throw new UsageError("an edge wants --from and --to");
  return { ...nodeOf(rest), source: from, target: to };
}

async function write(
  { output, stderr }: CommandContext,
  kind: Kind,
  options: WriteOptions,
  opening: "makes a store" | "an existing store",
  change: (graph: Graph) => Promise<GraphCommandResult>,
): Promise<void> {
  const work = async (store: Store): Promise<void> => {
    const done = await change(await store.graph()).catch(misused);
    await output.print(done, () => `${kind} ${done.id} at LSN ${done.lsn}`);
  };
  if (opening === "makes a store") await withStore(options, stderr, {}, work);
  else await withExistingStore(options, stderr, work);
}

// What is wrong with the arguments is a usage error, and what is wrong with the change has its code.
function misused(error: unknown): never {
  if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message, { cause: error });
  throw error;
}

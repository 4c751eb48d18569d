import { Argument, Command, InvalidArgumentError } from "commander";
import type { GraphConstraint } from "../../index.js";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { UsageError } from "../failure.js";
import { aboutOf, addProvenance, type ProvenanceOptions } from "../graph-arguments.js";
import type { CommandBuilder, CommandContext } from "../program.js";
import { withExistingStore, withReader } from "../stores.js";

const KINDS = ["unique", "required"] as const;

const addCommand: CommandBuilder = ({ output, stderr }) =>
  changeCommand("add", "have a property be unique among the nodes with a label, or required of them, from now on")
    .addHelpText("after", DETAILS)
    .action(async (kind: Kind, label: string, property: readonly string[], options: ChangeOptions) => {
      await withExistingStore(options, stderr, async (store) => {
        const constraint = constraintOf(kind, label, property, options);
        const added = await (await store.graph()).addConstraint(constraint, aboutOf(options));
        await output.print(added, () => `${formatConstraint(added)}  added by LSN ${added.addedBy}`);
      });
    });

const listCommand: CommandBuilder = ({ output }) =>
  storeCommand("list", "list the constraints").action(async (options: CommonOptions) => {
    await withReader(options, [], async (reader) => {
      for (const constraint of (await reader.graph()).constraints) {
        if (output.gone.aborted) break;
        await output.print(constraint, () => `${formatConstraint(constraint)}  added by LSN ${constraint.addedBy}`);
      }
    });
  });

const removeCommand: CommandBuilder = ({ output, stderr }) =>
  changeCommand("remove", "take a constraint away again; nothing else changes").action(
    async (kind: Kind, label: string, property: readonly string[], options: ChangeOptions) => {
      await withExistingStore(options, stderr, async (store) => {
        const constraint = constraintOf(kind, label, property, options);
        const { lsn } = await (await store.graph()).removeConstraint(constraint, aboutOf(options));
        await output.print({ ...constraint, lsn }, () => `${formatConstraint(constraint)}  is no constraint any more`);
      });
    },
  );

type Kind = GraphConstraint["kind"];

interface ChangeOptions extends CommonOptions, ProvenanceOptions {
  readonly edges?: true;
}

function constraintOf(kind: Kind, label: string, property: readonly string[], options: ChangeOptions): GraphConstraint {
  if (kind === "required" && property.length > 1) throw new UsageError("several properties are required one by one");
  if (new Set(property).size < property.length) throw new UsageError("each property must be another one");
  if (property.length > PROPERTIES_MAX) throw new UsageError(`there can be ${PROPERTIES_MAX} properties`);
  return { kind, ...(options.edges === true && { entity: "edge" }), label, property };
}

const DETAILS = `
Several properties are unique together. It is about every valid time, past and future: two nodes may have the same value one after another. Where nodes break it already,
it is refused, and the error names them.`;

function changeCommand(name: string, summary: string): Command {
  const command = storeCommand(name, summary)
    .addArgument(new Argument("<kind>", "what must hold").choices(KINDS))
    .argument("<label>", "of the nodes, or of the edges", constraintName)
    .argument("<property...>", "the property's name", constraintNames)
    .option("--edges", "of the edges with the label instead of the nodes");
  return addProvenance(command);
}

function constraintName(text: string): string {
  if (text === "" || Buffer.byteLength(text) > NAME_BYTES_MAX)
    throw new InvalidArgumentError(`It must have 1 to ${NAME_BYTES_MAX} bytes.`);
  return text;
}

function constraintNames(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, constraintName(text)];
}

/** What the graph itself allows. */
const NAME_BYTES_MAX = 1024;
const PROPERTIES_MAX = 8;

function formatConstraint({ kind, entity, label, property }: GraphConstraint): string {
  const names = typeof property === "string" ? property : `(${property.join(", ")})`;
  return `${label}.${names}  ${kind}${entity === "edge" ? "  edges" : ""}`;
}

export function graphConstraintCommand(context: CommandContext): Command {
  const summary = "what must hold of nodes and edges: unique and required properties";
  const command = new Command("constraint").summary(summary).description(summary);
  for (const build of [addCommand, listCommand, removeCommand]) command.addCommand(build(context));
  return command;
}

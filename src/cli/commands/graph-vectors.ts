import { Command } from "commander";
import type { DefinedVectors, VectorDefinition, VectorMetric, VectorStorage } from "../../index.js";
import { type CommonOptions, storeCommand, wholeNumber } from "../arguments.js";
import { aboutOf, addProvenance, type ProvenanceOptions } from "../graph-arguments.js";
import type { CommandBuilder, CommandContext } from "../program.js";
import { withExistingStore, withReader } from "../stores.js";

interface ReferenceOptions extends CommonOptions, ProvenanceOptions {
  readonly label: string;
  readonly property: string;
}

interface DefineOptions extends ReferenceOptions {
  readonly dimensions: number;
  readonly metric?: VectorMetric;
  readonly storage?: VectorStorage;
  readonly connectivity?: number;
  readonly expansionAdd?: number;
  readonly expansionSearch?: number;
}

function referenceCommand(name: string, summary: string): Command {
  return addProvenance(storeCommand(name, summary))
    .requiredOption("--label <label>", "of the nodes")
    .requiredOption("--property <name>", "the property with the vectors");
}

const defineCommand: CommandBuilder = ({ output, stderr }) =>
  referenceCommand("define", "have the nodes with a label hold vectors in a property; it is kept by an event")
    .requiredOption("--dimensions <n>", "how many numbers each has", wholeNumber(1))
    .option("--metric <metric>", "cosine, l2 or dot (default: cosine)")
    .option("--storage <storage>", "of the index: f32 or i8 (default: f32)")
    .option("--connectivity <n>", "of the index: neighbours of a vector (default: 16)", wholeNumber(1))
    .option("--expansion-add <n>", "of the index: candidates when one is inserted (default: 128)", wholeNumber(1))
    .option("--expansion-search <n>", "of the index: candidates when it is searched (default: 64)", wholeNumber(1))
    .action(async ({ label, property, dimensions, ...options }: DefineOptions) => {
      const { metric, storage, connectivity, expansionAdd, expansionSearch, ...place } = options;
      await withExistingStore(place, stderr, async (store) => {
        // The graph says what is wrong with them.
        const settings = { metric, storage, connectivity, expansionAdd, expansionSearch } as Partial<VectorDefinition>;
        const definition = { label, property, dimensions, ...settings };
        const defined = await (await store.graph()).defineVectors(definition, aboutOf(place));
        await output.print(defined, () => formatVectors(defined));
      });
    });

const listCommand: CommandBuilder = ({ output }) =>
  storeCommand("list", "list the vectors that are defined").action(async (options: CommonOptions) => {
    await withReader(options, [], async (reader) => {
      for (const defined of (await reader.graph()).vectors) {
        if (output.gone.aborted) break;
        await output.print(defined, () => formatVectors(defined));
      }
    });
  });

const removeCommand: CommandBuilder = ({ output, stderr }) =>
  referenceCommand("remove", "end that; the nodes keep what they hold").action(
    async ({ label, property, ...place }: ReferenceOptions) => {
      await withExistingStore(place, stderr, async (store) => {
        const { lsn } = await (await store.graph()).removeVectors({ label, property }, aboutOf(place));
        await output.print({ label, property, lsn }, () => `${label}.${property} is defined no more`);
      });
    },
  );

function formatVectors({ label, property, dimensions, metric, storage, definedBy }: DefinedVectors): string {
  return `${label}.${property}  ${dimensions} dimensions, ${metric}, ${storage}  defined by LSN ${definedBy}`;
}

export function graphVectorsCommand(context: CommandContext): Command {
  const summary = "say which properties of nodes are vectors, for graph nearest";
  const command = new Command("vectors").summary(summary).description(summary);
  for (const build of [defineCommand, listCommand, removeCommand]) command.addCommand(build(context));
  return command;
}

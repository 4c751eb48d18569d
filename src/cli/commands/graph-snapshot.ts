import { Command, InvalidArgumentError } from "commander";
import type { NamedSnapshot } from "../../index.js";
import { type CommonOptions, storeCommand } from "../arguments.js";
import {
  aboutOf,
  addProvenance,
  type PointOptions,
  type ProvenanceOptions,
  pointCommand,
  pointOf,
} from "../graph-arguments.js";
import { viewAt } from "../graph-query.js";
import { formatInstant } from "../instant.js";
import type { CommandBuilder, CommandContext } from "../program.js";
import { withExistingStore, withReader } from "../stores.js";

const nameCommand: CommandBuilder = ({ output, stderr }) =>
  addProvenance(pointCommand("name", "give a point a name; it is kept by an event"))
    .argument("<name>", "at most 256 bytes", snapshotName)
    .action(async (name: string, { valid, recorded, ...place }: PointOptions & ProvenanceOptions) => {
      await withExistingStore(place, stderr, async (store) => {
        const graph = await store.graph();
        // What lies outside the log is a usage error.
        const { validAt, lsn } = viewAt(graph, pointOf(valid, recorded));
        const snapshot = await graph.nameSnapshot(name, { validAt, recordedAt: { lsn } }, aboutOf(place));
        await output.print(snapshot, () => formatSnapshot(snapshot));
      });
    });

const listCommand: CommandBuilder = ({ output }) =>
  storeCommand("list", "list the points that have a name").action(async (options: CommonOptions) => {
    await withReader(options, [], async (reader) => {
      for (const snapshot of (await reader.graph()).snapshots) {
        if (output.gone.aborted) break;
        await output.print(snapshot, () => formatSnapshot(snapshot));
      }
    });
  });

const removeCommand: CommandBuilder = ({ output, stderr }) =>
  addProvenance(storeCommand("remove", "take a name away again; nothing else changes"))
    .argument("<name>", "the name", snapshotName)
    .action(async (name: string, options: CommonOptions & ProvenanceOptions) => {
      await withExistingStore(options, stderr, async (store) => {
        const { lsn } = await (await store.graph()).removeSnapshot(name, aboutOf(options));
        await output.print({ name, lsn }, () => `${name} is no name any more`);
      });
    });

function snapshotName(text: string): string {
  if (text === "" || Buffer.byteLength(text) > NAME_BYTES_MAX)
    throw new InvalidArgumentError(`It must have 1 to ${NAME_BYTES_MAX} bytes.`);
  return text;
}

/** What the graph itself allows. */
const NAME_BYTES_MAX = 256;

function formatSnapshot({ name, validAt, lsn }: NamedSnapshot): string {
  return `${name}  valid ${formatInstant(validAt)}  LSN ${lsn}`;
}

export function graphSnapshotCommand(context: CommandContext): Command {
  const summary = "give points of the graph names; other graph commands take them as --snapshot";
  const command = new Command("snapshot").summary(summary).description(summary);
  for (const build of [nameCommand, listCommand, removeCommand]) command.addCommand(build(context));
  return command;
}

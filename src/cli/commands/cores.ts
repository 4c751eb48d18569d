import type { Command } from "commander";
import type { StoreReader } from "../../index.js";
import { type CommonOptions, storeCommand } from "../arguments.js";
import type { CommandContext } from "../program.js";
import { formatCount } from "../progress.js";
import { withReader } from "../stores.js";

type Core = ReturnType<StoreReader["cores"]>[number];

export function coresCommand({ output }: CommandContext): Command {
  return storeCommand("cores", "say what every writer of a store tells of itself")
    .argument("[dir]", "the store's directory, instead of --store")
    .addHelpText(
      "after",
      "\nA core is a writer's place; the next that comes takes a free one. Nothing is told of a store without writers.",
    )
    .action(async (dir: string | undefined, options: CommonOptions) => {
      await withReader({ ...options, store: dir ?? options.store }, [], async (reader) => {
        for (const core of reader.cores()) await output.print(core, () => describe(core));
      });
    });
}

function describe({ core, generation, isLive, pid, frames, records, bytes, pendingRecords }: Core): string {
  const who = isLive ? `live in process ${pid}` : `free, last in process ${pid}`;
  return `core ${core}  generation ${generation}, ${who}: ${formatCount(records)} events in ${formatCount(frames)} frames of ${formatCount(bytes)} bytes, ${formatCount(pendingRecords)} pending`;
}

import type { Command } from "commander";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { stringify } from "../output.js";
import type { CommandContext } from "../program.js";
import { withReader } from "../stores.js";

export function statsCommand({ output }: CommandContext): Command {
  return storeCommand("stats", "say what a store holds").action(async (place: CommonOptions) => {
    await withReader(place, [], async (reader) => {
      const stats = {
        directory: reader.directory,
        storeId: reader.storeId,
        ...reader.stats(),
        recovery: reader.recovery,
      };
      await output.print(stats, () => formatFields(stats));
    });
  });
}

function formatFields(fields: object): string {
  const entries = Object.entries(fields);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries
    .map(([name, value]) => `${name.padEnd(width)}  ${typeof value === "string" ? value : stringify(value)}`)
    .join("\n");
}

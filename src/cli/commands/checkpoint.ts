import type { Command } from "commander";
import { type CommonOptions, storeCommand } from "../arguments.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const SUMMARY = "save the graph's state, so that the next opening replays only what comes after";

export function checkpointCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("checkpoint", SUMMARY).action(async ({ store }: CommonOptions) => {
    const progress = startProgress(stderr, "building the graph");
    try {
      await withExistingStore(store, stderr, async (open) => {
        await open.graph();
        const saved = await open.checkpoint();
        progress.stop();
        await output.print(saved, () =>
          saved.projections.map(({ name, lsn }) => `${name}: saved at LSN ${formatCount(lsn)}`).join("\n"),
        );
      });
    } finally {
      progress.stop();
    }
  });
}

import type { Command } from "commander";
import type { CheckpointReport } from "../../index.js";
import { type CommonOptions, type CompressionArguments, compressionOption, storeCommand } from "../arguments.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const SUMMARY = "seal the log and save the graph's state, so that the next opening reads only what comes after";

export const inTheirHands = "the log: another writer is making a checkpoint";

export function formatSealed({ lsn, sealedRecords, droppedFiles }: CheckpointReport): string {
  const dropped = droppedFiles === 0 ? "" : `, ${formatCount(droppedFiles)} files of the log removed`;
  return `the log: sealed through LSN ${formatCount(lsn)}, ${formatCount(sealedRecords)} of them now${dropped}`;
}

export function checkpointCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("checkpoint", SUMMARY)
    .addOption(compressionOption())
    .action(async ({ compression, ...place }: CommonOptions & CompressionArguments) => {
      const progress = startProgress(stderr, "building the graph");
      try {
        await withExistingStore(
          place,
          stderr,
          async (open) => {
            await open.graph();
            const saved = await open.checkpoint();
            progress.stop();
            await output.print(saved, () => {
              const projections = saved.projections.map(({ name, lsn }) => `${name}: saved at LSN ${formatCount(lsn)}`);
              return [...projections, saved.log === null ? inTheirHands : formatSealed(saved.log)].join("\n");
            });
          },
          { compression },
        );
      } finally {
        progress.stop();
      }
    });
}

import type { Command } from "commander";
import { type CommonOptions, type CompressionArguments, compressionOption, storeCommand } from "../arguments.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const SUMMARY = "take from the disk what streams were to forget";

export function scavengeCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("scavenge", SUMMARY)
    .addOption(compressionOption())
    .action(async ({ compression, ...place }: CommonOptions & CompressionArguments) => {
      const progress = startProgress(stderr, "scavenging");
      try {
        await withExistingStore(
          place,
          stderr,
          async (open) => {
            const report = await open.scavenge();
            progress.stop();
            const { removedRecords, rewrittenSegments, freedBytes } = report;
            await output.print(
              report,
              () =>
                `${formatCount(removedRecords)} events removed from ${formatCount(rewrittenSegments)} segments, ${formatCount(freedBytes)} bytes freed`,
            );
          },
          { compression },
        );
      } finally {
        progress.stop();
      }
    });
}

import type { Command } from "commander";
import { type CommonOptions, type CompressionArguments, compressionOption, storeCommand } from "../arguments.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";
import { formatSealed, inTheirHands } from "./checkpoint.js";

export function compactCommand({ output, stderr }: CommandContext): Command {
  return storeCommand("compact", "seal the log and make large segments of small ones")
    .addOption(compressionOption())
    .action(async ({ compression, ...place }: CommonOptions & CompressionArguments) => {
      const progress = startProgress(stderr, "compacting");
      try {
        await withExistingStore(
          place,
          stderr,
          async (open) => {
            const report = await open.compact();
            progress.stop();
            await output.print({ log: report }, () => {
              if (report === null) return inTheirHands;
              const { compactedSegments, segments } = report;
              return `${formatSealed(report)}; ${formatCount(compactedSegments)} segments fewer, ${formatCount(segments)} in all`;
            });
          },
          { compression },
        );
      } finally {
        progress.stop();
      }
    });
}

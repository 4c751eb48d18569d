import type { Command } from "commander";
import { type CommonOptions, instant, storeCommand } from "../arguments.js";
import { aboutOf, addProvenance, type ProvenanceOptions } from "../graph-arguments.js";
import { formatInstant } from "../instant.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

interface PurgeCommandOptions extends CommonOptions, ProvenanceOptions {
  readonly recordedBefore: number;
}

const DETAILS = `
A time is ISO 8601 (UTC unless it says otherwise) or µs since 1970. What is in force stays, however old it is. Questions as of an
earlier recorded time say from then on that something may be missing. The events stay in the log.`;

export function graphPurgeCommand({ output, stderr }: CommandContext): Command {
  return addProvenance(storeCommand("purge", "drop the versions that were superseded at or before a recorded time"))
    .requiredOption(
      "--recorded-before <time>",
      "the horizon: not in the future, and never earlier than before",
      instant,
    )
    .addHelpText("after", DETAILS)
    .action(async (options: PurgeCommandOptions) => {
      const progress = startProgress(stderr, "building the graph");
      try {
        await withExistingStore(options, stderr, async (store) => {
          const graph = await store.graph();
          const before = graph.purgedVersions;
          const result = await graph.purge({ recordedBefore: options.recordedBefore, ...aboutOf(options) });
          progress.stop();
          const removed = formatCount(result.purgedVersions - before);
          const horizon = formatInstant(result.truncatedBefore);
          await output.print(result, () => `${removed} versions dropped that were superseded at or before ${horizon}`);
        });
      } finally {
        progress.stop();
      }
    });
}

import type { Command } from "commander";
import type { Durability } from "../../events/index.js";
import { type CommonOptions, durabilityOption, schemaOption, storeCommand } from "../arguments.js";
import { Interruption } from "../interruption.js";
import { openSource } from "../ndjson.js";
import { importNdjson } from "../ndjson-import.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withStore } from "../stores.js";

interface NdjsonOptions extends CommonOptions {
  readonly durability: Durability;
  readonly schema?: readonly string[];
}

export function importNdjsonCommand(context: CommandContext): Command {
  return storeCommand("ndjson", "append events from lines of JSON: {stream, type, data, metadata?, id?}")
    .argument("<file>", "the file, or - for stdin")
    .addOption(durabilityOption())
    .addOption(schemaOption())
    .action((file: string, options: NdjsonOptions) => importFile(context, file, options));
}

async function importFile(context: CommandContext, file: string, options: NdjsonOptions): Promise<void> {
  const { output, stderr } = context;
  // A file that cannot be read must not leave an empty store behind.
  const source = await openSource(file, context.stdin);
  const interruption = new Interruption();
  const progress = startProgress(stderr, "importing");
  const startedMs = performance.now();
  try {
    await withStore(options, stderr, { schemas: options.schema ?? [] }, async (store) => {
      const { events, interrupted } = await importNdjson(store, source, {
        durability: options.durability,
        signal: interruption.signal,
        onProgress: (count) => progress.update(() => `importing: ${formatCount(count)} events`),
      });
      await store.flush();
      progress.stop();
      const seconds = (performance.now() - startedMs) / 1_000;
      const eventsPerSecond = Math.round(events / seconds);
      await output.print(
        { events, seconds, eventsPerSecond, lsn: store.watermark, interrupted },
        () => `${formatCount(events)} events in ${seconds.toFixed(2)} s, ${formatCount(eventsPerSecond)}/s`,
      );
      if (interrupted) context.exitCode = interruption.exitCode;
    });
  } finally {
    progress.stop();
    interruption.dispose();
    source.destroy();
  }
}

import type { Command } from "commander";
import { type CommonOptions, schemaOption, storeCommand, wholeNumber } from "../arguments.js";
import { formatEvent, printableEvent } from "../event-line.js";
import { type EventSelection, selectEvents } from "../event-selection.js";
import { UsageError } from "../failure.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { withReader } from "../stores.js";

type ReadOptions = CommonOptions & EventSelection & { readonly schema?: readonly string[] };

export function readCommand({ output }: CommandContext): Command {
  return storeCommand("read", "print events, one per line")
    .option("--stream <name>", "only the events of this stream")
    .option("--after <lsn>", "only events with a greater LSN", wholeNumber(0))
    .option("--limit <count>", "at most so many events", wholeNumber(0))
    .option("--backwards", "the newest first")
    .option("--follow", "go on with events as they are appended, until interrupted")
    .addOption(schemaOption())
    .action(async (options: ReadOptions) => {
      if (options.follow === true && options.backwards === true)
        throw new UsageError("--follow and --backwards exclude each other");
      const interruption = options.follow === true ? new Interruption() : null;
      const signal = interruption === null ? output.gone : AbortSignal.any([interruption.signal, output.gone]);
      try {
        await withReader(options, options.schema ?? [], async (reader) => {
          for await (const event of selectEvents(reader, options, signal)) {
            await output.print(printableEvent(event), () => formatEvent(event));
          }
        });
      } finally {
        interruption?.dispose();
      }
    });
}

import type { Command } from "commander";
import { type CommonOptions, storeCommand } from "../arguments.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withExistingStore } from "../stores.js";

const HELP = `
The directory must be absent, empty, or a backup of this store: then only what it does not have is copied.
Others may have the store open and write to it. Whatever interrupts a backup leaves the former one as it was.
'varve verify --store <dir>' checks a backup, 'varve restore <dir>' makes a store of it.`;

export function backupCommand(context: CommandContext): Command {
  return storeCommand("backup", "copy a store into another directory, beside its writers, or bring that up to date")
    .argument("<dir>", "the backup's directory")
    .addHelpText("after", HELP)
    .action(async (directory: string, place: CommonOptions) => {
      const { output, stderr } = context;
      const interruption = new Interruption();
      const progress = startProgress(stderr, "copying");
      try {
        await withExistingStore(place, stderr, async (open) => {
          const report = await open.backup(directory, { signal: interruption.signal });
          progress.stop();
          await output.print(report, () => {
            const { lsn, segments, copiedSegments, copiedBytes } = report;
            return `everything up to LSN ${formatCount(lsn)} is in ${directory}: ${formatCount(segments)} segments, ${formatCount(copiedSegments)} of them copied now (${formatCount(copiedBytes)} bytes), each read back`;
          });
        });
      } catch (error) {
        if (!interruption.signal.aborted) throw error;
        progress.stop();
        stderr.write("varve: interrupted; a former backup is as it was\n");
        context.exitCode = interruption.exitCode;
      } finally {
        progress.stop();
        interruption.dispose();
      }
    });
}

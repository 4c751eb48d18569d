import { type Command, Option } from "commander";
import { type LogExtent, type RestoreReport, restoreStore } from "../../index.js";
import { type CommonOptions, encryptionOf, gathered, instant, storeCommand, wholeNumber } from "../arguments.js";
import { UsageError } from "../failure.js";
import { formatInstant } from "../instant.js";
import { Interruption } from "../interruption.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";

interface RestoreOptions extends CommonOptions {
  readonly toLsn?: number;
  readonly toTime?: number;
  readonly dryRun?: true;
  readonly forgotten?: readonly string[];
}

const HELP = `
The store's directory must be absent or empty, or what an interrupted restore left. A log is cut between writes: what is
restored ends with the last write at or before the LSN or time, and the answer says which LSN that is.`;

export function restoreCommand(context: CommandContext): Command {
  return storeCommand("restore", "make a store of a backup: all of it, or up to an LSN or a time")
    .argument("<backup>", "the backup's directory")
    .option("--to-lsn <lsn>", "leave out what was written behind this LSN", wholeNumber(0))
    .option("--to-time <time>", "leave out what was recorded after this time", instant)
    .addOption(
      new Option(
        "--forgotten <file>",
        "what 'varve forget --json' printed since: those keys are destroyed again (may be repeated)",
      ).argParser(gathered),
    )
    .option("--dry-run", "only say what would be in and what out")
    .addHelpText("after", HELP)
    .action((backup: string, options: RestoreOptions) => restore(context, backup, options));
}

async function restore(context: CommandContext, backup: string, options: RestoreOptions): Promise<void> {
  const { store, toLsn, toTime, dryRun } = options;
  if (toLsn !== undefined && toTime !== undefined) throw new UsageError("--to-lsn and --to-time exclude each other");
  const interruption = new Interruption();
  const progress = startProgress(context.stderr, "restoring");
  try {
    const report = await restoreStore(backup, store, {
      ...(toLsn !== undefined && { toLsn }),
      ...(toTime !== undefined && { toTime }),
      dryRun: dryRun === true,
      forgotten: options.forgotten ?? [],
      encryption: encryptionOf(options),
      signal: interruption.signal,
      onProgress: (copiedBytes) => progress.update(() => `restoring: ${formatCount(copiedBytes)} bytes`),
    });
    progress.stop();
    await context.output.print(report, () => describe(report));
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    progress.stop();
    context.stderr.write("varve: interrupted; there is no store yet, and restoring again goes on\n");
    context.exitCode = interruption.exitCode;
  } finally {
    progress.stop();
    interruption.dispose();
  }
}

function describe(report: RestoreReport): string {
  const { isDryRun, isDirectoryFree, directory, restored, leftOut, segments } = report;
  const lines = [`${isDryRun ? "would restore" : "restored"}  ${extent(restored)}`];
  if (leftOut.lastLsn !== null) lines.push(`${isDryRun ? "would leave out" : "left out"}  ${extent(leftOut)}`);
  for (const { number, fate, restored: kept, leftOut: out } of segments) {
    const parts =
      fate === "cut" ? `${extent(kept)}; left out ${extent(out)}` : extent(fate === "restored" ? kept : out);
    lines.push(`  segment ${number}  ${fate}: ${parts}`);
  }
  if (!isDirectoryFree) lines.push(`${directory} is not empty: a restore into it is refused`);
  return lines.join("\n");
}

function extent({ firstLsn, lastLsn, events, firstRecordedAt, lastRecordedAt }: LogExtent): string {
  if (firstLsn === null || lastLsn === null) return "nothing";
  const times =
    firstRecordedAt === null || lastRecordedAt === null
      ? ""
      : `, ${formatInstant(firstRecordedAt)} to ${formatInstant(lastRecordedAt)}`;
  return `LSN ${formatCount(firstLsn)} to ${formatCount(lastLsn)}, ${formatCount(events)} events${times}`;
}

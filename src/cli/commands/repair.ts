import { type Command, Option } from "commander";
import { type RepairReport, repairStore } from "../../index.js";
import { type CommonOptions, encryptionOf, storeCommand } from "../arguments.js";
import { describeFailure, EXIT_LEFT, EXIT_OPERATIONAL, EXIT_REPAIRED, formatFailure, UsageError } from "../failure.js";
import { formatRanges } from "../lsn-ranges.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";

interface RepairCommandOptions extends CommonOptions {
  readonly yes?: true;
  readonly backup?: string;
}

/** Damaged places and streams that are printed for people; JSON has all. */
const SHOWN_MAX = 20;

const HELP = `
Without --yes it changes nothing, and says what it would do. With --yes it copies the store first, writes what is intact into
new segments, moves what is damaged into quarantine/ with a report, and checks the result. It drops only what it names.
'varve salvage' reads more of a damaged store than a repair can keep: the copy stays for that.
Ends with exit code 0 when nothing is wrong, ${EXIT_REPAIRED} when it was repaired, ${EXIT_LEFT} when it was left as it is, ${EXIT_OPERATIONAL} when it could not do its work.`;

export function repairCommand(context: CommandContext): Command {
  return storeCommand("repair", "make a damaged store open again, saying what is dropped; dry without --yes")
    .argument("[dir]", "the store's directory, instead of --store")
    .addOption(new Option("--yes", "do it"))
    .option("--backup <dir>", "where the copy of the store goes; default: beside it")
    .addHelpText("after", HELP)
    .action((directory: string | undefined, options: RepairCommandOptions) =>
      repair(context, directory ?? options.store, options),
    );
}

async function repair(context: CommandContext, store: string, options: RepairCommandOptions): Promise<void> {
  const { output, stderr } = context;
  const { yes, backup } = options;
  const progress = startProgress(stderr, "looking through the store");
  try {
    const onProgress = (lsn: number): void => progress.update(() => `at LSN ${formatCount(lsn)}`);
    const report = await repairStore(store, {
      dryRun: yes !== true,
      onProgress,
      encryption: encryptionOf(options),
      ...(backup !== undefined && { backup }),
    });
    progress.stop();
    await output.print(report, () => describe(report));
    context.exitCode = exitCodeOf(report);
  } catch (error) {
    progress.stop();
    if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
    stderr.write(`${formatFailure(describeFailure(error), output.json)}\n`);
    context.exitCode = EXIT_OPERATIONAL;
  } finally {
    progress.stop();
  }
}

function exitCodeOf({ status }: RepairReport): number {
  if (status === "clean") return 0;
  return status === "repaired" ? EXIT_REPAIRED : EXIT_LEFT;
}

function describe(report: RepairReport): string {
  const { status, directory, problem, obstacle, lastLsn, keptEvents } = report;
  if (status === "clean") return `nothing is wrong with ${directory}`;
  const lines = [`${problem?.code}: ${problem?.message}`];
  if (status === "unrepairable") return [...lines, `it is left as it is: ${obstacle}`].join("\n");
  const isDone = status === "repaired";
  lines.push(`${isDone ? "kept" : "would keep"} ${formatCount(keptEvents)} events up to LSN ${formatCount(lastLsn)}`);
  lines.push(...losses(report));
  for (const { path, offset, kind, what } of report.damage.slice(0, SHOWN_MAX))
    lines.push(`  ${path} at offset ${offset}: ${kind === "damaged" ? "" : `${kind}: `}${what}`);
  for (const path of report.foreignFiles) lines.push(`  ${path} is another store's`);
  if (report.damage.length > SHOWN_MAX)
    lines.push(`  and ${formatCount(report.damage.length - SHOWN_MAX)} more, with --json`);
  if (!isDone) return [...lines, "nothing was changed; --yes does it, after copying the store"].join("\n");
  for (const path of report.quarantined) lines.push(`  moved to ${path}`);
  return [...lines, `the store as it was is in ${report.backup}`].join("\n");
}

/** What is dropped, by name. */
function losses(report: RepairReport): string[] {
  const { lost, lostLsns, dropped, droppedEvents, unacknowledged } = report;
  const lines: string[] = [];
  const tampered = report.damage.filter(({ kind }) => kind === "tampered").length;
  if (lostLsns === 0 && droppedEvents === 0 && unacknowledged.length === 0 && tampered === 0)
    return ["nothing is lost"];
  if (lostLsns > 0) lines.push(`lost: LSN ${formatRanges(lost)} cannot be read`);
  if (tampered > 0)
    lines.push(`dropped: what somebody has changed or put there, in ${formatCount(tampered)} places: see "tampered"`);
  if (droppedEvents > 0)
    lines.push(`dropped: ${formatCount(droppedEvents)} events before one of their stream that is lost`);
  for (const { stream, fromVersion, throughVersion, events } of dropped.slice(0, SHOWN_MAX)) {
    lines.push(`  ${stream}: versions ${fromVersion} to ${throughVersion}, ${formatCount(events)} of them intact`);
  }
  if (dropped.length > SHOWN_MAX)
    lines.push(`  and ${formatCount(dropped.length - SHOWN_MAX)} more streams, with --json`);
  if (unacknowledged.length > 0)
    lines.push(`dropped: LSN ${formatRanges(unacknowledged)}, behind a hole and never acknowledged`);
  return lines;
}

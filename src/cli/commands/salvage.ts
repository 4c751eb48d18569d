import type { Command } from "commander";
import { type SalvagedEvent, type SalvageReport, salvageStore } from "../../index.js";
import { type CommonOptions, encryptionOf, schemaOption, storeCommand } from "../arguments.js";
import { EXIT_LEFT } from "../failure.js";
import { Interruption } from "../interruption.js";
import { formatRanges } from "../lsn-ranges.js";
import { stringify } from "../output.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { SalvageTarget } from "../salvage-target.js";

interface SalvageCommandOptions extends CommonOptions {
  readonly out: string;
  readonly schema?: readonly string[];
}

/** Damaged places, and gaps of streams, that are printed for people; JSON has all. */
const SHOWN_MAX = 20;

const HELP = `
Reads whatever holds its checksums, whether or not the store can be opened, and never writes into it. The lines are those
of 'varve read --json', and 'varve import ndjson' takes them, but for those of the store's own streams, whose names begin
with $. Events whose place in the log is not known come last, without lsn. What was truncated or deleted and is still in
the files is among them. The events of an encrypted store, for which its key is needed, stand in clear in the file. Ends with exit code ${EXIT_LEFT} when something that was durable could not be read.`;

export function salvageCommand(context: CommandContext): Command {
  return storeCommand("salvage", "read every intact event of a damaged store into a file of JSON lines")
    .argument("[dir]", "the store's directory, instead of --store")
    .requiredOption("--out <file>", "the new file for the events, or - for stdout (the summary goes to stderr then)")
    .addOption(schemaOption())
    .addHelpText("after", HELP)
    .action((directory: string | undefined, options: SalvageCommandOptions) =>
      salvage(context, directory ?? options.store, options),
    );
}

async function salvage(context: CommandContext, store: string, options: SalvageCommandOptions): Promise<void> {
  const { output, stderr } = context;
  const isToStdout = options.out === "-";
  const target = isToStdout ? null : await SalvageTarget.create(options.out, store);
  const interruption = new Interruption();
  const progress = startProgress(stderr, "looking through the files");
  let count = 0;
  const onEvent = (event: SalvagedEvent): void | Promise<void> => {
    progress.update(() => `salvaging: ${formatCount(++count)} events`);
    const line = lineOf(event);
    return target === null ? output.print(event, () => line) : target.line(line);
  };
  try {
    const signal = AbortSignal.any([interruption.signal, output.gone]);
    const report = await salvageStore(store, {
      schemas: options.schema ?? [],
      onEvent,
      signal,
      encryption: encryptionOf(options),
    });
    await target?.finish();
    progress.stop();
    if (isToStdout) stderr.write(`${output.json ? stringify(report) : describe(report, "stdout")}\n`);
    else await output.print({ out: options.out, ...report }, () => describe(report, options.out));
    if (report.lostLsns > 0 || report.damage.length > 0) context.exitCode = EXIT_LEFT;
  } catch (error) {
    if (!interruption.signal.aborted && !output.gone.aborted) throw error;
    progress.stop();
    if (interruption.signal.aborted) stderr.write("varve: interrupted; what was written are not all events\n");
    context.exitCode = interruption.exitCode;
  } finally {
    progress.stop();
    interruption.dispose();
    await target?.close();
  }
}

/** What is not known has no field: so that the line can be imported. */
function lineOf(event: SalvagedEvent): string {
  const known = Object.entries(event).filter(([, value]) => value !== null);
  return stringify({ ...Object.fromEntries(known), ...("data" in event && { data: event.data }) });
}

function describe(report: SalvageReport, out: string): string {
  const { events, streams, lostLsns, lost, eventsWithoutLsn, unattestedEvents, undecodable } = report;
  const lines = [`${formatCount(events)} events of ${formatCount(streams)} streams are in ${out}`];
  if (report.manifest !== "manifest")
    lines.push(`no manifest could be read (${report.manifest}): what was fenced or void is guessed`);
  if (lostLsns > 0) lines.push(`${formatCount(lostLsns)} that were durable are lost: LSN ${formatRanges(lost)}`);
  if (eventsWithoutLsn > 0)
    lines.push(`${formatCount(eventsWithoutLsn)} have no LSN: the headers of their frames are damaged`);
  if (unattestedEvents > 0)
    lines.push(`${formatCount(unattestedEvents)} are attested by nothing: they may never have been acknowledged`);
  if (undecodable > 0) lines.push(`${formatCount(undecodable)} records are intact and no events`);
  for (const { stream, fromVersion, throughVersion } of report.gaps.slice(0, SHOWN_MAX))
    lines.push(`  ${stream} lacks version ${formatRanges([[fromVersion, throughVersion]])}`);
  for (const { path, offset, kind, what } of report.damage.slice(0, SHOWN_MAX))
    lines.push(`  ${path} at offset ${offset}: ${kind === "damaged" ? "" : `${kind}: `}${what}`);
  for (const path of report.foreignFiles) lines.push(`  ${path} is another store's`);
  for (const path of report.newerFiles) lines.push(`  ${path} was written by a newer version`);
  const more = Math.max(0, report.damage.length - SHOWN_MAX) + Math.max(0, report.gaps.length - SHOWN_MAX);
  if (more > 0) lines.push(`  and ${formatCount(more)} more, with --json`);
  return lines.join("\n");
}

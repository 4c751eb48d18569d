import { Command } from "commander";
import type { Compression } from "../../index.js";
import { compressionOption, jsonOption, wholeNumber } from "../arguments.js";
import type { OpenReadReport } from "../bench-open-reader.js";
import { type MergeFigures, type MergePlan, measureMerging, measureOpening, type SealedPlan } from "../bench-sealed.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchSealedOptions {
  readonly events: number;
  readonly streams: number;
  readonly payload: number;
  readonly store: string;
}

interface BenchMergeOptions extends BenchSealedOptions {
  readonly compression: Compression;
}

type Figures = { readonly fault: string | null };
type Measure<Plan, Found> = (
  directory: string,
  plan: Plan,
  signal: AbortSignal,
  onFilled: () => void,
) => Promise<Found>;

const OPEN_DETAILS = `
Fills a fresh store below --dir, seals all of it, and opens it in a fresh process: how long that takes, the memory of the process then,
and how long reading a stream takes that nobody has read (up to 1,000 of them, whose events lie far from each other), and one that was
just read. Blocks are read without the page cache; index pages that streams share can be in memory from an earlier one. What is read is
compared with what was written; the exit code is 1 when anything is wrong.`;

const MERGE_DETAILS = `
Fills a fresh store below --dir without sealing it; then a fresh process opens it, appends for 3 s, and makes a checkpoint while it goes on
appending. The rate of the merge is that of the whole checkpoint: reading, writing, syncing and reading back, in bytes of records before they are
packed. What was sealed is verified; the exit code is 1 when anything is wrong.`;

export function benchOpenCommand(context: CommandContext): Command {
  const summary = "measure opening and reading a store that is sealed";
  return sealedCommand("open", summary, OPEN_DETAILS, 100).action(({ store, ...options }: BenchSealedOptions) =>
    bench(context, store, planOf(options), "opening it", measureOpening, describeOpening),
  );
}

export function benchMergeCommand(context: CommandContext): Command {
  const summary = "measure a checkpoint, and appends beside it";
  const command = sealedCommand("merge", summary, MERGE_DETAILS, 1000);
  return command
    .addOption(compressionOption())
    .action(({ store, compression, ...options }: BenchMergeOptions) =>
      bench(context, store, { ...planOf(options), compression }, "sealing it", measureMerging, describeMerging),
    );
}

function planOf({ events, payload, streams }: Omit<BenchSealedOptions, "store">): SealedPlan {
  return { events, streams, payloadBytes: payload };
}

function sealedCommand(name: string, summary: string, details: string, payloadBytes: number): Command {
  return new Command(name)
    .summary(summary)
    .description(summary)
    .option("--events <n>", "events in all", wholeNumber(1), 1_000_000)
    .option("--streams <n>", "streams that they are spread over", wholeNumber(1), 100_000)
    .option("--payload <bytes>", "characters of an event's data", wholeNumber(1), payloadBytes)
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", details);
}

async function bench<Plan extends SealedPlan, Found extends Figures>(
  context: CommandContext,
  store: string,
  plan: Plan,
  measuring: string,
  measure: Measure<Plan, Found>,
  describe: (plan: Plan, found: Found) => string,
): Promise<void> {
  await withTemporaryDirectory(store, ".varve-bench-", async (directory, signal) => {
    const progress = startProgress(context.stderr, `appending ${formatCount(plan.events)} events`);
    try {
      const found = await measure(directory, plan, signal, () => progress.update(() => measuring));
      progress.stop();
      await context.output.print({ ...plan, ...found }, () => {
        const fault = found.fault === null ? "what was read is what was written" : `WRONG: ${found.fault}`;
        return `${describe(plan, found)}\n${fault}`;
      });
      if (found.fault !== null) context.exitCode = EXIT_FAILED;
    } finally {
      progress.stop();
    }
  });
}

function describeOpening({ events, streams }: SealedPlan, found: OpenReadReport): string {
  const { coldReadMs, openMs, readRssMiB, rssMiB, warmReadUs } = found;
  return [
    `${openMs.toFixed(0)} ms to open ${formatCount(events)} events in ${formatCount(streams)} streams, all sealed; ${rssMiB} MiB of memory then, ${readRssMiB} after the reads`,
    `a stream that nobody has read: p50 ${coldReadMs.p50.toFixed(2)} ms, p99 ${coldReadMs.p99.toFixed(2)} ms`,
    `one that was just read: p50 ${warmReadUs.p50.toFixed(0)} µs, p99 ${warmReadUs.p99.toFixed(0)} µs`,
  ].join("\n");
}

function describeMerging({ compression }: MergePlan, found: MergeFigures): string {
  const { appendsPerSecond, appendsPerSecondWhileMerging, mergeMiBPerSecond, mergeSeconds, peakRssMiB, rssMiB } = found;
  const percent = Math.round((100 * appendsPerSecondWhileMerging) / appendsPerSecond);
  const share = Math.round((100 * found.fileBytes) / found.sealedBytes);
  return [
    `${formatCount(mergeMiBPerSecond)} MiB/s: ${formatCount(found.sealedRecords)} events sealed in ${mergeSeconds.toFixed(2)} s`,
    `files with their indexes take ${share} % of the records' bytes (compression: ${compression})`,
    `${formatCount(appendsPerSecond)} appends/s without a merge, ${formatCount(appendsPerSecondWhileMerging)} beside it (${percent} %)`,
    `${rssMiB} MiB of memory before, ${peakRssMiB} MiB at most`,
  ].join("\n");
}

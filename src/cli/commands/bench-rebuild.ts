import { Command } from "commander";
import { jsonOption, wholeNumber } from "../arguments.js";
import { measureRebuild, type RebuildFigures, type RebuildPlan } from "../bench-rebuild.js";
import type { LoopDelay } from "../bench-rebuild-server.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchRebuildOptions {
  readonly events: number;
  readonly accounts: number;
  readonly kills: number;
  readonly appendsPerSecond: number;
  readonly checkpointEvery?: number;
  readonly maxEventsPerSecond?: number;
  readonly store: string;
}

const DETAILS = `
An application fills a fresh store below --dir and serves version 1 of a read model of --accounts documents. It goes on appending and
answering while other processes build version 2; each of the first --kills is killed on its way, and the next one goes on. The application
goes over to what they have built without a restart. Every answer is checked, and the state in the end against a fold of the log by another
process; the exit code is 1 when anything is wrong. Delays of the event loop are those of perf_hooks.monitorEventLoopDelay, at 1 ms.`;

const SAVES_PER_REBUILD = 20;

export function benchRebuildCommand(context: CommandContext): Command {
  const summary = "rebuild a read model in processes that are killed, while its old version answers";
  return new Command("rebuild")
    .summary(summary)
    .description(summary)
    .option("--events <m>", "events in the store before", wholeNumber(2_000), 1_000_000)
    .option("--accounts <n>", "documents of the read model", wholeNumber(1), 100_000)
    .option("--kills <n>", "rebuilding processes that are killed", wholeNumber(0), 1)
    .option("--appends-per-second <n>", "events that the application appends meanwhile", wholeNumber(0), 2_000)
    .option(
      "--checkpoint-every <n>",
      "a rebuild saves after so many events (default: a twentieth of all)",
      wholeNumber(1),
    )
    .option("--max-events-per-second <n>", "a rebuild goes no faster", wholeNumber(1))
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchRebuildOptions) => benchRebuild(context, options));
}

async function benchRebuild(context: CommandContext, options: BenchRebuildOptions): Promise<void> {
  const { events, accounts, kills, appendsPerSecond } = options;
  const plan: RebuildPlan = {
    events,
    accounts,
    kills,
    appendsPerSecond,
    checkpointEveryEvents: options.checkpointEvery ?? Math.ceil(events / SAVES_PER_REBUILD),
    maxEventsPerSecond: options.maxEventsPerSecond ?? null,
  };
  await withTemporaryDirectory(options.store, ".varve-bench-", async (directory, signal) => {
    const progress = startProgress(context.stderr, "starting");
    try {
      const figures = await measureRebuild(directory, plan, signal, (what) => progress.update(() => what));
      progress.stop();
      await context.output.print({ ...plan, ...figures }, () => describe(plan, figures));
      if (figures.fault !== null) context.exitCode = EXIT_FAILED;
    } finally {
      progress.stop();
    }
  });
}

function describe({ events }: RebuildPlan, figures: RebuildFigures): string {
  const { killedAtLsns, resumedFromLsn, appendedEvents, answersOfOldVersion, answersOfNewVersion } = figures;
  const killed = killedAtLsns.map((lsn) => formatCount(lsn)).join(", ");
  return [
    `${formatCount(events)} events rebuilt in ${figures.seconds.toFixed(1)} s, ${formatCount(figures.eventsPerSecond)} per second`,
    killed === ""
      ? "nothing was killed"
      : `killed at LSN ${killed}; the last process went on from ${formatCount(resumedFromLsn)}`,
    `${formatCount(appendedEvents)} events appended meanwhile; ${formatCount(answersOfOldVersion)} answers of the old version, then ${formatCount(answersOfNewVersion)} of the new one`,
    `delay of the application's event loop: ${describeDelay(figures.loopDelayMs)}; before it: ${describeDelay(figures.loopDelayBeforeMs)}`,
    figures.fault === null
      ? "every answer was right, and the new version is what a fold of the log gives"
      : `WRONG: ${figures.fault}`,
  ].join("\n");
}

function describeDelay({ p50, p99, max }: LoopDelay): string {
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, at most ${max.toFixed(1)} ms`;
}

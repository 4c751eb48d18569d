import { Command } from "commander";
import { jsonOption, wholeNumber } from "../arguments.js";
import { type FollowFigures, type FollowPlan, type FollowTimes, measureFollowing } from "../bench-follow.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchFollowOptions {
  readonly events: number;
  readonly everyMs: number;
  readonly store: string;
}

const DETAILS = `
One process appends to a fresh store below --dir, one event at a time; another has it open and subscribes. The time runs
from the acknowledgement of the append in the one to the event in the other, by the clock that they share; it is negative
where the event came first. Measured with a follower that has the store open for writing, and with one that reads only.`;

export function benchFollowCommand(context: CommandContext): Command {
  const summary = "measure how soon another process has an event that was appended";
  return new Command("follow")
    .summary(summary)
    .description(summary)
    .option("--events <m>", "events to measure with each follower", wholeNumber(1), 1_000)
    .option("--every-ms <ms>", "time between two of them", wholeNumber(1), 5)
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchFollowOptions) => benchFollowing(context, options));
}

async function benchFollowing(context: CommandContext, { events, everyMs, store }: BenchFollowOptions): Promise<void> {
  const plan: FollowPlan = { events, everyMs };
  await withTemporaryDirectory(store, ".varve-bench-", async (directory, signal) => {
    const progress = startProgress(context.stderr, `appending ${formatCount(events)} events for each follower`);
    try {
      const figures = await measureFollowing(directory, plan, signal);
      progress.stop();
      await context.output.print({ ...plan, ...figures }, () => describe(figures));
      if (figures.fault !== null) context.exitCode = EXIT_FAILED;
    } finally {
      progress.stop();
    }
  });
}

function describe({ store, reader, fault }: FollowFigures): string {
  return [
    `a store: ${describeTimes(store)}`,
    reader === null ? "a reader does not follow by itself" : `a reader: ${describeTimes(reader)}`,
    fault === null ? "every event was seen once, in order" : `WRONG: ${fault}`,
  ].join("\n");
}

function describeTimes({ p50Us, p99Us, sinceAppendUs, count }: FollowTimes): string {
  return `p50 ${p50Us.toFixed(0)} µs, p99 ${p99Us.toFixed(0)} µs after the acknowledgement; p50 ${sinceAppendUs.p50.toFixed(0)} µs, p99 ${sinceAppendUs.p99.toFixed(0)} µs after the call; ${formatCount(count)} events`;
}

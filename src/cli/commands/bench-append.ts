import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Durability } from "../../events/index.js";
import { type IoBaseline, measureBaseline } from "../../ffi/index.js";
import { durabilityOption, jsonOption, wholeNumber } from "../arguments.js";
import {
  type AppendFigures,
  type AppendLoad,
  BENCH_PROTO,
  findFault,
  PAYLOAD_BYTES_MIN,
  runAppendLoad,
} from "../bench-append.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withStore } from "../stores.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchAppendOptions {
  readonly concurrency: number;
  readonly events: number;
  readonly payload: number;
  readonly durability: Durability;
  readonly store: string;
}

/** Bare writes measured before the load and again after it: the machine is shared, and its speed moves. */
const BASELINE_WRITES = 1_000;

const DETAILS = `
Each of the callers awaits its append before the next. The store is a fresh one below --dir and is removed afterwards.
Every event is read back and compared with what was appended; the exit code is 1 when anything is wrong.
The baseline is a bare durable write of 4 KiB to the same disk in the same run, awaited through the event loop and, with
io_uring, waited for inline.`;

export function benchAppendCommand(context: CommandContext): Command {
  const summary = "measure appends: their rate and the time each takes";
  return new Command("append")
    .summary(summary)
    .description(summary)
    .option("--concurrency <n>", "callers that append at the same time", wholeNumber(1), 100)
    .option("--events <m>", "events in all", wholeNumber(1), 200_000)
    .option("--payload <bytes>", "bytes of an event's protobuf message", wholeNumber(PAYLOAD_BYTES_MIN), 64)
    .addOption(durabilityOption())
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchAppendOptions) => measureAppends(context, options));
}

async function measureAppends(context: CommandContext, options: BenchAppendOptions): Promise<void> {
  const load: AppendLoad = {
    concurrency: options.concurrency,
    events: options.events,
    payloadBytes: options.payload,
    durability: options.durability,
  };
  await withTemporaryDirectory(options.store, ".varve-bench-", (directory) =>
    measureAppendsIn(directory, load, context),
  );
}

async function measureAppendsIn(directory: string, load: AppendLoad, context: CommandContext): Promise<void> {
  const progress = startProgress(context.stderr, `appending ${formatCount(load.events)} events`);
  try {
    const proto = join(directory, "bench.proto");
    writeFileSync(proto, BENCH_PROTO);
    const store = join(directory, "store");
    await withStore(store, context.stderr, { schemas: [proto] }, async (open) => {
      const before = await measureBaseline(directory, BASELINE_WRITES);
      const figures = await runAppendLoad(open, load);
      const baseline = meanOf(before, await measureBaseline(directory, BASELINE_WRITES));
      progress.update(() => "reading everything back");
      const fault = await findFault(open, load);
      progress.stop();
      const { backend, driver, direct, reason } = open.io;
      const result = { ...load, ...figures, io: backend, driver, direct, reason, baseline, fault };
      await context.output.print(result, () =>
        describe(load, figures, `${backend}${direct ? " with O_DIRECT" : ""}`, baseline, fault),
      );
      if (fault !== null) context.exitCode = EXIT_FAILED;
    });
  } finally {
    progress.stop();
  }
}

function meanOf(before: IoBaseline, after: IoBaseline): IoBaseline {
  const inline = [before.inlineP50Ms, after.inlineP50Ms].filter((ms) => ms !== null);
  return {
    p50Ms: (before.p50Ms + after.p50Ms) / 2,
    inlineP50Ms: inline.length === 0 ? null : inline.reduce((sum, ms) => sum + ms, 0) / inline.length,
  };
}

function describe(
  load: AppendLoad,
  figures: AppendFigures,
  io: string,
  baseline: IoBaseline,
  fault: string | null,
): string {
  const { p50, p99, p999, max } = figures.latencyMs;
  const times = [p50, p99, p999, max].map((ms) => ms.toFixed(3));
  return [
    `${formatCount(figures.eventsPerSecond)} events/s: ${formatCount(load.events)} of ${load.payloadBytes} bytes by ${load.concurrency} callers, ${load.durability}, through ${io}`,
    `p50 ${times[0]} ms, p99 ${times[1]} ms, p99.9 ${times[2]} ms, max ${times[3]} ms`,
    `a bare durable 4 KiB write takes ${baseline.p50Ms.toFixed(3)} ms through the event loop${
      baseline.inlineP50Ms === null ? "" : `, ${baseline.inlineP50Ms.toFixed(3)} ms inline`
    }`,
    fault === null ? "every event was read back as it was appended" : `WRONG: ${fault}`,
  ].join("\n");
}

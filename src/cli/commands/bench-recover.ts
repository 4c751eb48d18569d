import { Command } from "commander";
import { jsonOption, wholeNumber } from "../arguments.js";
import { PAYLOAD_BYTES_MIN } from "../bench-event.js";
import { measureRecovery, type RecoverFigures, type RecoverPlan } from "../bench-recover.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchRecoverOptions {
  readonly events: number;
  readonly cores: number;
  readonly streams: number;
  readonly payload: number;
  readonly store: string;
}

const DETAILS = `
Fills a fresh store below --dir by one writer thread per core, kills them when everything is acknowledged, and measures how
long opening the store takes in a fresh process. The count of the recovered events and the sum of their LSNs are compared
with what was acknowledged; the exit code is 1 when anything is wrong.`;

export function benchRecoverCommand(context: CommandContext): Command {
  const summary = "measure opening a store whose writers were killed";
  return new Command("recover")
    .summary(summary)
    .description(summary)
    .option("--events <m>", "events in all", wholeNumber(1), 1_000_000)
    .option("--cores <n>", "writers that wrote them", wholeNumber(1), 2)
    .option("--streams <n>", "streams that they are spread over", wholeNumber(1), 1_000)
    .option("--payload <bytes>", "bytes of an event's protobuf message", wholeNumber(PAYLOAD_BYTES_MIN), 16)
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchRecoverOptions) => benchRecovery(context, options));
}

async function benchRecovery(context: CommandContext, options: BenchRecoverOptions): Promise<void> {
  const { events, cores, streams, payload: payloadBytes } = options;
  const plan: RecoverPlan = { events, cores, streams, payloadBytes };
  await withTemporaryDirectory(options.store, ".varve-bench-", async (directory, signal) => {
    const progress = startProgress(context.stderr, `appending ${formatCount(events)} events`);
    try {
      const onFilled = (): void => progress.update(() => "recovering them");
      const figures = await measureRecovery(directory, plan, signal, onFilled);
      progress.stop();
      await context.output.print({ ...plan, ...figures }, () => describe(plan, figures));
      if (figures.fault !== null) context.exitCode = EXIT_FAILED;
    } finally {
      progress.stop();
    }
  });
}

function describe({ events, cores, payloadBytes }: RecoverPlan, figures: RecoverFigures): string {
  const { eventsPerSecond, fault, peakRssMiB, rssMiB, seconds } = figures;
  return [
    `${formatCount(eventsPerSecond)} events/s recovered: ${formatCount(events)} of ${payloadBytes} bytes, written by ${cores} cores, in ${seconds.toFixed(3)} s`,
    `${rssMiB} MiB of memory afterwards, ${peakRssMiB} MiB at most`,
    fault === null ? "every acknowledged event was recovered" : `WRONG: ${fault}`,
  ].join("\n");
}

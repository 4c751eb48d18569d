import { join } from "node:path";
import { Command, Option } from "commander";
import { durabilityOption, jsonOption, wholeNumber } from "../arguments.js";
import { type AppendFigures, type AppendLoad, findFault, runAppendLoad, writtenBy } from "../bench-append.js";
import { besideBaseline, describeBaseline, describeFault, describeLatency } from "../bench-baseline.js";
import { PAYLOAD_BYTES_MIN, writeBenchProto } from "../bench-event.js";
import { EXIT_FAILED, UsageError } from "../failure.js";
import { PEER_KINDS } from "../peer.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withStore } from "../stores.js";
import { withTemporaryDirectory } from "../temporary-directory.js";
import { benchAppendEncrypted } from "./bench-append-encrypted.js";
import { type BenchAppendOptions, benchAppendWriters } from "./bench-append-writers.js";

const CONCURRENCY_DEFAULT = 100;
const EVENTS_DEFAULT = 200_000;

const DETAILS = `
Each of the callers awaits its append before the next. The store is a fresh one below --dir and is removed afterwards.
Every event is read back and compared with what was appended; the exit code is 1 when anything is wrong.
The baseline is a bare durable write of 4 KiB to the same disk in the same run, awaited through the event loop and, with
io_uring, waited for inline.

With 2 or more --writers, each is a thread or process of its own that opens the store and has --concurrency callers (1,000
unless said otherwise) on streams of its own; --events (1,000,000) is for all of them together. The rate is the sum over the
time in which all of them ran. Each such run is paired with one in which as many writers have a store each, which is what
the ratio compares with. With --block-ms, writer 0 keeps its event loop busy for so long every --block-every-ms, and "others"
has the latencies of all but it.`;

export function benchAppendCommand(context: CommandContext): Command {
  const summary = "measure appends: their rate and the time each takes";
  return new Command("append")
    .summary(summary)
    .description(summary)
    .option(
      "--concurrency <n>",
      `callers that append at the same time (default: ${CONCURRENCY_DEFAULT})`,
      wholeNumber(1),
    )
    .option("--events <m>", `events in all (default: ${EVENTS_DEFAULT})`, wholeNumber(1))
    .option("--payload <bytes>", "bytes of an event's protobuf message", wholeNumber(PAYLOAD_BYTES_MIN), 64)
    .addOption(durabilityOption())
    .option("--writers <n>", "writers of one store at the same time", wholeNumber(1), 1)
    .addOption(new Option("--kind <kind>", "what each of several writers is").choices(PEER_KINDS).default("thread"))
    .option("--pairs <n>", "runs of the writers on one store and on a store each, in turn (default: 1)", wholeNumber(1))
    .option("--block-ms <ms>", "how long writer 0 blocks its event loop at a time", wholeNumber(1))
    .option("--block-every-ms <ms>", "how often it does (default: twice that)", wholeNumber(1))
    .addOption(
      new Option("--encrypted", "a store that is encrypted beside one that is not, in turn (5 pairs)").conflicts(
        "writers",
      ),
    )
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchAppendOptions) =>
      options.writers === 1 ? benchOneWriter(context, options) : benchAppendWriters(context, options),
    );
}

async function benchOneWriter(context: CommandContext, options: BenchAppendOptions): Promise<void> {
  const { encrypted: isEncrypted = false, pairs } = options;
  if (((isEncrypted ? undefined : pairs) ?? options.blockMs ?? options.blockEveryMs) !== undefined)
    throw new UsageError(
      "--pairs, --block-ms and --block-every-ms are for 2 or more --writers, --pairs for --encrypted",
    );
  const load: AppendLoad = {
    concurrency: options.concurrency ?? CONCURRENCY_DEFAULT,
    events: options.events ?? EVENTS_DEFAULT,
    payloadBytes: options.payload,
    durability: options.durability,
  };
  if (isEncrypted) {
    const place = { store: options.store, ...(pairs !== undefined && { pairs }) };
    return benchAppendEncrypted(context, load, place);
  }
  await withTemporaryDirectory(options.store, ".varve-bench-", (directory) =>
    measureAppendsIn(directory, load, context),
  );
}

async function measureAppendsIn(directory: string, load: AppendLoad, context: CommandContext): Promise<void> {
  const progress = startProgress(context.stderr, `appending ${formatCount(load.events)} events`);
  try {
    const proto = writeBenchProto(directory);
    const store = join(directory, "store");
    await withStore({ store }, context.stderr, { schemas: [proto] }, async (open) => {
      const { figures, baseline } = await besideBaseline(directory, load.events, () => runAppendLoad(open, load));
      progress.update(() => "reading everything back");
      const fault = await findFault(open, writtenBy(load));
      progress.stop();
      const { backend, driver, direct, reason } = open.io;
      const result = { ...load, ...figures, io: backend, driver, direct, reason, baseline, fault };
      const through = `${backend}${direct ? " with O_DIRECT" : ""}`;
      await context.output.print(result, () =>
        [describe(load, figures, through), describeBaseline(baseline), describeFault(fault)].join("\n"),
      );
      if (fault !== null) context.exitCode = EXIT_FAILED;
    });
  } finally {
    progress.stop();
  }
}

function describe(load: AppendLoad, { eventsPerSecond, latencyMs }: AppendFigures, io: string): string {
  return [
    `${formatCount(eventsPerSecond)} events/s: ${formatCount(load.events)} of ${load.payloadBytes} bytes by ${load.concurrency} callers, ${load.durability}, through ${io}`,
    describeLatency(latencyMs),
  ].join("\n");
}

import type { Durability } from "../../events/index.js";
import type { AppendLoad } from "../bench-append.js";
import { besideBaseline, describeBaseline, describeFault, describeLatency } from "../bench-baseline.js";
import { writeBenchProto } from "../bench-event.js";
import type { BlockPlan } from "../bench-writer.js";
import { measureWriters, type WritersFigures, type WritersPlan } from "../bench-writers.js";
import { EXIT_FAILED, UsageError } from "../failure.js";
import type { PeerKind } from "../peer.js";
import type { CommandContext } from "../program.js";
import { formatCount, startProgress } from "../progress.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

export interface BenchAppendOptions {
  readonly concurrency?: number;
  readonly events?: number;
  readonly payload: number;
  readonly durability: Durability;
  readonly writers: number;
  readonly kind: PeerKind;
  readonly pairs?: number;
  readonly blockMs?: number;
  readonly blockEveryMs?: number;
  readonly encrypted?: true;
  readonly store: string;
}

const CONCURRENCY_DEFAULT = 1_000;
const EVENTS_DEFAULT = 1_000_000;

/** `varve bench append` with several writers. */
export async function benchAppendWriters(context: CommandContext, options: BenchAppendOptions): Promise<void> {
  const plan = planOf(options);
  await withTemporaryDirectory(options.store, ".varve-bench-", async (directory, signal) => {
    const progress = startProgress(context.stderr, "opening");
    try {
      const place = {
        directory,
        proto: writeBenchProto(directory),
        signal,
        onRun: (run: number) => progress.update(() => `run ${run} of ${2 * plan.pairs}`),
      };
      const { writers, kind, load } = plan;
      const { figures, baseline } = await besideBaseline(directory, load.events, () => measureWriters(plan, place));
      progress.stop();
      const { io, fault, ...rest } = figures;
      const events = load.events * writers;
      const result = { ...load, events, writers, kind, block: plan.block, ...rest, ...io, baseline, fault };
      await context.output.print(
        result,
        () => `${describe(plan, figures)}\n${describeBaseline(baseline)}\n${describeFault(fault)}`,
      );
      if (fault !== null) context.exitCode = EXIT_FAILED;
    } finally {
      progress.stop();
    }
  });
}

function planOf(options: BenchAppendOptions): WritersPlan {
  const { durability, kind, pairs = 1, payload, writers } = options;
  if (durability !== "sync" && durability !== "group")
    throw new UsageError("several writers are measured by what is acknowledged as durable: --durability sync or group");
  const load: AppendLoad = {
    concurrency: options.concurrency ?? CONCURRENCY_DEFAULT,
    events: Math.ceil((options.events ?? EVENTS_DEFAULT) / writers),
    payloadBytes: payload,
    durability,
  };
  return { writers, kind, pairs, load, block: blockOf(options) };
}

function blockOf({ blockMs, blockEveryMs }: BenchAppendOptions): BlockPlan | null {
  if (blockMs === undefined) {
    if (blockEveryMs !== undefined) throw new UsageError("--block-every-ms goes with --block-ms");
    return null;
  }
  const everyMs = blockEveryMs ?? 2 * blockMs;
  if (everyMs <= blockMs) throw new UsageError("--block-every-ms must be more than --block-ms");
  return { blockMs, everyMs };
}

function describe({ writers, kind, load, pairs, block }: WritersPlan, figures: WritersFigures): string {
  const { io, direct } = figures.io;
  const runs = pairs === 1 ? "" : `, median of ${pairs}`;
  const kinds = kind === "thread" ? "threads" : "processes";
  const lines = [
    `${formatCount(figures.eventsPerSecond)} events/s: ${writers} ${kinds} on one store${runs}, ${formatCount(load.events)} events of ${load.payloadBytes} bytes by ${load.concurrency} callers each, ${load.durability}, through ${io}${direct ? " with O_DIRECT" : ""}`,
    `${formatCount(figures.independentEventsPerSecond)} events/s on a store each; the ratio is ${figures.ratio.toFixed(3)}`,
    describeLatency(figures.latencyMs),
    ...figures.perWriter.map(
      ({ eventsPerSecond, latencyMs }, writer) =>
        `writer ${writer}: ${formatCount(eventsPerSecond)} events/s, ${describeLatency(latencyMs)}`,
    ),
  ];
  if (block !== null && figures.others !== null) {
    const how = `while writer 0 is busy for ${block.blockMs} ms of every ${block.everyMs} ms`;
    lines.push(`the others ${how}: ${describeLatency(figures.others.latencyMs)}`);
  }
  return lines.join("\n");
}

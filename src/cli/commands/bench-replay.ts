import { rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { jsonOption, wholeNumber } from "../arguments.js";
import {
  type GraphSize,
  measureMemory,
  measureReadAll,
  type Rate,
  REPLAY_STREAM,
  rateOf,
  writeReplayLog,
} from "../bench-replay.js";
import { EXIT_FAILED, UsageError } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, type Progress, startProgress } from "../progress.js";
import { withReader, withStore } from "../stores.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchReplayOptions {
  readonly nodes: number;
  readonly edges: number;
  readonly store?: string;
}

interface ReplayFigures {
  readonly readAll: Rate;
  readonly replay: Rate;
  readonly bytesPerEntity: number;
  /** What is wrong with the graph, or null. */
  readonly fault: string | null;
}

const DETAILS = `
Writes a log of one event per node and edge, then reads it without decoding payloads, replays it into a graph and weighs
the graph. The store is a temporary one in the current directory that is removed afterwards, unless --store names one to
keep; a log that is there from an earlier run is used again.`;

export function benchReplayCommand(context: CommandContext): Command {
  const summary = "measure reading the log, replaying it into the graph, and the graph's memory";
  return new Command("replay")
    .summary(summary)
    .description(summary)
    .option("--nodes <n>", "nodes to write", wholeNumber(1), 1_000_000)
    .option("--edges <m>", "edges to write", wholeNumber(0), 3_000_000)
    .option("--store <dir>", "keep the store there, and use it again")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action((options: BenchReplayOptions) => measureReplay(context, options));
}

async function measureReplay(context: CommandContext, options: BenchReplayOptions): Promise<void> {
  const size: GraphSize = { nodes: options.nodes, edges: options.edges };
  if (options.store !== undefined) await measureReplayIn(options.store, size, context);
  else await withTemporaryDirectory(".", ".varve-bench-", (directory) => measureReplayIn(directory, size, context));
}

async function measureReplayIn(store: string, size: GraphSize, context: CommandContext): Promise<void> {
  const progress = startProgress(context.stderr, "writing the log");
  try {
    await writeLog(context, store, size, progress);
    const figures = await readLog(store, size, progress);
    progress.stop();
    await context.output.print({ ...size, ...figures }, () => describe(size, figures));
    if (figures.fault !== null) context.exitCode = EXIT_FAILED;
  } finally {
    progress.stop();
  }
}

async function writeLog({ stderr }: CommandContext, store: string, size: GraphSize, progress: Progress): Promise<void> {
  const total = size.nodes + size.edges;
  await withStore({ store }, stderr, {}, async (open) => {
    if (open.watermark === total && (await open.streamVersion(REPLAY_STREAM)) === total) return;
    if (open.watermark > 0) throw new UsageError(`${store} holds something else than such a log of ${total} events`);
    await writeReplayLog(open, size, (events) =>
      progress.update(() => `writing the log: ${formatCount(events)} of ${formatCount(total)} events`),
    );
  });
  // The graph is to be built from the log; a state that somebody saved beside it would spare the work.
  rmSync(join(store, "projections"), { recursive: true, force: true });
}

function readLog(store: string, size: GraphSize, progress: Progress): Promise<ReplayFigures> {
  const total = size.nodes + size.edges;
  return withReader({ store }, [], async (reader) => {
    progress.update(() => "reading the log");
    const { lastLsn, ...readAll } = await measureReadAll(reader);
    const before = await measureMemory();
    progress.update(() => "replaying the log into the graph");
    const startedMs = performance.now();
    const graph = await reader.graph();
    const replay = rateOf(total, performance.now() - startedMs);
    const bytesPerEntity = ((await measureMemory()) - before) / total;
    const { nodes, edges } = graph.counts;
    const isWhole = lastLsn === total && nodes === size.nodes && edges === size.edges && graph.rejectedCount === 0;
    const fault = isWhole ? null : `the graph holds ${nodes} nodes and ${edges} edges, ${graph.rejectedCount} rejected`;
    return { readAll, replay, bytesPerEntity: Math.round(bytesPerEntity * 10) / 10, fault };
  });
}

function describe({ nodes, edges }: GraphSize, { readAll, replay, bytesPerEntity, fault }: ReplayFigures): string {
  return [
    `${formatCount(nodes)} nodes and ${formatCount(edges)} edges`,
    `${formatCount(readAll.eventsPerSecond)} events/s read, payloads not decoded`,
    `${formatCount(replay.eventsPerSecond)} events/s from the log into the graph`,
    `${bytesPerEntity.toFixed(1)} bytes of memory per node or edge`,
    ...(fault === null ? [] : [`WRONG: ${fault}`]),
  ].join("\n");
}

import { Command } from "commander";
import { jsonOption, wholeNumber } from "../arguments.js";
import {
  appendCorrections,
  type GraphPeerReport,
  type GraphPeerTask,
  type GraphReadFigures,
  indexNames,
  measureReads,
  readerOf,
} from "../bench-graph.js";
import { type GraphSize, measureMemory, rateOf, writeReplayLog } from "../bench-replay.js";
import { EXIT_FAILED } from "../failure.js";
import { Peer } from "../peer.js";
import type { CommandContext } from "../program.js";
import { formatCount, type Progress, startProgress } from "../progress.js";
import { withReader, withStore } from "../stores.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface GraphFigures {
  readonly replayEventsPerSecond: number;
  readonly bytesPerEntity: number;
  /** With five corrections of a past day of every tenth entity. */
  readonly correctedBytesPerEntity: number;
  /** From asking for the graph of a closed store, which has a checkpoint, to the first answer. */
  readonly checkpointLoadMs: number;
  readonly asOfNs: number;
  readonly hops3Us: number;
  readonly findUs: number;
  readonly peers: Readonly<Record<GraphPeerTask["kind"], GraphPeerReport>>;
  /** What is wrong with the graph, or null. */
  readonly fault: string | null;
}

const DETAILS = `
Writes a log of one event per node and edge into a temporary store in the current directory, replays it into the graph, asks the graph, corrects a
past day of every tenth entity five times, saves the graph's checkpoint and loads it. The peers are the same nodes and edges in a Map of objects and
in graphology (where it is installed), each in a process of its own; they know no times. Reads are of nodes all over the graph; each figure is
the median, and every kind of answer is checked before it is timed.`;

export function benchGraphCommand(context: CommandContext): Command {
  const summary = "measure the graph: replay, memory, loading, and reads beside other graphs in memory";
  return new Command("graph")
    .summary(summary)
    .description(summary)
    .option("--nodes <n>", "nodes to write", wholeNumber(1), 1_000_000)
    .option("--edges <m>", "edges to write", wholeNumber(0), 3_000_000)
    .option("--no-peers", "leave the other graphs out")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action(async ({ nodes, edges, peers }: GraphSize & { readonly peers: boolean }) => {
      const progress = startProgress(context.stderr, "writing the log");
      try {
        const size = { nodes, edges };
        const figures = await withTemporaryDirectory(".", ".varve-bench-", (directory, signal) =>
          measureGraph(context, { store: directory, size, hasPeers: peers, signal }, progress),
        );
        progress.stop();
        await context.output.print({ ...size, ...figures }, () => describe(size, figures));
        if (figures.fault !== null) context.exitCode = EXIT_FAILED;
      } finally {
        progress.stop();
      }
    });
}

interface GraphPlan {
  readonly store: string;
  readonly size: GraphSize;
  readonly hasPeers: boolean;
  readonly signal: AbortSignal;
}

async function measureGraph(
  { stderr }: CommandContext,
  { store, size, hasPeers, signal }: GraphPlan,
  progress: Progress,
): Promise<GraphFigures> {
  const total = size.nodes + size.edges;
  await withStore({ store }, stderr, {}, (open) =>
    writeReplayLog(open, size, (events) =>
      progress.update(() => `writing the log: ${formatCount(events)} of ${formatCount(total)} events`),
    ),
  );
  progress.update(() => "replaying the log into the graph");
  const replayed = await measureReplayed(store, size);
  progress.update(() => "correcting the graph");
  const corrected = await withStore({ store }, stderr, {}, async (open) => {
    const corrections = await appendCorrections(open, size);
    await open.graph();
    await open.checkpoint();
    return corrections;
  });
  progress.update(() => "loading the graph's checkpoint");
  const { checkpointLoadMs, correctedBytesPerEntity, rejected } = await measureLoaded(store, size);
  progress.update(() => "asking other graphs");
  const peers = {
    map: hasPeers ? await askPeer("map", size, signal) : NO_PEER,
    graphology: hasPeers ? await askPeer("graphology", size, signal) : NO_PEER,
  };
  const fault = replayed.fault ?? (rejected === 0 ? null : `${rejected} of ${corrected} corrections were rejected`);
  const { nodeNs, ...reads } = replayed.reads;
  const { replayEventsPerSecond, bytesPerEntity } = replayed;
  const memory = { bytesPerEntity, correctedBytesPerEntity };
  return { replayEventsPerSecond, ...memory, checkpointLoadMs, asOfNs: nodeNs, ...reads, peers, fault };
}

const NO_PEER: GraphPeerReport = { fault: "was not asked" };
const NO_READS: GraphReadFigures = { nodeNs: Number.NaN, hops3Us: Number.NaN, findUs: Number.NaN };

interface Replayed {
  readonly replayEventsPerSecond: number;
  readonly bytesPerEntity: number;
  readonly reads: GraphReadFigures;
  readonly fault: string | null;
}

function measureReplayed(store: string, size: GraphSize): Promise<Replayed> {
  const total = size.nodes + size.edges;
  return withReader({ store }, [], async (reader) => {
    const before = await measureMemory();
    const startedMs = performance.now();
    const graph = await reader.graph();
    const { eventsPerSecond: replayEventsPerSecond } = rateOf(total, performance.now() - startedMs);
    const bytesPerEntity = oneDecimal(((await measureMemory()) - before) / total);
    const { nodes, edges } = graph.counts;
    const isWhole = nodes === size.nodes && edges === size.edges && graph.rejectedCount === 0;
    await indexNames(graph, size);
    const reads = measureReads(readerOf(graph.asOf()), size);
    const wrongCounts = isWhole ? null : `the graph holds ${nodes} nodes and ${edges} edges`;
    if (typeof reads === "string") return { replayEventsPerSecond, bytesPerEntity, reads: NO_READS, fault: reads };
    return { replayEventsPerSecond, bytesPerEntity, reads, fault: wrongCounts };
  });
}

function measureLoaded(
  store: string,
  size: GraphSize,
): Promise<Pick<GraphFigures, "checkpointLoadMs" | "correctedBytesPerEntity"> & { readonly rejected: number }> {
  return withReader({ store }, [], async (reader) => {
    const before = await measureMemory();
    const startedMs = performance.now();
    const graph = await reader.graph();
    const answer = graph.asOf().node(1);
    const checkpointLoadMs = Math.round(performance.now() - startedMs);
    const correctedBytesPerEntity = oneDecimal(((await measureMemory()) - before) / (size.nodes + size.edges));
    const rejected = answer === undefined ? size.nodes : graph.rejectedCount;
    return { checkpointLoadMs, correctedBytesPerEntity, rejected };
  });
}

async function askPeer(kind: GraphPeerTask["kind"], size: GraphSize, signal: AbortSignal): Promise<GraphPeerReport> {
  const module = new URL("../bench-graph-peer.js", import.meta.url);
  const peer = new Peer<GraphPeerTask, never, GraphPeerReport>("process", module, { kind, size }, signal);
  try {
    const report = await peer.next();
    await peer.finish();
    return report;
  } finally {
    await peer.kill();
  }
}

function oneDecimal(value: number): number {
  return Math.round(value * 10) / 10;
}

function describe({ nodes, edges }: GraphSize, figures: GraphFigures): string {
  const { asOfNs, hops3Us, findUs, peers } = figures;
  const reads = (nodeNs: number, hopsUs: number, foundUs: number): string =>
    `a node ${nodeNs} ns, 3 hops ${hopsUs.toFixed(1)} µs, a find ${foundUs.toFixed(2)} µs`;
  return [
    `${formatCount(nodes)} nodes and ${formatCount(edges)} edges`,
    `${formatCount(figures.replayEventsPerSecond)} events/s from the log into the graph`,
    `${figures.bytesPerEntity} bytes per node or edge; ${figures.correctedBytesPerEntity} with 5 corrections of every tenth`,
    `${figures.checkpointLoadMs} ms from a closed store with a checkpoint to the first answer`,
    reads(asOfNs, hops3Us, findUs),
    ...Object.entries(peers).map(([kind, report]) =>
      report.fault === null
        ? `${kind}: ${reads(report.nodeNs, report.hops3Us, report.findUs)}, ${report.bytesPerEntity} bytes`
        : `${kind}: ${report.fault}`,
    ),
    ...(figures.fault === null ? [] : [`WRONG: ${figures.fault}`]),
  ].join("\n");
}

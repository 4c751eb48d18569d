/**
 * The append benchmark with several writers: all on one store, and each on a store of its own, in turn. The one is judged by
 * the other, for the machine and its disk are the same and the code is the same.
 *
 * The process that asks for the measurement sleeps while it runs.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { type AckCounts, commonRate } from "./ack-timeline.js";
import { type AppendLoad, findFault, writtenBy } from "./bench-append.js";
import type { BlockPlan, WriterIo, WriterOrder, WriterReport, WriterTask } from "./bench-writer.js";
import { type LatencyCounts, LatencyHistogram, type LatencySummary } from "./latency-histogram.js";
import { Peer, type PeerKind } from "./peer.js";
import { median } from "./quantiles.js";
import { withReader } from "./stores.js";

export interface WritersPlan {
  readonly writers: number;
  readonly kind: PeerKind;
  readonly pairs: number;
  /** Of each writer. */
  readonly load: AppendLoad;
  /** How writer 0 blocks its event loop, if it does. */
  readonly block: BlockPlan | null;
}

export interface WritersPlace {
  /** Where stores are made and removed. */
  readonly directory: string;
  readonly proto: string;
  /** Ends the writers. */
  readonly signal: AbortSignal;
  readonly onRun: (run: number) => void;
}

export interface WritersFigures {
  /** Of all writers on one store together; median of the pairs. */
  readonly eventsPerSecond: number;
  /** Of as many writers with a store each. */
  readonly independentEventsPerSecond: number;
  /** Median of the pairs' ratios: the machine's speed moves, and moves both parts of a pair. */
  readonly ratio: number;
  /** In which all writers ran; median of the pairs. */
  readonly seconds: number;
  /** Here and below: on one store, in all pairs. */
  readonly latencyMs: LatencySummary;
  readonly pairs: readonly { readonly shared: number; readonly independent: number }[];
  readonly perWriter: readonly { readonly eventsPerSecond: number; readonly latencyMs: LatencySummary }[];
  /** All writers but the one that blocks its event loop; null when none does. */
  readonly others: { readonly latencyMs: LatencySummary } | null;
  readonly io: WriterIo;
  /** What is wrong with what was read back, or null. */
  readonly fault: string | null;
}

type Mode = "shared" | "independent";

interface WritersRun {
  readonly seconds: number;
  readonly rates: readonly number[];
  readonly latencies: readonly LatencyCounts[];
  readonly io: WriterIo;
  readonly fault: string | null;
}

type Writer = Peer<WriterTask, WriterOrder, WriterReport>;

/** Measures the pairs one after the other, and checks every store once it is written. */
export async function measureWriters(plan: WritersPlan, place: WritersPlace): Promise<WritersFigures> {
  const runs: Record<Mode, WritersRun[]> = { shared: [], independent: [] };
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    // Who comes second finds the disk as the first has left it, so they take turns.
    const order: readonly Mode[] = pair % 2 === 0 ? ["shared", "independent"] : ["independent", "shared"];
    for (const mode of order) {
      place.onRun(runs.shared.length + runs.independent.length + 1);
      runs[mode].push(await runAndCheck(plan, place, mode));
    }
  }
  return figuresOf(plan, runs.shared, runs.independent);
}

async function runAndCheck(plan: WritersPlan, place: WritersPlace, mode: Mode): Promise<WritersRun> {
  const { concurrency } = plan.load;
  const stores = Array.from({ length: mode === "shared" ? 1 : plan.writers }, (_, index) =>
    join(place.directory, `${mode}-${index}`),
  );
  const tasks = Array.from({ length: plan.writers }, (_, writer) => ({
    store: stores[mode === "shared" ? 0 : writer] as string,
    proto: place.proto,
    load: plan.load,
    firstCaller: writer * concurrency,
    block: writer === 0 ? plan.block : null,
  }));
  try {
    const run = await runWriters(plan.kind, place.signal, tasks);
    let fault: string | null = null;
    for (const [index, store] of stores.entries()) {
      const written = writtenBy(plan.load, plan.writers / stores.length, index * concurrency);
      fault ??= await withReader({ store }, [place.proto], (reader) => findFault(reader, written));
    }
    return { ...run, fault };
  } finally {
    for (const store of stores) rmSync(store, { recursive: true, force: true });
  }
}

async function runWriters(
  kind: PeerKind,
  signal: AbortSignal,
  tasks: readonly WriterTask[],
): Promise<Omit<WritersRun, "fault">> {
  const module = new URL("./bench-writer.js", import.meta.url);
  const writers: readonly Writer[] = tasks.map((task) => new Peer(kind, module, task, signal));
  try {
    const ready = await Promise.all(writers.map((writer) => next(writer, "ready")));
    for (const writer of writers) writer.send("start");
    const done = await Promise.all(writers.map((writer) => next(writer, "done")));
    for (const writer of writers) writer.send("close");
    await Promise.all(writers.map((writer) => writer.finish()));
    const { seconds, eventsPerSecond } = commonRate(done.map(({ acks }): AckCounts => acks));
    return {
      seconds,
      rates: eventsPerSecond,
      latencies: done.map(({ latencies }) => latencies),
      io: (ready[0] as { readonly io: WriterIo }).io,
    };
  } finally {
    await Promise.all(writers.map((writer) => writer.kill()));
  }
}

async function next<Kind extends WriterReport["kind"]>(
  writer: Writer,
  kind: Kind,
): Promise<Extract<WriterReport, { kind: Kind }>> {
  const report = await writer.next();
  if (report.kind !== kind) throw new Error(`a writer says ${report.kind} and not ${kind}`);
  return report as Extract<WriterReport, { kind: Kind }>;
}

function figuresOf(
  plan: WritersPlan,
  shared: readonly WritersRun[],
  independent: readonly WritersRun[],
): WritersFigures {
  const pairs = shared.map((run, pair) => ({
    shared: sumOf(run.rates),
    independent: sumOf((independent[pair] as WritersRun).rates),
  }));
  const latenciesOf = (writers: readonly number[]): LatencySummary =>
    summaryOf(shared.flatMap(({ latencies }) => writers.map((writer) => latencies[writer] as LatencyCounts)));
  const everyone = Array.from({ length: plan.writers }, (_, writer) => writer);
  return {
    eventsPerSecond: Math.round(median(pairs.map((pair) => pair.shared))),
    independentEventsPerSecond: Math.round(median(pairs.map((pair) => pair.independent))),
    ratio: Math.round(median(pairs.map((pair) => pair.shared / pair.independent)) * 1_000) / 1_000,
    seconds: median(shared.map(({ seconds }) => seconds)),
    latencyMs: latenciesOf(everyone),
    pairs: pairs.map((pair) => ({ shared: Math.round(pair.shared), independent: Math.round(pair.independent) })),
    perWriter: everyone.map((writer) => ({
      eventsPerSecond: Math.round(median(shared.map(({ rates }) => rates[writer] as number))),
      latencyMs: latenciesOf([writer]),
    })),
    others: plan.block === null ? null : { latencyMs: latenciesOf(everyone.slice(1)) },
    io: (shared[0] as WritersRun).io,
    fault: [...shared, ...independent].find(({ fault }) => fault !== null)?.fault ?? null,
  };
}

function sumOf(rates: readonly number[]): number {
  return rates.reduce((sum, rate) => sum + rate, 0);
}

function summaryOf(latencies: readonly LatencyCounts[]): LatencySummary {
  const histogram = new LatencyHistogram();
  for (const counts of latencies) histogram.add(counts);
  return histogram.summary();
}

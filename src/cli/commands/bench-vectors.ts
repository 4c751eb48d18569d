import { Command, InvalidArgumentError, Option } from "commander";
import type { EventInput } from "../../events/index.js";
import type { VectorStorage } from "../../index.js";
import { AppendWindow } from "../append-window.js";
import { jsonOption, wholeNumber } from "../arguments.js";
import {
  ClusteredVectors,
  cpuUsEach,
  definitionOf,
  type IndexFigures,
  measureSearches,
  measureUsearch,
  perSecond,
  RECALLED,
  VECTOR_LABEL,
  VECTOR_PROPERTY,
  type VectorSet,
} from "../bench-vectors.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";
import { formatCount, type Progress, startProgress } from "../progress.js";
import { withReader, withStore } from "../stores.js";
import { withTemporaryDirectory } from "../temporary-directory.js";

interface BenchVectorsOptions extends VectorSet {
  readonly storage: VectorStorage | "both";
  readonly store: string;
}

interface StorageFigures extends IndexFigures {
  readonly usearch: IndexFigures;
  /** How much longer inserting takes than by usearch alone, from the log to the index that answers: 0.1 is a tenth. */
  readonly addedShare: number;
  /** The same of the processor's time. */
  readonly addedCpuShare: number;
  /** What is wrong, or null. */
  readonly fault: string | null;
}

const DETAILS = `
Writes one node for each vector into a temporary store below --dir, and measures from asking for its graph to the index that answers: reading the log,
applying it, and inserting. Beside it, in the same run, usearch alone inserts the same vectors with the same settings and batches: cosine,
connectivity 16, expansions 128 and 64, one thread. Recall is of the ten nearest, against comparing each query with all vectors.

The vectors are clustered: --clusters centres of normally distributed numbers, around each of which vectors lie at --spread times such numbers, scaled
to length 1; queries are such vectors, too. The seed makes them the same ones again.`;

export function benchVectorsCommand(context: CommandContext): Command {
  const summary = "measure vectors: inserting beside usearch alone, and finding the nearest";
  return new Command("vectors")
    .summary(summary)
    .description(summary)
    .option("--vectors <n>", "vectors to write", wholeNumber(1), 100_000)
    .option("--dimensions <n>", "numbers of each", wholeNumber(1), 384)
    .option("--clusters <n>", "centres", wholeNumber(1), 1_000)
    .option("--spread <s>", "how far around their centres they lie", spreadOf, 0.7)
    .option("--seed <n>", "which vectors", wholeNumber(0), 1)
    .option("--queries <n>", "questions to ask", wholeNumber(1), 200)
    .addOption(new Option("--storage <storage>", "of the index").choices(["f32", "i8", "both"]).default("both"))
    .option("--dir, --store <dir>", "where to make the store", ".")
    .addOption(jsonOption())
    .addHelpText("after", DETAILS)
    .action(async ({ storage, store, ...options }: BenchVectorsOptions) => {
      const { vectors, dimensions, clusters, spread, seed, queries } = options;
      const set: VectorSet = { vectors, dimensions, clusters, spread, seed, queries };
      const progress = startProgress(context.stderr, "making the vectors");
      try {
        const measured = await withTemporaryDirectory(store, ".varve-bench-", (directory) =>
          measure(context, { store: directory, set, storage }, progress),
        );
        progress.stop();
        const fault = Object.values(measured).find((figures) => figures.fault !== null)?.fault ?? null;
        await context.output.print({ ...set, ...measured, fault }, () => describe(set, measured));
        if (fault !== null) context.exitCode = EXIT_FAILED;
      } finally {
        progress.stop();
      }
    });
}

function spreadOf(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= 100))
    throw new InvalidArgumentError("It must be above 0, and at most 100.");
  return value;
}

type Measured = Partial<Record<VectorStorage, StorageFigures>>;

interface VectorPlan {
  readonly store: string;
  readonly set: VectorSet;
  readonly storage: VectorStorage | "both";
}

async function measure(context: CommandContext, plan: VectorPlan, progress: Progress): Promise<Measured> {
  const { store, set, storage } = plan;
  const data = new ClusteredVectors(set);
  progress.update(() => "comparing each query with all vectors");
  const truth = data.nearestByComparing();
  progress.update(() => "writing the log");
  await withStore({ store }, context.stderr, {}, (open) => writeLog(open, data));
  const measured: Measured = {};
  let former: VectorStorage | null = null;
  for (const each of storage === "both" ? (["f32", "i8"] as const) : [storage]) {
    // By events, and not through the graph: its checkpoint would be what is read then.
    await withStore({ store }, context.stderr, {}, (open) => define(open, set, each, former !== null));
    former = each;
    progress.update(() => `inserting by usearch alone, ${each}`);
    const usearch = measureUsearch(data, each, truth);
    progress.update(() => `inserting into the graph, ${each}`);
    measured[each] = await measureGraph(store, data, truth, usearch);
  }
  return measured;
}

const STREAM = "bench-vectors";
const EVENTS_PER_APPEND = 100;
const APPENDS_IN_FLIGHT_MAX = 16;

/** What writing needs of a store. */
interface WritableStore {
  append(
    stream: string,
    events: readonly EventInput[],
    options: { readonly durability: "group" },
  ): Promise<{ readonly lsn: number }>;
}

async function writeLog(store: WritableStore, data: ClusteredVectors): Promise<void> {
  const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
  for (let from = 0; from < data.set.vectors; from += EVENTS_PER_APPEND) {
    const count = Math.min(EVENTS_PER_APPEND, data.set.vectors - from);
    const events = Array.from({ length: count }, (_, at) => ({
      type: "varve.v1.NodeCreated",
      data: {
        id: from + at + 1,
        label: VECTOR_LABEL,
        properties: { [VECTOR_PROPERTY]: data.vector(from + at) },
        validFrom: 0,
      },
    }));
    await window.whenRoom();
    window.add(store.append(STREAM, events, { durability: "group" }), count, (error) => error);
  }
  await window.whenEmpty();
}

async function define(store: WritableStore, set: VectorSet, storage: VectorStorage, isDefined: boolean): Promise<void> {
  const { label, property, ...settings } = definitionOf(set, storage);
  const removed = { type: "varve.v1.GraphVectorsRemoved", data: { label, property } };
  const defined = { type: "varve.v1.GraphVectorsDefined", data: { label, property, ...settings } };
  await store.append("graph", isDefined ? [removed, defined] : [defined], { durability: "group" });
}

function measureGraph(
  store: string,
  data: ClusteredVectors,
  truth: readonly ReadonlySet<number>[],
  usearch: IndexFigures,
): Promise<StorageFigures> {
  const { vectors } = data.set;
  return withReader({ store }, [], async (reader) => {
    const startedMs = performance.now();
    const startedCpu = process.cpuUsage();
    const graph = await reader.graph();
    const { count } = await graph.openVectors({ label: VECTOR_LABEL, property: VECTOR_PROPERTY });
    const insertsPerSecond = perSecond(vectors, startedMs);
    const insertCpuUs = cpuUsEach(vectors, startedCpu);
    const view = graph.asOf();
    const reference = { label: VECTOR_LABEL, property: VECTOR_PROPERTY };
    const searched = measureSearches(data, truth, (vector) =>
      view.nearest({ ...reference, vector, k: RECALLED }).map(({ id }) => id - 1),
    );
    const addedShare = usearch.insertsPerSecond / insertsPerSecond - 1;
    const addedCpuShare = insertCpuUs / usearch.insertCpuUs - 1;
    const isWhole = count === vectors && graph.rejectedCount === 0;
    const fault = isWhole ? null : `the index holds ${count} vectors, and ${graph.rejectedCount} events were rejected`;
    return { insertsPerSecond, insertCpuUs, ...searched, usearch, addedShare, addedCpuShare, fault };
  });
}

function describe(set: VectorSet, measured: Measured): string {
  const { vectors, dimensions, clusters, spread } = set;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const one = ({ insertsPerSecond, insertCpuUs, searchesPerSecond, recallAt10 }: IndexFigures): string =>
    `${formatCount(insertsPerSecond)} inserts/s (${insertCpuUs} µs of processor), ${formatCount(searchesPerSecond)} searches/s, recall@10 ${recallAt10.toFixed(4)}`;
  return [
    `${formatCount(vectors)} vectors of ${dimensions} dimensions around ${formatCount(clusters)} centres, spread ${spread}`,
    ...Object.entries(measured).flatMap(([storage, figures]) => [
      `${storage}: ${one(figures)}; inserting takes ${percent(figures.addedShare)} more than usearch alone, ${percent(figures.addedCpuShare)} of processor`,
      `${storage}, usearch alone: ${one(figures.usearch)}`,
      ...(figures.fault === null ? [] : [`WRONG: ${figures.fault}`]),
    ]),
  ].join("\n");
}

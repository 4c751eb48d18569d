/**
 * The graph by itself: how fast events that are ready in memory are applied, what they cost in memory, and how fast it answers.
 *
 *     node --expose-gc build/bench/graph.bench.js [--nodes 1000000] [--edges 3000000] [--rounds 3]
 *
 * Every answer is checked before it is timed. Prints one JSON object.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { encodeGraphEvent } from "../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../src/projections/graph/graph-state.js";
import type { RawEvent } from "../src/projections/graph/raw-event.js";
import { seededRandom } from "../test/support/seeded-random.js";

const BATCH_EVENTS = 1000;
const HINT_EVENTS = 64;
const READS = 200_000;
const T0 = 1_700_000_000_000_000;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1000000" },
    edges: { type: "string", default: "3000000" },
    rounds: { type: "string", default: "3" },
  },
});
const nodes = Number(values.nodes);
const edges = Number(values.edges);
const random = seededRandom(1);
const collect = globalThis.gc;
if (collect === undefined) throw new Error("run with node --expose-gc");

/** The payloads of a whole graph in one buffer, as a log segment would hold them, behind one event that moves over them. */
class Feed {
  readonly #bytes: Uint8Array;
  readonly #ends: Float64Array;

  constructor() {
    const parts: Uint8Array[] = [];
    this.#ends = new Float64Array(nodes + edges);
    let end = 0;
    for (let index = 0; index < nodes + edges; index += 1) {
      const payload = index < nodes ? nodePayload(index + 1) : edgePayload(index - nodes + 1);
      parts.push(payload);
      end += payload.length;
      this.#ends[index] = end;
    }
    this.#bytes = new Uint8Array(Buffer.concat(parts));
  }

  get payloadBytes(): number {
    return this.#bytes.length;
  }

  /** Batch by batch, as the log's reader hands them over, with the hints that the projection runner gives. */
  applyAll(state: GraphState): void {
    for (let first = 0; first < nodes + edges; first += BATCH_EVENTS) {
      const batch: RawEvent[] = [];
      for (let index = first; index < Math.min(first + BATCH_EVENTS, nodes + edges); index += 1) {
        batch.push(this.#event(index));
      }
      for (const [index, event] of batch.entries()) {
        if (index % HINT_EVENTS === 0) state.prepare(batch, index, Math.min(index + HINT_EVENTS, batch.length));
        state.apply(event);
      }
    }
  }

  #event(index: number): RawEvent {
    return {
      lsn: index + 1,
      recordedAt: T0 + Math.floor(index / BATCH_EVENTS) * 500,
      type: index < nodes ? "varve.v1.NodeCreated" : "varve.v1.EdgeCreated",
      stream: "graph",
      version: index + 1,
      bytes: this.#bytes,
      payloadStart: index === 0 ? 0 : (this.#ends[index - 1] as number),
      payloadEnd: this.#ends[index] as number,
    };
  }
}

function nodePayload(id: number): Uint8Array {
  return encodeGraphEvent("varve.v1.NodeCreated", {
    id,
    label: id % 10 === 0 ? "Company" : "Person",
    properties: { name: `name ${id}`, age: id % 100 },
    validFrom: T0 - 1_000_000 * (id % 1000),
  });
}

function edgePayload(id: number): Uint8Array {
  return encodeGraphEvent("varve.v1.EdgeCreated", {
    id,
    label: id % 2 === 0 ? "KNOWS" : "WORKS_AT",
    properties: { weight: id % 50 },
    source: 1 + random.integer(nodes),
    target: 1 + random.integer(nodes),
    validFrom: T0,
  });
}

function memoryBytes(): number {
  collect?.();
  collect?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}

function require(holds: boolean, what: string): void {
  if (!holds) throw new Error(`wrong answer: ${what}`);
}

/** ns per call, the median of five runs. */
function timed(calls: number, body: (index: number) => number): number {
  const runs: number[] = [];
  let sink = 0;
  for (let run = 0; run < 5; run += 1) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < calls; index += 1) sink += body(index);
    runs.push(Number(process.hrtime.bigint() - start) / calls);
  }
  require(sink !== 0, "nothing was read");
  return Math.round(median(runs));
}

const feed = new Feed();
const replays: number[] = [];
let state = new GraphState();
let bytes = 0;
for (let round = 0; round < Number(values.rounds); round += 1) {
  state = new GraphState();
  const before = memoryBytes();
  const start = performance.now();
  feed.applyAll(state);
  replays.push(((nodes + edges) / (performance.now() - start)) * 1000);
  bytes = memoryBytes() - before;
  require(state.counts.nodes === nodes && state.counts.edges === edges && state.rejectedCount === 0, "replay");
}

const view = state.asOf();
require(view.node(10)?.label === "Company" && view.node(10)?.properties["name"] === "name 10", "node 10");
let ends = 0;
for (let id = 1; id <= 1000; id += 1) {
  for (const edge of view.edges(id, { direction: "out" })) {
    require(edge.source === id && view.node(edge.target) !== undefined, `edges of node ${id}`);
    ends += 1;
  }
}
require(nodes < 1000 || Math.abs(ends / 1000 / (edges / nodes) - 1) < 0.2, "edges per node");

const hops = (id: number): number => {
  let count = 0;
  for (const step of view.traverse(id, { direction: "out", maxDepth: 3 })) count += step.depth === 0 ? 0 : 1;
  return count;
};
let steps = 0;
for (let id = 1; id <= 1000; id += 1) steps += hops(((id * 7919) % nodes) + 1);

const encodeMs: number[] = [];
const decodeMs: number[] = [];
let checkpointBytes = 0;
for (let round = 0; round < 3; round += 1) {
  let start = performance.now();
  const chunks = Array.from(state.encode(), (chunk) => new Uint8Array(chunk));
  encodeMs.push(performance.now() - start);
  checkpointBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  start = performance.now();
  const decoded = GraphState.decode(chunks);
  decodeMs.push(performance.now() - start);
  require(decoded.asOf().node(nodes)?.properties["name"] === `name ${nodes}`, "decoded");
}

const findMs: number[] = [];
for (let round = 0; round < 3; round += 1) {
  const start = performance.now();
  const found = [...view.find({ label: "Person", where: { name: `name ${nodes - 1}` } })];
  findMs.push(performance.now() - start);
  require(found.length === 1, "find");
}

console.log(
  JSON.stringify(
    {
      machine: `${cpus().length} × ${cpus()[0]?.model}, Node ${process.versions.node}`,
      nodes,
      edges,
      replayEventsPerSecond: Math.round(median(replays)),
      replays: replays.map(Math.round),
      bytesPerEntity: Math.round((bytes / (nodes + edges)) * 10) / 10,
      payloadBytesPerEntity: Math.round((feed.payloadBytes / (nodes + edges)) * 10) / 10,
      asOfNs: timed(READS, (index) => view.node(((index * 7919) % nodes) + 1)?.lsn ?? 0),
      hops3Us: timed(READS / 10, (index) => hops(((index * 7919) % nodes) + 1)) / 1000,
      hops3Steps: steps / 1000,
      findScanMs: Math.round(median(findMs)),
      encodeMs: Math.round(median(encodeMs)),
      decodeMs: Math.round(median(decodeMs)),
      checkpointBytes,
    },
    null,
    2,
  ),
);

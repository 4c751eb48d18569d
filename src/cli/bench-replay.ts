/**
 * The replay benchmark: a log of nodes and edges, read as events without decoding them, replayed into a graph, and the
 * memory that the graph takes.
 */

import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { AppendResult, BufferedResult, Durability, EventInput } from "../events/index.js";
import { AppendWindow } from "./append-window.js";

export const REPLAY_STREAM = "bench-replay";

export interface GraphSize {
  readonly nodes: number;
  readonly edges: number;
}

/** What writing the log needs of a store. */
export interface ReplayStore {
  append(
    stream: string,
    events: readonly EventInput[],
    options: { readonly durability: Durability },
  ): Promise<AppendResult | BufferedResult>;
  flush(): Promise<void>;
}

export interface Rate {
  readonly events: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
}

const EVENTS_PER_APPEND = 1_000;
const APPENDS_IN_FLIGHT_MAX = 64;
const VALID_FROM = Date.UTC(2024, 0, 1) * 1_000;
const MICROSECONDS_APART = 1_000;
const SETTLING_MS = 100;
const LABELS = ["Person", "Account", "Document", "Device"];

/** Appends one event per node and edge: the nodes with two properties, the edges between nodes that look random. */
export async function writeReplayLog(
  store: ReplayStore,
  size: GraphSize,
  onProgress: (events: number) => void,
): Promise<void> {
  const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
  let pending: EventInput[] = [];
  let count = 0;
  const appendPending = async (): Promise<void> => {
    const events = pending;
    pending = [];
    if (events.length === 0) return;
    await window.whenRoom();
    window.add(store.append(REPLAY_STREAM, events, { durability: "async" }), events.length, (error) => error);
    count += events.length;
    onProgress(count);
  };
  for (const event of replayEvents(size)) {
    pending.push(event);
    if (pending.length === EVENTS_PER_APPEND) await appendPending();
  }
  await appendPending();
  await window.whenEmpty();
  await store.flush();
}

function* replayEvents({ nodes, edges }: GraphSize): Generator<EventInput, void, undefined> {
  for (let id = 1; id <= nodes; id += 1) {
    const { label, properties } = nodeOf(id);
    yield {
      type: "varve.v1.NodeCreated",
      data: { id, label, properties, validFrom: VALID_FROM + id * MICROSECONDS_APART },
    };
  }
  const validFrom = VALID_FROM + (nodes + 1) * MICROSECONDS_APART;
  for (let id = 1; id <= edges; id += 1) {
    yield { type: "varve.v1.EdgeCreated", data: { id, label: "KNOWS", ...endsOf(id, nodes), validFrom } };
  }
}

/** What a node of the benchmark holds. */
export function nodeOf(id: number): { readonly label: string; readonly properties: { name: string; weight: number } } {
  return { label: LABELS[id % LABELS.length] as string, properties: { name: `node ${id}`, weight: id % 1_000 } };
}

/** Between which nodes an edge of the benchmark runs: they look random. */
export function endsOf(id: number, nodes: number): { readonly source: number; readonly target: number } {
  return {
    source: 1 + ((Math.imul(id, 0x9e37_79b1) >>> 0) % nodes),
    target: 1 + ((Math.imul(id, 0x85eb_ca6b) >>> 0) % nodes),
  };
}

/** Reads all events one by one, without looking at their data. */
export async function measureReadAll(store: {
  readAll(): AsyncIterable<{ readonly lsn: number }>;
}): Promise<Rate & { readonly lastLsn: number }> {
  const startedMs = performance.now();
  let events = 0;
  let lastLsn = 0;
  for await (const event of store.readAll()) {
    events += 1;
    lastLsn = event.lsn;
  }
  return { ...rateOf(events, performance.now() - startedMs), lastLsn };
}

export function rateOf(events: number, elapsedMs: number): Rate {
  const seconds = elapsedMs / 1_000;
  return { events, seconds, eventsPerSecond: Math.round(events / seconds) };
}

/** Bytes in use after everything that is unreachable was collected: the heap, and what lies outside it, array buffers too. */
export async function measureMemory(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // Some memory is given back by finalizers, which run in a later turn; and timers of a store that was closed a moment ago
  // hold its buffers until they have run out.
  for (let round = 0; round < 3; round += 1) {
    collect();
    await delay(SETTLING_MS);
  }
  // `external` counts the array buffers already.
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** One logical history, for any number of writers: each append, what it answers, and how the log and a projection of it look as text. */

import type { AppendResult, Durability, ExpectedVersion, Projection, RecordedEvent } from "../../src/index.js";
import { isStoreError, type Store } from "../../src/index.js";

const APPEND_COUNT = 300;
const STREAM_COUNT = 12;
const EVENT_TYPE = "Step";
const TEXT_CHARACTERS_MAX = 600;

interface HistoryEvent {
  readonly type: string;
  readonly data: { readonly step: number; readonly index: number; readonly text: string };
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly id?: string;
}

interface HistoryPart {
  readonly stream: string;
  readonly events: readonly HistoryEvent[];
  readonly expectedVersion: ExpectedVersion;
}

interface HistoryStep {
  readonly parts: readonly HistoryPart[];
  readonly durability: Durability;
}

/** A fixed sequence that looks like chance: Lehmer's generator. */
function sequence(): (maxExclusive: number) => number {
  let state = 20_251_121;
  return (maxExclusive) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % maxExclusive;
  };
}

/** The steps in the order in which they are to be taken. About one in twelve expects a version that the stream does not have. */
export const HISTORY: readonly HistoryStep[] = makeHistory();

function makeHistory(): HistoryStep[] {
  const integer = sequence();
  const versions = new Map<string, number>();
  return Array.from({ length: APPEND_COUNT }, (_, step): HistoryStep => {
    const isRefused = integer(12) === 0;
    const partCount = integer(5) === 0 ? 1 + integer(3) : 1;
    const streams = new Set(Array.from({ length: partCount }, () => `stream-${integer(STREAM_COUNT)}`));
    const parts = [...streams].map((stream, part): HistoryPart => {
      const version = versions.get(stream) ?? 0;
      const events = Array.from({ length: 1 + integer(4) }, (_, index) => eventOf(step, 10 * part + index, integer));
      const right: ExpectedVersion = version === 0 ? "absent" : integer(2) === 0 ? version : "any";
      return { stream, events, expectedVersion: isRefused && part === 0 ? version + 1 : right };
    });
    if (!isRefused) {
      for (const { stream, events } of parts) versions.set(stream, (versions.get(stream) ?? 0) + events.length);
    }
    return { parts, durability: integer(4) === 0 ? "sync" : "group" };
  });
}

function eventOf(step: number, index: number, integer: (maxExclusive: number) => number): HistoryEvent {
  const data = { step, index, text: "varve ".repeat(200).slice(0, integer(TEXT_CHARACTERS_MAX)) };
  const event = { type: `${EVENT_TYPE}${integer(3)}`, data };
  const withMetadata = integer(3) === 0 ? { ...event, metadata: { step, by: "history" } } : event;
  return integer(3) === 0 ? { ...withMetadata, id: `step-${step}-${index}` } : withMetadata;
}

/** Takes one step. Returns what it answered, as text. */
export async function takeStep(store: Store, step: number): Promise<string> {
  const { parts, durability } = HISTORY[step] as HistoryStep;
  const [{ stream, events, expectedVersion }, ...others] = parts as [HistoryPart, ...HistoryPart[]];
  const append = async (): Promise<AppendResult[]> =>
    others.length > 0
      ? store.appendMany(parts, { durability })
      : [await store.append(stream, events, { expectedVersion, durability })];
  try {
    return JSON.stringify(await append());
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return JSON.stringify([error.code, error.details]);
  }
}

/** Line by line what every reading of every store with this history must find alike. */
export async function describeLog(events: AsyncIterable<RecordedEvent>): Promise<string> {
  let text = "";
  for await (const { lsn, stream, version, type, metadata, payload, id } of events) {
    // Without one of its own, an event's id follows from the store's, which is another in each store.
    const ownId = id.startsWith("step-") ? id : "";
    const content = Buffer.from(payload).toString("latin1");
    text += `${lsn} ${stream}@${version} ${type} ${ownId} ${JSON.stringify(metadata)} ${content}\n`;
  }
  return text;
}

/** The same with what differs from store to store. */
export async function describeStore(events: AsyncIterable<RecordedEvent>): Promise<string> {
  let text = "";
  for await (const { lsn, id, recordedAt } of events) text += `${lsn} ${id} ${recordedAt}\n`;
  return text;
}

type Sums = Record<string, { events: number; lsn: number; hash: number }>;

/** Depends on every event, and on their order. */
export const sums: Projection<Sums> = {
  name: "sums",
  version: 1,
  handles: "all",
  init: () => ({}),
  apply: (state, { stream, lsn, payload }) => {
    state[stream] ??= { events: 0, lsn: 0, hash: 7 };
    const sum = state[stream];
    sum.events++;
    sum.lsn = lsn;
    for (const byte of payload) sum.hash = (Math.imul(sum.hash, 31) + byte + lsn) | 0;
    return state;
  },
  encode: (state) => Buffer.from(JSON.stringify(state)),
  decode: async (chunks) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return JSON.parse(Buffer.concat(parts).toString()) as Sums;
  },
};

/** The projection's encoded state at the watermark of now. */
export async function encodedSums(store: Store): Promise<string> {
  const runner = await store.project(sums);
  await runner.whenProcessed(store.watermark);
  const encoded = Buffer.from(sums.encode(runner.state) as Uint8Array).toString();
  await runner.close();
  return encoded;
}

/** What one process with its writers found, in a file for the test. */
export interface LiveFindings {
  readonly answers: readonly string[];
  /** Read by each of the writers. */
  readonly logs: readonly string[];
  readonly stores: readonly string[];
  /** Of a writer that appended nothing. */
  readonly encoded: string;
}

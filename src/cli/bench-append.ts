/**
 * The append benchmark: callers that each await one append before the next, and a check of everything they wrote.
 *
 * The load shares its thread with the store, so its loop does no more than fill in a sequence number and note two times.
 * An event's bytes follow from its stream and its version alone, which is what the check compares them with, byte by byte.
 */

import { performance } from "node:perf_hooks";
import type { AppendResult, BufferedResult, Durability, EventInput } from "../events/index.js";
import { LatencyHistogram, type LatencySummary } from "./latency-histogram.js";

export const BENCH_TYPE = "varve.bench.Written";
/** The schema to open the store with. */
export const BENCH_PROTO = 'syntax = "proto3";\npackage varve.bench;\nmessage Written { bytes body = 1; }\n';
/** A tag, a length, and as much of the sequence number as fits. */
export const PAYLOAD_BYTES_MIN = 4;

const BODY_TAG = (1 << 3) | 2;
const SEQUENCE_BYTES = 4;
// Enough for the compiler to have seen the loop, little enough to be over in a moment.
const WARM_UP_EVENTS_MAX = 50_000;
const WARM_UP_SHARE = 0.1;

/** What the load needs of a store. */
export interface BenchStore {
  append(
    stream: string,
    events: EventInput,
    options: { readonly durability: Durability },
  ): Promise<AppendResult | BufferedResult>;
  flush(): Promise<void>;
  readBatches(after: number): AsyncIterable<readonly BenchEvent[]>;
}

export interface BenchEvent {
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly lsn: number;
  readonly payload: Uint8Array;
}

export interface AppendLoad {
  readonly concurrency: number;
  readonly events: number;
  /** Bytes of one event's protobuf message. */
  readonly payloadBytes: number;
  readonly durability: Durability;
}

export interface AppendFigures {
  readonly eventsPerSecond: number;
  readonly seconds: number;
  readonly latencyMs: LatencySummary;
}

/** One caller's stream, and the event that it appends again and again with another sequence number. */
class Caller {
  readonly stream: string;
  readonly #body: Uint8Array;
  readonly #event: EventInput;
  #sequence = 0;

  constructor(index: number, payloadBytes: number) {
    this.stream = streamOf(index);
    this.#body = bodyOf(index, bodyBytesOf(payloadBytes));
    this.#event = { type: BENCH_TYPE, data: { body: this.#body } };
  }

  async run(store: BenchStore, load: AppendLoad, count: number, histogram: LatencyHistogram | null): Promise<void> {
    const options = { durability: load.durability };
    for (let done = 0; done < count; done += 1) {
      this.#sequence += 1;
      stamp(this.#body, this.#sequence);
      const startedMs = performance.now();
      await store.append(this.stream, this.#event, options);
      histogram?.record(performance.now() - startedMs);
    }
  }
}

/** Runs the load, after a short one to warm up. Its time ends when the last event is durable, in every mode. */
export async function runAppendLoad(store: BenchStore, load: AppendLoad): Promise<AppendFigures> {
  const callers = Array.from({ length: load.concurrency }, (_, index) => new Caller(index, load.payloadBytes));
  const warmUp = warmUpEvents(load);
  await runCallers(store, load, callers, warmUp, null);

  const histogram = new LatencyHistogram();
  const startedMs = performance.now();
  await runCallers(store, load, callers, load.events, histogram);
  const seconds = (performance.now() - startedMs) / 1_000;
  return { eventsPerSecond: Math.round(load.events / seconds), seconds, latencyMs: histogram.summary() };
}

/**
 * Reads everything back and says what is wrong with it; null when every event is there once, in the order of its stream,
 * with the bytes that were appended, and nothing else is.
 */
export async function findFault(store: BenchStore, load: AppendLoad): Promise<string | null> {
  const versions = new Map<string, number>();
  const expected = new Map<string, Uint8Array>();
  for (let index = 0; index < load.concurrency; index += 1) {
    versions.set(streamOf(index), 0);
    expected.set(streamOf(index), messageOf(index, load.payloadBytes));
  }
  let count = 0;
  for await (const events of store.readBatches(0)) {
    for (const { stream, version, type, lsn, payload } of events) {
      const message = expected.get(stream);
      if (message === undefined || type !== BENCH_TYPE) return `LSN ${lsn} holds ${type} of ${stream}`;
      if (version !== (versions.get(stream) ?? 0) + 1)
        return `LSN ${lsn} is version ${version} of ${stream}, out of order`;
      versions.set(stream, version);
      stamp(message.subarray(message.length - bodyBytesOf(load.payloadBytes)), version);
      if (Buffer.compare(message, payload) !== 0) return `LSN ${lsn} holds other bytes than were appended`;
      count += 1;
    }
  }
  const total = load.events + warmUpEvents(load);
  return count === total ? null : `${count} events were read back of ${total}`;
}

async function runCallers(
  store: BenchStore,
  load: AppendLoad,
  callers: readonly Caller[],
  events: number,
  histogram: LatencyHistogram | null,
): Promise<void> {
  const share = Math.floor(events / callers.length);
  const rest = events % callers.length;
  await Promise.all(callers.map((caller, index) => caller.run(store, load, share + (index < rest ? 1 : 0), histogram)));
  // The async modes answer before the events are durable.
  await store.flush();
}

function warmUpEvents({ events }: AppendLoad): number {
  return Math.min(WARM_UP_EVENTS_MAX, Math.floor(events * WARM_UP_SHARE));
}

function streamOf(index: number): string {
  return `bench-${index}`;
}

/** The bytes of the field in a message of that many bytes. */
function bodyBytesOf(payloadBytes: number): number {
  for (let lengthBytes = 1; ; lengthBytes += 1) {
    const bodyBytes = payloadBytes - 1 - lengthBytes;
    if (varint(bodyBytes).length <= lengthBytes) return bodyBytes;
  }
}

function messageOf(index: number, payloadBytes: number): Uint8Array {
  const body = bodyOf(index, bodyBytesOf(payloadBytes));
  return Buffer.concat([Buffer.from([BODY_TAG, ...varint(body.length)]), body]);
}

/** Bytes that tell the callers apart; the first four are overwritten by the sequence number. */
function bodyOf(index: number, length: number): Uint8Array {
  let state = Math.imul(index + 1, 0x9e37_79b1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

function stamp(body: Uint8Array, sequence: number): void {
  const end = Math.min(SEQUENCE_BYTES, body.length);
  for (let offset = 0, rest = sequence; offset < end; offset += 1, rest >>>= 8) body[offset] = rest & 0xff;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}

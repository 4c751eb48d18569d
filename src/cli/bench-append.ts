/**
 * The append benchmark: callers that each await one append before the next, and a check of everything they wrote.
 *
 * The load shares its thread with the store, so its loop does no more than fill in a sequence number and note two times.
 */

import { performance } from "node:perf_hooks";
import type { AppendResult, BufferedResult, Durability, EventInput } from "../events/index.js";
import type { AckTimeline } from "./ack-timeline.js";
import { BENCH_TYPE, bodyOf, messageOf, stamp, streamOf } from "./bench-event.js";
import { LatencyHistogram, type LatencySummary } from "./latency-histogram.js";

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
}

/** What the check needs of a store. */
export interface ReadableBenchStore {
  readBatches(after: number): AsyncIterable<readonly BenchEvent[]>;
}

export interface BenchEvent {
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly lsn: number;
  readonly payload: Uint8Array;
}

/** What one writer appends. */
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

/** What a store must hold afterwards, and nothing else: the events of so many callers from the first one on. */
export interface WrittenEvents {
  readonly firstCaller: number;
  readonly callers: number;
  readonly events: number;
  readonly payloadBytes: number;
}

/** One caller's stream, and the event that it appends again and again with another sequence number. */
class Caller {
  readonly stream: string;
  readonly #body: Uint8Array;
  readonly #event: EventInput;
  #sequence = 0;

  constructor(index: number, payloadBytes: number) {
    this.stream = streamOf(index);
    this.#body = bodyOf(index, payloadBytes);
    this.#event = { type: BENCH_TYPE, data: { body: this.#body } };
  }

  async run(store: BenchStore, load: AppendLoad, count: number, meters: Meters | null): Promise<void> {
    const options = { durability: load.durability };
    for (let done = 0; done < count; done += 1) {
      this.#sequence += 1;
      stamp(this.#body, this.#sequence);
      const startedMs = performance.now();
      await store.append(this.stream, this.#event, options);
      if (meters === null) continue;
      const endedMs = performance.now();
      meters.histogram.record(endedMs - startedMs);
      meters.timeline?.count(endedMs);
    }
  }
}

interface Meters {
  readonly histogram: LatencyHistogram;
  readonly timeline: AckTimeline | null;
}

/** The callers of one writer on its store: a short run to warm up, then the one that is measured. */
export class AppendRun {
  readonly #store: BenchStore;
  readonly #load: AppendLoad;
  readonly #callers: readonly Caller[];

  /** Callers with different numbers have different streams. */
  constructor(store: BenchStore, load: AppendLoad, firstCaller = 0) {
    this.#store = store;
    this.#load = load;
    this.#callers = Array.from(
      { length: load.concurrency },
      (_, index) => new Caller(firstCaller + index, load.payloadBytes),
    );
  }

  warmUp(): Promise<void> {
    return this.#run(warmUpEvents(this.#load), null);
  }

  /** Resolves when the last event is durable, in every mode. */
  async measure(timeline: AckTimeline | null = null): Promise<LatencyHistogram> {
    const histogram = new LatencyHistogram();
    await this.#run(this.#load.events, { histogram, timeline });
    return histogram;
  }

  async #run(events: number, meters: Meters | null): Promise<void> {
    const share = Math.floor(events / this.#callers.length);
    const rest = events % this.#callers.length;
    const runs = this.#callers.map((caller, index) =>
      caller.run(this.#store, this.#load, share + (index < rest ? 1 : 0), meters),
    );
    await Promise.all(runs);
    // The async modes answer before the events are durable.
    await this.#store.flush();
  }
}

/** Runs the load, after a short one to warm up. */
export async function runAppendLoad(store: BenchStore, load: AppendLoad): Promise<AppendFigures> {
  const run = new AppendRun(store, load);
  await run.warmUp();
  const startedMs = performance.now();
  const histogram = await run.measure();
  const seconds = (performance.now() - startedMs) / 1_000;
  return { eventsPerSecond: Math.round(load.events / seconds), seconds, latencyMs: histogram.summary() };
}

/** What so many writers with that load each have written into one store. */
export function writtenBy(load: AppendLoad, writers = 1, firstCaller = 0): WrittenEvents {
  const { concurrency, events, payloadBytes } = load;
  return {
    firstCaller,
    callers: writers * concurrency,
    events: writers * (events + warmUpEvents(load)),
    payloadBytes,
  };
}

/**
 * Reads everything back and says what is wrong with it; null when every event is there once, in the order of its stream,
 * with the bytes that were appended, and nothing else is.
 */
export async function findFault(store: ReadableBenchStore, written: WrittenEvents): Promise<string | null> {
  const versions = new Map<string, number>();
  const expected = new Map<string, { readonly message: Uint8Array; readonly body: Uint8Array }>();
  for (let index = 0; index < written.callers; index += 1) {
    const caller = written.firstCaller + index;
    versions.set(streamOf(caller), 0);
    expected.set(streamOf(caller), messageOf(caller, written.payloadBytes));
  }
  let count = 0;
  let lastLsn = 0;
  for await (const events of store.readBatches(0)) {
    for (const { stream, version, type, lsn, payload } of events) {
      const own = expected.get(stream);
      if (own === undefined || type !== BENCH_TYPE) return `LSN ${lsn} holds ${type} of ${stream}`;
      if (version !== (versions.get(stream) ?? 0) + 1)
        return `LSN ${lsn} is version ${version} of ${stream}, out of order`;
      versions.set(stream, version);
      if (lsn <= lastLsn) return `LSN ${lsn} was read after LSN ${lastLsn}`;
      lastLsn = lsn;
      stamp(own.body, version);
      if (Buffer.compare(own.message, payload) !== 0) return `LSN ${lsn} holds other bytes than were appended`;
      count += 1;
    }
  }
  return count === written.events ? null : `${count} events were read back of ${written.events}`;
}

function warmUpEvents({ events }: AppendLoad): number {
  return Math.min(WARM_UP_EVENTS_MAX, Math.floor(events * WARM_UP_SHARE));
}

/** The process that opens a sealed store for the open benchmark, and reads streams of it that nobody has read before, and one again and again. */

import { openStore, type Store } from "../index.js";
import { servePeer } from "./peer-parent.js";
import { percentile } from "./quantiles.js";
import { dataOf, eventCountOf } from "./sealed-event.js";

export interface OpenReadTask {
  readonly store: string;
  readonly events: number;
  readonly streams: number;
  readonly payloadBytes: number;
}

export interface OpenReadReport {
  readonly openMs: number;
  /** When the store was open. */
  readonly rssMiB: number;
  /** When all was read. */
  readonly readRssMiB: number;
  readonly coldReadMs: { readonly p50: number; readonly p99: number };
  readonly warmReadUs: { readonly p50: number; readonly p99: number };
  /** What is wrong with what was read, or null. */
  readonly fault: string | null;
}

const COLD_READS_MAX = 1000;
const WARM_STREAMS = 10;
const WARM_READS = 200;
const MEBIBYTE = 1024 * 1024;
/** Coprime with any count of streams that is not one of its multiples: visits them far from each other. */
const STRIDE = 7919;

function rssMiB(): number {
  return Math.round(process.memoryUsage.rss() / MEBIBYTE);
}

/** How long reading the stream took, in ms; a text when it holds something else than it should. */
async function timeRead(store: Store, stream: number, task: OpenReadTask): Promise<number | string> {
  const { events, payloadBytes, streams } = task;
  const startedMs = performance.now();
  const read: unknown[] = [];
  for await (const { data } of store.readStream(`stream-${stream}`)) read.push(data);
  const durationMs = performance.now() - startedMs;
  const isWhole = read.length === eventCountOf(stream, events, streams);
  const isRight = read.every((data, index) => data === dataOf(stream + index * streams, payloadBytes));
  return isWhole && isRight ? durationMs : `stream ${stream} reads back with ${read.length} events, or with others`;
}

await servePeer<OpenReadTask, never, OpenReadReport>(async (task, parent) => {
  const startedMs = performance.now();
  const store = await openStore(task.store, { checkpointWalBytes: 0, checkpointEntries: 0 });
  try {
    const openMs = performance.now() - startedMs;
    const openRssMiB = rssMiB();
    let fault: string | null = null;
    const timed = async (stream: number, times: number[]): Promise<void> => {
      const time = await timeRead(store, stream, task);
      if (typeof time === "number") times.push(time);
      else fault ??= time;
    };
    const { streams } = task;
    const coldMs: number[] = [];
    const stride = streams % STRIDE === 0 ? 1 : STRIDE;
    for (let index = 0; index < Math.min(streams, COLD_READS_MAX); index++) {
      await timed((index * stride) % streams, coldMs);
    }
    const warmMs: number[] = [];
    for (let stream = 0; stream < Math.min(streams, WARM_STREAMS); stream++) {
      await timed(stream, []);
      for (let count = 0; count < WARM_READS; count++) await timed(stream, warmMs);
    }
    const warmUs = warmMs.map((ms) => ms * 1000);
    parent.tell({
      openMs,
      rssMiB: openRssMiB,
      readRssMiB: rssMiB(),
      coldReadMs: { p50: percentile(coldMs, 0.5), p99: percentile(coldMs, 0.99) },
      warmReadUs: { p50: percentile(warmUs, 0.5), p99: percentile(warmUs, 0.99) },
      fault,
    });
  } finally {
    await store.close();
  }
});

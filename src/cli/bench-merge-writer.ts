/** The process that seals what another wrote, for the merge benchmark, and appends before and while it does. */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Compression, openStore, type Store } from "../index.js";
import { AppendWindow } from "./append-window.js";
import { servePeer } from "./peer-parent.js";
import { dataOf, SEALED_TYPE } from "./sealed-event.js";

export interface MergeTask {
  readonly store: string;
  readonly payloadBytes: number;
  readonly compression: Compression;
}

export interface MergeReport {
  readonly sealedRecords: number;
  readonly sealedBytes: number;
  /** What the segments take on the disk. */
  readonly fileBytes: number;
  readonly mergeSeconds: number;
  /** Without a merge. */
  readonly appendsPerSecond: number;
  readonly appendsPerSecondWhileMerging: number;
  /** With the store open, before the merge and at most since. */
  readonly rssMiB: number;
  readonly peakRssMiB: number;
}

const APPENDS_IN_FLIGHT_MAX = 1024;
const ALONE_MS = 3000;
const MEBIBYTE = 1024 * 1024;
const SAMPLE_MS = 20;
const STREAMS = 1000;

/** Appends until it is told to end; resolves with appends per second. */
async function append(store: Store, payloadBytes: number, isOver: () => boolean): Promise<number> {
  const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
  const startedMs = performance.now();
  let count = 0;
  for (; !isOver(); count++) {
    await window.whenRoom();
    const event = { type: SEALED_TYPE, data: dataOf(count, payloadBytes) };
    window.add(store.append(`meanwhile-${count % STREAMS}`, event), 1, (error) => error);
  }
  await window.whenEmpty();
  return Math.round((count * 1000) / (performance.now() - startedMs));
}

await servePeer<MergeTask, never, MergeReport>(async ({ store: directory, payloadBytes, compression }, parent) => {
  const store = await openStore(directory, { checkpointWalBytes: 0, checkpointEntries: 0, compression });
  try {
    const endMs = performance.now() + ALONE_MS;
    const appendsPerSecond = await append(store, payloadBytes, () => performance.now() >= endMs);
    const rssMiB = Math.round(process.memoryUsage.rss() / MEBIBYTE);
    let peakRssMiB = rssMiB;
    const sampling = setInterval(() => {
      peakRssMiB = Math.max(peakRssMiB, Math.round(process.memoryUsage.rss() / MEBIBYTE));
    }, SAMPLE_MS);
    let isMerged = false;
    const merging = store.checkpoint().finally(() => {
      isMerged = true;
    });
    const [appendsPerSecondWhileMerging, { log }] = await Promise.all([
      append(store, payloadBytes, () => isMerged),
      merging,
    ]);
    clearInterval(sampling);
    if (log === null) throw new Error("another writer made the checkpoint");
    const { durationMs, sealedBytes, sealedRecords } = log;
    const mergeSeconds = durationMs / 1000;
    const sealed = join(directory, "log");
    const fileBytes = readdirSync(sealed).reduce((sum, name) => sum + statSync(join(sealed, name)).size, 0);
    const figures = {
      sealedRecords,
      sealedBytes,
      fileBytes,
      mergeSeconds,
      appendsPerSecond,
      appendsPerSecondWhileMerging,
    };
    parent.tell({ ...figures, rssMiB, peakRssMiB });
  } finally {
    await store.close();
  }
});

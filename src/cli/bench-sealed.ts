/** The benchmarks of sealed segments: opening and reading a store that is all sealed, and sealing one. */

import { join } from "node:path";
import { type Compression, openReader } from "../index.js";
import type { MergeReport, MergeTask } from "./bench-merge-writer.js";
import type { OpenReadReport, OpenReadTask } from "./bench-open-reader.js";
import type { SealedFillReport, SealedFillTask } from "./bench-sealed-filler.js";
import { Peer } from "./peer.js";

export interface SealedPlan {
  readonly events: number;
  readonly streams: number;
  readonly payloadBytes: number;
}

export interface MergePlan extends SealedPlan {
  readonly compression: Compression;
}

export interface MergeFigures extends MergeReport {
  readonly mergeMiBPerSecond: number;
  /** What is wrong with the sealed segments, or null. */
  readonly fault: string | null;
}

const MEBIBYTE = 1024 * 1024;

async function run<Task, Report>(module: string, task: Task, signal: AbortSignal): Promise<Report> {
  const peer = new Peer<Task, never, Report>("process", new URL(module, import.meta.url), task, signal);
  try {
    const report = await peer.next();
    await peer.finish();
    return report;
  } finally {
    await peer.kill();
  }
}

function fill(task: SealedFillTask, signal: AbortSignal): Promise<SealedFillReport> {
  return run("./bench-sealed-filler.js", task, signal);
}

/** Fills and seals a fresh store below `directory`, and opens and reads it in a process that has done nothing else. */
export async function measureOpening(
  directory: string,
  plan: SealedPlan,
  signal: AbortSignal,
  onFilled: () => void,
): Promise<OpenReadReport> {
  const store = join(directory, "store");
  const { checkpointLsn } = await fill({ ...plan, store, isSealed: true }, signal);
  onFilled();
  const report = await run<OpenReadTask, OpenReadReport>("./bench-open-reader.js", { ...plan, store }, signal);
  const fault = checkpointLsn === plan.events ? report.fault : `${checkpointLsn} of ${plan.events} events were sealed`;
  return { ...report, fault };
}

/** Fills a fresh store below `directory`, seals it in a process that also appends, and verifies what was sealed. */
export async function measureMerging(
  directory: string,
  { compression, ...plan }: MergePlan,
  signal: AbortSignal,
  onFilled: () => void,
): Promise<MergeFigures> {
  const store = join(directory, "store");
  await fill({ ...plan, store, isSealed: false }, signal);
  onFilled();
  const task = { store, payloadBytes: plan.payloadBytes, compression };
  const report = await run<MergeTask, MergeReport>("./bench-merge-writer.js", task, signal);
  const reader = await openReader(store);
  try {
    const { records } = await reader.verifySealed();
    const { mergeSeconds, sealedBytes, sealedRecords } = report;
    const isWhole = records === sealedRecords && records >= plan.events;
    const fault = isWhole ? null : `${records} events are sealed, of ${plan.events} and more`;
    return { ...report, mergeMiBPerSecond: Math.round(sealedBytes / MEBIBYTE / mergeSeconds), fault };
  } finally {
    await reader.close();
  }
}

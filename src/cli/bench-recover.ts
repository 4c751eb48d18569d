/** The recovery benchmark: a store that several cores have written and nobody has closed, and how long it takes to open it. */

import { join } from "node:path";
import { writeBenchProto } from "./bench-event.js";
import type { FillReport, FillTask } from "./bench-fill-writer.js";
import type { OpenReport, OpenTask } from "./bench-opener.js";
import { Peer } from "./peer.js";

export interface RecoverPlan {
  readonly events: number;
  readonly cores: number;
  /** Streams in all. */
  readonly streams: number;
  readonly payloadBytes: number;
}

export interface RecoverFigures {
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
  /** What is wrong with what was recovered, or null. */
  readonly fault: string | null;
}

/** Fills a fresh store below `directory`, kills who did, and opens it in a process that has done nothing else. */
export async function measureRecovery(
  directory: string,
  plan: RecoverPlan,
  signal: AbortSignal,
  onFilled: () => void,
): Promise<RecoverFigures> {
  const store = join(directory, "store");
  const proto = writeBenchProto(directory);
  const filled = await fill(fillTasks(plan, store, proto), signal);
  onFilled();
  const opened = await open({ store, proto }, signal);
  const { seconds, rssMiB, peakRssMiB } = opened;
  const eventsPerSecond = Math.round(opened.events / seconds);
  return { seconds, eventsPerSecond, rssMiB, peakRssMiB, fault: faultOf(filled, opened) };
}

export function fillTasks(
  { cores, events, payloadBytes, streams }: RecoverPlan,
  store: string,
  proto: string,
): FillTask[] {
  const callers = Math.max(1, Math.floor(streams / cores));
  return Array.from({ length: cores }, (_, core) => ({
    store,
    proto,
    events: Math.floor(events / cores) + (core < events % cores ? 1 : 0),
    payloadBytes,
    firstCaller: core * callers,
    callers,
  }));
}

async function fill(tasks: readonly FillTask[], signal: AbortSignal): Promise<FillReport> {
  const module = new URL("./bench-filler.js", import.meta.url);
  const filler = new Peer<readonly FillTask[], never, FillReport>("process", module, tasks, signal);
  try {
    return await filler.next();
  } finally {
    await filler.kill();
  }
}

async function open(task: OpenTask, signal: AbortSignal): Promise<OpenReport> {
  const module = new URL("./bench-opener.js", import.meta.url);
  const opener = new Peer<OpenTask, never, OpenReport>("process", module, task, signal);
  try {
    const report = await opener.next();
    await opener.finish();
    return report;
  } finally {
    await opener.kill();
  }
}

/** Says how what was found differs from what was acknowledged; null when it does not. */
export function faultOf(filled: FillReport, opened: OpenReport): string | null {
  if (opened.events !== filled.events) return `${opened.events} events were recovered of ${filled.events}`;
  if (opened.lsnSum !== filled.lsnSum) return "the recovered events have other LSNs than were acknowledged";
  return opened.isRising ? null : "the recovered events are not read in the order of their LSNs";
}

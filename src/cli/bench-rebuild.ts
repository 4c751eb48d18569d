/**
 * The rebuild benchmark: a new version of a read model is built by processes that are killed on the way, while the application goes on serving the
 * old one and appending; then the application goes over to what they have built, without a restart.
 */

import { join } from "node:path";
import type { FolderReport, FolderTask } from "./bench-rebuild-folder.js";
import type { RebuildJobReport, RebuildJobTask } from "./bench-rebuild-job.js";
import type { LoopDelay, RebuildServerReport, RebuildServerTask } from "./bench-rebuild-server.js";
import { Peer } from "./peer.js";

export interface RebuildPlan {
  readonly events: number;
  readonly accounts: number;
  readonly kills: number;
  readonly appendsPerSecond: number;
  readonly checkpointEveryEvents: number;
  /** Null: as fast as it goes. */
  readonly maxEventsPerSecond: number | null;
}

export interface RebuildFigures {
  readonly fillSeconds: number;
  /** From the start of the first rebuilding process until the new state lay ready. */
  readonly seconds: number;
  /** How far each of those had said that it was that were killed. */
  readonly killedAtLsns: readonly number[];
  /** Where the last one began: above 0, it has gone on. */
  readonly resumedFromLsn: number;
  readonly eventsPerSecond: number;
  readonly appendedEvents: number;
  readonly answersOfOldVersion: number;
  readonly answersOfNewVersion: number;
  readonly wrongAnswers: number;
  readonly loopDelayBeforeMs: LoopDelay;
  readonly loopDelayMs: LoopDelay;
  readonly fault: string | null;
}

type Server = Peer<RebuildServerTask, "stop", RebuildServerReport>;

export async function measureRebuild(
  directory: string,
  plan: RebuildPlan,
  signal: AbortSignal,
  onStep: (what: string) => void,
): Promise<RebuildFigures> {
  const { events, accounts, appendsPerSecond } = plan;
  const store = join(directory, "store");
  onStep(`appending ${events} events, and folding them into the old version`);
  const module = new URL("./bench-rebuild-server.js", import.meta.url);
  const server: Server = new Peer("process", module, { store, events, accounts, appendsPerSecond }, signal);
  try {
    const { fillSeconds, loopDelayBeforeMs } = await reportOf(server, "serving");
    onStep("rebuilding");
    const startedMs = performance.now();
    const rebuilt = await rebuild(store, plan, signal);
    const seconds = (performance.now() - startedMs) / 1_000;
    // It goes over by itself.
    await reportOf(server, "cut-over");
    server.send("stop");
    const done = await reportOf(server, "done");
    await server.finish();
    onStep("folding the log apart");
    const folded = await fold({ store, accounts, throughLsn: done.lsn }, signal);
    const figures = {
      fillSeconds,
      seconds,
      ...rebuilt,
      eventsPerSecond: Math.round(events / seconds),
      appendedEvents: done.appendedEvents,
      answersOfOldVersion: done.answersBefore,
      answersOfNewVersion: done.answersAfter,
      wrongAnswers: done.wrongAnswers,
      loopDelayBeforeMs,
      loopDelayMs: done.loopDelayMs,
    };
    return { ...figures, fault: rebuildFault(plan, figures, done, folded) };
  } finally {
    await server.kill();
  }
}

/** Has processes rebuild, each from where the one before was killed, until one of them has come to the end. */
async function rebuild(
  store: string,
  { events, kills, checkpointEveryEvents, maxEventsPerSecond }: RebuildPlan,
  signal: AbortSignal,
): Promise<Pick<RebuildFigures, "killedAtLsns" | "resumedFromLsn">> {
  const module = new URL("./bench-rebuild-job.js", import.meta.url);
  const killedAtLsns: number[] = [];
  for (;;) {
    const killAtLsn =
      killedAtLsns.length < kills
        ? (events * (killedAtLsns.length + 1)) / (kills + 1) + checkpointEveryEvents / 2 // as far from a save as it can be
        : Number.POSITIVE_INFINITY;
    const task = { store, checkpointEveryEvents, maxEventsPerSecond };
    const job = new Peer<RebuildJobTask, never, RebuildJobReport>("process", module, task, signal);
    try {
      for (;;) {
        const report = await job.next();
        if (report.kind === "done") {
          await job.finish();
          return { killedAtLsns, resumedFromLsn: report.fromLsn };
        }
        if (report.lsn < killAtLsn) continue;
        killedAtLsns.push(report.lsn);
        break;
      }
    } finally {
      await job.kill();
    }
  }
}

async function fold(task: FolderTask, signal: AbortSignal): Promise<FolderReport> {
  const module = new URL("./bench-rebuild-folder.js", import.meta.url);
  const folder = new Peer<FolderTask, never, FolderReport>("process", module, task, signal);
  try {
    const report = await folder.next();
    await folder.finish();
    return report;
  } finally {
    await folder.kill();
  }
}

/** The next report, which must be of that kind. */
async function reportOf<Kind extends RebuildServerReport["kind"]>(
  server: Server,
  kind: Kind,
): Promise<Extract<RebuildServerReport, { kind: Kind }>> {
  const report = await server.next();
  if (report.kind !== kind) throw new Error(`the application reported ${report.kind} and not ${kind}`);
  return report as Extract<RebuildServerReport, { kind: Kind }>;
}

/** Says what is not as promised; null: all is. */
export function rebuildFault(
  plan: Pick<RebuildPlan, "events" | "kills">,
  figures: Pick<
    RebuildFigures,
    "killedAtLsns" | "resumedFromLsn" | "wrongAnswers" | "answersOfOldVersion" | "appendedEvents"
  >,
  served: { readonly lsn: number; readonly digest: string },
  folded: FolderReport,
): string | null {
  const { killedAtLsns, resumedFromLsn, wrongAnswers, answersOfOldVersion, appendedEvents } = figures;
  if (wrongAnswers > 0) return `${wrongAnswers} answers were wrong`;
  if (answersOfOldVersion === 0) return "the old version answered nothing meanwhile";
  if (served.lsn !== plan.events + appendedEvents) return `the new version is at LSN ${served.lsn}`;
  if (folded.events !== served.lsn) return `the log has ${folded.events} events, and the new version ${served.lsn}`;
  if (folded.digest !== served.digest) return "the new version differs from a fold of the log";
  if (killedAtLsns.length < plan.kills) {
    return `${killedAtLsns.length} of ${plan.kills} kills: a rebuild was done before it could be killed; take more events, or fewer per second`;
  }
  if (plan.kills > 0 && resumedFromLsn === 0) return "the last rebuild began at the first event, and has not gone on";
  return null;
}

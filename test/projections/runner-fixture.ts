/** Projections of a hash that run on a feed in memory, for the tests of runners. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type ProjectionReport, type RunnerOptions, startProjection } from "../../src/projections/index.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed, type NumberEvent } from "./memory-feed.js";
import { type RunningHash, runningHash } from "./running-hash.js";

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index * 7);
}

export function filledFeed(count: number, directory = temporaryDirectory()): MemoryFeed {
  const feed = new MemoryFeed(directory);
  feed.append("Counted", ...range(count));
  return feed;
}

export function filesOf(feed: MemoryFeed): string[] {
  const directory = join(feed.directory, "projections", "running-hash");
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

export function checkpointOf(feed: MemoryFeed, version = 1): string {
  return join(feed.directory, "projections", "running-hash", `v${version}.checkpoint`);
}

/** Options that keep the reports, so that refused checkpoints print no warnings. */
export function reporting(options: RunnerOptions<RunningHash, NumberEvent> = {}): {
  options: RunnerOptions<RunningHash, NumberEvent>;
  reports: ProjectionReport[];
} {
  const reports: ProjectionReport[] = [];
  return { options: { ...options, onReport: (report) => reports.push(report) }, reports };
}

export function failingOn(...lsns: readonly number[]): ReturnType<typeof runningHash> {
  const plain = runningHash();
  return runningHash({
    apply: (state, event) => {
      if (lsns.includes(event.lsn)) throw new Error(`no ${event.lsn}`);
      return plain.apply(state, event);
    },
  });
}

export async function startedAndCaughtUp(
  feed: MemoryFeed,
  options: RunnerOptions<RunningHash, NumberEvent> = {},
  projection = runningHash(),
): ReturnType<typeof startProjection<RunningHash, NumberEvent>> {
  const runner = await startProjection(feed, projection, options);
  await runner.whenCaughtUp();
  return runner;
}

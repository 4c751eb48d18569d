/**
 * The follow benchmark: how long after an append of one process is acknowledged the subscription of another has the event.
 *
 * The kernel tells both of the same durable write, so the follower can have it before the appender has heard of it; such a
 * time is negative.
 */

import { join } from "node:path";
import type {
  AppendedEvent,
  FollowAppendOrder,
  FollowAppendReport,
  FollowAppendTask,
} from "./bench-follow-appender.js";
import type { FollowOrder, FollowReport, FollowTask } from "./bench-follower.js";
import { Peer } from "./peer.js";
import { percentile } from "./quantiles.js";

export interface FollowPlan {
  readonly events: number;
  readonly everyMs: number;
}

export interface FollowTimes {
  /** From the acknowledgement. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** From the call that appended it. */
  readonly sinceAppendUs: { readonly p50: number; readonly p99: number };
  readonly count: number;
}

export interface FollowFigures {
  /** By a store that is open for writing. */
  readonly store: FollowTimes;
  /** By one that is open for reading only; null when such a one does not follow by itself. */
  readonly reader: FollowTimes | null;
  readonly fault: string | null;
}

type Appender = Peer<FollowAppendTask, FollowAppendOrder | null, FollowAppendReport>;

/** The first events are not counted: the code of both sides is still cold. */
const WARM_UP_EVENTS = 50;
const NS_PER_US = 1_000;

/** Measures both ways of following, one after the other, on a fresh store below `directory`. */
export async function measureFollowing(
  directory: string,
  plan: FollowPlan,
  signal: AbortSignal,
): Promise<FollowFigures> {
  const store = join(directory, "store");
  const module = new URL("./bench-follow-appender.js", import.meta.url);
  const appender: Appender = new Peer("process", module, { store, everyMs: plan.everyMs }, signal);
  try {
    await appender.next();
    const [byStore, storeFault] = await follow(appender, { store, by: "store" }, plan, signal);
    const [byReader, readerFault] = await follow(appender, { store, by: "reader" }, plan, signal);
    appender.send(null);
    await appender.finish();
    const reader = byReader.count === 0 ? null : byReader;
    return { store: byStore, reader, fault: storeFault ?? (reader === null ? null : readerFault) };
  } finally {
    await appender.kill();
  }
}

async function follow(
  appender: Appender,
  task: FollowTask,
  { events }: FollowPlan,
  signal: AbortSignal,
): Promise<readonly [FollowTimes, string | null]> {
  const module = new URL("./bench-follower.js", import.meta.url);
  const follower = new Peer<FollowTask, FollowOrder, FollowReport>("process", module, task, signal);
  try {
    await follower.next();
    appender.send({ events: WARM_UP_EVENTS + events });
    const appended = await appender.next();
    follower.send({ throughLsn: (appended.at(-1) as AppendedEvent).lsn });
    const seen = await follower.next();
    await follower.finish();
    return [followTimes(appended.slice(WARM_UP_EVENTS), seen), followFault(appended, seen)];
  } finally {
    await follower.kill();
  }
}

/** The times of the events that were appended and seen. */
export function followTimes(appended: FollowAppendReport, seen: FollowReport): FollowTimes {
  const seenNs = new Map(seen.map((event) => [event.lsn, event.seenNs]));
  const common = appended.filter(({ lsn }) => seenNs.has(lsn));
  const timesUs = (from: (event: AppendedEvent) => bigint): number[] =>
    common.map((event) => Number((seenNs.get(event.lsn) as bigint) - from(event)) / NS_PER_US);
  const acknowledged = timesUs((event) => event.acknowledgedNs);
  const started = timesUs((event) => event.startedNs);
  return {
    p50Us: percentile(acknowledged, 0.5),
    p99Us: percentile(acknowledged, 0.99),
    sinceAppendUs: { p50: percentile(started, 0.5), p99: percentile(started, 0.99) },
    count: common.length,
  };
}

/** Says what the follower has missed, or had twice or in another order; null when it has not. */
export function followFault(appended: FollowAppendReport, seen: FollowReport): string | null {
  if (seen.length !== appended.length) return `${seen.length} events were seen of ${appended.length}`;
  const wrong = appended.find(({ lsn }, index) => seen[index]?.lsn !== lsn);
  return wrong === undefined ? null : `LSN ${wrong.lsn} was not seen at its place`;
}

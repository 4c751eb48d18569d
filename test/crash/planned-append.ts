/** Carries out a planned append, and says when it is durable. */

import type { AppendResult, BufferedResult, Store } from "../../src/index.js";
import { eventsOf, type PlannedAppend } from "./kill-plan.js";

function isBuffered(result: AppendResult | BufferedResult): result is BufferedResult {
  return "epoch" in result;
}

/** Resolves when the append is durable, with the LSN of its last event. */
export async function appendPlanned(store: Store, plan: PlannedAppend): Promise<number> {
  const events = eventsOf(plan);
  const { durability } = plan;
  const of = (stream: string) =>
    events.filter((event) => event.stream === stream).map(({ data }) => ({ type: "Planned", data }));
  const [first, ...others] = plan.parts.map(({ stream }) => stream) as [string, ...string[]];
  if (others.length > 0) {
    const appends = [first, ...others].map((stream) => ({ stream, events: of(stream) }));
    const results = (await store.appendMany(appends, { durability })) as (AppendResult | BufferedResult)[];
    return lsnOf(store, results.at(-1) as AppendResult | BufferedResult);
  }
  const expectedVersion = plan.expectsVersion ? await store.streamVersion(first) : "any";
  return lsnOf(store, await store.append(first, of(first), { durability, expectedVersion }));
}

/** An append of an async mode is acknowledged when its epoch is durable; then some LSN that it does not exceed is known. */
async function lsnOf(store: Store, result: AppendResult | BufferedResult): Promise<number> {
  return isBuffered(result) ? (await store.whenDurable(result.epoch)).lsn : result.lsn;
}

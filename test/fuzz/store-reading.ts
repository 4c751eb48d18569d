/** All that can be read of a store, in a form that two readings can be compared in. */

import type { Store, StoreReader } from "../../src/index.js";

export const STREAMS = ["account-0", "account-1", "account-2", "ledger", "__proto__", "graph"] as const;

export interface StoreReading {
  /** Every event that `readAll` gives, in order. */
  readonly events: readonly ReadEvent[];
  /** The last LSN that is read. */
  readonly lastLsn: number;
}

export interface ReadEvent {
  readonly lsn: number;
  readonly stream: string;
  readonly version: number;
  readonly text: string;
}

type Source = Pick<Store, "readAll" | "readStream" | "watermark">;

function readEvent(event: { readonly lsn: number; readonly stream: string; readonly version: number }): ReadEvent {
  return { lsn: event.lsn, stream: event.stream, version: event.version, text: JSON.stringify(event) };
}

export async function readWhole(source: Source): Promise<StoreReading> {
  const events: ReadEvent[] = [];
  for await (const event of source.readAll()) events.push(readEvent(event));
  return { events, lastLsn: source.watermark };
}

export async function readStream(source: Source, stream: string, backwards: boolean): Promise<ReadEvent[]> {
  const events: ReadEvent[] = [];
  const options = { direction: backwards ? "backwards" : "forwards" } as const;
  for await (const event of source.readStream(stream, options)) events.push(readEvent(event));
  return backwards ? events.reverse() : events;
}

/** The answers that the graph's state gives. */
export async function readGraph(source: Pick<StoreReader, "graph">): Promise<string> {
  const graph = await source.graph();
  const view = graph.asOf({ validAt: 30 });
  const nodes = ["Person", "Company"].flatMap((label) => [...view.find({ label })]);
  return JSON.stringify(nodes.map((node) => [node, [...view.edges(node.id)]]));
}

/** Judges what salvage reads of a damaged store: nothing that was not written, each event once, and all that the damage has left alone. */

import { type SalvagedEvent, salvageStore } from "../../src/index.js";
import { FuzzFailure } from "./fuzz-oracle.js";
import type { FuzzStore } from "./fuzz-store.js";
import type { Mutation } from "./mutation.js";

/** How many events are lost at most by damage of each kind to one place: those of a frame, or of a block of a sealed segment. */
const LOST_MAX = 12;

export interface Salvaged {
  readonly events: readonly SalvagedEvent[];
  readonly lost: number;
}

/** @throws FuzzFailure */
export async function judgeSalvage(mutation: Mutation, store: FuzzStore, directory: string): Promise<Salvaged> {
  const events: SalvagedEvent[] = [];
  const report = await salvageStore(directory, {
    encryption: store.encryption,
    onEvent: (event) => void events.push(event),
  });
  const written = new Map(store.recovered.events.map((event) => [`${event.version} ${event.stream}`, event]));
  const seen = new Set<string>();
  let lsn = 0;
  for (const event of events) {
    const key = `${event.version} ${event.stream}`;
    const original = written.get(key);
    if (seen.has(key)) throw new FuzzFailure(`${key} was salvaged twice`);
    seen.add(key);
    if (original === undefined) throw new FuzzFailure(`${key} was salvaged and never written`);
    expectSame(event, original.text);
    if (event.lsn === null) continue;
    if (event.lsn <= lsn) throw new FuzzFailure(`LSN ${event.lsn} was salvaged after LSN ${lsn}`);
    lsn = event.lsn;
  }
  const lost = written.size - seen.size;
  // A file as a whole can have any number.
  const isLocal = mutation.changes.every(({ kind }) => kind === "bytes");
  if (isLocal && lost > LOST_MAX * mutation.changes.length) throw new FuzzFailure(`${lost} events were not salvaged`);
  if (report.events !== events.length)
    throw new FuzzFailure(`${report.events} of ${events.length} events were counted`);
  return { events, lost };
}

function expectSame(event: SalvagedEvent, text: string): void {
  const original = JSON.parse(text) as Record<string, unknown>;
  const found = JSON.parse(JSON.stringify(event)) as Record<string, unknown>;
  for (const [name, value] of Object.entries(original)) {
    // Null is what is not known.
    if (found[name] === null && name !== "data") continue;
    if (JSON.stringify(found[name]) !== JSON.stringify(value))
      throw new FuzzFailure(`${name} of ${text} was salvaged as ${JSON.stringify(found[name])}`);
  }
}

/** What a store must hold after a crash, by what was acknowledged before it: for appends whose content follows from their names. */

import { eventsOf, type PlannedData, planOf } from "./kill-plan.js";

export class AppendOracle {
  /** Name → LSN of its last event, or the highest it can have. */
  readonly #acknowledged = new Map<string, number>();
  /** What a look found: the name of the append that the LSN belongs to. */
  #seen: string[] = [];

  acknowledge(acks: readonly { readonly name: string; readonly lsn: number }[]): void {
    for (const { name, lsn } of acks) this.#acknowledged.set(name, lsn);
  }

  /** Judges what was read in LSN order. Returns how many appends are new that were never acknowledged. */
  check(events: readonly { lsn: number; stream: string; version: number; data: PlannedData }[]): number {
    const versions = new Map<string, number>();
    const seen: string[] = [];
    const found = new Map<string, number>();
    for (let at = 0; at < events.length; ) {
      const { name } = (events[at] as (typeof events)[number]).data;
      if (found.has(name)) throw new Error(`append ${name} is there twice, again at LSN ${at + 1}`);
      for (const planned of eventsOf(planOf(name))) {
        const event = events[at];
        if (event === undefined) throw new Error(`append ${name} is only half there at the end of the log`);
        const version = (versions.get(event.stream) ?? 0) + 1;
        versions.set(event.stream, version);
        const isSame =
          event.lsn === at + 1 &&
          event.stream === planned.stream &&
          event.version === version &&
          event.data.name === planned.data.name &&
          event.data.index === planned.data.index &&
          event.data.text === planned.data.text;
        if (!isSame) {
          const is = `${event.lsn} ${event.stream}@${event.version} ${event.data.name}[${event.data.index}]`;
          throw new Error(
            `expected ${at + 1} ${planned.stream}@${version} ${name}[${planned.data.index}], found ${is}`,
          );
        }
        seen.push(name);
        at++;
      }
      found.set(name, at);
    }
    for (const [name, lsn] of this.#acknowledged) {
      const at = found.get(name);
      if (at === undefined) throw new Error(`append ${name} was acknowledged with LSN ${lsn} and is gone`);
      if (at > lsn) throw new Error(`append ${name} was acknowledged with LSN ${lsn} and ends at ${at}`);
    }
    for (const [index, name] of this.#seen.entries()) {
      if (seen[index] !== name)
        throw new Error(`LSN ${index + 1} was ${name} after an earlier recovery, now ${seen[index]}`);
    }
    const isNew = (name: string): boolean => !this.#acknowledged.has(name) && !this.#seen.includes(name);
    const unacknowledgedCount = [...found.keys()].filter(isNew).length;
    this.#seen = seen;
    return unacknowledgedCount;
  }
}

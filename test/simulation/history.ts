/**
 * The oracle: what a store must hold, judged from what its callers were told and what the events say of themselves. It stands outside of all
 * simulated processes, and knows nothing of files.
 *
 * - P1  What was acknowledged is there, at its LSN and version.
 * - P2  LSNs have no gap but voids, and stream versions none; who was acknowledged, or seen, has nothing missing below.
 * - P3  An append is there whole, its events one after the other, or not at all; what was refused is not.
 * - P4  What anybody has seen at an LSN is there for ever, the same.
 * - P5  Each event is byte for byte what was appended.
 */

import type { LsnRange } from "../../src/wal/lsn-ranges.js";
import { SubjectOracle, type SubjectReading } from "./subject-oracle.js";
import { Violation } from "./violation.js";

export { Violation };

const TEXT = "varve ".repeat(2000);

/** What an event of a simulated caller says of itself. */
export interface SimulatedData {
  /** Of its append. */
  readonly name: string;
  /** Among the events of its append, over all streams. */
  readonly index: number;
  readonly count: number;
  readonly text: string;
}

export interface SeenEvent {
  readonly lsn: number;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly recordedAt: number;
  readonly data: unknown;
  /** Of an event of a subject; the data are there, whether it was forgotten or not. */
  readonly subject?: SubjectReading;
}

export interface Part {
  readonly stream: string;
  readonly count: number;
}

interface Attempt {
  readonly name: string;
  readonly parts: readonly Part[];
  readonly count: number;
  status: "pending" | "acknowledged" | "refused" | "unknown";
  code: string;
  /** By part, where it was acknowledged. */
  ends: readonly { readonly lsn: number; readonly version: number }[];
  /** No LSN of it is higher, where only that is known. */
  lsnMax: number;
  /** In which it was acknowledged; 0: nobody knows. */
  incarnation: number;
}

interface Seen {
  readonly stream: string;
  readonly version: number;
  readonly identity: string;
  /** As of an attempt. */
  readonly incarnation: number;
}

export const EVENT_TYPE = "Simulated";

function hashOf(name: string, index: number): number {
  let hash = 0x811c9dc5 ^ index;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** The data of an event, which follows from its place. Some are larger than a block. */
export function dataOf(name: string, index: number, count: number): SimulatedData {
  const hash = hashOf(name, index);
  const length = hash % 13 === 0 ? hash % 9000 : hash % 400;
  return { name, index, count, text: TEXT.slice(0, length) };
}

function violated(what: string): never {
  throw new Violation(what);
}

export interface Found {
  readonly events: number;
  readonly lastLsn: number;
  readonly unacknowledged: number;
}

/** What may be missing from a log. */
export interface Limits {
  /** Acknowledged events above it: the disk was damaged, and nothing attests them. Infinity where nothing was. */
  readonly lostAbove: number;
  /** Everything up to it: the log was truncated. */
  readonly horizon: number;
  /** Whether the device has confirmed, and not kept, that without which no recovery could find an LSN of an incarnation. */
  readonly mayBeGone?: (lsn: number, incarnation: number) => boolean;
}

export const NOTHING_MISSING: Limits = { lostAbove: Number.POSITIVE_INFINITY, horizon: 0 };

export class History {
  readonly #attempts = new Map<string, Attempt>();
  /** What was seen at each LSN. */
  readonly #seen = new Map<number, Seen>();
  /** LSNs of events that are acknowledged, and not one of `EVENT_TYPE`. */
  readonly #acknowledgedLsns = new Set<number>();
  /** Of streams that somebody wished to forget, up to which version: that may be gone. */
  readonly #forgettable = new Map<string, number>();
  /** The same for a whole log. */
  #droppableLsn = 0;
  readonly #voids = new Map<string, LsnRange>();
  readonly #incarnationOf: (lsn: number) => number;
  /** Up to here the log itself is known to attest what was acknowledged; damage may take what is above. */
  acknowledgedCount = 0;
  refusedCount = 0;
  /** One for all lives of a store: what is forgotten is so in all of them. */
  subjects = new SubjectOracle();

  /** `incarnationOf`: who was the last to write at an LSN. */
  constructor(incarnationOf: (lsn: number) => number = () => 0) {
    this.#incarnationOf = incarnationOf;
  }

  /** As it is now, for a store whose life ends here. */
  copy(): History {
    const copy = new History(this.#incarnationOf);
    for (const [name, attempt] of this.#attempts) copy.#attempts.set(name, { ...attempt });
    for (const [lsn, seen] of this.#seen) copy.#seen.set(lsn, seen);
    for (const lsn of this.#acknowledgedLsns) copy.#acknowledgedLsns.add(lsn);
    for (const [stream, version] of this.#forgettable) copy.#forgettable.set(stream, version);
    for (const [key, range] of this.#voids) copy.#voids.set(key, range);
    copy.#droppableLsn = this.#droppableLsn;
    copy.subjects = this.subjects;
    return copy;
  }

  /** Before anything of it can be written. */
  attempt(name: string, parts: readonly Part[]): void {
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    this.subjects.begin(name);
    const outcome = { code: "", ends: [], lsnMax: Infinity, incarnation: 0 };
    this.#attempts.set(name, { name, parts, count, status: "pending", ...outcome });
  }

  acknowledge(name: string, ends: readonly { readonly lsn: number; readonly version: number }[]): void {
    const attempt = this.#of(name);
    attempt.status = "acknowledged";
    attempt.ends = ends;
    attempt.incarnation = this.#incarnationOf(ends.at(-1)?.lsn ?? 0);
    this.acknowledgedCount++;
    this.subjects.know(name);
  }

  /** It was answered before it was durable, and is now, with an LSN that is not above this. */
  becameDurable(name: string, lsnMax: number): void {
    const attempt = this.#of(name);
    attempt.status = "acknowledged";
    attempt.lsnMax = lsnMax;
    attempt.incarnation = this.#incarnationOf(lsnMax);
    this.acknowledgedCount++;
    this.subjects.know(name);
  }

  refuse(name: string, code: string): void {
    const attempt = this.#of(name);
    attempt.status = "refused";
    attempt.code = code;
    this.refusedCount++;
  }

  acknowledgeLsn(lsn: number): void {
    this.#acknowledgedLsns.add(lsn);
    this.acknowledgedCount++;
  }

  /** Before it is wished. */
  mayForget(stream: string, throughVersion: number): void {
    this.#forgettable.set(stream, Math.max(this.#forgettable.get(stream) ?? 0, throughVersion));
  }

  mayDrop(throughLsn: number): void {
    this.#droppableLsn = Math.max(this.#droppableLsn, throughLsn);
  }

  /** Every event that somebody was told of: as acknowledged, or by reading it. */
  *known(): Generator<{
    readonly lsn: number;
    readonly stream: string;
    readonly version: number;
    readonly what: string;
    /** In which it was written; 0: nobody knows. */
    readonly incarnation: number;
  }> {
    for (const [lsn, { stream, version, incarnation }] of this.#seen)
      yield { lsn, stream, version, what: "seen", incarnation };
    for (const { name, status, parts, ends, incarnation } of this.#attempts.values()) {
      if (status !== "acknowledged") continue;
      for (const [part, { lsn, version }] of ends.entries()) {
        const { stream, count } = parts[part] as Part;
        for (let back = 0; back < count; back++)
          yield { lsn: lsn - back, stream, version: version - back, what: `acknowledged as ${name}`, incarnation };
      }
    }
  }

  isForgettable(stream: string, version: number): boolean {
    return version <= (this.#forgettable.get(stream) ?? 0);
  }

  loseSight(name: string): void {
    this.#of(name).status = "unknown";
  }

  #of(name: string): Attempt {
    return this.#attempts.get(name) ?? violated(`nobody attempted ${name}`);
  }

  /** A manifest says that these LSNs have no events. */
  sawVoids(ranges: readonly LsnRange[]): void {
    for (const range of ranges) this.#voids.set(`${range[0]} ${range[1]}`, range);
  }

  #isVoid(lsn: number): boolean {
    for (const [from, through] of this.#voids.values()) if (from <= lsn && lsn <= through) return true;
    return false;
  }

  get voidCount(): number {
    return this.#voids.size;
  }

  /** Somebody has seen an event: it must be what it says, and stay what it is. */
  see(event: SeenEvent): void {
    const { lsn, stream, version, type, data } = event;
    const here = `LSN ${lsn}, ${stream}@${version}`;
    if (type === EVENT_TYPE) this.#checkContent(event, here);
    if (event.subject !== undefined) this.subjects.judge(event.subject, here);
    const identity = `${stream}@${version} ${type} ${JSON.stringify(data)}`;
    const before = this.#seen.get(lsn)?.identity;
    if (before === undefined) this.#seen.set(lsn, { stream, version, identity, incarnation: this.#incarnationOf(lsn) });
    else if (before !== identity) violated(`P4: ${here} is ${identity.slice(0, 90)}, and was ${before.slice(0, 90)}`);
  }

  #checkContent({ data, stream }: SeenEvent, here: string): void {
    const { name, index, count, text } = data as SimulatedData;
    const attempt = this.#attempts.get(name);
    if (attempt === undefined) violated(`P5: ${here} was never appended: ${JSON.stringify(data).slice(0, 90)}`);
    const expected = dataOf(name, index, attempt.count);
    if (text !== expected.text || count !== attempt.count)
      violated(`P5: ${here} has another content: ${name}[${index}]`);
    if (streamAt(attempt.parts, index) !== stream) violated(`P5: ${here} is of another stream: ${name}[${index}]`);
    if (attempt.status === "refused") violated(`P3: ${name} was refused with ${attempt.code} and is there at ${here}`);
  }

  /** Judges a reading of the whole log, in LSN order from behind its horizon. */
  check(events: readonly SeenEvent[], watermark: number, limits: Limits): Found {
    const { horizon } = limits;
    if (horizon > this.#droppableLsn) violated(`P6: the log begins behind ${horizon}, and nobody wished it`);
    const versions = new Map<string, number>();
    const found = new Map<string, { lsn: number; version: number }[]>();
    let open: { attempt: Attempt; index: number } | null = null;
    let lastLsn = horizon;
    let lastRecordedAt = 0;
    for (const event of events) {
      const { lsn, stream, version, recordedAt, type } = event;
      const here = `LSN ${lsn}, ${stream}@${version}`;
      if (lsn <= lastLsn) violated(`P2: ${here} follows LSN ${lastLsn}`);
      this.#checkGap(lastLsn, lsn, here);
      if (open !== null && lsn !== lastLsn + 1) violated(`P3: ${open.attempt.name} has a gap inside, before ${here}`);
      lastLsn = lsn;
      if (recordedAt < lastRecordedAt) violated(`${here} was recorded before the event before it`);
      lastRecordedAt = recordedAt;
      this.#checkVersion(event, versions.get(stream) ?? 0, horizon, here);
      versions.set(stream, version);
      this.see(event);
      if (type !== EVENT_TYPE) continue;
      const { name, index } = event.data as SimulatedData;
      const ends = found.get(name) ?? [];
      if (this.#forgettable.has(stream) || horizon > 0) {
        const attempt = this.#of(name); // a part of it may be gone
        ends[partAt(attempt.parts, index)] = { lsn, version };
        found.set(name, ends);
        continue;
      }
      if (open === null) {
        if (found.has(name)) violated(`P2: ${name} is there twice, again at ${here}`);
        open = { attempt: this.#of(name), index: 0 };
        found.set(name, ends);
      }
      if (open.attempt.name !== name || open.index !== index) {
        violated(`P3: ${open.attempt.name} is half there: ${open.index} events, then ${name}[${index}] at ${here}`);
      }
      open.index++;
      ends[partAt(open.attempt.parts, index)] = { lsn, version };
      if (open.index === open.attempt.count) open = null;
    }
    if (open !== null) violated(`P3: ${open.attempt.name} is half there at the end of the log`);
    this.#checkGap(lastLsn, watermark + 1, `W ${watermark}`);
    if (lastLsn > Math.max(watermark, horizon)) violated(`P4: LSN ${lastLsn} was read above W ${watermark}`);
    const unacknowledged = this.#checkAcknowledged(found, limits);
    this.#checkSeen(events, limits);
    return { events: events.length, lastLsn, unacknowledged };
  }

  #checkVersion({ stream, version }: SeenEvent, before: number, horizon: number, here: string): void {
    if (version <= before) violated(`P2: ${here} follows version ${before}`);
    const isGone = version === before + 1 || this.isForgettable(stream, version - 1) || (horizon > 0 && before === 0);
    if (!isGone) violated(`P2: ${here} follows version ${before}`);
  }

  #checkGap(lastLsn: number, lsn: number, here: string): void {
    for (let missing = lastLsn + 1; missing < lsn; missing++) {
      if (this.#isVoid(missing)) continue;
      // What nobody has seen yet may have been forgotten before.
      const seen = this.#seen.get(missing);
      const isForgotten =
        seen === undefined ? this.#forgettable.size > 0 : this.isForgettable(seen.stream, seen.version);
      if (!isForgotten) violated(`P2: LSN ${missing} is missing, and no void, before ${here}`);
    }
  }

  #checkAcknowledged(
    found: ReadonlyMap<string, readonly { readonly lsn: number; readonly version: number }[]>,
    { horizon, lostAbove, mayBeGone = () => false }: Limits,
  ): number {
    let acknowledged = 0;
    for (const attempt of this.#attempts.values()) {
      const { name, status, ends, lsnMax, parts, incarnation } = attempt;
      if (status !== "acknowledged") continue;
      const actual = found.get(name);
      const lastLsn = ends.at(-1)?.lsn ?? lsnMax;
      if (actual === undefined) {
        const isForgotten = parts.every(({ stream }, part) =>
          this.isForgettable(stream, ends[part]?.version ?? this.#forgettable.get(stream) ?? Infinity),
        );
        if (lastLsn > lostAbove || mayBeGone(lastLsn, incarnation)) attempt.status = "unknown";
        else if (!isForgotten && lastLsn > horizon && (ends.length > 0 || horizon === 0)) {
          violated(`P1: ${name} was acknowledged with LSN ${lastLsn} and is gone`);
        }
        continue;
      }
      acknowledged++;
      const isSame = ends.every(({ lsn, version }, part) => {
        const end = actual[part];
        if (end === undefined) return lsn <= horizon || this.isForgettable((parts[part] as Part).stream, version);
        return end.lsn === lsn && end.version === version;
      });
      const isWithin = actual.every(({ lsn }) => lsn <= lsnMax);
      if (!isSame || !isWithin) {
        violated(`P1: ${name} was acknowledged as ${JSON.stringify(ends)}, and is ${JSON.stringify(actual)}`);
      }
    }
    return found.size - acknowledged;
  }

  #checkSeen(events: readonly SeenEvent[], { horizon, lostAbove }: Limits): void {
    const lsns = new Set(events.map(({ lsn }) => lsn));
    for (const [lsn, { identity, stream, version }] of this.#seen) {
      if (lsns.has(lsn) || lsn <= horizon || this.isForgettable(stream, version)) continue;
      if (lsn > lostAbove) this.#seen.delete(lsn);
      else violated(`P4: LSN ${lsn} was seen and is gone: ${identity.slice(0, 90)}`);
    }
    for (const lsn of this.#acknowledgedLsns) {
      if (lsns.has(lsn) || lsn <= horizon) continue;
      if (lsn > lostAbove) this.#acknowledgedLsns.delete(lsn);
      else violated(`P1: LSN ${lsn} was acknowledged and is gone`);
    }
  }
}

function partAt(parts: readonly Part[], index: number): number {
  let end = 0;
  for (const [at, { count }] of parts.entries()) {
    end += count;
    if (index < end) return at;
  }
  return violated(`there is no event ${index}`);
}

function streamAt(parts: readonly Part[], index: number): string {
  return (parts[partAt(parts, index)] as Part).stream;
}

/** What the store of the chaos test must hold, judged from what the writers said and what the events say of themselves. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RecordedEvent } from "../../src/index.js";
import { type ChaosData, EVENT_TYPE, idOf, receiptOf, textOf } from "./chaos-plan.js";

const MANIFEST_NAME = /^manifest-\d{10}$/;
const LOST_LISTED_MAX = 5;
const DERIVED_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** LSNs that dead writers took and never filled. */
export class Voids {
  readonly #ranges: readonly (readonly [from: number, through: number])[];
  readonly #sealedThrough: number;

  /** Of what is sealed the manifest does not tell the voids any more: `varve verify` does, and what it counts is compared. */
  constructor(ranges: readonly (readonly [from: number, through: number])[], sealedThrough = 0) {
    this.#sealedThrough = sealedThrough;
    this.#ranges = [...ranges].sort(([a], [b]) => a - b);
  }

  get ranges(): number {
    return this.#ranges.length;
  }

  get lsns(): number {
    return this.#ranges.reduce((sum, [from, through]) => sum + through - from + 1, 0);
  }

  has(lsn: number): boolean {
    return this.#ranges.some(([from, through]) => from <= lsn && lsn <= through);
  }

  /** The first LSN from `from` through `through` that is none of these, or null. */
  firstOutside(from: number, through: number): number | null {
    let lsn = Math.max(from, this.#sealedThrough + 1);
    for (const [start, end] of this.#ranges) if (start <= lsn && lsn <= end) lsn = end + 1;
    return lsn <= through ? lsn : null;
  }
}

interface ManifestIncarnation {
  readonly lastLsn: number | null;
  readonly voids?: readonly (readonly [number, number])[];
}

/** Reads the newest manifest by itself: nothing of the code that is tested. */
export function readVoids(directory: string): Voids {
  const name = readdirSync(directory)
    .filter((file) => MANIFEST_NAME.test(file))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error(`there is no manifest in ${directory}`);
  const [, body] = readFileSync(join(directory, name), "utf8").split("\n") as [string, string];
  const { checkpointLsn, incarnations } = JSON.parse(body) as {
    readonly checkpointLsn: number;
    readonly incarnations: readonly ManifestIncarnation[];
  };
  // What lies above the end of its incarnation was dropped, and its LSNs were given again.
  const ranges = incarnations.flatMap(({ lastLsn, voids = [] }) =>
    voids
      .map(([from, through]) => [from, Math.min(through, lastLsn ?? through)] as const)
      .filter(([from, through]) => from <= through),
  );
  return new Voids(ranges, checkpointLsn);
}

/** What a reading of the whole log came to. */
export interface Judgement {
  readonly events: number;
  readonly appends: number;
  /** Appends that were there without having been acknowledged. */
  readonly unacknowledged: number;
  readonly lastLsn: number;
  /** Of all that was read. */
  readonly digest: string;
}

/** An append whose events are being read. */
interface OpenAppend {
  readonly name: string;
  readonly count: number;
  readonly parts: { stream: string; lsn: number; version: number }[];
  seen: number;
}

export class ChaosOracle {
  /** The receipt of each acknowledged append, by its last LSN. */
  readonly #receipts = new Map<number, string>();
  /** Appends that were answered before they were durable, and then heard that they are, through an LSN not above this. */
  readonly #durable = new Map<string, number>();
  readonly #refused = new Map<string, string>();
  /** Of each once-stream, the last version that was acknowledged. */
  readonly onceVersions = new Map<string, number>();

  get acknowledged(): number {
    return this.#receipts.size + this.#durable.size;
  }

  get receipts(): IterableIterator<string> {
    return this.#receipts.values();
  }

  acknowledge(receipt: string): void {
    const lsn = Number(receipt.slice(receipt.lastIndexOf(" ") + 1, receipt.lastIndexOf(":")));
    const before = this.#receipts.get(lsn);
    if (before !== undefined && before !== receipt) {
      throw new Error(`LSN ${lsn} was given twice, to "${before}" and to "${receipt}"`);
    }
    this.#receipts.set(lsn, receipt);
    const once = /^(once-[^#]+)#(\d+) /.exec(receipt);
    if (once === null) return;
    const [, stream, version] = once as unknown as readonly [string, string, string];
    this.onceVersions.set(stream, Math.max(Number(version), this.onceVersions.get(stream) ?? 0));
  }

  durable(name: string, lsnMax: number): void {
    this.#durable.set(name, lsnMax);
  }

  refuse(name: string, code: string): void {
    this.#refused.set(name, code);
  }

  /** Judges what was read in LSN order. Throws at the first thing that is not as promised. */
  async judge(events: AsyncIterable<RecordedEvent>, watermark: number, voids: Voids): Promise<Judgement> {
    const names = new Map<string, number>();
    const versions = new Map<string, number>();
    const ids = new Map<string, Set<string>>();
    const callers = new Map<string, number>();
    const digest = createHash("sha256");
    let open: OpenAppend | null = null;
    let lastLsn = 0;
    let lastRecordedAt = 0;
    let count = 0;
    let matched = 0;
    let boundedCount = 0;
    for await (const event of events) {
      const { lsn, stream, version, recordedAt, id, type } = event;
      const data = event.data as ChaosData;
      const here = `LSN ${lsn}, ${stream}@${version}`;
      digest.update(`${lsn} ${stream} ${version} ${recordedAt} ${id} `).update(event.payload);
      count++;
      const missing = voids.firstOutside(lastLsn + 1, lsn - 1);
      if (lsn <= lastLsn) throw new Error(`${here} follows LSN ${lastLsn}`);
      if (missing !== null) throw new Error(`LSN ${missing} is missing, and no void: ${here} follows LSN ${lastLsn}`);
      if (voids.has(lsn)) throw new Error(`${here} lies in a void`);
      if (open !== null && lsn !== lastLsn + 1)
        throw new Error(`append ${open.name} has a void inside, before ${here}`);
      lastLsn = lsn;
      if (recordedAt < lastRecordedAt) throw new Error(`${here}: recorded before the event before it`);
      lastRecordedAt = recordedAt;
      const versionBefore = versions.get(stream) ?? 0;
      if (version !== versionBefore + 1) throw new Error(`${here} follows version ${versionBefore}`);
      versions.set(stream, version);
      checkContent(here, stream, type, id, data);
      const streamIds = ids.get(stream) ?? new Set();
      if (streamIds.has(id)) throw new Error(`${here}: the id ${id} is in the stream twice`);
      ids.set(stream, streamIds.add(id));

      if (open === null) {
        if (names.has(data.name)) throw new Error(`${here}: append ${data.name} is there twice`);
        open = { name: data.name, count: data.count, parts: [], seen: 0 };
      }
      if (data.name !== open.name || data.index !== open.seen || data.count !== open.count) {
        const is = `${data.name}[${data.index}] of ${data.count}`;
        throw new Error(`append ${open.name} is half there: ${open.seen} of ${open.count}, then ${is} at ${here}`);
      }
      open.seen++;
      if (open.parts.at(-1)?.stream === stream) open.parts.pop();
      open.parts.push({ stream, lsn, version });
      if (open.seen < open.count) continue;

      const { name } = open;
      names.set(name, lsn);
      const receipt = this.#receipts.get(lsn);
      if (receipt !== undefined) {
        const actual = receiptOf(name, open.parts);
        if (receipt !== actual) throw new Error(`acknowledged was "${receipt}", and "${actual}" is there`);
        matched++;
      }
      const lsnMax = this.#durable.get(name);
      if (lsnMax !== undefined) {
        if (lsn > lsnMax) throw new Error(`append ${name} ends at LSN ${lsn}, durable was LSN ${lsnMax}`);
        boundedCount++;
      }
      const code = this.#refused.get(name);
      if (code !== undefined) throw new Error(`append ${name} was refused with ${code}, and is there at ${here}`);
      checkOrder(callers, name, here);
      open = null;
    }
    if (open !== null) throw new Error(`append ${open.name} is half there at the end, ${open.seen} of ${open.count}`);
    if (matched < this.#receipts.size || boundedCount < this.#durable.size) throw new Error(this.#lost(names));
    const beyond = voids.firstOutside(lastLsn + 1, watermark);
    if (beyond !== null) throw new Error(`W is ${watermark}, and reading ended at LSN ${lastLsn}`);
    const unacknowledged = names.size - matched - boundedCount;
    return { events: count, appends: names.size, unacknowledged, lastLsn, digest: digest.digest("hex") };
  }

  #lost(names: ReadonlyMap<string, number>): string {
    const lost = [...this.#receipts.values()].filter((receipt) => {
      const lsn = names.get(receipt.slice(0, receipt.indexOf(" ")));
      return lsn === undefined || this.#receipts.get(lsn) !== receipt;
    });
    for (const [name, lsnMax] of this.#durable) if (!names.has(name)) lost.push(`${name} ≤ ${lsnMax}`);
    const listed = lost.slice(0, LOST_LISTED_MAX).join("; ");
    return `${lost.length} appends were acknowledged and are gone or elsewhere: ${listed}`;
  }
}

function checkContent(here: string, stream: string, type: string, id: string, data: ChaosData): void {
  const isSame = type === EVENT_TYPE && data.stream === stream && data.text === textOf(data);
  if (!isSame) throw new Error(`${here} is not as it was appended: ${type} ${JSON.stringify(data)}`);
  const isIdRight = data.hasId ? id === idOf(data.name, data.index) : DERIVED_ID.test(id);
  if (!isIdRight) throw new Error(`${here} has the id ${id}`);
}

/** A caller appends one after the other. */
function checkOrder(callers: Map<string, number>, name: string, here: string): void {
  const dot = name.lastIndexOf(".");
  if (dot < 0) return; // of a once-stream, whose versions say it
  const caller = name.slice(0, dot);
  const number = Number(name.slice(dot + 1));
  const before = callers.get(caller) ?? -1;
  if (number < before) throw new Error(`${here}: append ${name} stands behind number ${before} of its caller`);
  callers.set(caller, number);
}

/**
 * Writes all that a repair keeps of a log into new sealed segments. Nobody lists them yet.
 *
 * Frames that are whole stay as they are. Of others each run becomes a frame of its own, with nothing in the places of what is lost, so the hash chain
 * is a new one: backups that were made before do not go on from it.
 */

import type { BlockIo, BufferPool } from "../../ffi/index.js";
import { checksum } from "../checksum.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { RECORD_HEADER_BYTES } from "../format.js";
import type { KeyOf } from "../record-key.js";
import { type SalvagedRun, SalvageLog } from "../salvage/salvage-log.js";
import type { Survey } from "../salvage/survey.js";
import type { EmptiedStream } from "../salvage/survey-segment.js";
import { CHAIN_START, leafOf } from "../sealed/hash-chain.js";
import { runsOfFrame } from "../sealed/merge-frames.js";
import { RemovalRules } from "../sealed/removal.js";
import { withoutRemoved } from "../sealed/remove-records.js";
import type { SealedEntry } from "../sealed/sealed-entry.js";
import type { SealedRun } from "../sealed/sealed-format.js";
import { type RemovedRecord, SEALED_BLOCK_BYTES_DEFAULT, SealedWriter } from "../sealed/sealed-writer.js";
import { isProven, type RepairPlan } from "./repair-plan.js";

const NO_BYTES = Buffer.alloc(0);

export interface RebuildPlace {
  readonly io: BlockIo;
  readonly pool: BufferPool;
  /** The directory of sealed segments, which exists. */
  readonly directory: string;
  readonly firstNumber: number;
  readonly keyOf: KeyOf;
  /** By which the segments are encrypted; null: they are not. */
  readonly keys: StoreKeys | null;
  /** Called now and then. Throwing ends it. */
  readonly onProgress: (lsn: number) => void;
}

/** The segments in LSN order; one ends at the horizon, where there is one. */
export async function rebuildLog(
  survey: Survey,
  plan: RepairPlan,
  place: RebuildPlace,
): Promise<readonly SealedEntry[]> {
  const log = new SalvageLog(survey);
  const rebuild = new Rebuild(survey, plan, place);
  try {
    for await (const run of log.runs()) {
      if (run.firstLsn > plan.lastLsn) break;
      place.onProgress(run.firstLsn);
      await rebuild.take(run);
    }
    return await rebuild.finish();
  } finally {
    await rebuild.abandon();
    await log.close();
  }
}

class Rebuild {
  readonly #place: RebuildPlace;
  readonly #storeId: Buffer;
  readonly #horizonLsn: number;
  readonly #rules: RemovalRules;
  readonly #emptied: readonly EmptiedStream[];
  #nextEmptied = 0;
  readonly #entries: SealedEntry[] = [];
  #writer: SealedWriter;
  /** Runs of one frame, of which more are to come. */
  #frame: SealedRun[] = [];
  #recordedAt = 0;

  constructor(survey: Survey, plan: RepairPlan, place: RebuildPlace) {
    this.#place = place;
    this.#storeId = Buffer.from(survey.storeId ?? "", "hex");
    this.#horizonLsn = survey.manifest?.horizonLsn ?? 0;
    this.#rules = new RemovalRules(plan.removal);
    this.#emptied = [...survey.emptied].sort((a, b) => a.lsn - b.lsn);
    this.#writer = this.#newWriter(place.firstNumber, { lsn: 0, hash: CHAIN_START });
  }

  #newWriter(firstNumber: number, after: { readonly lsn: number; readonly hash: string }): SealedWriter {
    const { io, pool, directory, keyOf, keys } = this.#place;
    return new SealedWriter({ io, pool, directory, storeId: this.#storeId, firstNumber, after, keyOf, keys });
  }

  async take(run: SalvagedRun): Promise<void> {
    const { firstLsn, recordCount } = run;
    const before = this.#horizonLsn - firstLsn + 1;
    if (before > 0 && before < recordCount && run.kind !== "data") {
      // What is gone on both sides of the horizon.
      await this.#takePart({ ...run, recordCount: before });
      await this.#takePart({ ...run, firstLsn: firstLsn + before, recordCount: recordCount - before });
    } else await this.#takePart(run);
  }

  async #takePart(run: SalvagedRun): Promise<void> {
    if (run.recordedAt !== null) this.#recordedAt = run.recordedAt;
    const isNext = run.isWhole && run.kind !== "void";
    if (this.#frame.length > 0 && !isNext) await this.#endBroken();
    if (!isProven(run)) {
      if (run.kind === "removed" && run.isWhole && (run.goesOn || this.#frame.length > 0)) await this.#addToFrame(run);
      else await this.#write([this.#gone(run)]);
    } else if (run.isWhole && (this.#frame.length > 0 || startsFrame(run))) await this.#addToFrame(run);
    else await this.#write([this.#rewritten(run, run.recordedAt)]);
    if (run.firstLsn + run.recordCount - 1 === this.#horizonLsn && this.#frame.length === 0) await this.#endSegment();
  }

  async #addToFrame(run: SalvagedRun): Promise<void> {
    const { kind, firstLsn, recordCount, body, leaf, goesOn } = run;
    const header = { firstLsn, recordCount, recordedAt: run.recordedAt ?? this.#recordedAt };
    const frame = { kind: kind === "data" ? "data" : "removed", header, body, leaf, goesOn } as const;
    if (this.#frame.length === 0 && !goesOn && kind === "data" && leaf === null) {
      await this.#write(runsOfFrame(frame, SEALED_BLOCK_BYTES_DEFAULT / 2));
      return;
    }
    this.#frame.push(frame);
    if (goesOn) return;
    await this.#write(this.#frame.splice(0));
  }

  /** A frame whose end is lost: what is left of it are frames of their own. */
  async #endBroken(): Promise<void> {
    for (const run of this.#frame.splice(0)) {
      const { firstLsn, recordCount, recordedAt } = run.header;
      if (run.kind !== "data") await this.#write([this.#removed(firstLsn, recordCount, recordedAt)]);
      else
        await this.#write([
          this.#rewritten({ firstLsn, recordCount, body: run.body, ranges: rangesIn(run) }, recordedAt),
        ]);
    }
  }

  #gone({ kind, firstLsn, recordCount }: SalvagedRun): SealedRun {
    if (kind !== "void") return this.#removed(firstLsn, recordCount, this.#recordedAt);
    const header = { firstLsn, recordCount, recordedAt: this.#recordedAt };
    return { kind: "void", header, body: NO_BYTES, leaf: null, goesOn: false };
  }

  #removed(firstLsn: number, recordCount: number, recordedAt: number): SealedRun {
    return removedRun(firstLsn, recordCount, recordedAt, this.#place.keys);
  }

  #rewritten(run: RewrittenRun, recordedAt: number): SealedRun {
    return rewritten(run, recordedAt, this.#place.keys);
  }

  async #write(runs: readonly SealedRun[]): Promise<void> {
    const { runs: kept, removed } = withoutRemoved(runs, this.#rules, this.#place.keyOf, this.#place.keys);
    const last = (runs.at(-1) as SealedRun).header;
    const gone = eachOnce([...this.#emptiedThrough(last.firstLsn + last.recordCount - 1), ...removed]);
    for (const [index, run] of kept.entries()) {
      const pending = this.#writer.add(run, index === 0 ? gone : []);
      if (pending !== null) await pending;
    }
  }

  /** Streams that had lost all their records up to that LSN before; their versions must not be forgotten. */
  #emptiedThrough(lsn: number): RemovedRecord[] {
    const found: RemovedRecord[] = [];
    for (let next = this.#emptied[this.#nextEmptied]; next !== undefined; next = this.#emptied[this.#nextEmptied]) {
      if (next.lsn > lsn) break;
      this.#nextEmptied++;
      const { name, version } = next;
      found.push({ bytes: name, nameStart: 0, nameEnd: name.length, version, lsn: next.lsn });
    }
    return found;
  }

  async #endSegment(): Promise<void> {
    const entries = await this.#writer.finish();
    this.#entries.push(...entries);
    const last = entries.at(-1);
    const after = { lsn: this.#writer.nextLsn - 1, hash: last?.hash ?? CHAIN_START };
    this.#writer = this.#newWriter((last?.number ?? this.#place.firstNumber - 1) + 1, after);
  }

  async finish(): Promise<readonly SealedEntry[]> {
    if (this.#frame.length > 0) await this.#endBroken();
    this.#entries.push(...(await this.#writer.finish()));
    return this.#entries;
  }

  abandon(): Promise<void> {
    return this.#writer.abandon();
  }
}

/** In LSN order. A record is told of twice by two copies of a segment, and where an older copy still had one that was removed. */
function eachOnce(removed: readonly RemovedRecord[]): readonly RemovedRecord[] {
  const byLsn = new Map(removed.map((record) => [record.lsn, record]));
  return [...byLsn.values()].sort((a, b) => a.lsn - b.lsn);
}

function removedRun(firstLsn: number, recordCount: number, recordedAt: number, keys: StoreKeys | null): SealedRun {
  const run = {
    kind: "removed",
    header: { firstLsn, recordCount, recordedAt },
    body: NO_BYTES,
    goesOn: false,
  } as const;
  return { ...run, leaf: leafOf([{ ...run, leaf: null }], keys) };
}

/** Whether its first record is the first of a frame: then its CRC is seeded with nothing. */
function startsFrame({ body, ranges, goesOn, leaf }: SalvagedRun): boolean {
  if (leaf !== null && goesOn) return true;
  const [first] = ranges;
  if (first === undefined || first === null) return true;
  return checksum(body, first[0], first[1]) === body.readUInt32LE(first[0] - 4);
}

function rangesIn({ body, header }: SealedRun): (readonly [number, number] | null)[] {
  const ranges: (readonly [number, number] | null)[] = [];
  let at = 0;
  for (let index = 0; index < header.recordCount; index++) {
    const start = at + RECORD_HEADER_BYTES;
    at = start + body.readUInt32LE(at);
    ranges.push(at === start ? null : [start, at]);
  }
  return ranges;
}

type RewrittenRun = Pick<SalvagedRun, "firstLsn" | "recordCount" | "body" | "ranges">;

/** The records as a frame of their own. */
function rewritten(
  { firstLsn, recordCount, body, ranges }: RewrittenRun,
  recordedAt: number,
  keys: StoreKeys | null,
): SealedRun {
  const parts: Buffer[] = [];
  let crc = 0;
  for (const range of ranges) {
    const bytes = range === null ? NO_BYTES : body.subarray(range[0], range[1]);
    const head = Buffer.alloc(RECORD_HEADER_BYTES);
    crc = checksum(bytes, 0, bytes.length, crc);
    head.writeUInt32LE(bytes.length, 0);
    head.writeUInt32LE(crc, 4);
    parts.push(head, bytes);
  }
  const header = { firstLsn, recordCount, recordedAt };
  const run = { kind: "data", header, body: Buffer.concat(parts), leaf: null, goesOn: false } as const;
  return ranges.includes(null) ? { ...run, leaf: leafOf([run], keys) } : run;
}

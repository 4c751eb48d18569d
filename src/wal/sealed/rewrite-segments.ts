/**
 * Writes sealed segments anew: several small ones as a large one, or without records that are to go.
 *
 * Every byte is checked on the way, and the hash chain stays what it is, so what is left is what was there. The old files stay: they are removed
 * when no manifest lists them any more.
 */

import { StoreError } from "../../errors.js";
import { type BufferPool, DirectFile } from "../../ffi/index.js";
import type { KeyOf } from "../record-key.js";
import { scanBlocks } from "./block-scan.js";
import { ByteStream } from "./byte-stream.js";
import { HashChain } from "./hash-chain.js";
import { type Removal, RemovalRules } from "./removal.js";
import { type FrameLoss, withoutRemoved } from "./remove-records.js";
import type { SealedEntry } from "./sealed-entry.js";
import { PAGE_BYTES, type SealedRun, storeCrcOf } from "./sealed-format.js";
import { sealedPath } from "./sealed-name.js";
import type { SealedTrailer } from "./sealed-trailer.js";
import { type RemovedRecord, SealedWriter, type SealedWriterOptions } from "./sealed-writer.js";
import type { SegmentCipher } from "./segment-cipher.js";
import { readTrailer, trailerCipher } from "./segment-walk.js";
import { type ScannedStream, StreamScan } from "./stream-scan.js";

/** LSNs that a dropped run stands for at most, about: the streams of so many records are remembered until it is written. */
const DROPPED_LSNS_MAX = 4096;
const NO_BYTES = Buffer.alloc(0);

export interface RewriteOptions extends Omit<SealedWriterOptions, "after"> {
  /** Called now and then with how many records were removed so far. Throwing ends it. */
  readonly onProgress?: (removedRecords: number) => void;
}

export interface Rewritten {
  readonly entries: readonly SealedEntry[];
  readonly removedRecords: number;
}

/** One of the segments that are written anew, open. */
interface Source {
  readonly entry: SealedEntry;
  readonly file: DirectFile;
  readonly trailer: SealedTrailer;
  readonly cipher: SegmentCipher | null;
}

async function withSource<Result>(
  entry: SealedEntry,
  options: RewriteOptions,
  work: (source: Source) => Promise<Result>,
): Promise<Result> {
  const file = await DirectFile.open(options.io, sealedPath(options.directory, entry.number), "read");
  try {
    const trailer = await readTrailer(file, options.storeId, entry.number);
    return await work({ entry, file, trailer, cipher: trailerCipher(options.keys ?? null, trailer, file.path) });
  } finally {
    await file.close();
  }
}

/**
 * The frames of a segment up to an LSN, with which one ends, as a segment of its own, perhaps elsewhere. The end of the hash chain is not compared:
 * what it is there nobody has written down.
 */
export function copyThrough(
  entry: SealedEntry,
  throughLsn: number,
  from: Pick<RewriteOptions, "io" | "directory">,
  options: RewriteOptions,
): Promise<readonly SealedEntry[]> {
  return withSource(entry, { ...options, ...from }, async (source) => {
    const { hashBefore } = source.trailer;
    const after = { lsn: entry.firstLsn - 1, hash: hashBefore.toString("hex") };
    const writer = new SealedWriter({ ...options, after });
    try {
      await new SegmentCopy(writer, null, hashBefore, options).add(source, throughLsn);
      return await writer.finish();
    } finally {
      await writer.abandon();
    }
  });
}

/** Writes segments that follow each other into one, or as few as `segmentBytes` allows. */
export async function compactSegments(
  entries: readonly SealedEntry[],
  options: RewriteOptions,
): Promise<readonly SealedEntry[]> {
  return (await rewrite(entries, null, options)).entries;
}

/**
 * All segments of the log, those that lose records written anew, neighbours among them together. The same list when nothing is to be removed.
 */
export async function scavengeSegments(
  entries: readonly SealedEntry[],
  removal: Removal,
  options: RewriteOptions,
): Promise<Rewritten> {
  const plan = { rules: new RemovalRules(removal), isDropping: false };
  const kept: SealedEntry[] = [];
  let losing: SealedEntry[] = [];
  let { firstNumber } = options;
  let removedRecords = 0;
  const rewriteLosing = async (): Promise<void> => {
    const { onProgress } = options;
    const removedBefore = removedRecords;
    const rewritten = await rewrite(losing, plan, {
      ...options,
      firstNumber,
      onProgress: (count) => onProgress?.(removedBefore + count),
    });
    kept.push(...rewritten.entries);
    removedRecords += rewritten.removedRecords;
    firstNumber = Math.max(firstNumber, ...rewritten.entries.map(({ number }) => number + 1));
    losing = [];
  };
  for (const entry of entries) {
    options.onProgress?.(removedRecords);
    if (await losesRecords(entry, plan.rules, options)) {
      losing.push(entry);
    } else {
      await rewriteLosing();
      kept.push(entry);
    }
  }
  await rewriteLosing();
  return { entries: kept, removedRecords };
}

/**
 * Writes segments anew that follow each other, without what the removal takes: where nothing is left of many frames in a row, one run stands
 * for all of them.
 */
export function dropRecords(
  entries: readonly SealedEntry[],
  removal: Removal,
  options: RewriteOptions,
): Promise<Rewritten> {
  return rewrite(entries, { rules: new RemovalRules(removal), isDropping: true }, options);
}

/** Whether the rules take a record of the segment. Reads the index of its streams only. */
function losesRecords(entry: SealedEntry, rules: RemovalRules, options: RewriteOptions): Promise<boolean> {
  return withSource(entry, options, async ({ file, trailer, cipher }) => {
    const scan = new StreamScan(file, options.pool, trailer, cipher);
    /** Streams whose first LSN was not known yet: the page that has it, and the LSN through which their records go. */
    const asked: (readonly [page: number, throughLsn: number])[] = [];
    for await (const stream of scan.streams()) {
      if (stream.count === 0) continue;
      const { beforeVersion, throughLsn } = rules.cutOf(stream.bytes, stream.nameStart, stream.nameEnd);
      if (stream.firstVersion < beforeVersion) return true;
      if (stream.firstLsn !== null && stream.firstLsn <= throughLsn) return true;
      if (stream.firstLsn === null && stream.postingPage !== null) asked.push([stream.postingPage, throughLsn]);
    }
    return asked.some(([page, throughLsn]) => (scan.firstPosting(page) ?? 0) <= throughLsn);
  });
}

interface RemovalPlan {
  readonly rules: RemovalRules;
  /** Whether frames of which nothing is left are put together. */
  readonly isDropping: boolean;
}

async function rewrite(
  entries: readonly SealedEntry[],
  plan: RemovalPlan | null,
  options: RewriteOptions,
): Promise<Rewritten> {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return { entries: [], removedRecords: 0 };
  const hashBefore = await withSource(first, options, async ({ trailer }) => trailer.hashBefore);
  const after = { lsn: first.firstLsn - 1, hash: hashBefore.toString("hex") };
  const writer = new SealedWriter({ ...options, after });
  const copy = new SegmentCopy(writer, plan, hashBefore, options);
  try {
    for (const entry of entries) await withSource(entry, options, (source) => copy.add(source));
    await copy.finish();
    const written = await writer.finish();
    const hashAfter = written.at(-1)?.hash;
    if (hashAfter !== last.hash) {
      const message = `the hash chain does not end as the manifest says behind LSN ${last.lastLsn}`;
      throw new StoreError("ERR_WAL_CORRUPT", message, {
        lsn: last.lastLsn,
        expected: last.hash,
        found: hashAfter ?? "",
      });
    }
    return { entries: written, removedRecords: copy.removedRecords };
  } finally {
    await writer.abandon();
  }
}

/** Frames and voids in a row, of which nothing is left. */
interface DroppedRange {
  readonly firstLsn: number;
  lastLsn: number;
  recordedAt: number;
  /** The chain's value behind them. */
  hash: Buffer;
  readonly removed: RemovedRecord[];
}

/** Takes the runs of one segment after the other, and hands on to the writer what is left. */
class SegmentCopy {
  readonly #writer: SealedWriter;
  readonly #plan: RemovalPlan | null;
  readonly #keyOf: KeyOf;
  readonly #options: RewriteOptions;
  /** Of what was read. */
  readonly #chain: HashChain;
  #dropped: DroppedRange | null = null;
  removedRecords = 0;

  constructor(writer: SealedWriter, plan: RemovalPlan | null, hashBefore: Buffer, options: RewriteOptions) {
    this.#writer = writer;
    this.#plan = plan;
    this.#keyOf = options.keyOf;
    this.#options = options;
    this.#chain = new HashChain(hashBefore, options.keys ?? null);
  }

  async add(source: Source, throughLsn: number = Number.POSITIVE_INFINITY): Promise<void> {
    const lost = new LostStreams(await lostStreams(source, this.#options.pool));
    for await (const frame of framesOf(source, this.#options.pool)) {
      const { header } = frame.at(-1) as SealedRun;
      if (header.firstLsn > throughLsn) return;
      const before = lost.through(header.firstLsn + header.recordCount - 1);
      const pending = this.#addFrame(frame, before);
      if (pending !== null) await pending;
      this.#options.onProgress?.(this.removedRecords);
    }
  }

  /** `before`: streams that had lost all their records of these LSNs already. */
  #addFrame(frame: readonly SealedRun[], before: readonly RemovedRecord[]): Promise<void> | null {
    const plan = this.#plan;
    if (plan === null) return this.#write(frame, before);
    const loss = withoutRemoved(frame, plan.rules, this.#keyOf, this.#options.keys ?? null);
    this.removedRecords += loss.removed.length;
    const removed = before.length === 0 ? loss.removed : [...before, ...loss.removed];
    if (plan.isDropping) for (const run of frame) this.#chain.add(run);
    if (plan.isDropping && !loss.isSomethingLeft) return this.#drop(loss, removed);
    if (this.#dropped === null) return this.#write(loss.runs, removed);
    return this.#endDropped().then(() => this.#write(loss.runs, removed) ?? undefined);
  }

  #drop({ runs }: FrameLoss, removed: readonly RemovedRecord[]): Promise<void> | null {
    const first = runs[0] as SealedRun;
    const { header } = runs.at(-1) as SealedRun;
    const { value: hash } = this.#chain;
    this.#dropped ??= { firstLsn: first.header.firstLsn, lastLsn: 0, recordedAt: 0, hash, removed: [] };
    this.#dropped.hash = hash;
    this.#dropped.lastLsn = header.firstLsn + header.recordCount - 1;
    this.#dropped.recordedAt = header.recordedAt;
    for (const record of removed) this.#dropped.removed.push(record);
    return this.#dropped.lastLsn - this.#dropped.firstLsn >= DROPPED_LSNS_MAX ? this.#endDropped() : null;
  }

  async #endDropped(): Promise<void> {
    if (this.#dropped === null) return;
    const { firstLsn, lastLsn, recordedAt, hash, removed } = this.#dropped;
    this.#dropped = null;
    const header = { firstLsn, recordCount: lastLsn - firstLsn + 1, recordedAt };
    const run = { kind: "dropped", header, body: NO_BYTES, leaf: hash, goesOn: false } as const;
    await this.#writer.add(run, removed);
  }

  #write(runs: readonly SealedRun[], removed: readonly RemovedRecord[]): Promise<void> | null {
    const [only] = runs;
    if (runs.length === 1 && only !== undefined) return this.#writer.add(only, removed);
    return this.#writeAll(runs, removed);
  }

  async #writeAll(runs: readonly SealedRun[], removed: readonly RemovedRecord[]): Promise<void> {
    for (const [index, run] of runs.entries()) {
      const pending = this.#writer.add(run, index === 0 ? removed : []);
      if (pending !== null) await pending;
    }
  }

  finish(): Promise<void> {
    return this.#endDropped();
  }
}

/** The frames of a segment, each as its runs. */
async function* framesOf(source: Source, pool: BufferPool): AsyncGenerator<readonly SealedRun[], void, undefined> {
  const { entry, file, trailer, cipher } = source;
  const scanned = {
    cipher,
    path: file.path,
    number: entry.number,
    storeCrc: storeCrcOf(trailer.storeId),
    lastLsn: entry.lastLsn,
  };
  const range = { from: PAGE_BYTES, end: trailer.blocksEnd, firstLsn: entry.firstLsn, isKept: true };
  const stream = new ByteStream(file, pool, range.from, range.end);
  let frame: SealedRun[] = [];
  for await (const { block } of scanBlocks(stream, scanned, range)) {
    for (const run of block.runs) {
      frame.push(run);
      if (run.goesOn) continue;
      yield frame;
      frame = [];
    }
  }
}

/** Streams of which a segment has nothing left, by the LSN of their last record. */
async function lostStreams({ file, trailer, cipher }: Source, pool: BufferPool): Promise<RemovedRecord[]> {
  const lost: RemovedRecord[] = [];
  if (trailer.removedCount === 0) return lost;
  for await (const stream of new StreamScan(file, pool, trailer, cipher).streams()) {
    if (stream.count === 0) lost.push(lostStream(stream));
  }
  return lost.sort((a, b) => a.lsn - b.lsn);
}

function lostStream({ bytes, nameStart, nameEnd, firstVersion, lastLsn }: ScannedStream): RemovedRecord {
  const name = Buffer.from(bytes.subarray(nameStart, nameEnd));
  return { bytes: name, nameStart: 0, nameEnd: name.length, version: firstVersion - 1, lsn: lastLsn };
}

class LostStreams {
  readonly #lost: readonly RemovedRecord[];
  #next = 0;

  constructor(lost: readonly RemovedRecord[]) {
    this.#lost = lost;
  }

  /** Those up to that LSN that were not asked for before. */
  through(lsn: number): readonly RemovedRecord[] {
    const from = this.#next;
    while ((this.#lost[this.#next]?.lsn ?? Number.POSITIVE_INFINITY) <= lsn) this.#next++;
    return from === this.#next ? NONE : this.#lost.slice(from, this.#next);
  }
}

const NONE: readonly RemovedRecord[] = [];

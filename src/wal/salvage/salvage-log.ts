/**
 * All that is intact of a store's log, in LSN order, each LSN once.
 *
 * Of an LSN there can be several copies: in the core's file and in a sealed segment, in segments of which one replaced the other, in two
 * incarnations. The one counts that the log's own readers would take: of sealed segments that the manifest lists the newest, then the cores'
 * files, of those the latest incarnation, then segments that no manifest lists. Where that copy is damaged the next one does.
 */

import { decodeFrameHeader, FRAME_HEADER_BYTES, RECORD_HEADER_BYTES } from "../format.js";
import { type LsnRange, touches } from "../lsn-ranges.js";
import { BLOCK_HEADER_BYTES, decodeBlockHeader, decodeRun, storeCrcOf } from "../sealed/sealed-format.js";
import { intactRecords, leadingRecords, type RecordRange } from "./intact-records.js";
import { type SalvageFile, SalvageFiles } from "./salvage-file.js";
import type { SalvageKeys } from "./salvage-keys.js";
import type { HeadlessBody, Survey } from "./survey.js";
import type { FramePiece } from "./survey-frames.js";
import { type BlockPiece, readBlock } from "./survey-segment.js";

/**
 * What is known of LSNs that follow each other. `data`: their records, of which those are null that were removed. `removed`, `void`: no records any more, or
 * never. `lost`: they were durable, or may have been, and no copy is there of which it is known that it counts. `hole`: nobody attests them, and they are not there, as a crash leaves it.
 */
export interface SalvagedRun {
  readonly kind: "data" | "removed" | "void" | "lost" | "hole";
  readonly firstLsn: number;
  readonly recordCount: number;
  /** Null where that does not hold a checksum. */
  readonly recordedAt: number | null;
  readonly body: Buffer;
  /** By index, records in the body. Empty when the kind is another. */
  readonly ranges: readonly (RecordRange | null)[];
  /** Whether the body is a frame's, or a sealed run's, as it was written. */
  readonly isWhole: boolean;
  /** As a sealed run: the leaf that it kept, and whether the next run is of the same frame. */
  readonly leaf: Buffer | null;
  readonly goesOn: boolean;
}

type Piece = FramePiece | BlockPiece;

const NO_BYTES = Buffer.alloc(0);
const LISTED_SEGMENT = 1e15;
const UNLISTED_SEGMENT = -1e15;

/** Which copy of an LSN counts. */
function rankOf(piece: Piece): number {
  if (piece.kind === "frame") return piece.incarnation;
  return (piece.isListed ? LISTED_SEGMENT : UNLISTED_SEGMENT) + piece.number;
}

/** A piece in memory: what it says of each of its LSNs. */
interface LoadedPiece {
  readonly piece: Piece;
  readonly rank: number;
  /** In LSN order, without a hole, but perhaps ending early. */
  readonly runs: readonly LoadedRun[];
}

interface LoadedRun extends SalvagedRun {
  readonly kind: "data" | "removed" | "void";
  readonly lastLsn: number;
  /** By index, records of `data` that are damaged; null: none are. */
  readonly damaged: ReadonlySet<number> | null;
}

interface SurveyedStore {
  readonly storeId: Uint8Array;
  readonly keys: SalvageKeys;
}

function blank(kind: SalvagedRun["kind"], firstLsn: number, recordCount: number): SalvagedRun {
  return {
    kind,
    firstLsn,
    recordCount,
    recordedAt: null,
    body: NO_BYTES,
    ranges: [],
    isWhole: false,
    leaf: null,
    goesOn: false,
  };
}

async function loadFrame(file: SalvageFile, piece: FramePiece, keys: SalvageKeys): Promise<LoadedRun[]> {
  const { firstLsn, lastLsn, recordedAt, isWhole } = piece;
  const body = await bodyOf(file, piece, keys);
  if (body === null) return [];
  const recordCount = lastLsn - firstLsn + 1;
  const ranges = isWhole ? plainRanges(body, recordCount) : intactRecords(body, recordCount);
  const damaged = isWhole ? null : damagedIn(ranges);
  const found = { firstLsn, lastLsn: firstLsn + ranges.length - 1, recordCount: ranges.length, recordedAt };
  return [{ kind: "data", ...found, body, ranges, isWhole, leaf: null, goesOn: false, damaged }];
}

/** Null where it is encrypted, and not whole: then nothing of it can be read. */
async function bodyOf(file: SalvageFile, piece: FramePiece, keys: SalvageKeys): Promise<Buffer | null> {
  const { fileOffset, storedBytes, keyId, isWhole } = piece;
  const stored = await file.read(fileOffset + FRAME_HEADER_BYTES, storedBytes);
  if (keyId === 0) return stored;
  const decoded = isWhole ? decodeFrameHeader(await file.read(fileOffset, FRAME_HEADER_BYTES)) : null;
  return decoded?.kind === "frame" ? keys.openFrame(decoded.header, stored) : null;
}

async function loadBlock(file: SalvageFile, piece: BlockPiece, place: SurveyedStore): Promise<LoadedRun[]> {
  const header = await file.read(piece.fileOffset, BLOCK_HEADER_BYTES);
  const decoded = decodeBlockHeader(header, storeCrcOf(place.storeId));
  if (decoded.kind !== "block") return [];
  const runs = await readBlock(file, decoded.header, place, piece.secret, file.byteLength);
  if (typeof runs === "string") {
    return piece.keyId === 0 ? loadDamagedBlock(file, piece, decoded.header.storedBytes) : [];
  }
  return runs.map(({ kind, header, body, leaf, goesOn }): LoadedRun => {
    const { firstLsn, recordCount, recordedAt } = header;
    const shown = kind === "dropped" ? "removed" : kind;
    const ranges = kind === "data" ? plainRanges(body, recordCount) : [];
    const lastLsn = firstLsn + recordCount - 1;
    const at = { firstLsn, lastLsn, recordCount, recordedAt };
    // A dropped run keeps the chain's value in the place of a leaf.
    return {
      kind: shown,
      ...at,
      body,
      ranges,
      isWhole: true,
      leaf: kind === "dropped" ? null : leaf,
      goesOn,
      damaged: null,
    };
  });
}

/** Where the block's own checksum holds, that of each record needs not be looked at; one of length 0 was removed. */
function plainRanges(body: Buffer, recordCount: number): (RecordRange | null)[] {
  const ranges: (RecordRange | null)[] = [];
  let at = 0;
  for (let index = 0; index < recordCount && at + RECORD_HEADER_BYTES <= body.length; index++) {
    const start = at + RECORD_HEADER_BYTES;
    at = start + body.readUInt32LE(at);
    ranges.push(at === start ? null : [start, at]);
  }
  return ranges;
}

/**
 * Of a block that was not compressed and does not hold its checksum: records that hold theirs, as long as the runs follow each other. What stands in
 * the header of a run but its place nothing vouches for.
 */
async function loadDamagedBlock(file: SalvageFile, piece: BlockPiece, storedBytes: number): Promise<LoadedRun[]> {
  const stored = await file.read(piece.fileOffset + BLOCK_HEADER_BYTES, storedBytes);
  const runs: LoadedRun[] = [];
  let nextLsn = piece.firstLsn;
  let seed = 0;
  for (let at = 0; at < stored.length; ) {
    const run = decodeRun(stored, at);
    if (run === null || run.header.firstLsn !== nextLsn) break;
    const { recordCount } = run.header;
    nextLsn += recordCount;
    if (nextLsn - 1 > piece.lastLsn || recordCount === 0) break;
    at = run.body.byteOffset - stored.byteOffset + run.body.length;
    if (run.kind !== "data") continue; // as likely damaged as not
    const { body } = run;
    const ranges = intactRecords(body, recordCount, [0, seed]);
    const last = ranges.at(-1);
    seed = last === null || last === undefined ? 0 : body.readUInt32LE(last[0] - 4);
    // One of length 0 may have been removed, or be damaged.
    const damaged = damagedIn(ranges);
    const firstLsn = run.header.firstLsn;
    const found = { firstLsn, lastLsn: firstLsn + ranges.length - 1, recordCount: ranges.length, recordedAt: null };
    runs.push({ kind: "data", ...found, body, ranges, isWhole: false, leaf: null, goesOn: false, damaged });
  }
  return runs;
}

/** A record of length 0 is none that anybody wrote. */
function damagedIn(ranges: readonly (RecordRange | null)[]): ReadonlySet<number> {
  const damaged = new Set<number>();
  for (const [index, range] of ranges.entries()) if (range === null || range[0] === range[1]) damaged.add(index);
  return damaged;
}

export class SalvageLog {
  readonly #survey: Survey;
  readonly #files = new SalvageFiles();
  readonly #pieces: readonly Piece[];
  readonly #store: SurveyedStore;
  #next = 0;
  #active: LoadedPiece[] = [];

  constructor(survey: Survey) {
    this.#survey = survey;
    this.#store = { storeId: Buffer.from(survey.storeId ?? "", "hex"), keys: survey.keys };
    const pieces: Piece[] = [...survey.frames, ...survey.blocks];
    this.#pieces = pieces.sort((a, b) => a.firstLsn - b.firstLsn);
  }

  /** The last LSN of which anything is known. */
  get lastLsn(): number {
    let lsn = this.#survey.attestedLsn;
    for (const piece of this.#pieces) if (piece.lastLsn > lsn) lsn = piece.lastLsn;
    for (const [, through] of this.#survey.voids) if (through > lsn) lsn = through;
    for (const [, through] of this.#survey.doubtful) if (through > lsn) lsn = through;
    return lsn;
  }

  /** Everything from LSN 1 to the last one, in order, without a hole. To be called once. */
  async *runs(): AsyncGenerator<SalvagedRun, void, undefined> {
    const { lastLsn } = this;
    let lsn = 1;
    while (lsn <= lastLsn) {
      await this.#loadThrough(lsn);
      const found = this.#bestAt(lsn);
      const run = found === null ? this.#missing(lsn, lastLsn) : clipped(found, lsn, this.#endOf(found, lsn));
      yield run;
      lsn += run.recordCount;
    }
  }

  async #loadThrough(lsn: number): Promise<void> {
    this.#active = this.#active.filter(({ piece }) => piece.lastLsn >= lsn);
    for (let piece = this.#pieces[this.#next]; piece !== undefined; piece = this.#pieces[this.#next]) {
      if (piece.firstLsn > lsn) return;
      this.#next++;
      if (piece.lastLsn >= lsn) this.#active.push({ piece, rank: rankOf(piece), runs: await this.#load(piece) });
    }
  }

  async #load(piece: Piece): Promise<readonly LoadedRun[]> {
    const file = await this.#files.get(piece.path);
    const store = this.#store;
    return piece.kind === "frame" ? loadFrame(file, piece, store.keys) : loadBlock(file, piece, store);
  }

  /** The run that says most believably what that LSN holds; null: none does. */
  #bestAt(lsn: number): LoadedRun | null {
    let best: LoadedRun | null = null;
    let bestRank = Number.NEGATIVE_INFINITY;
    for (const { rank, runs } of this.#active) {
      if (rank <= bestRank) continue;
      const run = runAt(runs, lsn);
      if (run === null || run.damaged?.has(lsn - run.firstLsn) === true) continue;
      best = run;
      bestRank = rank;
    }
    return best;
  }

  /** How far the run goes from an LSN on before anything else may be believed more. */
  #endOf(run: LoadedRun, lsn: number): number {
    const nextFirstLsn = this.#pieces[this.#next]?.firstLsn ?? Number.POSITIVE_INFINITY;
    const isAlone = this.#active.length === 1 && run.damaged === null;
    if (isAlone && nextFirstLsn > run.lastLsn) return run.lastLsn;
    let end = lsn;
    while (end < run.lastLsn && end + 1 < nextFirstLsn && this.#bestAt(end + 1) === run) end++;
    return end;
  }

  /** LSNs of which there is no record, from one on. */
  #missing(lsn: number, lastLsn: number): SalvagedRun {
    const { voids, doubtful, attestedLsn } = this.#survey;
    const isLost = lsn <= attestedLsn || touches(doubtful, lsn, lsn);
    const kind = touches(voids, lsn, lsn) ? "void" : isLost ? "lost" : "hole";
    let end = Math.min(lastLsn, (this.#pieces[this.#next]?.firstLsn ?? Number.POSITIVE_INFINITY) - 1);
    for (const { piece, runs } of this.#active) if (piece.lastLsn >= lsn) end = Math.min(end, nextKnown(runs, lsn) - 1);
    if (kind === "lost" && lsn <= attestedLsn) end = Math.min(end, attestedLsn);
    else if (kind !== "void") end = Math.min(end, doubtfulEdge(doubtful, lsn));
    end = Math.max(
      lsn,
      kind === "void" ? Math.min(end, endOfVoid(voids, lsn)) : Math.min(end, voidAfter(voids, lsn) - 1),
    );
    return blank(kind, lsn, end - lsn + 1);
  }

  /** The records of bodies without headers: no LSN is known of them. */
  async *headless(): AsyncGenerator<
    { readonly body: Buffer; readonly ranges: readonly RecordRange[] },
    void,
    undefined
  > {
    for (const { path, fileOffset, byteLength } of this.#survey.headless as readonly HeadlessBody[]) {
      const body = await (await this.#files.get(path)).read(fileOffset, byteLength);
      yield { body, ranges: leadingRecords(body) };
    }
  }

  close(): Promise<void> {
    return this.#files.close();
  }
}

function runAt(runs: readonly LoadedRun[], lsn: number): LoadedRun | null {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((runs[middle] as LoadedRun).firstLsn <= lsn) low = middle + 1;
    else high = middle;
  }
  const run = runs[low - 1];
  return run !== undefined && run.lastLsn >= lsn ? run : null;
}

/** The first LSN from that one on of which the runs say something. */
function nextKnown(runs: readonly LoadedRun[], lsn: number): number {
  for (const run of runs) {
    for (let at = Math.max(lsn, run.firstLsn); at <= run.lastLsn; at++) {
      if (run.damaged?.has(at - run.firstLsn) !== true) return at;
    }
  }
  return Number.POSITIVE_INFINITY;
}

/** The last LSN, from one on, that is as doubtful as that one. */
function doubtfulEdge(doubtful: readonly LsnRange[], lsn: number): number {
  let edge = Number.POSITIVE_INFINITY;
  for (const [from, through] of doubtful) {
    if (through >= lsn) edge = Math.min(edge, from <= lsn ? through : from - 1);
  }
  return edge;
}

function endOfVoid(voids: readonly LsnRange[], lsn: number): number {
  return voids.find(([from, through]) => from <= lsn && through >= lsn)?.[1] ?? lsn;
}

function voidAfter(voids: readonly LsnRange[], lsn: number): number {
  return voids.find(([from]) => from > lsn)?.[0] ?? Number.POSITIVE_INFINITY;
}

function clipped(run: LoadedRun, firstLsn: number, lastLsn: number): SalvagedRun {
  const isAll = firstLsn === run.firstLsn && lastLsn === run.lastLsn;
  const { lastLsn: _, damaged: __, ...whole } = run;
  if (isAll) return whole;
  const ranges = run.ranges.slice(firstLsn - run.firstLsn, lastLsn - run.firstLsn + 1);
  return { ...whole, firstLsn, recordCount: lastLsn - firstLsn + 1, ranges, isWhole: false, leaf: null, goesOn: false };
}

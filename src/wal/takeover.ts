/**
 * Taking over a dead writer: what it left pending is kept or declared void, so that nobody waits for it any more.
 *
 * By a survivor who holds the attach lock and the dead writer's owner lock. Every step can be repeated: a survivor that dies in the middle
 * is followed by another, or by recovery.
 *
 *     1  free the LSN lock if it died in there, with what it had not taken yet
 *     2  lock the segments that its lanes name: waits for its writes in flight; sync them
 *     3  read the frames of its lanes, in the order of their epochs, with direct I/O
 *     4  keep the longest chained prefix; a durable frame behind a lost one is dropped
 *     5  write the LSN ranges of the others to the manifest as voids, durably
 *     6  settle the stream heads it held, then its lanes: W moves, and no append waits for it
 *     7  free the slot, if W has passed what was kept
 *
 * Void LSNs were never acknowledged, for W was below them, and never visible. What was kept above W waits for other writers, and is lost with what they
 * lose: until W has passed it, its streams' versions stay tentative and the slot live, and a later takeover ends it. Else versions would be seen, and
 * appends judged by them, that nobody can read yet.
 */

import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import { AlignedBuffer, type BlockIo, checkResult, DirectFile } from "../ffi/index.js";
import type { ControlFile } from "./control-file.js";
import { adoptKeys } from "./crypt/adopt-keys.js";
import { FrameOpener } from "./crypt/frame-cipher.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import {
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  isAtItsPlace,
  isBodyValid,
  RECORD_HEADER_BYTES,
} from "./format.js";
import type { HeadTable, KeptTentative } from "./head-table.js";
import type { LaneState } from "./lanes.js";
import { addVoids, currentManifest } from "./manifest-change.js";
import type { KeyOf } from "./record-key.js";
import { coreDirectory, segmentPath } from "./segment-name.js";

const LOCK_RETRY_MS = 2;
const SETTLE_TRIES_MAX = 50;

export interface TakeoverPlace {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly io: BlockIo;
  readonly control: ControlFile;
  readonly heads: HeadTable;
  readonly keyOf: KeyOf;
  /** Of a store that is encrypted. */
  readonly keys?: StoreKeys | null;
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
}

export interface TakeoverReport {
  readonly core: number;
  readonly generation: number;
  /** Its slot is free. False: its heads are settled, and W has to pass what was kept of it before a later takeover ends this one. */
  readonly isEnded: boolean;
  readonly keptFrames: number;
  /** The last LSN of those frames. */
  readonly keptLsn: number;
  readonly voids: readonly (readonly [from: number, through: number])[];
}

interface ReadFrame {
  readonly lane: LaneState;
  readonly header: FrameHeader;
  readonly body: Buffer;
}

type FramesByEpoch = Map<number, ReadFrame | "dropped">;

/** What is decided of one dead writer, before it is carried out. */
interface Verdict {
  readonly core: number;
  readonly generation: number;
  readonly lanes: readonly LaneState[];
  /** Those whose segments are there still. */
  readonly kept: readonly ReadFrame[];
  /** Every batch up to it is in the log, but for those that never took LSNs. */
  readonly keptEpoch: number;
  readonly lost: readonly LaneState[];
}

/** What was decided of its heads is carried out. */
interface SettledVerdict extends Verdict {
  /** W has passed what was kept. */
  readonly isPassed: boolean;
}

/**
 * Takes over the dead writers of these slots: all that are known, because one can have died with a lock on a head that another one held.
 * A writer whose heads somebody else has locked for long, who may just have died too, stays as it is and is left out of the answer.
 *
 * @throws StoreError `ERR_STORE_BUSY`, `ERR_WAL_CORRUPT`, `ERR_IO_FAILED`
 */
export async function takeOver(place: TakeoverPlace, cores: readonly number[]): Promise<TakeoverReport[]> {
  const { control } = place;
  const verdicts: Verdict[] = [];
  const { keys = null, directory } = place;
  // A dead writer may have gone over to a key that is known here from the manifest only. Before anything is touched.
  if (keys !== null) adoptKeys(keys, await currentManifest(directory), directory);
  for (const core of cores) {
    // Before others can take LSNs again: from then on nobody could tell which of these were taken.
    control.lanes.clearUntaken(core);
    control.lanes.breakLsnLock(core);
  }
  for (const core of cores) verdicts.push(await judge(place, core));
  const voids = verdicts.flatMap(voidsOf);
  if (voids.length > 0) await addVoids(place.directory, control.incarnation, voids);
  // Durable already: what is above it of other dead writers may need it to be passed.
  for (const { core, lanes, lost } of verdicts)
    for (const lane of lanes) if (!lost.includes(lane)) control.lanes.settle(core, lane.lane, false);
  const settled = await settleAll(place, verdicts);
  for (const { core, lost } of settled) for (const { lane } of lost) control.lanes.settle(core, lane, true);
  // What one of them has lost can have been all that another's waited for.
  const watermark = control.lanes.watermark();
  const waiting = settled.filter((verdict) => !verdict.isPassed && lastKeptLsn(verdict) <= watermark);
  const ended = [...settled.filter(({ isPassed }) => isPassed), ...(await settleAll(place, waiting))];
  for (const { core } of ended) control.detach(core);
  for (const { core, lanes } of settled)
    for (const { lane } of lanes) place.io.wake(control.file, control.lanes.doneOffset(core, lane));
  place.io.wake(control.file, control.turnOffset);
  return settled.map((verdict) => ({
    core: verdict.core,
    generation: verdict.generation,
    isEnded: ended.some(({ core }) => core === verdict.core),
    keptFrames: verdict.kept.length,
    keptLsn: lastKeptLsn(verdict),
    voids: voidsOf(verdict),
  }));
}

function voidsOf({ lost }: Verdict): [number, number][] {
  return lost.map(({ firstLsn, recordCount }) => [firstLsn, firstLsn + recordCount - 1]);
}

async function judge(place: TakeoverPlace, core: number): Promise<Verdict> {
  const { control } = place;
  const generation = control.generationOf(core);
  const lanes = control.lanes.statesOf(core);
  const frames = await readFrames(place, core, generation, lanes);
  const kept = keptOf(place, lanes, frames);
  // Of a segment that a checkpoint has dropped everything counts, though nothing of it can be read here any more.
  const dropped = lanes.filter(({ epoch }) => frames.get(epoch) === "dropped").map(({ epoch }) => epoch);
  const keptEpoch = Math.max(kept.at(-1)?.lane.epoch ?? 0, ...dropped);
  const lost = lanes.filter(
    ({ firstLsn, epoch }) => firstLsn > 0 && epoch > keptEpoch && frames.get(epoch) !== "dropped",
  );
  return { core, generation, lanes, kept, keptEpoch, lost };
}

/** Whether there is more to tell than that W has still not come so far. */
export function isWorthTelling({ isEnded, voids }: TakeoverReport): boolean {
  return isEnded || voids.length > 0;
}

/** Those whose heads are all settled. */
async function settleAll(
  { control, heads, keyOf, keys = null }: TakeoverPlace,
  verdicts: readonly Verdict[],
): Promise<SettledVerdict[]> {
  const opener = new FrameOpener(keys);
  const settled: SettledVerdict[] = [];
  const watermark = control.lanes.watermark();
  let waiting = verdicts.map((verdict) => ({ ...verdict, isPassed: lastKeptLsn(verdict) <= watermark }));
  for (let tries = 0; waiting.length > 0 && tries < SETTLE_TRIES_MAX; tries++) {
    if (tries > 0) await delay(LOCK_RETRY_MS); // a living holder needs a microsecond
    const blocked = waiting.filter((verdict) => settleHeads(heads, verdict, keyOf, opener).length > 0);
    settled.push(...waiting.filter((verdict) => !blocked.includes(verdict)));
    waiting = blocked;
  }
  return settled;
}

function lastKeptLsn({ kept }: Verdict): number {
  return kept.reduce((last, { lane }) => Math.max(last, lane.firstLsn + lane.recordCount - 1), 0);
}

/** What its lanes name, as far as it can be read. */
async function readFrames(
  place: TakeoverPlace,
  core: number,
  generation: number,
  lanes: readonly LaneState[],
): Promise<FramesByEpoch> {
  const found: FramesByEpoch = new Map();
  const segments = new Set(lanes.map(({ segment }) => segment));
  for (const segment of segments) {
    const path = segmentPath(coreDirectory(place.directory, core), segment);
    let file: DirectFile;
    try {
      file = await DirectFile.open(place.io, path, "write");
    } catch (error) {
      // A checkpoint has dropped it: then W has passed all of it.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      for (const lane of lanes) if (lane.segment === segment) found.set(lane.epoch, "dropped");
      continue;
    }
    try {
      await waitForWrites(file, place);
      await file.dataSync();
      for (const lane of lanes) {
        if (lane.segment !== segment) continue;
        const frame = await readFrame(file, place, core, generation, lane);
        if (frame !== null) found.set(lane.epoch, frame);
      }
    } finally {
      await file.close();
    }
  }
  return found;
}

async function waitForWrites(file: DirectFile, { busyWaitMs, onWaiting }: TakeoverPlace): Promise<void> {
  const deadlineMs = performance.now() + busyWaitMs;
  for (let told = false; !file.tryLock(); ) {
    if (!told && performance.now() > deadlineMs - busyWaitMs + 100) {
      onWaiting(file.path);
      told = true;
    }
    if (performance.now() > deadlineMs) {
      const message = `writes to ${file.path} by a writer that is gone have not ended after ${busyWaitMs} ms`;
      throw new StoreError("ERR_STORE_BUSY", message, { path: file.path, waitMs: busyWaitMs });
    }
    await delay(LOCK_RETRY_MS);
  }
}

async function readFrame(
  file: DirectFile,
  place: TakeoverPlace,
  core: number,
  generation: number,
  lane: LaneState,
): Promise<ReadFrame | null> {
  const buffer = new AlignedBuffer(lane.byteLength);
  try {
    const read = checkResult(await file.read(buffer, 0, lane.byteLength, lane.fileOffset), "reading", file.path);
    const decoded = decodeFrameHeader(buffer.bytes.subarray(0, FRAME_HEADER_BYTES));
    if (decoded.kind !== "frame" || read < FRAME_HEADER_BYTES + decoded.header.storedBytes) return null;
    const { header } = decoded;
    const { storeId, control } = place;
    const { segment, fileOffset } = lane;
    const isOwn = isAtItsPlace(header, { storeId, core, incarnation: control.incarnation, segment, fileOffset });
    const body = Buffer.from(buffer.bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.storedBytes));
    if (!isOwn || header.generation !== generation || !isBodyValid(header, body)) return null;
    return { lane, header, body };
  } finally {
    buffer.unmap();
  }
}

/** The longest chained prefix. What W has passed must be in it. */
function keptOf(place: TakeoverPlace, lanes: readonly LaneState[], frames: FramesByEpoch): ReadFrame[] {
  const watermark = place.control.publishedWatermark;
  const kept: ReadFrame[] = [];
  let before: ReadFrame | null = null;
  for (const lane of lanes) {
    const frame = frames.get(lane.epoch);
    if (frame === "dropped") {
      before = null; // the chain goes on behind it, and W has passed all of it
      continue;
    }
    if (frame !== undefined && (before === null || frame.header.previousCrc === before.header.headerCrc)) {
      kept.push(frame);
      before = frame;
    } else if (lane.firstLsn > 0 && lane.firstLsn <= watermark) {
      const { fileOffset, firstLsn, segment } = lane;
      const message = `the frame at ${fileOffset} of segment ${segment} was durable and cannot be read`;
      throw new StoreError("ERR_WAL_CORRUPT", message, { segment, offset: fileOffset, lsn: firstLsn });
    } else {
      break;
    }
  }
  return kept;
}

/** The streams whose heads it held: they are where its kept frames left them. Answers with those who hold some locked. */
function settleHeads(
  heads: HeadTable,
  { core, generation, kept, keptEpoch, isPassed }: SettledVerdict,
  keyOf: KeyOf,
  opener: FrameOpener,
): readonly number[] {
  let ends: Map<string, KeptTentative> | null = null;
  return heads.settle({ slot: core, generation }, (name, committedVersion, tentativeVersion, epoch) => {
    let end: KeptTentative | undefined = { version: tentativeVersion, epoch };
    if (epoch > keptEpoch) {
      ends ??= streamEnds(kept, keyOf, opener, heads);
      end = ends.get(name.toString("latin1"));
    }
    if (end === undefined || end.version <= committedVersion) return committedVersion;
    return isPassed ? end.version : end;
  });
}

/** Of every stream in these frames, its last version and the batch that it is in. Names are compared as bytes: latin1 keeps each apart. */
function streamEnds(
  frames: readonly ReadFrame[],
  keyOf: KeyOf,
  opener: FrameOpener,
  heads: HeadTable,
): Map<string, KeptTentative> {
  const ends = new Map<string, KeptTentative>();
  for (const frame of frames) {
    const { header, body } = opener.open(frame);
    const { epoch } = frame.lane;
    let at = 0;
    for (let index = 0; index < header.recordCount; index++) {
      const start = at + RECORD_HEADER_BYTES;
      at = start + body.readUInt32LE(at);
      const { nameStart, nameEnd, version } = keyOf(body, start, at);
      const name = Buffer.from(heads.storedName(body.subarray(nameStart, nameEnd)));
      ends.set(name.toString("latin1"), { version, epoch });
    }
  }
  return ends;
}

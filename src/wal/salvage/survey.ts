/**
 * Looks through all files of a store for what of it is intact, whatever else is damaged or missing: frames of the cores, blocks of sealed
 * segments. Believes nothing but checksums, needs no manifest and no lock, and only reads.
 *
 * What it keeps in memory is a few numbers for each frame and block. Two things need the manifest, and are guessed where no manifest can be
 * read: where an incarnation was fenced (then: where the next one began), and which LSNs are void (then: none).
 */

import { join } from "node:path";
import type { EncryptionOptions } from "../crypt/store-keys.js";
import { type LsnRange, touches, unionOf } from "../lsn-ranges.js";
import { type FoundManifest, type Manifest, manifestName, readManifest, voidsOf } from "../manifest.js";
import { unfinishedRepairFrom } from "../repair/unfinished-repair.js";
import { listSealed, sealedDirectory } from "../sealed/sealed-name.js";
import { listLog } from "../segment-name.js";
import { findStoreId } from "./find-store-id.js";
import { SalvageFile } from "./salvage-file.js";
import { SalvageKeys } from "./salvage-keys.js";
import { type FramePiece, surveyFrames } from "./survey-frames.js";
import { type BlockPiece, type EmptiedStream, surveySegment } from "./survey-segment.js";

/**
 * `damaged`: it does not hold its checksum, or is not where it belongs. `tampered`: it holds its checksum, and not its authentication tag, or is plain
 * where everything is encrypted; it was not read. `unproven`: it is plain, and no manifest says whether it may be; it was read.
 */
export type DamageKind = "damaged" | "tampered" | "unproven";

/** Something that is not as it should be. */
export interface DamageNote {
  readonly path: string;
  readonly offset: number;
  readonly kind: DamageKind;
  readonly what: string;
}

/** The body of a frame whose header is damaged: its records are intact, and nobody knows their LSNs. */
export interface HeadlessBody {
  readonly path: string;
  /** Of the first record. */
  readonly fileOffset: number;
  readonly byteLength: number;
}

export interface Survey {
  /** 32 hexadecimal digits; null where nothing says which. */
  readonly storeId: string | null;
  readonly manifest: Manifest | null;
  readonly manifestState: FoundManifest["kind"];
  /** Segments of both kinds. */
  readonly fileCount: number;
  readonly frames: readonly FramePiece[];
  readonly blocks: readonly BlockPiece[];
  readonly headless: readonly HeadlessBody[];
  /** By which what was found is read. */
  readonly keys: SalvageKeys;
  /** Files that are not encrypted, of a store that is, of which no manifest says whether they may be. */
  readonly unprovenFiles: readonly string[];
  /** Streams of which a sealed segment has nothing left. */
  readonly emptied: readonly EmptiedStream[];
  readonly voids: readonly LsnRange[];
  /** The highest LSN that anything intact attests as durable. */
  readonly attestedLsn: number;
  /** Frames that an incarnation's end, or a void, takes out of the log. */
  readonly fencedFrames: number;
  /** Their LSNs where that end is only guessed, ascending and disjoint: it may have been a later one. */
  readonly doubtful: readonly LsnRange[];
  readonly damage: readonly DamageNote[];
  /** Files of another store, and what a newer version wrote. */
  readonly foreignFiles: readonly string[];
  readonly newerFiles: readonly string[];
}

/** What the parts of a survey note down as they go. */
export class SurveyNotes {
  readonly damage: DamageNote[] = [];
  readonly headless: HeadlessBody[] = [];
  readonly foreignFiles: Set<string> = new Set();
  readonly newerFiles: Set<string> = new Set();
  /** By the headers of frames, control frames included. */
  attestedLsn = 0;

  note(path: string, offset: number, what: string, kind: DamageKind = "damaged"): void {
    this.damage.push({ path, offset, kind, what });
  }
}

/**
 * The keys that it loads are to be closed (`survey.keys.close()`), with which what was found is read.
 *
 * @throws what the file system throws when a directory cannot be listed
 * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`
 */
export async function surveyStore(directory: string, encryption: EncryptionOptions | null): Promise<Survey> {
  const found = await readManifest(directory);
  const keys = await SalvageKeys.load(directory, encryption, found.kind === "manifest" ? found.manifest : null);
  try {
    return await surveyWith(directory, found, keys);
  } catch (error) {
    keys.close();
    throw error;
  }
}

async function surveyWith(directory: string, found: FoundManifest, keys: SalvageKeys): Promise<Survey> {
  const manifest = found.kind === "manifest" ? found.manifest : null;
  const cores = await listLog(directory, 0);
  const listed = new Set(manifest?.sealed.map(({ number }) => number));
  const repairedFrom = await unfinishedRepairFrom(directory);
  const sealed = (await listSealed(sealedDirectory(directory))).filter(
    ({ isTemporary, number }) => !isTemporary && (number < repairedFrom || listed.has(number)),
  );
  const paths = [
    ...cores.flatMap(({ segments }) => segments.map(({ path }) => path)),
    ...sealed.map(({ path }) => path),
  ];
  const storeId = manifest?.storeId ?? (await findStoreId(paths));
  const notes = new SurveyNotes();
  const badManifests = found.kind === "manifest" ? found.damagedFiles : found.kind === "damaged" ? found.files : [];
  for (const path of badManifests) notes.note(path, 0, "a manifest that does not hold its checksum");
  if (manifest !== null && keys.isManifestTampered)
    notes.note(
      join(directory, manifestName(manifest.sequence)),
      0,
      "a whole manifest whose mac does not hold",
      "tampered",
    );
  const frames: FramePiece[] = [];
  const blocks: BlockPiece[] = [];
  const emptied: EmptiedStream[] = [];
  if (storeId !== null) {
    const id = Buffer.from(storeId, "hex");
    for (const { core, segments } of cores) {
      for (const { path, segment } of segments)
        await withFile(path, notes, (file) => surveyFrames(file, { storeId: id, core, segment, keys }, frames, notes));
    }
    for (const { path, number } of sealed) {
      const place = { storeId: id, number, isListed: manifest === null || listed.has(number), keys };
      await withFile(path, notes, (file) => surveySegment(file, place, blocks, place.isListed ? emptied : [], notes));
    }
  }
  keys.settle(frames.length + blocks.length > 0);
  const unproven = withoutForged(frames, blocks, keys, notes);
  const voids = manifest === null ? [] : voidsOf(manifest);
  const fences = fencesOf(manifest, frames);
  const kept: FramePiece[] = [];
  const doubtful: LsnRange[] = [];
  for (const frame of frames) {
    const fence = fences.get(frame.incarnation);
    if (!isFenced(frame, fence, voids)) kept.push(frame);
    else if (fence?.isGuessed === true && !touches(voids, frame.firstLsn, frame.lastLsn))
      doubtful.push([frame.firstLsn, frame.lastLsn]);
  }
  return {
    storeId,
    manifest,
    manifestState: found.kind,
    fileCount: paths.length,
    frames: kept,
    blocks,
    // Without an LSN nothing says whether it may be plain.
    headless: keys.areGiven ? [] : notes.headless,
    keys,
    unprovenFiles: unproven,
    emptied,
    voids,
    attestedLsn: attestedLsn(manifest, notes.attestedLsn, blocks),
    fencedFrames: frames.length - kept.length,
    doubtful: unionOf([], doubtful),
    damage: notes.damage,
    foreignFiles: [...notes.foreignFiles],
    newerFiles: [...notes.newerFiles],
  };
}

/**
 * Where no manifest says up to which LSN frames may be plain, one behind an encrypted frame of a core cannot be the store's: it is taken out.
 * Returns the files with plain frames or blocks that are left.
 */
function withoutForged(frames: FramePiece[], blocks: BlockPiece[], keys: SalvageKeys, notes: SurveyNotes): string[] {
  if (keys.plainVerdict(1) !== "unproven") return [];
  let firstEncryptedLsn = Number.POSITIVE_INFINITY;
  for (const { keyId, isWhole, firstLsn } of frames)
    if (keyId > 0 && isWhole) firstEncryptedLsn = Math.min(firstEncryptedLsn, firstLsn);
  const files = new Set<string>();
  const left = <Piece extends FramePiece | BlockPiece>(pieces: Piece[]): Piece[] =>
    pieces.filter(({ kind, keyId, path, fileOffset, lastLsn }) => {
      if (keyId > 0) return true;
      if (lastLsn < firstEncryptedLsn) {
        files.add(path);
        return true;
      }
      notes.note(path, fileOffset, `a ${kind} that is not encrypted, behind frames that are`, "tampered");
      return false;
    });
  frames.splice(0, frames.length, ...left(frames));
  blocks.splice(0, blocks.length, ...left(blocks));
  for (const path of files) notes.note(path, 0, "it is not encrypted, and no manifest says that it may be", "unproven");
  return [...files];
}

async function withFile(path: string, notes: SurveyNotes, work: (file: SalvageFile) => Promise<void>): Promise<void> {
  let file: SalvageFile;
  try {
    file = await SalvageFile.open(path);
  } catch (error) {
    notes.note(path, 0, `it cannot be opened: ${(error as Error).message}`);
    return;
  }
  try {
    await work(file);
    for (const offset of file.unreadable) notes.note(path, offset, "a block that the device does not give back");
  } finally {
    await file.close();
  }
}

/** The last LSN that frames of an incarnation can have. */
interface Fence {
  readonly lsn: number;
  /** No manifest says it: it is where the next incarnation began, which may have written the end of this one once more. */
  readonly isGuessed: boolean;
}

/** By incarnation. One that is not in it is not part of the log. */
function fencesOf(manifest: Manifest | null, frames: readonly FramePiece[]): ReadonlyMap<number, Fence> {
  const firstLsns = new Map<number, number>();
  for (const { incarnation, firstLsn } of frames) {
    firstLsns.set(incarnation, Math.min(firstLsn, firstLsns.get(incarnation) ?? Number.POSITIVE_INFINITY));
  }
  const fences = new Map<number, Fence>();
  let nextFirstLsn = Number.POSITIVE_INFINITY;
  for (const [incarnation, firstLsn] of [...firstLsns].sort((a, b) => b[0] - a[0])) {
    const known = manifest?.incarnations.find((entry) => entry.incarnation === incarnation);
    const newest = manifest?.incarnations.at(-1)?.incarnation ?? 0;
    const knownLsn = known?.lastLsn ?? null;
    if (knownLsn !== null) fences.set(incarnation, { lsn: knownLsn, isGuessed: false });
    // One that the manifest has forgotten is sealed. Without it, or above it: the next one began where this one was fenced.
    else if (manifest === null || known !== undefined || incarnation > newest)
      fences.set(incarnation, { lsn: nextFirstLsn - 1, isGuessed: true });
    nextFirstLsn = Math.min(nextFirstLsn, firstLsn);
  }
  return fences;
}

function isFenced({ firstLsn, lastLsn }: FramePiece, fence: Fence | undefined, voids: readonly LsnRange[]): boolean {
  return lastLsn > (fence?.lsn ?? 0) || touches(voids, firstLsn, lastLsn);
}

function attestedLsn(manifest: Manifest | null, attested: number, blocks: readonly BlockPiece[]): number {
  const newest = manifest?.incarnations.at(-1);
  let lsn = Math.max(attested, manifest?.checkpointLsn ?? 0, (newest?.firstLsn ?? 1) - 1, newest?.lastLsn ?? 0);
  for (const { lastLsn } of blocks) lsn = Math.max(lsn, lastLsn);
  return lsn;
}

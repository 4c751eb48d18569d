/** Finds the frames of one segment file of a core, behind damage too. */

import { BLOCK_BYTES } from "../../ffi/index.js";
import {
  decodeFrameHeader,
  decodePreamble,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameBytes,
  isBodyValid,
  PREAMBLE_BYTES,
  sameStore,
} from "../format.js";
import { leadingRecords } from "./intact-records.js";
import type { SalvageFile } from "./salvage-file.js";
import type { PlainVerdict, SalvageKeys } from "./salvage-keys.js";
import type { SurveyNotes } from "./survey.js";

/** A frame of which the header is intact. */
export interface FramePiece {
  readonly kind: "frame";
  readonly path: string;
  /** Of its header. */
  readonly fileOffset: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly storedBytes: number;
  /** 0: not encrypted. */
  readonly keyId: number;
  readonly recordedAt: number;
  readonly incarnation: number;
  /** Whether the body holds all its checksums, and its tag. */
  readonly isWhole: boolean;
}

/** Where a file's name says that it belongs. */
export interface SegmentPlace {
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly segment: number;
  readonly keys: SalvageKeys;
}

/** A body without a header is not looked for beyond so many bytes: a frame is never larger. */
const BODY_BYTES_MAX = 33 * 1024 * 1024;

export async function surveyFrames(
  file: SalvageFile,
  place: SegmentPlace,
  found: FramePiece[],
  notes: SurveyNotes,
): Promise<void> {
  notePreamble(await file.read(0, PREAMBLE_BYTES), file.path, place, notes);
  for (let fileOffset = PREAMBLE_BYTES; fileOffset < file.byteLength; ) {
    const block = await file.read(fileOffset, BLOCK_BYTES);
    const decoded = decodeFrameHeader(block);
    switch (decoded.kind) {
      case "zero":
        // Only a header of zeros: what is behind it in its block nobody has written so.
        if (block.some((byte) => byte !== 0)) notes.note(file.path, fileOffset, "a block without its header");
        fileOffset += BLOCK_BYTES;
        break;
      case "unsupported":
        notes.newerFiles.add(file.path);
        fileOffset += BLOCK_BYTES;
        break;
      case "damaged":
        fileOffset += await lookWithoutHeader(file, fileOffset, notes);
        break;
      case "frame":
        fileOffset += await takeFrame(file, decoded.header, fileOffset, place, found, notes);
    }
  }
}

function notePreamble(block: Buffer, path: string, place: SegmentPlace, notes: SurveyNotes): void {
  const decoded = decodePreamble(block);
  if (decoded.kind === "unsupported") notes.newerFiles.add(path);
  else if (decoded.kind === "damaged") notes.note(path, 0, "a preamble that does not hold its checksum");
  else if (decoded.kind === "preamble" && !sameStore(decoded.preamble.storeId, place.storeId)) {
    notes.foreignFiles.add(path);
  }
}

/** Returns the bytes that were looked at. */
async function takeFrame(
  file: SalvageFile,
  header: FrameHeader,
  fileOffset: number,
  place: SegmentPlace,
  found: FramePiece[],
  notes: SurveyNotes,
): Promise<number> {
  if (!sameStore(header.storeId, place.storeId)) {
    notes.foreignFiles.add(file.path);
    return BLOCK_BYTES;
  }
  const isHere = header.core === place.core && header.segment === place.segment && header.fileOffset === fileOffset;
  if (!isHere || !Number.isSafeInteger(header.firstLsn + header.recordCount)) {
    notes.note(file.path, fileOffset, "a frame that was written for another place");
    return BLOCK_BYTES;
  }
  const byteLength = frameBytes(Math.min(header.storedBytes, file.byteLength - fileOffset));
  const body = await file.read(fileOffset + FRAME_HEADER_BYTES, header.storedBytes);
  const isWhole = isBodyValid(header, body);
  const verdict = verdictOn(header, isWhole ? body : null, place.keys);
  if (verdict === "tampered") {
    // Nothing that it says is believed, what it attests neither.
    const why = header.keyId === 0 ? "is not encrypted" : "does not hold its tag";
    const lsns = `LSN ${header.firstLsn} to ${header.firstLsn + header.recordCount - 1}`;
    notes.note(file.path, fileOffset, `a whole frame (${lsns}, as it says) that ${why}`, "tampered");
    return byteLength;
  }
  const isAttesting = verdict !== "unproven";
  if (isAttesting && header.durableLsn > notes.attestedLsn) notes.attestedLsn = header.durableLsn;
  if (!isWhole) notes.note(file.path, fileOffset, "a frame whose body does not hold its checksums");
  if (header.kind === "DATA" && header.recordCount > 0) {
    const { firstLsn, recordCount, storedBytes, keyId, recordedAt, incarnation } = header;
    const lastLsn = firstLsn + recordCount - 1;
    const at = { path: file.path, fileOffset, storedBytes, keyId };
    found.push({ kind: "frame", ...at, firstLsn, lastLsn, recordedAt, incarnation, isWhole });
  }
  return byteLength;
}

/** `body`: null of one that does not hold its checksums, and that no tag can prove. */
function verdictOn(header: FrameHeader, body: Buffer | null, keys: SalvageKeys): PlainVerdict | "encrypted" {
  if (header.sealed === undefined) return keys.plainVerdict(header.firstLsn + header.recordCount - 1);
  if (body === null) keys.assertGiven(header.keyId);
  else if (keys.openFrame(header, body) === null) return "tampered";
  return "encrypted";
}

async function lookWithoutHeader(file: SalvageFile, fileOffset: number, notes: SurveyNotes): Promise<number> {
  notes.note(file.path, fileOffset, "neither a frame nor zeros");
  const from = fileOffset + FRAME_HEADER_BYTES;
  // Most of what is damaged is no longer than a block; more is read only where records go on.
  let records = leadingRecords(await file.read(from, BLOCK_BYTES * 16));
  if ((records.at(-1)?.[1] ?? 0) > BLOCK_BYTES * 12) records = leadingRecords(await file.read(from, BODY_BYTES_MAX));
  const end = records.at(-1)?.[1];
  if (end === undefined) return BLOCK_BYTES;
  notes.headless.push({ path: file.path, fileOffset: from, byteLength: end });
  return frameBytes(end);
}

/** Finds the blocks of one sealed segment's file, behind damage too, and the streams that it has nothing left of. */

import { crc32 } from "node:zlib";
import { checkPage } from "../sealed/page.js";
import { DEFLATE_RATIO_MAX, decodeBlock } from "../sealed/sealed-block.js";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  decodeBlockHeader,
  decodeSealedPreamble,
  PAGE_BYTES,
  storeCrcOf,
} from "../sealed/sealed-format.js";
import { decodeTrailer, partsOf, ROOT_ENTRY_BYTES, type SealedTrailer } from "../sealed/sealed-trailer.js";
import { decodeEntry, entryName, entryRanges } from "../sealed/stream-page.js";
import type { SalvageFile } from "./salvage-file.js";
import type { SurveyNotes } from "./survey.js";

/** A block of which the header is intact. */
export interface BlockPiece {
  readonly kind: "block";
  readonly path: string;
  /** Of its header. */
  readonly fileOffset: number;
  /** Of the segment. */
  readonly number: number;
  readonly isListed: boolean;
  readonly firstLsn: number;
  readonly lastLsn: number;
  /** Whether the body holds its checksum. */
  readonly isWhole: boolean;
}

/** A stream that has lost all its records of a segment, the last of them at that LSN. */
export interface EmptiedStream {
  readonly name: Buffer;
  /** Of the last one. */
  readonly version: number;
  readonly lsn: number;
}

export interface SealedFilePlace {
  readonly storeId: Uint8Array;
  readonly number: number;
  /** Whether the manifest lists it, or there is none to ask. */
  readonly isListed: boolean;
}

const BLOCK_MAGIC = Buffer.from("VRVB", "latin1");
const SEARCHED_BYTES = 1024 * 1024;

export async function surveySegment(
  file: SalvageFile,
  place: SealedFilePlace,
  found: BlockPiece[],
  emptied: EmptiedStream[],
  notes: SurveyNotes,
): Promise<void> {
  const { storeId } = place;
  const preamble = decodeSealedPreamble(Buffer.from(await file.read(0, PAGE_BYTES)), storeId);
  const lastOffset = Math.max(0, file.byteLength - PAGE_BYTES);
  const decoded = decodeTrailer(Buffer.from(await file.read(lastOffset, PAGE_BYTES)), storeId, file.byteLength);
  if (preamble.kind === "foreign" && decoded.kind === "foreign") {
    notes.foreignFiles.add(file.path);
    return;
  }
  if (preamble.kind === "unsupported" || decoded.kind === "unsupported") notes.newerFiles.add(file.path);
  if (preamble.kind === "damaged") notes.note(file.path, 0, "a preamble that does not hold its checksum");
  if (decoded.kind === "damaged") notes.note(file.path, lastOffset, "a trailer that does not hold its checksum");
  const trailer = decoded.kind === "trailer" ? decoded.trailer : null;
  await surveyBlocks(file, place, trailer, found, notes);
  if (trailer === null) return;
  await surveyLsnIndex(file, trailer, notes);
  await surveyStreamPages(file, trailer, emptied, notes);
}

async function surveyBlocks(
  file: SalvageFile,
  place: SealedFilePlace,
  trailer: SealedTrailer | null,
  found: BlockPiece[],
  notes: SurveyNotes,
): Promise<void> {
  const storeCrc = storeCrcOf(place.storeId);
  const end = trailer?.blocksEnd ?? file.byteLength;
  for (let offset = PAGE_BYTES; offset < end; ) {
    const decoded = decodeBlockHeader(await file.read(offset, BLOCK_HEADER_BYTES), storeCrc);
    if (decoded.kind === "block" && isHere(decoded.header, offset, place.number, end)) {
      const { header } = decoded;
      const isWhole = (await readBlock(file, header, storeCrc, end)) !== null;
      if (!isWhole) notes.note(file.path, offset, "a block that does not hold its checksum");
      const { firstLsn, lastLsn } = header;
      const { number, isListed } = place;
      found.push({ kind: "block", path: file.path, fileOffset: offset, number, isListed, firstLsn, lastLsn, isWhole });
      offset += BLOCK_HEADER_BYTES + header.storedBytes;
      continue;
    }
    if (decoded.kind === "unsupported") notes.newerFiles.add(file.path);
    const next = await nextBlock(file, offset + 1, end, storeCrc, place.number);
    // Without a trailer nobody knows where the blocks end: what lies behind the last may be the pages.
    if (trailer !== null || next !== null) notes.note(file.path, offset, "no block");
    offset = next ?? end;
  }
}

function isHere(header: BlockHeader, offset: number, number: number, end: number): boolean {
  const { firstLsn, lastLsn, fileOffset, storedBytes, plainBytes } = header;
  return (
    plainBytes <= storedBytes * DEFLATE_RATIO_MAX &&
    fileOffset === offset &&
    header.number === number &&
    firstLsn >= 1 &&
    lastLsn >= firstLsn &&
    offset + BLOCK_HEADER_BYTES + storedBytes <= end
  );
}

/** The block's runs and where they lie, or null for one that does not hold its checksum. */
export async function readBlock(
  file: SalvageFile,
  header: BlockHeader,
  storeCrc: number,
  end: number,
): Promise<ReturnType<typeof decodeBlock>["runs"] | null> {
  const { fileOffset: offset, firstLsn, lastLsn, number, storedBytes } = header;
  const stored = await file.read(offset + BLOCK_HEADER_BYTES, storedBytes);
  const place = { path: file.path, offset, firstLsn, lastLsn, number, storeCrc, cipher: null, bytesLeft: end - offset };
  try {
    return decodeBlock(header, stored, place).runs;
  } catch {
    return null;
  }
}

/** Blocks lie back to back, at any offset: where the next header begins that is one of this place. */
async function nextBlock(
  file: SalvageFile,
  from: number,
  end: number,
  storeCrc: number,
  number: number,
): Promise<number | null> {
  for (let start = from; start < end; start += SEARCHED_BYTES) {
    const bytes = await file.read(start, Math.min(SEARCHED_BYTES + BLOCK_HEADER_BYTES, end - start));
    for (let at = bytes.indexOf(BLOCK_MAGIC); at >= 0; at = bytes.indexOf(BLOCK_MAGIC, at + 1)) {
      const decoded = decodeBlockHeader(bytes.subarray(at), storeCrc);
      if (decoded.kind === "block" && isHere(decoded.header, start + at, number, end)) return start + at;
    }
  }
  return null;
}

async function surveyLsnIndex(file: SalvageFile, trailer: SealedTrailer, notes: SurveyNotes): Promise<void> {
  const { lsnPages, filter, root } = partsOf(trailer);
  const storeCrc = storeCrcOf(trailer.storeId);
  for (let page = 0; page < trailer.lsnPageCount; page++) {
    const offset = lsnPages + page * PAGE_BYTES;
    const bytes = await file.read(offset, PAGE_BYTES);
    if (checkPage(bytes, "lsns", page, trailer.number, storeCrc) === null) notes.note(file.path, offset, "no LSN page");
  }
  if (crc32(await file.read(filter, trailer.filterBytes)) !== trailer.filterCrc)
    notes.note(file.path, filter, "a name filter that does not hold its checksum");
  if (crc32(await file.read(root, trailer.lsnPageCount * ROOT_ENTRY_BYTES)) !== trailer.rootCrc)
    notes.note(file.path, root, "an LSN root that does not hold its checksum");
}

/** As far as the pages of the stream index are intact. */
async function surveyStreamPages(
  file: SalvageFile,
  trailer: SealedTrailer,
  emptied: EmptiedStream[],
  notes: SurveyNotes,
): Promise<void> {
  const start = partsOf(trailer).streamPages;
  const storeCrc = storeCrcOf(trailer.storeId);
  for (let page = 0; page < trailer.streamPageCount; page++) {
    const offset = start + page * PAGE_BYTES;
    const bytes = await file.read(offset, PAGE_BYTES);
    const header = checkPage(bytes, "names", page, trailer.number, storeCrc);
    if (header === null) {
      if (checkPage(bytes, "postings", page, trailer.number, storeCrc) === null)
        notes.note(file.path, offset, "no page of the stream index");
      continue;
    }
    for (const range of entryRanges(bytes, header.contentEnd)) {
      const entry = range === null ? null : decodeEntry(bytes, range[0], range[1]);
      if (range === null || entry === null) break;
      if (entry.count > 0) continue;
      const { start: nameStart, end: nameEnd } = entryName(bytes, range[0]);
      const name = Buffer.from(bytes.subarray(nameStart, nameEnd));
      emptied.push({ name, version: entry.firstVersion - 1, lsn: trailer.firstLsn + entry.lastLsnOffset });
    }
  }
}

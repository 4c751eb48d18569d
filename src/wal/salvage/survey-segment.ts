/** Finds the blocks of one sealed segment's file, behind damage too, and the streams that it has nothing left of. */

import { crc32 } from "node:zlib";
import { isStoreError } from "../../errors.js";
import { TAG_BYTES } from "../crypt/gcm.js";
import { checkPage, contentEndOf, decryptPage, type PageHeader } from "../sealed/page.js";
import { DEFLATE_RATIO_MAX, decodeBlock } from "../sealed/sealed-block.js";
import {
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  decodeBlockHeader,
  decodeSealedPreamble,
  PAGE_BYTES,
  preambleKey,
  type SaltedKey,
  storeCrcOf,
} from "../sealed/sealed-format.js";
import { decodeTrailer, partsOf, ROOT_ENTRY_BYTES, type SealedTrailer } from "../sealed/sealed-trailer.js";
import type { SegmentCipher } from "../sealed/segment-cipher.js";
import { decodeEntry, entryName, entryRanges } from "../sealed/stream-page.js";
import type { SalvageFile } from "./salvage-file.js";
import type { SalvageKeys } from "./salvage-keys.js";
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
  /** 0: not encrypted. */
  readonly keyId: number;
  /** By which it is decrypted; null where it is not encrypted, or its segment has lost its salt. */
  readonly secret: SaltedKey | null;
  /** Whether the body holds its checksum, and its tag. */
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
  readonly keys: SalvageKeys;
}

const NO_BYTES = Buffer.alloc(0);
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
  const firstPage = Buffer.from(await file.read(0, PAGE_BYTES));
  const preamble = decodeSealedPreamble(firstPage, storeId);
  const lastOffset = Math.max(0, file.byteLength - PAGE_BYTES);
  const decoded = decodeTrailer(Buffer.from(await file.read(lastOffset, PAGE_BYTES)), storeId, file.byteLength);
  if (preamble.kind === "foreign" && decoded.kind === "foreign") {
    notes.foreignFiles.add(file.path);
    return;
  }
  if (preamble.kind === "unsupported" || decoded.kind === "unsupported") notes.newerFiles.add(file.path);
  if (preamble.kind === "damaged") notes.note(file.path, 0, "a preamble that does not hold its checksum");
  if (decoded.kind === "damaged") notes.note(file.path, lastOffset, "a trailer that does not hold its checksum");
  const secrets: SaltedKey[] = [];
  if (decoded.kind === "trailer" && decoded.trailer.secret !== null) secrets.push(decoded.trailer.secret);
  // Each block proves by itself whether the salt is right, so that one of the preamble will do.
  const named = preamble.kind === "preamble" ? preambleKey(firstPage) : null;
  if (named !== null) secrets.push(named);
  let trailer = decoded.kind === "trailer" ? decoded.trailer : null;
  if (trailer !== null && !isProven(trailer, file.path, place.keys)) {
    notes.note(file.path, lastOffset, "a whole trailer that was not written by this store", "tampered");
    trailer = null;
  }
  await surveyBlocks(file, place, trailer, secrets, found, notes);
  if (trailer === null) return;
  await surveyLsnIndex(file, trailer, place.keys, notes);
  await surveyStreamPages(file, trailer, place.keys, emptied, notes);
}

/** Whether a trailer holds its tag, or may be plain. */
function isProven(trailer: SealedTrailer, path: string, keys: SalvageKeys): boolean {
  const { secret, fileBytes, firstLsn, lastLsn } = trailer;
  if (secret === null) return keys.plainVerdict(lastLsn) !== "tampered";
  const place = { path, offset: fileBytes - PAGE_BYTES, firstLsn, lastLsn };
  const check = (cipher: SegmentCipher): Buffer => cipher.decrypt(place, secret.covered, NO_BYTES, secret.tag);
  return keys.withCipher(trailer, secret, check) !== null;
}

async function surveyBlocks(
  file: SalvageFile,
  place: SealedFilePlace,
  trailer: SealedTrailer | null,
  secrets: readonly SaltedKey[],
  found: BlockPiece[],
  notes: SurveyNotes,
): Promise<void> {
  const storeCrc = storeCrcOf(place.storeId);
  const end = trailer?.blocksEnd ?? file.byteLength;
  for (let offset = PAGE_BYTES; offset < end; ) {
    const decoded = decodeBlockHeader(await file.read(offset, BLOCK_HEADER_BYTES), storeCrc);
    if (decoded.kind === "block" && isHere(decoded.header, offset, place.number, end)) {
      await takeBlock(file, decoded.header, { ...place, secrets, end }, found, notes);
      offset += BLOCK_HEADER_BYTES + decoded.header.storedBytes;
      continue;
    }
    if (decoded.kind === "unsupported") notes.newerFiles.add(file.path);
    const next = await nextBlock(file, offset + 1, end, storeCrc, place.number);
    // Without a trailer nobody knows where the blocks end: what lies behind the last may be the pages.
    if (trailer !== null || next !== null) notes.note(file.path, offset, "no block");
    offset = next ?? end;
  }
}

async function takeBlock(
  file: SalvageFile,
  header: BlockHeader,
  place: SealedFilePlace & { readonly secrets: readonly SaltedKey[]; readonly end: number },
  found: BlockPiece[],
  notes: SurveyNotes,
): Promise<void> {
  const { keyId, firstLsn, lastLsn, fileOffset } = header;
  const { number, isListed, keys, end } = place;
  const { secret, read } = await readWithAny(file, header, place, end);
  const isPlainAndTampered = keyId === 0 && keys.plainVerdict(lastLsn) === "tampered";
  if (read === "tampered" || isPlainAndTampered) {
    const why = keyId === 0 ? "is not encrypted" : "does not hold its tag";
    const what = `a whole block (LSN ${firstLsn} to ${lastLsn}, as it says) that ${why}`;
    notes.note(file.path, fileOffset, what, "tampered");
    return;
  }
  if (read === "saltless") notes.note(file.path, fileOffset, "a block of which the segment has lost the salt");
  else if (read === "damaged") notes.note(file.path, fileOffset, "a block that does not hold its checksum");
  const isWhole = typeof read !== "string";
  const at = { path: file.path, fileOffset, number, isListed };
  found.push({ kind: "block", ...at, firstLsn, lastLsn, keyId, secret, isWhole });
}

/** The block by the salts that its segment may have, of which each has a tag for proof. */
async function readWithAny(
  file: SalvageFile,
  header: BlockHeader,
  place: SealedFilePlace & { readonly secrets: readonly SaltedKey[] },
  end: number,
): Promise<{ readonly secret: SaltedKey | null; readonly read: ReadBlock }> {
  let result: { readonly secret: SaltedKey | null; readonly read: ReadBlock } | null = null;
  for (const secret of place.secrets) {
    if (header.keyId === 0 || secret.keyId !== header.keyId) continue;
    result = { secret, read: await readBlock(file, header, place, secret, end) };
    if (result.read !== "tampered") return result;
  }
  return result ?? { secret: null, read: await readBlock(file, header, place, null, end) };
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

/** A block's runs; or what is wrong with it: `saltless` is one that is whole, and whose segment has lost what its key is derived with. */
export type ReadBlock = ReturnType<typeof decodeBlock>["runs"] | "damaged" | "tampered" | "saltless";

/** `secret`: null for a block that is not encrypted, or whose segment has lost its salt. */
export async function readBlock(
  file: SalvageFile,
  header: BlockHeader,
  { storeId, keys }: { readonly storeId: Uint8Array; readonly keys: SalvageKeys },
  secret: SaltedKey | null,
  end: number,
): Promise<ReadBlock> {
  const { fileOffset: offset, firstLsn, lastLsn, number, storedBytes, keyId } = header;
  const stored = await file.read(offset + BLOCK_HEADER_BYTES, storedBytes);
  const bytesLeft = end - offset;
  const place = { path: file.path, offset, firstLsn, lastLsn, number, storeCrc: storeCrcOf(storeId), bytesLeft };
  const runsWith = (cipher: SegmentCipher | null): ReadBlock => {
    try {
      return decodeBlock(header, stored, { ...place, cipher }).runs;
    } catch (error) {
      if (isStoreError(error, "ERR_WAL_TAMPERED")) throw error;
      return "damaged";
    }
  };
  if (keyId === 0) return runsWith(null);
  keys.assertGiven(keyId);
  if (storedBytes < TAG_BYTES || crc32(stored) !== header.bodyCrc) return "damaged";
  if (secret === null) return "saltless";
  return keys.withCipher({ storeId, number }, secret, runsWith) ?? "tampered";
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

async function surveyLsnIndex(
  file: SalvageFile,
  trailer: SealedTrailer,
  keys: SalvageKeys,
  notes: SurveyNotes,
): Promise<void> {
  const { lsnPages, filter, root } = partsOf(trailer);
  const storeCrc = storeCrcOf(trailer.storeId);
  for (let page = 0; page < trailer.lsnPageCount; page++) {
    const offset = lsnPages + page * PAGE_BYTES;
    const bytes = await file.read(offset, PAGE_BYTES);
    if (checkPage(bytes, "lsns", page, trailer.number, storeCrc) === null) notes.note(file.path, offset, "no LSN page");
  }
  const names = await file.read(filter, trailer.filterBytes);
  const { secret, firstLsn, lastLsn } = trailer;
  const place = { path: file.path, offset: filter, firstLsn, lastLsn };
  if (crc32(names) !== trailer.filterCrc)
    notes.note(file.path, filter, "a name filter that does not hold its checksum");
  else if (secret !== null) {
    const check = (cipher: SegmentCipher): Buffer => cipher.decrypt(place, NO_BYTES, names, secret.filterTag);
    if (keys.withCipher(trailer, secret, check) === null)
      notes.note(file.path, filter, "a whole name filter that does not hold its tag", "tampered");
  }
  if (crc32(await file.read(root, trailer.lsnPageCount * ROOT_ENTRY_BYTES)) !== trailer.rootCrc)
    notes.note(file.path, root, "an LSN root that does not hold its checksum");
}

/** As far as the pages of the stream index are intact. */
async function surveyStreamPages(
  file: SalvageFile,
  trailer: SealedTrailer,
  keys: SalvageKeys,
  emptied: EmptiedStream[],
  notes: SurveyNotes,
): Promise<void> {
  const start = partsOf(trailer).streamPages;
  const storeCrc = storeCrcOf(trailer.storeId);
  for (let page = 0; page < trailer.streamPageCount; page++) {
    const offset = start + page * PAGE_BYTES;
    const bytes = Buffer.from(await file.read(offset, PAGE_BYTES));
    const names = checkPage(bytes, "names", page, trailer.number, storeCrc);
    const header = names ?? checkPage(bytes, "postings", page, trailer.number, storeCrc);
    if (header === null || header.contentEnd > contentEndOf(trailer.secret !== null)) {
      notes.note(file.path, offset, "no page of the stream index");
      continue;
    }
    if (!isPageOpened(bytes, header, trailer, { path: file.path, offset }, keys)) {
      notes.note(file.path, offset, "a whole page of the stream index that does not hold its tag", "tampered");
      continue;
    }
    if (names === null) continue;
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

/** Puts the content of a page in its place, where it is encrypted; false when it does not hold its tag. */
function isPageOpened(
  page: Buffer,
  header: PageHeader,
  trailer: SealedTrailer,
  { path, offset }: { readonly path: string; readonly offset: number },
  keys: SalvageKeys,
): boolean {
  const { secret, firstLsn, lastLsn } = trailer;
  if (secret === null) return true;
  const open = (cipher: SegmentCipher): true => {
    decryptPage(page, header, cipher, { path, offset, firstLsn, lastLsn });
    return true;
  };
  return keys.withCipher(trailer, secret, open) !== null;
}

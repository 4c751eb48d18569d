/** The trailer of a sealed segment: what it holds, and where its parts are. sealed-format.ts has the layout. */

import { TAG_BYTES } from "../crypt/gcm.js";
import { CIPHER_AES_256_GCM, CIPHER_NONE, SALT_BYTES } from "../format.js";
import { readI64, readU64, writeI64, writeU64 } from "./number-fields.js";
import {
  CIPHER_AT,
  checkIdentity,
  DAMAGED,
  encodeIdentity,
  HASH_BYTES,
  PAGE_BYTES,
  roundUpToPage,
  type SegmentIdentity,
  sealPage,
  type Undecodable,
} from "./sealed-format.js";
import type { SegmentCipher, TrailerSecret } from "./segment-cipher.js";

const TRAILER_MAGIC = 0x54565256; // "VRVT"
export const ROOT_ENTRY_BYTES = 16;

export interface SealedTrailer extends SegmentIdentity {
  readonly lastLsn: number;
  readonly lowestRecordedAt: number;
  readonly highestRecordedAt: number;
  readonly fileBytes: number;
  readonly blocksEnd: number;
  readonly recordCount: number;
  readonly removedCount: number;
  readonly voidCount: number;
  readonly plainBytes: number;
  readonly blockCount: number;
  readonly runCount: number;
  readonly streamCount: number;
  readonly lsnPageCount: number;
  readonly bucketCount: number;
  readonly streamPageCount: number;
  readonly filterBytes: number;
  readonly filterCrc: number;
  readonly rootCrc: number;
  readonly hashBefore: Buffer;
  readonly hash: Buffer;
  /** Of one that is encrypted. */
  readonly secret: TrailerSecret | null;
}

/** Where the parts of a segment begin. */
export interface SealedParts {
  readonly lsnPages: number;
  readonly streamPages: number;
  readonly filter: number;
  readonly root: number;
  readonly trailer: number;
}

export function partsOf(
  trailer: Pick<SealedTrailer, "blocksEnd" | "lsnPageCount" | "streamPageCount" | "filterBytes">,
): SealedParts {
  const lsnPages = roundUpToPage(trailer.blocksEnd);
  const streamPages = lsnPages + trailer.lsnPageCount * PAGE_BYTES;
  const filter = streamPages + trailer.streamPageCount * PAGE_BYTES;
  const root = filter + roundUpToPage(trailer.filterBytes);
  return {
    lsnPages,
    streamPages,
    filter,
    root,
    trailer: root + roundUpToPage(trailer.lsnPageCount * ROOT_ENTRY_BYTES),
  };
}

/** Bytes 0 … 263 are what the trailer's own tag covers. */
const COVERED_BYTES = 264;
const NO_BYTES = Buffer.alloc(0);

/** `cipher` and the tag of the name filter, where the segment is encrypted. */
export function encodeTrailer(
  page: Buffer,
  trailer: Omit<SealedTrailer, "secret">,
  encrypted: { readonly cipher: SegmentCipher; readonly filterTag: Buffer } | null,
): void {
  encodeIdentity(page, TRAILER_MAGIC, trailer);
  writeU64(page, 40, trailer.lastLsn);
  writeI64(page, 48, trailer.lowestRecordedAt);
  writeI64(page, 56, trailer.highestRecordedAt);
  writeU64(page, 64, trailer.fileBytes);
  writeU64(page, 72, trailer.blocksEnd);
  writeU64(page, 80, trailer.recordCount);
  writeU64(page, 88, trailer.removedCount);
  writeU64(page, 96, trailer.voidCount);
  writeU64(page, 104, trailer.plainBytes);
  page.writeUInt32LE(trailer.blockCount, 112);
  page.writeUInt32LE(trailer.runCount, 116);
  page.writeUInt32LE(trailer.streamCount, 120);
  page.writeUInt32LE(trailer.lsnPageCount, 124);
  page.writeUInt32LE(trailer.bucketCount, 128);
  page.writeUInt32LE(trailer.streamPageCount, 132);
  page.writeUInt32LE(trailer.filterBytes, 136);
  page.writeUInt32LE(trailer.filterCrc, 140);
  page.writeUInt32LE(trailer.rootCrc, 144);
  page.set(trailer.hashBefore, 152);
  page.set(trailer.hash, 184);
  if (encrypted !== null) {
    const { cipher, filterTag } = encrypted;
    page.writeUInt16LE(CIPHER_AES_256_GCM, CIPHER_AT);
    page.writeUInt32LE(cipher.keyId, 148);
    page.set(cipher.salt, 216);
    page.set(filterTag, 248);
    const fileOffset = trailer.fileBytes - PAGE_BYTES;
    page.set(cipher.encrypt(fileOffset, page.subarray(0, COVERED_BYTES), NO_BYTES), COVERED_BYTES);
  }
  sealPage(page, 0);
}

function secretOf(page: Buffer): TrailerSecret {
  const copy = Buffer.from(page.subarray(0, COVERED_BYTES + TAG_BYTES));
  return {
    keyId: copy.readUInt32LE(148),
    salt: copy.subarray(216, 216 + SALT_BYTES),
    filterTag: copy.subarray(248, 248 + TAG_BYTES),
    covered: copy.subarray(0, COVERED_BYTES),
    tag: copy.subarray(COVERED_BYTES),
  };
}

export type DecodedTrailer = { readonly kind: "trailer"; readonly trailer: SealedTrailer } | Undecodable;

/** Decodes the last page of a file of `fileBytes`; what it counts adds up to the file. */
export function decodeTrailer(page: Buffer, storeId: Uint8Array, fileBytes: number): DecodedTrailer {
  const problem = checkIdentity(page, TRAILER_MAGIC, storeId);
  if (problem !== null) return problem;
  const trailer: SealedTrailer = {
    storeId,
    number: readU64(page, 24),
    firstLsn: readU64(page, 32),
    lastLsn: readU64(page, 40),
    lowestRecordedAt: readI64(page, 48),
    highestRecordedAt: readI64(page, 56),
    fileBytes: readU64(page, 64),
    blocksEnd: readU64(page, 72),
    recordCount: readU64(page, 80),
    removedCount: readU64(page, 88),
    voidCount: readU64(page, 96),
    plainBytes: readU64(page, 104),
    blockCount: page.readUInt32LE(112),
    runCount: page.readUInt32LE(116),
    streamCount: page.readUInt32LE(120),
    lsnPageCount: page.readUInt32LE(124),
    bucketCount: page.readUInt32LE(128),
    streamPageCount: page.readUInt32LE(132),
    filterBytes: page.readUInt32LE(136),
    filterCrc: page.readUInt32LE(140),
    rootCrc: page.readUInt32LE(144),
    hashBefore: Buffer.from(page.subarray(152, 152 + HASH_BYTES)),
    hash: Buffer.from(page.subarray(184, 184 + HASH_BYTES)),
    secret: page.readUInt16LE(CIPHER_AT) === CIPHER_NONE ? null : secretOf(page),
  };
  const isWhole = trailer.fileBytes === fileBytes && partsOf(trailer).trailer === fileBytes - PAGE_BYTES;
  return isWhole ? { kind: "trailer", trailer } : DAMAGED;
}

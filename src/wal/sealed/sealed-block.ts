/** A block in memory: its runs, checked. */

import { crc32, inflateRawSync } from "node:zlib";
import { TAG_BYTES } from "../crypt/gcm.js";
import { type SealedPlace, sealedDamage, undecodable } from "./sealed-damage.js";
import {
  BLOCK_AAD_BYTES,
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  COMPRESSION_DEFLATE,
  decodeBlockHeader,
  decodeRun,
  type SealedRun,
} from "./sealed-format.js";
import { type SegmentCipher, tampered } from "./segment-cipher.js";

/** Deflate makes a byte of at most 1032; a header that claims more is not believed before anything is allocated. */
export const DEFLATE_RATIO_MAX = 1040;

/** Of which segment a block must be. */
export interface BlockPlace extends SealedPlace {
  readonly number: number;
  readonly storeCrc: number;
  /** Null for a segment that is not encrypted. */
  readonly cipher: SegmentCipher | null;
  /** What the file still has from the header on. */
  readonly bytesLeft: number;
}

export interface SealedBlock {
  readonly kind: "block";
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly runs: readonly SealedRun[];
  readonly memoryBytes: number;
}

/** Rough, for the cache: objects of a run and its body's view. */
const RUN_MEMORY_BYTES = 250;

/** The header of a block that was written for this place and lies within the file. */
export function checkBlockHeader(source: Buffer, place: BlockPlace): BlockHeader {
  const decoded = decodeBlockHeader(source, place.storeCrc);
  if (decoded.kind !== "block") throw undecodable(place, "block", decoded);
  const { header } = decoded;
  const isHere = header.fileOffset === place.offset && header.number === place.number;
  const fits = header.storedBytes <= place.bytesLeft - BLOCK_HEADER_BYTES;
  const claimsTooMuch = header.plainBytes > header.storedBytes * DEFLATE_RATIO_MAX;
  if (!isHere || !fits || claimsTooMuch) throw sealedDamage(place, "a block of another place");
  return header;
}

/** A block that nobody has the key for: only its CRC says that it is whole. */
export function opaqueBlock(header: BlockHeader, stored: Buffer, place: BlockPlace): SealedBlock {
  checkStored(header, stored, place);
  const { firstLsn, lastLsn } = header;
  return { kind: "block", firstLsn, lastLsn, runs: [], memoryBytes: 0 };
}

function checkStored(header: BlockHeader, stored: Buffer, place: BlockPlace): void {
  if (stored.length === header.storedBytes && crc32(stored) === header.bodyCrc) return;
  throw sealedDamage(place, "the block does not hold its CRC");
}

/** The block whose header was checked; `stored` stays its memory when it is not compressed. */
export function decodeBlock(header: BlockHeader, stored: Buffer, place: BlockPlace): SealedBlock {
  checkStored(header, stored, place);
  if (place.cipher === null && header.sealed !== undefined)
    throw sealedDamage(place, "an encrypted block in a plain segment");
  const packed = place.cipher === null ? stored : decrypted(header, stored, place, place.cipher);
  const plain = header.compression === COMPRESSION_DEFLATE ? inflate(packed, header.plainBytes, place) : packed;
  const runs: SealedRun[] = [];
  let at = 0;
  let nextLsn = header.firstLsn;
  while (at < plain.length) {
    const run = decodeRun(plain, at);
    if (run === null || run.header.firstLsn !== nextLsn) break;
    runs.push(run);
    nextLsn += run.header.recordCount;
    at = run.body.byteOffset - plain.byteOffset + run.body.length;
  }
  const isWhole = at === plain.length && plain.length === header.plainBytes && runs.length === header.runCount;
  if (!isWhole || nextLsn !== header.lastLsn + 1) throw sealedDamage(place, "runs that do not add up");
  const memoryBytes = plain.length + runs.length * RUN_MEMORY_BYTES;
  return { kind: "block", firstLsn: header.firstLsn, lastLsn: header.lastLsn, runs, memoryBytes };
}

function decrypted(header: BlockHeader, stored: Buffer, place: BlockPlace, cipher: SegmentCipher): Buffer {
  if (header.sealed === undefined) throw tampered(place, "is not encrypted");
  const end = stored.length - TAG_BYTES;
  if (header.keyId !== cipher.keyId || end < 0) throw sealedDamage(place, "a block of another key");
  const covered = header.sealed.subarray(0, BLOCK_AAD_BYTES);
  return cipher.decrypt(place, covered, stored.subarray(0, end), stored.subarray(end));
}

function inflate(stored: Buffer, plainBytes: number, place: BlockPlace): Buffer {
  try {
    return inflateRawSync(stored, { maxOutputLength: Math.max(1, plainBytes) });
  } catch (cause) {
    throw sealedDamage(place, `the block does not inflate: ${(cause as Error).message}`);
  }
}

/**
 * The format of sealed segments, version 1.
 *
 * A sealed segment is one file, `log/NNNNNNNNNN.seal`: runs of records in LSN order, which no byte is ever changed of once it has that
 * name. All numbers are little-endian, u64 fields hold at most 2^53 − 1, and every CRC is the CRC-32 of zlib: Node computes it three
 * times as fast as this project computes CRC-32C (measured: 5.0 against 1.5 GB/s), and the records' own CRC-32Cs are kept as well.
 *
 *     preamble · blocks · LSN pages · stream pages · name filter · LSN root · trailer
 *
 * Each part begins on a boundary of 4096 bytes, with zeros before it; its place follows from the trailer's counts. Store CRC below is the CRC
 * of the store id: a CRC "seeded" with it holds in no other store.
 *
 * Preamble (4096 bytes; zeros between 108 and 4092):
 *
 *     offset  bytes  field
 *          0      4  magic "VRVP"
 *          4      2  format version
 *          6      2  cipher: 0 none, 1 AES-256-GCM
 *          8     16  store id
 *         24      8  number of the segment, as in its name
 *         32      8  first LSN
 *         40     32  hash of the chain before the first run
 *         72      4  key id: 0 without a cipher
 *         76     32  salt, of which the segment's key is derived; 0 without a cipher
 *       4092      4  CRC of bytes 0 … 4091
 *
 * A *block* is a header of 64 bytes and its body, back to back with its neighbours. It holds whole runs, about 16 KiB of them:
 *
 *          0      4  magic "VRVB"
 *          4      2  compression of the body: 0 none, 1 raw deflate
 *          6      2  cipher: 0 none, 1 AES-256-GCM
 *          8      8  first LSN
 *         16      8  last LSN
 *         24      8  offset of this header in the file
 *         32      8  number of the segment
 *         40      4  run count
 *         44      4  stored bytes of the body
 *         48      4  plain bytes of the body
 *         52      4  key id: 0 without a cipher
 *         56      4  CRC of the stored bytes
 *         60      4  CRC of bytes 0 … 59, seeded with the store CRC
 *
 * A *run* is what one frame of the log held, a header of 32 bytes, perhaps a leaf, and the records as they were there (format.ts). A frame that
 * is longer than about half a block is several runs, cut between records: who needs one record must not read a thousand.
 *
 *          0      8  first LSN
 *          8      8  recordedAt in µs since 1970, two's complement
 *         16      4  record count: LSNs that the run covers
 *         20      4  bytes of the records
 *         24      2  kind: 1 DATA, 2 VOID: LSNs that no record ever had, 3 REMOVED: all its records were removed, 4 DROPPED: of many frames
 *         26      2  flags: 1 a leaf of 32 bytes follows this header, 2 the next run is of the same frame
 *         28      4  0
 *
 * VOID, REMOVED and DROPPED have no records. Runs are dense: each begins behind the last LSN of the one before. The runs of a frame are in one
 * segment. A DATA run of which some records were removed has records of length 0 in their places, CRCs that were computed anew, and a leaf.
 * DROPPED stands for whole frames and voids in a row, from which nothing is left, not even the leaves: in the place of the leaf it has the
 * value of the hash chain behind the last of them.
 *
 * *Hash chain*: the leaf of a frame is the SHA-256 of bytes 0 … 15 of its first run's header, the records of all its runs, and their number
 * as u32, with a secret of 32 bytes before all that in a store that is encrypted (crypt/store-encryption.ts); the chain's value after a frame is the SHA-256 of the value before and the leaf. It begins with 32 zeros at LSN 1. A frame that
 * lost records keeps the leaf that it had, in each of its runs, so the chain of a store never changes, whatever is removed, compressed or
 * compacted: frames are never merged and never divided otherwise. What is left of a frame that lost records is proven by its CRCs only, and
 * of a DROPPED run nothing is proven but that what follows goes on from the value that it states.
 *
 * *Pages* are 4096 bytes with a header of 24:
 *
 *          0      4  magic: "VRVL" LSN page, "VRVN" stream page (names), "VRVO" stream page (postings)
 *          4      4  page number within its part
 *          8      8  number of the segment
 *         16      2  entry count
 *         18      2  end of the content
 *         20      4  number of the page that goes on, 2^32 − 1: none
 *         24      …  content
 *       4092      4  CRC of bytes 0 … 4091, seeded with the store CRC
 *
 * LSN pages: up to 127 entries of 32 bytes, one for each block in order:
 *
 *          0      8  first LSN of the block
 *          8      8  offset of its header
 *         16      8  recordedAt of its first run
 *         24      4  its header's CRC
 *         28      4  stored bytes of its body
 *
 * LSN root: 16 bytes for each LSN page, the first LSN and the recordedAt of its first entry.
 *
 * Stream pages: first the buckets. A stream is in bucket ⌊hash's high word × buckets ÷ 2^32⌋ (name-hash.ts) or in a page where that one goes
 * on. Then pages of postings, then pages where buckets go on. An entry of a bucket:
 *
 *          0      2  bytes of the entry
 *          2      2  flags: 1 the postings are in pages of their own
 *          4      4  low word of the name's hash
 *          8      4  high word
 *         12      …  varints: length of the name, count of the stream's records in this segment, version of the first of them (the others
 *                    follow without a gap), last LSN − first LSN of the segment; then the name; then the postings
 *
 * Postings are the LSNs of the stream's records, each less the first LSN of the segment. In the entry: varints, each but the first less the one
 * before. In pages of their own: u32 page number in the entry; from there on, 1017 of u32 a page.
 *
 * Of a stream, records are removed from its first one on and never from its middle, so what an entry counts has no gap. A stream that has lost
 * all its records of this segment keeps its entry, with the count 0, the version behind the last one that was removed, and that one's LSN: so
 * the version that a stream goes on with is never forgotten.
 *
 * Name filter: blocks of 64 bytes, about 10 bits for each stream (name-filter.ts).
 *
 * Trailer (the last 4096 bytes):
 *
 *          0      4  magic "VRVT"
 *          4      2  format version
 *          6      2  cipher: 0 none, 1 AES-256-GCM
 *          8     16  store id
 *         24      8  number of the segment
 *         32      8  first LSN
 *         40      8  last LSN
 *         48      8  lowest recordedAt
 *         56      8  highest recordedAt
 *         64      8  bytes of the file
 *         72      8  end of the last block
 *         80      8  records
 *         88      8  records removed: LSNs of REMOVED and DROPPED runs, and records of length 0
 *         96      8  void LSNs
 *        104      8  plain bytes of all blocks
 *        112      4  blocks
 *        116      4  runs
 *        120      4  streams
 *        124      4  LSN pages
 *        128      4  buckets
 *        132      4  stream pages
 *        136      4  bytes of the name filter
 *        140      4  CRC of the name filter
 *        144      4  CRC of the LSN root
 *        148      4  key id: 0 without a cipher
 *        152     32  hash of the chain before the first run
 *        184     32  hash of the chain after the last run
 *        216     32  salt; this and what follows are 0 without a cipher
 *        248     16  authentication tag of the name filter
 *        264     16  authentication tag of bytes 0 … 263
 *       4092      4  CRC of bytes 0 … 4091
 *
 * *With a cipher* the bodies of blocks, the contents of stream pages and the name filter are encrypted (segment-cipher.ts); LSNs, sizes, counts,
 * times and hashes stay in clear, and all CRCs are over what is stored. A block's stored bytes end with its tag, of 16 bytes, which also covers
 * bytes 0 … 55 of its header. In a stream page the content ends at 4076, with zeros before it, and is encrypted from 24 up to there; its tag
 * follows, and also covers the header: so there are 1013 postings to a page. The filter's tag stands in the trailer. Nonces are offsets in
 * the file, as u64, and 4 zeros.
 *
 * Given up for this: a stream's records lie in as many blocks as they were written among; reading them costs a block each.
 */

import { crc32 } from "node:zlib";
import { BLOCK_BYTES } from "../../ffi/index.js";
import { CIPHER_AES_256_GCM, CIPHER_NONE, SALT_BYTES, STORE_ID_BYTES } from "../format.js";
import { readI64, readU64, writeI64, writeU64 } from "./number-fields.js";

export const SEALED_VERSION = 1;
export const PAGE_BYTES: number = BLOCK_BYTES;
export const HASH_BYTES = 32;
export const BLOCK_HEADER_BYTES = 64;
export const RUN_HEADER_BYTES = 32;
/** Of a run's header: what a leaf is the hash of begins with them. */
export const LEAF_PREFIX_BYTES = 16;

export const COMPRESSION_NONE = 0;
/** How bodies of blocks are packed, where that saves an eighth or more. */
export type Compression = "none" | "deflate";

export const COMPRESSION_DEFLATE = 1;

/** In preamble, trailer and the headers of blocks. */
export const CIPHER_AT = 6;

const PREAMBLE_MAGIC = 0x50565256; // "VRVP"
const BLOCK_MAGIC = 0x42565256; // "VRVB"
const PAGE_CRC_AT = PAGE_BYTES - 4;
const BLOCK_CRC_AT = 60;
/** What the tag covers of a block's header. */
export const BLOCK_AAD_BYTES = 56;

export const RUN_KINDS = ["data", "void", "removed", "dropped"] as const;
export type RunKind = (typeof RUN_KINDS)[number];
const FLAG_LEAF = 1;
const FLAG_GOES_ON = 2;

/** What does not decode: `unsupported` was written by a newer version, `foreign` for another store. */
export type Undecodable =
  | { readonly kind: "damaged" }
  | { readonly kind: "unsupported"; readonly reason: string }
  | { readonly kind: "foreign" };

export const DAMAGED: Undecodable = { kind: "damaged" };

export function roundUpToPage(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES;
}

/** The CRC of a whole page, which ends with it. */
export function sealPage(page: Buffer, seed: number): void {
  page.writeUInt32LE(crc32(page.subarray(0, PAGE_CRC_AT), seed), PAGE_CRC_AT);
}

export function isPageSealed(page: Buffer, seed: number): boolean {
  return page.length === PAGE_BYTES && page.readUInt32LE(PAGE_CRC_AT) === crc32(page.subarray(0, PAGE_CRC_AT), seed);
}

/** Which of the store's keys a segment's own is derived of, and with what. */
export interface SaltedKey {
  readonly keyId: number;
  readonly salt: Uint8Array;
}

/** What preamble and trailer begin with. */
export interface SegmentIdentity {
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly firstLsn: number;
}

/** Fills bytes 0 … 39 of a page of zeros. */
export function encodeIdentity(page: Buffer, magic: number, identity: SegmentIdentity): void {
  page.fill(0, 0, PAGE_BYTES);
  page.writeUInt32LE(magic, 0);
  page.writeUInt16LE(SEALED_VERSION, 4);
  page.set(identity.storeId, 8);
  writeU64(page, 24, identity.number);
  writeU64(page, 32, identity.firstLsn);
}

/** Whether it is a whole page of that kind, of a version that is known, of this store. */
export function checkIdentity(page: Buffer, magic: number, storeId: Uint8Array): Undecodable | null {
  if (!isPageSealed(page, 0) || page.readUInt32LE(0) !== magic) return DAMAGED;
  const version = page.readUInt16LE(4);
  if (version !== SEALED_VERSION) return { kind: "unsupported", reason: `format version ${version}` };
  const cipher = page.readUInt16LE(CIPHER_AT);
  if (cipher > CIPHER_AES_256_GCM) return { kind: "unsupported", reason: `cipher ${cipher}` };
  if (Buffer.compare(page.subarray(8, 8 + STORE_ID_BYTES), storeId) !== 0) return { kind: "foreign" };
  return null;
}

export interface SealedPreamble extends SegmentIdentity {
  readonly hashBefore: Buffer;
  /** 0: not encrypted. */
  readonly keyId: number;
}

export function encodeSealedPreamble(
  page: Buffer,
  preamble: Omit<SealedPreamble, "keyId">,
  key: SaltedKey | null,
): void {
  encodeIdentity(page, PREAMBLE_MAGIC, preamble);
  page.set(preamble.hashBefore, 40);
  if (key !== null) {
    page.writeUInt16LE(CIPHER_AES_256_GCM, CIPHER_AT);
    page.writeUInt32LE(key.keyId, 72);
    page.set(key.salt, 76);
  }
  sealPage(page, 0);
}

export type DecodedSealedPreamble = { readonly kind: "preamble"; readonly preamble: SealedPreamble } | Undecodable;

export function decodeSealedPreamble(page: Buffer, storeId: Uint8Array): DecodedSealedPreamble {
  const problem = checkIdentity(page, PREAMBLE_MAGIC, storeId);
  if (problem !== null) return problem;
  const preamble = {
    storeId,
    number: readU64(page, 24),
    firstLsn: readU64(page, 32),
    hashBefore: Buffer.from(page.subarray(40, 40 + HASH_BYTES)),
    keyId: page.readUInt32LE(72),
  };
  return { kind: "preamble", preamble };
}

/** Which key the preamble of an encrypted segment names, of a page that was decoded; null for one that is not encrypted. */
export function preambleKey(page: Buffer): SaltedKey | null {
  if (page.readUInt16LE(CIPHER_AT) === CIPHER_NONE) return null;
  return { keyId: page.readUInt32LE(72), salt: Buffer.from(page.subarray(76, 76 + SALT_BYTES)) };
}

export interface BlockHeader {
  readonly compression: number;
  /** 0: not encrypted. */
  readonly keyId: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly fileOffset: number;
  readonly number: number;
  readonly runCount: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly bodyCrc: number;
  /** Of one that is encrypted, when it was read: the header's bytes, for the tag covers them. */
  readonly sealed?: Buffer;
}

/** Fills 64 bytes and returns the header's CRC. */
export function encodeBlockHeader(target: Buffer, header: BlockHeader, storeCrc: number): number {
  target.fill(0, 0, BLOCK_HEADER_BYTES);
  target.writeUInt32LE(BLOCK_MAGIC, 0);
  target.writeUInt16LE(header.compression, 4);
  if (header.keyId !== 0) target.writeUInt16LE(CIPHER_AES_256_GCM, CIPHER_AT);
  writeU64(target, 8, header.firstLsn);
  writeU64(target, 16, header.lastLsn);
  writeU64(target, 24, header.fileOffset);
  writeU64(target, 32, header.number);
  target.writeUInt32LE(header.runCount, 40);
  target.writeUInt32LE(header.storedBytes, 44);
  target.writeUInt32LE(header.plainBytes, 48);
  target.writeUInt32LE(header.keyId, 52);
  target.writeUInt32LE(header.bodyCrc, 56);
  const crc = crc32(target.subarray(0, BLOCK_CRC_AT), storeCrc);
  target.writeUInt32LE(crc, BLOCK_CRC_AT);
  return crc;
}

/** The CRC that a block's header ends with. */
export function blockHeaderCrc(source: Buffer): number {
  return source.readUInt32LE(BLOCK_CRC_AT);
}

export type DecodedBlockHeader = { readonly kind: "block"; readonly header: BlockHeader } | Undecodable;

/** Decodes the header at the start of `source`, believing nothing before its CRC holds. */
export function decodeBlockHeader(source: Buffer, storeCrc: number): DecodedBlockHeader {
  if (source.length < BLOCK_HEADER_BYTES || source.readUInt32LE(0) !== BLOCK_MAGIC) return DAMAGED;
  if (blockHeaderCrc(source) !== crc32(source.subarray(0, BLOCK_CRC_AT), storeCrc)) return DAMAGED;
  const compression = source.readUInt16LE(4);
  const cipher = source.readUInt16LE(CIPHER_AT);
  if (compression > COMPRESSION_DEFLATE || cipher > CIPHER_AES_256_GCM) {
    return { kind: "unsupported", reason: `compression ${compression}, cipher ${cipher}` };
  }
  const header = {
    compression,
    keyId: source.readUInt32LE(52),
    firstLsn: readU64(source, 8),
    lastLsn: readU64(source, 16),
    fileOffset: readU64(source, 24),
    number: readU64(source, 32),
    runCount: source.readUInt32LE(40),
    storedBytes: source.readUInt32LE(44),
    plainBytes: source.readUInt32LE(48),
    bodyCrc: source.readUInt32LE(56),
  };
  if (cipher === CIPHER_NONE) return header.keyId === 0 ? { kind: "block", header } : DAMAGED;
  return { kind: "block", header: { ...header, sealed: Buffer.from(source.subarray(0, BLOCK_HEADER_BYTES)) } };
}

/** A frame as event code reads it, from whichever tier it comes. */
export interface LogFrame {
  readonly header: { readonly firstLsn: number; readonly recordCount: number; readonly recordedAt: number };
  /** Records back to back, as in the log's frames; one of length 0 was removed. */
  readonly body: Buffer;
}

export interface SealedRun extends LogFrame {
  readonly kind: RunKind;
  /** The leaf that its frame had before records of it were removed; the chain's value behind a dropped run; else null. */
  readonly leaf: Buffer | null;
  /** Whether the next run is of the same frame. */
  readonly goesOn: boolean;
}

export function runBytes(run: SealedRun): number {
  return RUN_HEADER_BYTES + (run.leaf === null ? 0 : HASH_BYTES) + run.body.length;
}

/** Fills the header, and the leaf behind it; returns where the body begins. */
export function encodeRunHeader(target: Buffer, at: number, run: SealedRun): number {
  const { header, body, kind, leaf, goesOn } = run;
  writeU64(target, at, header.firstLsn);
  writeI64(target, at + 8, header.recordedAt);
  target.writeUInt32LE(header.recordCount, at + 16);
  target.writeUInt32LE(body.length, at + 20);
  target.writeUInt16LE(RUN_KINDS.indexOf(kind) + 1, at + 24);
  target.writeUInt16LE((leaf === null ? 0 : FLAG_LEAF) | (goesOn ? FLAG_GOES_ON : 0), at + 26);
  target.writeUInt32LE(0, at + 28);
  if (leaf === null) return at + RUN_HEADER_BYTES;
  target.set(leaf, at + RUN_HEADER_BYTES);
  return at + RUN_HEADER_BYTES + HASH_BYTES;
}

/** The run at an offset of a block's plain body, or null where there is none. Its body is a view. */
export function decodeRun(source: Buffer, at: number): SealedRun | null {
  if (at + RUN_HEADER_BYTES > source.length) return null;
  const kind = RUN_KINDS[source.readUInt16LE(at + 24) - 1];
  const flags = source.readUInt16LE(at + 26);
  if (kind === undefined || flags > (FLAG_LEAF | FLAG_GOES_ON)) return null;
  const hasLeaf = (flags & FLAG_LEAF) !== 0;
  const start = at + RUN_HEADER_BYTES + (hasLeaf ? HASH_BYTES : 0);
  const end = start + source.readUInt32LE(at + 20);
  if (end > source.length || (kind !== "data" && end !== start)) return null;
  if (kind === "dropped" && flags !== FLAG_LEAF) return null;
  const header = {
    firstLsn: readU64(source, at),
    recordCount: source.readUInt32LE(at + 16),
    recordedAt: readI64(source, at + 8),
  };
  const leaf = hasLeaf ? source.subarray(at + RUN_HEADER_BYTES, start) : null;
  return { kind, header, body: source.subarray(start, end), leaf, goesOn: (flags & FLAG_GOES_ON) !== 0 };
}

export function storeCrcOf(storeId: Uint8Array): number {
  return crc32(storeId);
}

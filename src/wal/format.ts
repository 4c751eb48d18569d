/**
 * The format of the write-ahead log, version 1.
 *
 * All numbers are little-endian. u64 fields hold at most 2^53 − 1. Everything is written in whole blocks of 4096 bytes at
 * block boundaries, and no block is ever written twice with different bytes, except zeros before its frame.
 *
 * A *segment* is one file, `wal/core-NNN/NNNNNNNNNN.wal`. Its first block is the preamble, frames follow, zeros end it. Zeros are
 * written before a segment is used: a block of zeros decodes as the end.
 *
 * Preamble (one block; zeros after byte 92):
 *
 *     offset  bytes  field
 *          0      4  magic "VRVS"
 *          4      2  format version
 *          6      2  core
 *          8     16  store id
 *         24      8  incarnation: how often the log had been recovered for writing
 *         32      8  segment number
 *         40      8  first possible LSN
 *         48      4  generation: how often the core had been taken by a writer within the incarnation
 *         52      4  size of the file in blocks: it has that size before its first frame, and loses zeros only behind a seal
 *         56     32  salt, of which keys for this segment are derived when it is encrypted
 *         88      4  CRC-32C of bytes 0 … 87
 *
 * A *frame* is one batch, written by one write: a header of 192 bytes, the body, and zeros up to the block boundary.
 *
 *     offset  bytes  field
 *          0      4  magic "VRVF"
 *          4      2  format version
 *          6      1  kind: 1 DATA, 2 VOID (reserved), 3 TAKEOVER (reserved), 4 ATTEST, 5 SEAL
 *          7      1  compression: 0 none
 *          8      1  cipher: 0 none, 1 AES-256-GCM
 *          9      1  0
 *         10      2  required flags: an unknown one means that the frame must not be read
 *         12      2  optional flags: an unknown one can be ignored
 *         14      2  core
 *         16     16  store id
 *         32      8  incarnation
 *         40      8  segment number
 *         48      8  offset of this header in the file
 *         56      4  generation
 *         60      4  key id: 0 without a cipher
 *         64      8  first LSN; for a frame without records W + 1
 *         72      4  record count
 *         76      4  stored bytes of the body
 *         80      4  plain bytes of the body, before compression and cipher
 *         84      4  header CRC of the frame before of the same core and generation, 0 for its first
 *         88      8  recordedAt in µs since 1970, two's complement
 *         96      8  durable watermark W, over all cores, when the frame was submitted: what this frame attests
 *        104      8  salt reference: 0 means the preamble's
 *        112     16  authentication tag of the cipher
 *        128      4  body CRC: see below
 *        132     32  with a cipher: the preamble's salt once more, so that a frame can be read alone; else 0
 *        164     24  0
 *        188      4  CRC-32C of bytes 0 … 187
 *
 * The body of a DATA frame without compression and cipher is its records back to back:
 *
 *          0      4  length of the record's bytes
 *          4      4  CRC-32C of the record's bytes, seeded with the CRC of the record before it (0 for the first)
 *          8      …  the record's bytes
 *
 * So the last record's CRC covers the bytes of all records in order, and is the frame's body CRC: one pass over the bytes gives both,
 * and a single record can still be checked alone. The body CRC of any other frame is the CRC-32C of its stored bytes. ATTEST and
 * SEAL, the control frames, have no body: they only attest, and a seal is the last frame of a writer that closed. VOID and TAKEOVER are
 * reserved and never written; a log with one is of a newer version. What a dead writer left void stands in the manifest.
 *
 * A frame is valid if and only if: the header CRC holds; magic, version and kind are known and no unknown required flag is set; store
 * id, core, incarnation, segment and offset are those of the place it was read from; the stored bytes lie within the file; the
 * record lengths add up to the stored bytes and their number to the count; every CRC of the body holds. Lengths are looked at only
 * after the header CRC holds, and before anything is allocated.
 *
 * With a cipher the stored bytes are the body encrypted, as many as before, and the body CRC is the CRC-32 of those, as zlib has it (which Node
 * computes three times as fast; sealed segments have it too): whether a frame is whole is known without a key. The key is derived of the key `key id` of the store, the salt, and the place: store id, core, incarnation and
 * segment (crypt/frame-cipher.ts). The nonce is the offset in the file, as u64, and 4 zeros. The tag also covers bytes 0 … 111 of the
 * header, of control frames too. A place of a file is encrypted once: a frame that is written again gets another place.
 *
 * The log in order: a *core* is the place of one writer at a time, and has files of its own. Each writer (a generation of its core) begins a
 * segment of its own and a chain of its own: its frames, segment by segment, name the header CRC of the one before, and their first LSNs
 * rise, with gaps where other cores wrote. The frames of all cores of an incarnation, by first LSN, are dense: first LSN = last LSN + 1,
 * but for the voids that the manifest lists. What ends an incarnation is there too (manifest.ts); what follows its last LSN is
 * fenced and never read again, nor is a frame in a void, or one behind the end of its writer's chain.
 *
 * Given up for this: a record cannot be changed or removed in place, and an append alone in its batch takes a block of 4096 bytes.
 */

import { crc32 } from "node:zlib";
import { assert } from "../assert.js";
import { BLOCK_BYTES } from "../ffi/index.js";
import { checksum } from "./checksum.js";

export const FORMAT_VERSION = 1;

export const PREAMBLE_BYTES: number = BLOCK_BYTES;
export const FRAME_HEADER_BYTES = 192;
export const RECORD_HEADER_BYTES = 8;
export const STORE_ID_BYTES = 16;
export const SALT_BYTES = 32;

const PREAMBLE_MAGIC = 0x53565256; // "VRVS"
const FRAME_MAGIC = 0x46565256; // "VRVF"
const PREAMBLE_CRC_AT = 88;
const HEADER_CRC_AT = 188;
const BODY_CRC_AT = 128;
const CIPHER_AT = 8;
const KEY_ID_AT = 60;
/** What the tag covers of a header. */
export const FRAME_AAD_BYTES = 112;
export const FRAME_TAG_AT: number = FRAME_AAD_BYTES;
export const FRAME_SALT_AT = 132;
export const CIPHER_NONE = 0;
export const CIPHER_AES_256_GCM = 1;

assert(PREAMBLE_CRC_AT + 4 <= BLOCK_BYTES && FRAME_HEADER_BYTES < BLOCK_BYTES, "preamble and header fit their block");

export const FRAME_KINDS = ["DATA", "VOID", "TAKEOVER", "ATTEST", "SEAL"] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** Where bytes must have been written to be believed. */
export interface FramePlace {
  readonly storeId: Uint8Array;
  readonly core: number;
  readonly incarnation: number;
  readonly segment: number;
  readonly fileOffset: number;
}

export interface Preamble {
  readonly version: number;
  readonly core: number;
  readonly storeId: Uint8Array;
  readonly incarnation: number;
  readonly segment: number;
  readonly firstPossibleLsn: number;
  readonly generation: number;
  /** The size that the file was given. */
  readonly segmentBytes: number;
  readonly salt: Uint8Array;
}

export interface FrameHeader {
  readonly version: number;
  readonly kind: FrameKind;
  readonly compression: number;
  readonly cipher: number;
  readonly requiredFlags: number;
  readonly optionalFlags: number;
  readonly core: number;
  readonly storeId: Uint8Array;
  readonly incarnation: number;
  readonly segment: number;
  readonly fileOffset: number;
  readonly generation: number;
  readonly keyId: number;
  readonly firstLsn: number;
  readonly recordCount: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly previousCrc: number;
  readonly recordedAt: number;
  readonly durableLsn: number;
  readonly bodyCrc: number;
  readonly headerCrc: number;
  /** With a cipher: the header's bytes, for the tag covers them. */
  readonly sealed?: Buffer;
}

/** What a header can be: `zero` ends a segment, `damaged` is anything that is not a header, `unsupported` a newer one. */
export type DecodedHeader =
  | { readonly kind: "frame"; readonly header: FrameHeader }
  | { readonly kind: "zero" }
  | { readonly kind: "damaged" }
  | { readonly kind: "unsupported"; readonly reason: string };

const TWO_TO_32 = 0x1_0000_0000;

function writeU64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value % TWO_TO_32, at);
  target.writeUInt32LE(Math.floor(value / TWO_TO_32), at + 4);
}

/** NaN for what a safe integer cannot hold, which then equals nothing. */
function readU64(source: Buffer, at: number): number {
  const value = source.readUInt32LE(at + 4) * TWO_TO_32 + source.readUInt32LE(at);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

function writeI64(target: Buffer, at: number, value: number): void {
  target.writeInt32LE(Math.floor(value / TWO_TO_32), at + 4);
  target.writeUInt32LE(value - Math.floor(value / TWO_TO_32) * TWO_TO_32, at);
}

function readI64(source: Buffer, at: number): number {
  const value = source.readInt32LE(at + 4) * TWO_TO_32 + source.readUInt32LE(at);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Bytes on disk of a frame with that many stored bytes: whole blocks. */
export function frameBytes(storedBytes: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + storedBytes) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Fills one block, zeros included. */
export function encodePreamble(target: Buffer, preamble: Omit<Preamble, "version">): void {
  target.fill(0, 0, PREAMBLE_BYTES);
  target.writeUInt32LE(PREAMBLE_MAGIC, 0);
  target.writeUInt16LE(FORMAT_VERSION, 4);
  target.writeUInt16LE(preamble.core, 6);
  target.set(preamble.storeId, 8);
  writeU64(target, 24, preamble.incarnation);
  writeU64(target, 32, preamble.segment);
  writeU64(target, 40, preamble.firstPossibleLsn);
  target.writeUInt32LE(preamble.generation, 48);
  target.writeUInt32LE(preamble.segmentBytes / BLOCK_BYTES, 52);
  target.set(preamble.salt, 56);
  target.writeUInt32LE(checksum(target, 0, PREAMBLE_CRC_AT), PREAMBLE_CRC_AT);
}

export type DecodedPreamble =
  | { readonly kind: "preamble"; readonly preamble: Preamble }
  | { readonly kind: "zero" }
  | { readonly kind: "damaged" }
  | { readonly kind: "unsupported"; readonly reason: string };

export function decodePreamble(source: Buffer): DecodedPreamble {
  if (source.every((byte) => byte === 0)) return { kind: "zero" };
  if (source.length < PREAMBLE_CRC_AT + 4 || source.readUInt32LE(0) !== PREAMBLE_MAGIC) return { kind: "damaged" };
  if (source.readUInt32LE(PREAMBLE_CRC_AT) !== checksum(source, 0, PREAMBLE_CRC_AT)) return { kind: "damaged" };
  const version = source.readUInt16LE(4);
  if (version !== FORMAT_VERSION) return { kind: "unsupported", reason: `format version ${version}` };
  return {
    kind: "preamble",
    preamble: {
      version,
      core: source.readUInt16LE(6),
      storeId: Uint8Array.from(source.subarray(8, 8 + STORE_ID_BYTES)),
      incarnation: readU64(source, 24),
      segment: readU64(source, 32),
      firstPossibleLsn: readU64(source, 40),
      generation: source.readUInt32LE(48),
      segmentBytes: source.readUInt32LE(52) * BLOCK_BYTES,
      salt: Uint8Array.from(source.subarray(56, 56 + SALT_BYTES)),
    },
  };
}

export type FrameStamp = Omit<
  FrameHeader,
  | "version"
  | "compression"
  | "cipher"
  | "requiredFlags"
  | "optionalFlags"
  | "keyId"
  | "headerCrc"
  | "plainBytes"
  | "sealed"
>;

/** By what a frame is encrypted. */
export interface FrameCipherStamp {
  readonly keyId: number;
  readonly salt: Uint8Array;
}

/** Fills the header's 192 bytes and returns the header CRC, to which the next frame is chained. */
export function encodeFrameHeader(target: Buffer, stamp: FrameStamp): number {
  encodeFrameFields(target, stamp);
  return finishFrameHeader(target, stamp.bodyCrc);
}

/** Fills the header but for the tag and the CRCs, the stamp's among them. */
export function encodeFrameFields(target: Buffer, stamp: FrameStamp, cipher: FrameCipherStamp | null = null): void {
  target.fill(0, 0, FRAME_HEADER_BYTES);
  target.writeUInt32LE(FRAME_MAGIC, 0);
  target.writeUInt16LE(FORMAT_VERSION, 4);
  target[6] = FRAME_KINDS.indexOf(stamp.kind) + 1;
  target.writeUInt16LE(stamp.core, 14);
  target.set(stamp.storeId, 16);
  writeU64(target, 32, stamp.incarnation);
  writeU64(target, 40, stamp.segment);
  writeU64(target, 48, stamp.fileOffset);
  target.writeUInt32LE(stamp.generation, 56);
  writeU64(target, 64, stamp.firstLsn);
  target.writeUInt32LE(stamp.recordCount, 72);
  target.writeUInt32LE(stamp.storedBytes, 76);
  target.writeUInt32LE(stamp.storedBytes, 80);
  target.writeUInt32LE(stamp.previousCrc, 84);
  writeI64(target, 88, stamp.recordedAt);
  writeU64(target, 96, stamp.durableLsn);
  if (cipher === null) return;
  target[CIPHER_AT] = CIPHER_AES_256_GCM;
  target.writeUInt32LE(cipher.keyId, KEY_ID_AT);
  target.set(cipher.salt, FRAME_SALT_AT);
}

/** Writes the CRCs and returns the header's. */
export function finishFrameHeader(target: Buffer, bodyCrc: number): number {
  target.writeUInt32LE(bodyCrc, BODY_CRC_AT);
  const crc = checksum(target, 0, HEADER_CRC_AT);
  target.writeUInt32LE(crc, HEADER_CRC_AT);
  return crc;
}

/** Decodes the header at the start of `source`, believing nothing before its CRC holds. */
export function decodeFrameHeader(source: Buffer): DecodedHeader {
  if (source.length < FRAME_HEADER_BYTES) return { kind: "damaged" };
  const magic = source.readUInt32LE(0);
  if (magic === 0 && source.subarray(0, FRAME_HEADER_BYTES).every((byte) => byte === 0)) return { kind: "zero" };
  if (magic !== FRAME_MAGIC) return { kind: "damaged" };
  const headerCrc = source.readUInt32LE(HEADER_CRC_AT);
  if (headerCrc !== checksum(source, 0, HEADER_CRC_AT)) return { kind: "damaged" };
  const version = source.readUInt16LE(4);
  if (version !== FORMAT_VERSION) return { kind: "unsupported", reason: `format version ${version}` };
  const kind = FRAME_KINDS[(source[6] as number) - 1];
  if (kind === undefined) return { kind: "unsupported", reason: `frame kind ${source[6]}` };
  const compression = source[7] as number;
  const cipher = source[CIPHER_AT] as number;
  const requiredFlags = source.readUInt16LE(10);
  if (compression !== 0 || cipher > CIPHER_AES_256_GCM || requiredFlags !== 0) {
    return {
      kind: "unsupported",
      reason: `compression ${compression}, cipher ${cipher}, required flags ${requiredFlags}`,
    };
  }
  const header: FrameHeader = {
    version,
    kind,
    compression,
    cipher,
    requiredFlags,
    optionalFlags: source.readUInt16LE(12),
    core: source.readUInt16LE(14),
    storeId: Uint8Array.prototype.slice.call(source, 16, 16 + STORE_ID_BYTES),
    incarnation: readU64(source, 32),
    segment: readU64(source, 40),
    fileOffset: readU64(source, 48),
    generation: source.readUInt32LE(56),
    keyId: source.readUInt32LE(KEY_ID_AT),
    firstLsn: readU64(source, 64),
    recordCount: source.readUInt32LE(72),
    storedBytes: source.readUInt32LE(76),
    plainBytes: source.readUInt32LE(80),
    previousCrc: source.readUInt32LE(84),
    recordedAt: readI64(source, 88),
    durableLsn: readU64(source, 96),
    bodyCrc: source.readUInt32LE(BODY_CRC_AT),
    headerCrc,
  };
  if (cipher === CIPHER_NONE) return { kind: "frame", header };
  return { kind: "frame", header: { ...header, sealed: Buffer.from(source.subarray(0, FRAME_HEADER_BYTES)) } };
}

/** Whether the header was written for the place it was read from; a misdirected or an older write was not. */
export function isAtItsPlace(header: FrameHeader, place: FramePlace): boolean {
  return (
    header.core === place.core &&
    header.incarnation === place.incarnation &&
    header.segment === place.segment &&
    header.fileOffset === place.fileOffset &&
    sameStore(header.storeId, place.storeId)
  );
}

export function sameStore(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Whether every record of a DATA body lies within it and holds its CRC; for other kinds and encrypted ones, whether the body's CRC holds. */
export function isBodyValid(header: FrameHeader, body: Buffer): boolean {
  if (body.length !== header.storedBytes) return false;
  if (header.cipher !== CIPHER_NONE) {
    return crc32(body) === header.bodyCrc && header.recordCount > 0 === (header.kind === "DATA");
  }
  if (header.kind !== "DATA") return checksum(body) === header.bodyCrc && header.recordCount === 0;
  let at = 0;
  let crc = 0;
  for (let record = 0; record < header.recordCount; record++) {
    if (at + RECORD_HEADER_BYTES > body.length) return false;
    const end = at + RECORD_HEADER_BYTES + body.readUInt32LE(at);
    if (end > body.length) return false;
    crc = checksum(body, at + RECORD_HEADER_BYTES, end, crc);
    if (crc !== body.readUInt32LE(at + 4)) return false;
    at = end;
  }
  return at === body.length && crc === header.bodyCrc && header.recordCount > 0;
}

/** The CRC in front of the last record of a DATA body that was checked: its body CRC. */
export function lastRecordCrc(body: Buffer): number {
  let at = 0;
  let crc = 0;
  while (at < body.length) {
    crc = body.readUInt32LE(at + 4);
    at += RECORD_HEADER_BYTES + body.readUInt32LE(at);
  }
  return crc;
}

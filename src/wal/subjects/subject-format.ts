/**
 * The file of subject keys: for each subject that events are designated to, the key that their content is encrypted by.
 *
 * It lies apart from the store, because destroying a key must destroy it everywhere: the log is copied by backups, and this file is not. Names
 * are in it as keyed hashes only. All integers are unsigned and little-endian; a checksum is CRC-32 (IEEE 802.3).
 *
 *     header, 512 bytes, written once, before the file has its name
 *       0    8  magic, "VARVESUB"
 *       8    4  format version, 2
 *      12   16  store id
 *      28    4  number of the master key that the secret is wrapped by, for people: all keys that were given are tried
 *      32   80  the file's secret, wrapped by a key that is derived of the master key: salt of 32 bytes, 32 bytes, tag of 16
 *     112  396  zeros
 *     508    4  checksum of bytes 0 to 507
 *
 *     zeros up to 4096
 *
 *     then blocks of 15 records, twice each (`subject-block.ts`); a record, 256 bytes, so that none lies in two sectors of a disk
 *       0   16  id of the key, random
 *      16    4  state: "LIVE", or "GONE" when it is destroyed
 *      20   16  tag of the subject: HMAC-SHA256 of the hash of its name, by a key that is derived of the secret, its first 16 bytes
 *      36   12  nonce, random                                    zeros when it is destroyed
 *      48   64  SHA-256 of the subject's name, and its key, encrypted by a key that is derived of the secret      "
 *     112   16  tag of that, which covers the store id and bytes 0 to 35 as they were     "
 *     128  124  zeros
 *     252    4  checksum of bytes 0 to 251
 *
 * Records are in the order in which they were made. A record of zeros is free; behind it there are only such. One changes once, when its key is
 * destroyed: in place, in both copies of its block, so that the key is left in neither. The tag of the subject stays until the next rekeying, so that
 * who asks a second time gets the same answer. The hash of the name is kept so that a rekeying can make the tags of live keys anew.
 */

import { crc32 } from "node:zlib";
import { assert } from "../../assert.js";
import { NONCE_BYTES, TAG_BYTES } from "../crypt/gcm.js";
import { WRAPPED_BYTES } from "../crypt/store-keys.js";

export const SUBJECT_HEADER_BYTES = 512;
export const SUBJECT_RECORD_BYTES = 256;
export const SUBJECT_KEY_ID_BYTES = 16;
export const SUBJECT_TAG_BYTES = 16;
/** A hash and a key. */
export const SEALED_BYTES = 64;
const MAGIC = Buffer.from("VARVESUB");
const VERSION = 2;
const STORE_ID_AT = 12;
const STORE_ID_BYTES = 16;
const KEY_NUMBER_AT = 28;
const WRAPPED_AT = 32;
const HEADER_CRC_AT: number = SUBJECT_HEADER_BYTES - 4;
export const STATE_AT = 16;
const LIVE: number = Buffer.from("LIVE").readUInt32LE();
const GONE: number = Buffer.from("GONE").readUInt32LE();
const SUBJECT_AT = 20;
const NONCE_AT = 36;
const SEALED_AT = 48;
const TAG_AT: number = SEALED_AT + SEALED_BYTES;
const RECORD_CRC_AT: number = SUBJECT_RECORD_BYTES - 4;
assert(TAG_AT + TAG_BYTES === 128 && NONCE_AT + NONCE_BYTES === SEALED_AT, "the fields follow each other");
assert(WRAPPED_AT + WRAPPED_BYTES === 112, "the wrapped secret fills its field");

export type SubjectHeader =
  | { readonly kind: "header"; readonly storeId: Buffer; readonly keyNumber: number; readonly wrapped: Buffer }
  | { readonly kind: "empty" }
  /** Of another format, older or newer. */
  | { readonly kind: "other"; readonly version: number }
  | { readonly kind: "damaged" }
  | { readonly kind: "foreign" };

export function encodeSubjectHeader(storeId: Uint8Array, keyNumber: number, wrapped: Uint8Array): Buffer {
  const bytes = Buffer.alloc(SUBJECT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, MAGIC.length);
  bytes.set(storeId, STORE_ID_AT);
  bytes.writeUInt32LE(keyNumber, KEY_NUMBER_AT);
  bytes.set(wrapped, WRAPPED_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, HEADER_CRC_AT)), HEADER_CRC_AT);
  return bytes;
}

/** `bytes`: the beginning of the file, as much as there is. */
export function decodeSubjectHeader(bytes: Buffer): SubjectHeader {
  if (bytes.length === 0) return { kind: "empty" };
  const hasMagic = bytes.subarray(0, MAGIC.length).equals(MAGIC);
  if (!hasMagic) return { kind: "foreign" };
  const isWhole =
    bytes.length === SUBJECT_HEADER_BYTES &&
    bytes.readUInt32LE(HEADER_CRC_AT) === crc32(bytes.subarray(0, HEADER_CRC_AT));
  if (!isWhole) return { kind: "damaged" };
  const version = bytes.readUInt32LE(MAGIC.length);
  if (version !== VERSION) return { kind: "other", version };
  return {
    kind: "header",
    storeId: bytes.subarray(STORE_ID_AT, STORE_ID_AT + STORE_ID_BYTES),
    keyNumber: bytes.readUInt32LE(KEY_NUMBER_AT),
    wrapped: bytes.subarray(WRAPPED_AT, WRAPPED_AT + WRAPPED_BYTES),
  };
}

export interface SubjectRecord {
  readonly id: Buffer;
  readonly isLive: boolean;
  readonly subject: Buffer;
}

/** Views of the parts of a record that are filled in by who encrypts and decrypts. */
export interface SealedParts {
  readonly nonce: Buffer;
  readonly sealed: Buffer;
  readonly tag: Buffer;
}

/** A record without its sealed parts and its checksum. */
export function encodeSubjectRecord({ id, isLive, subject }: SubjectRecord): Buffer {
  const bytes = Buffer.alloc(SUBJECT_RECORD_BYTES);
  bytes.set(id);
  bytes.writeUInt32LE(isLive ? LIVE : GONE, STATE_AT);
  bytes.set(subject, SUBJECT_AT);
  return bytes;
}

export function sealedParts(record: Buffer): SealedParts {
  return {
    nonce: record.subarray(NONCE_AT, NONCE_AT + NONCE_BYTES),
    sealed: record.subarray(SEALED_AT, TAG_AT),
    tag: record.subarray(TAG_AT, TAG_AT + TAG_BYTES),
  };
}

/** What the tag of a record covers. */
export function recordAad(storeId: Uint8Array, record: Buffer): Buffer {
  return Buffer.concat([storeId, record.subarray(0, NONCE_AT)]);
}

export function finishSubjectRecord(record: Buffer): void {
  record.writeUInt32LE(crc32(record.subarray(0, RECORD_CRC_AT)), RECORD_CRC_AT);
}

/** Null: it does not hold its checksum, or is none. */
export function decodeSubjectRecord(bytes: Buffer): SubjectRecord | null {
  if (bytes.length < SUBJECT_RECORD_BYTES) return null;
  if (bytes.readUInt32LE(RECORD_CRC_AT) !== crc32(bytes.subarray(0, RECORD_CRC_AT))) return null;
  const state = bytes.readUInt32LE(STATE_AT);
  if (state !== LIVE && state !== GONE) return null;
  const id = bytes.subarray(0, SUBJECT_KEY_ID_BYTES);
  return { id, isLive: state === LIVE, subject: bytes.subarray(SUBJECT_AT, SUBJECT_AT + SUBJECT_TAG_BYTES) };
}

/** Of a record's state word alone, which is looked at before each use of a key. Null: it is no record. */
export function isLiveState(word: number): boolean | null {
  return word === LIVE ? true : word === GONE ? false : null;
}

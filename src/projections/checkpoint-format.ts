/**
 * The checkpoint file of a projection: its state, and the LSN that the state reflects.
 *
 * All integers are unsigned and little-endian. A checksum is CRC-32 (IEEE 802.3) as `zlib.crc32` computes it, which
 * Node has natively since 20.15; the CRC-32C of the log belongs to the wal layer, and this file is none of the log's.
 *
 *     preamble, 16 bytes
 *      0  8  magic, "VARVEPRJ"
 *      8  4  format version: 1, or 2 where it is encrypted
 *     12  4  checksum of bytes 0 to 11
 *
 *     of format 2, 48 bytes more
 *     16  4  key id
 *     20 32  salt, of which the file's key is derived
 *     52  8  0
 *     60  4  checksum of bytes 16 to 59, continued from the one before
 *
 *     then chunks, each of a header of 16 bytes and its payload
 *      0  4  kind: 1 facts, 2 state, 3 end
 *      4  4  payload bytes
 *      8  4  checksum of the payload
 *     12  4  checksum of bytes 0 to 11, continued from the checksum of the header before (for the first: of the preamble)
 *
 * The first chunk is the facts: a JSON object in UTF-8 with `name`, `version`, `lsn`, `witness`
 * (`{ lsn, recordedAt }` of the last event seen, or null), `storeId` (a string or null), `skippedEvents`, `parked` (a
 * list of `{ lsn, type, message }`), and, where events of subjects were handled, `subjectKeys` (the ids of their keys as hexadecimal digits, or
 * "many"). A snapshot of one stream also has `snapshot`: its `stream`, the `streamVersion` of the state, the place of the `first` event that is in it
 * (`{ version, lsn, recordedAt }`), and what of the stream was hidden then, `firstVersion`, `deletedLsn` and `oldestUs` (or null). A part of a checkpoint, as checkpoint-parts.ts has them, has
 * `part`: its `id`, the id of the part `after` which it comes (null: it is the whole), and its `number`, 0 for the whole. Then come the chunks of the state as the
 * projection's `encode` gave them, any number of any size including 0, then one end chunk without a payload. Nothing
 * follows it.
 *
 * In format 2 each payload is encrypted and ends with its tag of 16 bytes, that of the end chunk too; the tag also covers bytes 0 to 7 of the
 * chunk's header, and the nonce is the chunk's number. Checksums are of what is stored. A store that is encrypted believes no other files.
 *
 * A file is valid if and only if every checksum is right, the kinds come in that order, and it ends with the end chunk.
 * Headers are chained so that a chunk that is missing, doubled or moved is noticed; a length is believed only after its
 * header's checksum, and bounded by what is left of the file before memory is taken for it. Payloads have checksums of
 * their own, so that a state of any size is verified and decoded while it is read, and never lies in memory twice.
 *
 * An example: a state of no bytes at LSN 7 of version 1 of a projection "p", without witness and store id, is 16 bytes of
 * preamble, 16 + 92 of facts, 16 of an empty state chunk and 16 of the end.
 *
 * A log may be put back to an older state and then go on differently. So a checkpoint is used only for the store of its
 * id, only when its LSN is not above the watermark, and only when the event that it saw last is still recorded at the
 * same µs. What this gives up: a log that differs below that event and agrees in it is taken for the same.
 */

import { crc32 } from "node:zlib";
import { assert } from "../assert.js";
import { isSubjectTrace, type SubjectTrace } from "./subject-traces.js";

export const PREAMBLE_BYTES = 16;
export const CHUNK_HEADER_BYTES = 16;
const PLAIN_VERSION = 1;
const ENCRYPTED_VERSION = 2;
export const SECRET_BYTES = 48;
/** What the tag covers of a chunk's header. */
const CHUNK_AAD_BYTES = 8;
export const TAG_BYTES = 16;
const SALT_AT = 4;
const SALT_BYTES = 32;
const SECRET_CHECKED_BYTES: number = SECRET_BYTES - 4;
const MAGIC = new TextEncoder().encode("VARVEPRJ");
const CHECKED_BYTES = 12;
assert(MAGIC.length === 8, "the magic fills its field");
assert(
  CHECKED_BYTES + 4 === PREAMBLE_BYTES && CHECKED_BYTES + 4 === CHUNK_HEADER_BYTES,
  "the checksum is the last field",
);

/** Below what one read or write call takes, and far below what a 32-bit length can say. */
export const CHUNK_BYTES_MAX: number = 2 ** 30;

export const CHUNK_KIND = { facts: 1, state: 2, end: 3 } as const;
export type ChunkKind = (typeof CHUNK_KIND)[keyof typeof CHUNK_KIND];

/** An event that `apply` refused under the policy `park`. */
export interface ParkedEvent {
  readonly lsn: number;
  readonly type: string;
  /** The message of what `apply` threw, cut to 1,000 characters. */
  readonly message: string;
}

/** By what a log is known again. */
export interface Witness {
  readonly lsn: number;
  readonly recordedAt: number;
}

export interface CheckpointFacts {
  readonly name: string;
  readonly version: number;
  /** The state holds exactly the events up to and including this LSN. */
  readonly lsn: number;
  /** The last event that was seen; null when there was none. */
  readonly witness: Witness | null;
  readonly storeId: string | null;
  readonly skippedEvents: number;
  readonly parked: readonly ParkedEvent[];
  /** Of the subjects that the state has something of; absent: of none. */
  readonly subjectKeys?: SubjectTrace;
  /** Of a snapshot of one stream; absent: the state is a projection's. */
  readonly snapshot?: SnapshotFacts;
  /** Of a state that is saved in parts. */
  readonly part?: PartFacts;
}

/** Which part of a state a file is. */
export interface PartFacts {
  /** Random: never that of another file. */
  readonly id: string;
  /** The id of the part before; null: it is the whole. */
  readonly after: string | null;
  /** 0: it is the whole. */
  readonly number: number;
}

export interface FirstEvent extends Witness {
  /** In its stream. */
  readonly version: number;
}

/** Which events of a stream a snapshot is the fold of. */
export interface SnapshotFacts {
  readonly stream: string;
  readonly streamVersion: number;
  /** The first event that was folded. */
  readonly first: FirstEvent;
  /** What readers of the stream did not see then, as `StreamRest` has it; `oldestUs` null: no event was too old. */
  readonly firstVersion: number;
  readonly deletedLsn: number;
  readonly oldestUs: number | null;
}

export interface ChunkHeader {
  readonly kind: ChunkKind;
  readonly payloadBytes: number;
  readonly payloadChecksum: number;
  /** The header's own checksum, from which the next header's is continued. */
  readonly chain: number;
}

export type PreambleReading =
  | { readonly kind: "current"; readonly chain: number; readonly isEncrypted: boolean }
  | Unusable;
export type SecretReading =
  | { readonly kind: "secret"; readonly keyId: number; readonly salt: Uint8Array; readonly chain: number }
  | Unusable;
export type HeaderReading = { readonly kind: "header"; readonly header: ChunkHeader } | Unusable;
export type FactsReading = { readonly kind: "facts"; readonly facts: CheckpointFacts } | Unusable;
export type Unusable = {
  readonly kind: "damaged" | "newer-format" | "key-missing" | "tampered";
  readonly message: string;
};

export function checksum(bytes: Uint8Array): number {
  return crc32(bytes);
}

export function encodePreamble(isEncrypted = false): { readonly bytes: Uint8Array; readonly chain: number } {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, isEncrypted ? ENCRYPTED_VERSION : PLAIN_VERSION, true);
  const chain = crc32(bytes.subarray(0, CHECKED_BYTES));
  view.setUint32(CHECKED_BYTES, chain, true);
  return { bytes, chain };
}

export function decodePreamble(bytes: Uint8Array): PreambleReading {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < PREAMBLE_BYTES) return damaged("the file is shorter than its preamble");
  const chain = crc32(bytes.subarray(0, CHECKED_BYTES));
  const magic = MAGIC.every((byte, index) => bytes[index] === byte);
  if (!magic || view.getUint32(CHECKED_BYTES, true) !== chain) return damaged("the preamble is damaged");
  const version = view.getUint32(8, true);
  if (version === PLAIN_VERSION || version === ENCRYPTED_VERSION) {
    return { kind: "current", chain, isEncrypted: version === ENCRYPTED_VERSION };
  }
  const message = `the file has format ${version}; this version reads ${PLAIN_VERSION} and ${ENCRYPTED_VERSION}`;
  return { kind: "newer-format", message };
}

/** What follows the preamble of a file that is encrypted. */
export function encodeSecret(
  key: { readonly keyId: number; readonly salt: Uint8Array },
  chainBefore: number,
): { readonly bytes: Uint8Array; readonly chain: number } {
  const bytes = new Uint8Array(SECRET_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, key.keyId, true);
  bytes.set(key.salt, SALT_AT);
  const chain = crc32(bytes.subarray(0, SECRET_CHECKED_BYTES), chainBefore);
  view.setUint32(SECRET_CHECKED_BYTES, chain, true);
  return { bytes, chain };
}

export function decodeSecret(bytes: Uint8Array, chainBefore: number): SecretReading {
  if (bytes.length < SECRET_BYTES) return damaged("the file ends within its preamble");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chain = crc32(bytes.subarray(0, SECRET_CHECKED_BYTES), chainBefore);
  if (view.getUint32(SECRET_CHECKED_BYTES, true) !== chain) return damaged("the preamble is damaged");
  return { kind: "secret", keyId: view.getUint32(0, true), salt: bytes.slice(SALT_AT, SALT_AT + SALT_BYTES), chain };
}

/** Writes a header and returns the checksum from which the next one is continued. */
export function encodeChunkHeader(
  target: Uint8Array,
  chunk: { readonly kind: ChunkKind; readonly payload: Uint8Array; readonly chain: number },
): number {
  const view = new DataView(target.buffer, target.byteOffset, CHUNK_HEADER_BYTES);
  view.setUint32(0, chunk.kind, true);
  view.setUint32(4, chunk.payload.length, true);
  view.setUint32(8, crc32(chunk.payload), true);
  const chain = crc32(target.subarray(0, CHECKED_BYTES), chunk.chain);
  view.setUint32(CHECKED_BYTES, chain, true);
  return chain;
}

/** The first fields of a chunk's header, which the tag of its payload covers. */
export function encodeChunkAad(kind: ChunkKind, payloadBytes: number): Uint8Array {
  const bytes = new Uint8Array(CHUNK_AAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind, true);
  view.setUint32(4, payloadBytes, true);
  return bytes;
}

/** Reads the header that follows the one with the checksum `chain`. */
export function decodeChunkHeader(source: Uint8Array, chainBefore: number): HeaderReading {
  if (source.length < CHUNK_HEADER_BYTES) return damaged("the file ends within a chunk header");
  const view = new DataView(source.buffer, source.byteOffset, CHUNK_HEADER_BYTES);
  const chain = crc32(source.subarray(0, CHECKED_BYTES), chainBefore);
  if (view.getUint32(CHECKED_BYTES, true) !== chain) return damaged("a chunk header is damaged");
  const kind = Object.values(CHUNK_KIND).find((known) => known === view.getUint32(0, true));
  if (kind === undefined) return damaged("a chunk is of an unknown kind");
  const header = { kind, payloadBytes: view.getUint32(4, true), payloadChecksum: view.getUint32(8, true), chain };
  return { kind: "header", header };
}

export function encodeFacts(facts: CheckpointFacts): Uint8Array {
  const { name, version, lsn, witness, storeId, skippedEvents, parked, subjectKeys, snapshot, part } = facts;
  // What is undefined is left out.
  const fields = { name, version, lsn, witness, storeId, skippedEvents, parked, subjectKeys, snapshot, part };
  return new TextEncoder().encode(JSON.stringify(fields));
}

export function decodeFacts(bytes: Uint8Array): FactsReading {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return damaged("the facts are no JSON");
  }
  return isFacts(value) ? { kind: "facts", facts: value } : damaged("the facts are not what they should be");
}

function isFacts(value: unknown): value is CheckpointFacts {
  if (typeof value !== "object" || value === null) return false;
  const facts = value as Partial<Record<keyof CheckpointFacts, unknown>>;
  return (
    typeof facts.name === "string" &&
    isCount(facts.version) &&
    isCount(facts.lsn) &&
    (facts.witness === null || isWitness(facts.witness)) &&
    (facts.storeId === null || typeof facts.storeId === "string") &&
    isCount(facts.skippedEvents) &&
    Array.isArray(facts.parked) &&
    facts.parked.every(isParkedEvent) &&
    (facts.subjectKeys === undefined || isSubjectTrace(facts.subjectKeys)) &&
    (facts.snapshot === undefined || isSnapshotFacts(facts.snapshot)) &&
    (facts.part === undefined || isPartFacts(facts.part))
  );
}

function isPartFacts(value: unknown): value is PartFacts {
  if (typeof value !== "object" || value === null) return false;
  const part = value as Partial<Record<keyof PartFacts, unknown>>;
  const isAfter = part.number === 0 ? part.after === null : typeof part.after === "string";
  return typeof part.id === "string" && isCount(part.number) && isAfter;
}

function isSnapshotFacts(value: unknown): value is SnapshotFacts {
  if (typeof value !== "object" || value === null) return false;
  const snapshot = value as Partial<Record<keyof SnapshotFacts, unknown>>;
  return (
    typeof snapshot.stream === "string" &&
    isCount(snapshot.streamVersion) &&
    isWitness(snapshot.first) &&
    isCount((snapshot.first as Partial<FirstEvent>).version) &&
    isCount(snapshot.firstVersion) &&
    isCount(snapshot.deletedLsn) &&
    (snapshot.oldestUs === null || Number.isFinite(snapshot.oldestUs))
  );
}

function isWitness(value: unknown): value is Witness {
  if (typeof value !== "object" || value === null) return false;
  const witness = value as Partial<Record<keyof Witness, unknown>>;
  return isCount(witness.lsn) && Number.isSafeInteger(witness.recordedAt);
}

function isParkedEvent(value: unknown): value is ParkedEvent {
  if (typeof value !== "object" || value === null) return false;
  const parked = value as Partial<Record<keyof ParkedEvent, unknown>>;
  return isCount(parked.lsn) && typeof parked.type === "string" && typeof parked.message === "string";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function damaged(message: string): Unusable {
  return { kind: "damaged", message };
}

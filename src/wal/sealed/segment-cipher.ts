/**
 * Encryption of one sealed segment: its blocks, the pages with names of streams and their postings, and the name filter.
 *
 * The key is derived of one of the store's keys, a salt that the segment's trailer has, the store's id and the segment's number; the nonce is
 * the offset in the file. A segment that is written once more has another salt. sealed-format.ts has the layout.
 */

import { randomBytes } from "node:crypto";
import { StoreError } from "../../errors.js";
import { decrypt, encryptInPlace, TAG_BYTES } from "../crypt/gcm.js";
import { FileKey, type StoreKeys } from "../crypt/store-keys.js";
import { SALT_BYTES, STORE_ID_BYTES } from "../format.js";
import type { SealedPlace } from "./sealed-damage.js";

const PURPOSE = Buffer.from("varve sealed segment 1");
const NO_BYTES = Buffer.alloc(0);

/** What the trailer says of the encryption of its segment. */
export interface TrailerSecret {
  readonly keyId: number;
  readonly salt: Buffer;
  /** Of the name filter. */
  readonly filterTag: Buffer;
  /** What of the trailer its own tag covers, and that tag. */
  readonly covered: Buffer;
  readonly tag: Buffer;
}

export class SegmentCipher {
  readonly keyId: number;
  readonly salt: Uint8Array;
  readonly #keys: StoreKeys;
  readonly #key: FileKey;

  constructor(keys: StoreKeys, storeId: Uint8Array, number: number, keyId: number, salt: Uint8Array) {
    const info = Buffer.alloc(PURPOSE.length + STORE_ID_BYTES + 8);
    info.set(PURPOSE);
    info.set(storeId, PURPOSE.length);
    info.writeBigUInt64LE(BigInt(number), PURPOSE.length + STORE_ID_BYTES);
    this.keyId = keyId;
    this.salt = salt;
    this.#keys = keys;
    this.#key = new FileKey(keyId, salt, info);
  }

  /** For a new segment, by the store's current key. */
  static create(keys: StoreKeys, storeId: Uint8Array, number: number): SegmentCipher {
    return new SegmentCipher(keys, storeId, number, keys.currentId, randomBytes(SALT_BYTES));
  }

  /** Encrypts in place what is to lie at an offset of the file, once, and returns the tag. */
  encrypt(fileOffset: number, aad: Uint8Array, bytes: Uint8Array): Buffer {
    const tag = Buffer.alloc(TAG_BYTES);
    encryptInPlace(this.#keys.bytesOf(this.#key), fileOffset, aad, bytes, tag);
    return tag;
  }

  /** @throws StoreError `ERR_WAL_TAMPERED` when the tag does not hold */
  decrypt(place: SealedPlace, aad: Uint8Array, bytes: Uint8Array, tag: Uint8Array): Buffer {
    const plain = decrypt(this.#keys.bytesOf(this.#key), place.offset, aad, bytes, tag);
    if (plain === null) throw tampered(place, "does not hold its authentication tag");
    return plain;
  }
}

/**
 * How a segment is read; null: it is not encrypted.
 *
 * @throws StoreError `ERR_KEY_MISSING`, `ERR_WAL_TAMPERED` for a trailer that does not hold its tag, or is plain where all are encrypted
 */
export function cipherOf(
  keys: StoreKeys | null,
  { storeId, number, secret }: { storeId: Uint8Array; number: number; secret: TrailerSecret | null },
  place: SealedPlace,
): SegmentCipher | null {
  if (secret === null) {
    if (keys !== null && place.lastLsn > (keys.encryption?.plainThrough ?? 0))
      throw tampered(place, "is not encrypted");
    return null;
  }
  if (keys === null) {
    const message = `${place.path} is encrypted with key ${secret.keyId}, which was not given`;
    throw new StoreError("ERR_KEY_MISSING", message, { path: place.path, keyId: secret.keyId });
  }
  const cipher = new SegmentCipher(keys, storeId, number, secret.keyId, secret.salt);
  cipher.decrypt(place, secret.covered, NO_BYTES, secret.tag);
  return cipher;
}

export function tampered(place: SealedPlace, what: string): StoreError {
  const message = `${place.path} at offset ${place.offset} holds its checksum, but ${what}: it was not written by this store (LSNs ${place.firstLsn} to ${place.lastLsn})`;
  return new StoreError("ERR_WAL_TAMPERED", message, { ...place });
}

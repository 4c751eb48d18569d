/** Encryption of files that are not the log's: the states of projections. Each file has a salt, and its pieces are numbered from 0. */

import { randomBytes } from "node:crypto";
import { SALT_BYTES, STORE_ID_BYTES } from "../format.js";
import { decrypt, encryptInPlace, TAG_BYTES } from "./gcm.js";
import { FileKey, type StoreKeys } from "./store-keys.js";

const PURPOSE = Buffer.from("varve projection state 1");

/** Of one file. */
export class StateCipher {
  readonly keyId: number;
  readonly salt: Uint8Array;
  readonly #keys: StoreKeys;
  readonly #key: FileKey;

  constructor(keys: StoreKeys, storeId: Uint8Array, keyId: number, salt: Uint8Array) {
    const info = Buffer.alloc(PURPOSE.length + STORE_ID_BYTES);
    info.set(PURPOSE);
    info.set(storeId, PURPOSE.length);
    this.keyId = keyId;
    this.salt = salt;
    this.#keys = keys;
    this.#key = new FileKey(keyId, salt, info);
  }

  /** What a piece is stored as: as many bytes, and the tag. A number is used once. */
  encrypt(piece: number, aad: Uint8Array, bytes: Uint8Array): Buffer {
    const stored = Buffer.allocUnsafeSlow(bytes.length + TAG_BYTES);
    stored.set(bytes);
    const end = bytes.length;
    encryptInPlace(this.#keys.bytesOf(this.#key), piece, aad, stored.subarray(0, end), stored.subarray(end));
    return stored;
  }

  /** The piece, or null when it does not hold its tag. */
  decrypt(piece: number, aad: Uint8Array, stored: Uint8Array): Buffer | null {
    const end = stored.length - TAG_BYTES;
    if (end < 0) return null;
    return decrypt(this.#keys.bytesOf(this.#key), piece, aad, stored.subarray(0, end), stored.subarray(end));
  }
}

/** Of the files of one store. */
export class StateCiphers {
  readonly #keys: StoreKeys;
  readonly #storeId: Uint8Array;

  constructor(keys: StoreKeys, storeId: Uint8Array) {
    this.#keys = keys;
    this.#storeId = storeId;
  }

  /** For a new file, by the store's current key. */
  create(): StateCipher {
    return new StateCipher(this.#keys, this.#storeId, this.#keys.currentId, randomBytes(SALT_BYTES));
  }

  /** For a file that says so; null when the store has no such key any more. */
  of(keyId: number, salt: Uint8Array): StateCipher | null {
    return this.#keys.hasKey(keyId) ? new StateCipher(this.#keys, this.#storeId, keyId, salt) : null;
  }
}

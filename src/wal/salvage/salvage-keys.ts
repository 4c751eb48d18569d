/**
 * What the given keys open of a damaged store. A manifest says which of them has which number; where there is none, where it is older than a
 * key, or was not written by this store, the keys are tried.
 *
 * What holds its checksum and not its tag was changed by somebody: it is named, and never read.
 */

import { isStoreError, StoreError } from "../../errors.js";
import { adoptKeys } from "../crypt/adopt-keys.js";
import { FrameOpener } from "../crypt/frame-cipher.js";
import type { StoreEncryption } from "../crypt/store-encryption.js";
import { type EncryptionOptions, StoreKeys } from "../crypt/store-keys.js";
import type { FrameHeader } from "../format.js";
import type { Manifest } from "../manifest.js";
import type { SaltedKey } from "../sealed/sealed-format.js";
import { SegmentCipher } from "../sealed/segment-cipher.js";
import { SubjectKeys } from "../subjects/subject-keys.js";

/** Frames and blocks of a number that the keys are tried at: the first ones can have been tampered with. */
const TRIED_MAX = 64;

/** Whether what is not encrypted can be the store's: `unproven` where no manifest says up to which LSN. */
export type PlainVerdict = "plain" | "tampered" | "unproven";

function nullWhereTampered<Result>(work: () => Result): Result | null {
  try {
    return work();
  } catch (error) {
    if (isStoreError(error, "ERR_WAL_TAMPERED")) return null;
    throw error;
  }
}

export class SalvageKeys {
  readonly #directory: string;
  readonly #keys: StoreKeys | null;
  /** What a manifest that holds its mac says of encryption. */
  readonly encryption: StoreEncryption | undefined;
  /** Whether there is a manifest whose mac does not hold. */
  readonly isManifestTampered: boolean;
  #opener: FrameOpener;
  #ciphers = new WeakMap<SaltedKey, SegmentCipher>();
  /** By number, how many frames and blocks were tried that no key had opened before. */
  readonly #tried = new Map<number, number>();
  #isEncrypted = false;

  /**
   * @throws StoreError `ERR_KEY_MISSING` where the manifest names a key that was not given; `ERR_KEY_WRONG` where it names none of them
   */
  static async load(
    directory: string,
    encryption: EncryptionOptions | null,
    manifest: Manifest | null,
  ): Promise<SalvageKeys> {
    const keys = encryption === null ? null : await StoreKeys.load(encryption);
    const isSaid = manifest?.encryption !== undefined;
    try {
      if (manifest !== null && isSaid) adoptKeys(keys, manifest, directory);
      return new SalvageKeys(directory, keys, manifest?.encryption, false);
    } catch (error) {
      if (keys !== null && isStoreError(error, "ERR_WAL_TAMPERED"))
        return new SalvageKeys(directory, keys, undefined, true);
      keys?.close();
      throw error;
    }
  }

  private constructor(
    directory: string,
    keys: StoreKeys | null,
    encryption: StoreEncryption | undefined,
    isManifestTampered: boolean,
  ) {
    this.#directory = directory;
    this.#keys = keys;
    this.#opener = new FrameOpener(keys);
    this.encryption = encryption;
    this.isManifestTampered = isManifestTampered;
  }

  /** The keys of subjects, for reading. */
  openSubjects(path: string, directory: string, storeId: Uint8Array): Promise<SubjectKeys> {
    const place = { path, directory, storeId, keys: this.#keys, isExpected: true };
    return SubjectKeys.open({ ...place, isWriting: false, busyWaitMs: 0 });
  }

  /** Whether anything is read with keys; then nothing is believed that has no LSN. */
  get areGiven(): boolean {
    return this.#keys !== null;
  }

  /** Of a frame or block that ends with that LSN. */
  plainVerdict(lastLsn: number): PlainVerdict {
    if (this.#keys === null) return "plain";
    if (this.encryption === undefined) return "unproven";
    return lastLsn <= this.encryption.plainThrough ? "plain" : "tampered";
  }

  /** Notes that there is something of that key. @throws StoreError `ERR_KEY_MISSING` where no keys were given */
  assertGiven(keyId: number): StoreKeys {
    this.#isEncrypted = true;
    if (this.#keys !== null) return this.#keys;
    const message = `the store in ${this.#directory} is encrypted: key ${keyId} is needed`;
    throw new StoreError("ERR_KEY_MISSING", message, { directory: this.#directory, keyId });
  }

  /** The records of an encrypted frame that holds its CRC; null when it does not hold its tag. */
  openFrame(header: FrameHeader, body: Buffer): Buffer | null {
    return this.#opened(header.keyId, () => nullWhereTampered(() => this.#opener.open({ header, body }).body));
  }

  /** What `work` makes of the cipher of a sealed segment; null when it finds what does not hold its tag. */
  withCipher<Result>(
    segment: { readonly storeId: Uint8Array; readonly number: number },
    secret: SaltedKey,
    work: (cipher: SegmentCipher) => Result,
  ): Result | null {
    return this.#opened(secret.keyId, (keys) => {
      let cipher = this.#ciphers.get(secret);
      if (cipher === undefined) {
        cipher = new SegmentCipher(keys, segment.storeId, segment.number, secret.keyId, secret.salt);
        this.#ciphers.set(secret, cipher);
      }
      const found = cipher;
      return nullWhereTampered(() => work(found));
    });
  }

  #opened<Result>(keyId: number, open: (keys: StoreKeys) => Result | null): Result | null {
    const keys = this.assertGiven(keyId);
    if (keys.hasKey(keyId)) return open(keys);
    const tried = this.#tried.get(keyId) ?? 0;
    this.#tried.set(keyId, tried + 1);
    if (tried >= TRIED_MAX) return null;
    for (const slot of keys.unnamedSlots()) {
      this.#assume(keys, slot, keyId);
      const found = open(keys);
      if (found !== null) return found;
      this.#assume(keys, slot, 0);
    }
    return null;
  }

  /** What was derived of the key that had the number before goes with it. */
  #assume(keys: StoreKeys, slot: number, keyId: number): void {
    keys.assume(slot, keyId);
    this.#opener = new FrameOpener(keys);
    this.#ciphers = new WeakMap();
  }

  /**
   * To be called when everything was looked at. `isAnythingThere`: whether there was any frame or block.
   *
   * @throws StoreError `ERR_KEY_MISSING` where something is encrypted by a key that was not given; `ERR_KEY_WRONG` where none of them
   *   opens anything
   */
  settle(isAnythingThere: boolean): void {
    const keys = this.#keys;
    if (keys === null) return;
    const directory = this.#directory;
    const unopened = [...this.#tried.keys()].find((keyId) => !keys.hasKey(keyId) && !this.#isDropped(keyId));
    if (unopened !== undefined && keys.unnamedSlots().length === keys.count) {
      const message = `none of the keys that were given opens anything in ${directory}`;
      throw new StoreError("ERR_KEY_WRONG", message, { directory, keyId: unopened });
    }
    if (unopened !== undefined) {
      const message = `something in ${directory} is encrypted by key ${unopened}, which was not given`;
      throw new StoreError("ERR_KEY_MISSING", message, { directory, keyId: unopened });
    }
    if (isAnythingThere && !this.#isEncrypted && this.encryption === undefined && !this.isManifestTampered) {
      const message = `nothing in ${directory} is encrypted: the store takes no key`;
      throw new StoreError("ERR_KEY_WRONG", message, { directory });
    }
  }

  /** Whether the store had a key of that number and has it no more: nothing of it is the store's any more. */
  #isDropped(keyId: number): boolean {
    return this.encryption !== undefined && keyId <= this.encryption.lastKeyId;
  }

  /**
   * The keys for writing the store anew, and what its manifest is to say of them: what it says already, and the keys that were found out.
   * Null for one that is not encrypted.
   */
  forWriting(storeId: Uint8Array): { readonly keys: StoreKeys; readonly encryption: StoreEncryption } | null {
    if (this.#keys === null) return null;
    const encryption = this.#keys.recovered(storeId, this.encryption);
    this.#keys.adopt(storeId, encryption);
    return { keys: this.#keys, encryption };
  }

  close(): void {
    this.#keys?.close();
  }
}

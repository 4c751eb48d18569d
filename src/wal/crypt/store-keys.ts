/**
 * The keys of one open store: a ring of master keys, and the keys of single files that are derived of them, all in secret memory.
 *
 *     slots of 32 bytes   0 … 15  master keys; the first one given, or the one that was rotated to, is current
 *                        16 … 19  scratch
 *                       20 … 127  keys of files, made again when another one has taken the slot
 *
 * and in a second page what names of streams and the leaves of the hash chain are hashed with.
 *
 * Keys have no names of their own: by its check each is found in the manifest, where it has a number. A current key that is not there, beside
 * one that is, is new: whoever writes enters it.
 */

import { createHmac, hash, randomFillSync, timingSafeEqual } from "node:crypto";
import { assert } from "../../assert.js";
import { StoreError } from "../../errors.js";
import { BLOCK_BYTES, SecretMemory } from "../../ffi/index.js";
import { decrypt, encryptInPlace, TAG_BYTES } from "./gcm.js";
import { deriveKey, KEY_BYTES } from "./hkdf.js";
import { checkKeySource, type KeySource, loadKey } from "./key-source.js";
import {
  STORE_CIPHER,
  type StoreEncryption,
  type StoreKeyEntry,
  signedBytes,
  type UnsignedEncryption,
  withKey,
} from "./store-encryption.js";

const KEYS_MAX = 16;
const SCRATCH_SLOTS = 4;
const FIRST_DERIVED_SLOT: number = KEYS_MAX + SCRATCH_SLOTS;
const SLOT_COUNT: number = BLOCK_BYTES / KEY_BYTES;
const CHECK_BYTES = 16;
const SALT_BYTES = 32;
const CHECK_INFO = Buffer.from("varve key check 1");
const MAC_INFO = Buffer.from("varve manifest 1");
const VEIL_INFO = Buffer.from("varve stream names 1");
const PEPPER_INFO = Buffer.from("varve chain pepper 1");
const PEPPER_BYTES = 32;
/** A salt, 32 bytes that are encrypted by a key that is derived with it, and their tag. */
export const WRAPPED_BYTES: number = SALT_BYTES + KEY_BYTES + TAG_BYTES;
/** Of secret memory: the slots; then the key of names and the longest name; then the pepper. */
const VEIL_AT = BLOCK_BYTES;
const PEPPER_AT: number = VEIL_AT + BLOCK_BYTES / 2;
const MEMORY_BYTES: number = 2 * BLOCK_BYTES;

/** How a store is encrypted. */
export interface EncryptionOptions {
  /** What is written from now on is encrypted by it. */
  readonly key: KeySource;
  /** Keys that what is there may be encrypted by, and keys that other writers may go over to. */
  readonly otherKeys?: readonly KeySource[];
  /**
   * The file with the keys of subjects, outside of the store's directory: needed to append and to read events that have a `subject`. The store
   * makes it where there is none. See README § Privacy.
   */
  readonly subjectKeys?: string;
}

/** Names the key of one file. */
export class FileKey {
  readonly keyId: number;
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
  /** Where its bytes were last. */
  slot = 0;

  constructor(keyId: number, salt: Uint8Array, info: Uint8Array) {
    this.keyId = keyId;
    this.salt = salt;
    this.info = info;
  }
}

/** By which a thread of this process gets the keys: where they lie, and not what they are. */
export interface KeyHandle {
  readonly address: bigint;
  readonly keyCount: number;
  readonly currentSlot: number;
}

/** @throws TypeError, RangeError naming the option */
export function checkEncryption(options: unknown, name = "encryption"): asserts options is EncryptionOptions {
  if (typeof options !== "object" || options === null) throw new TypeError(`option ${name} must be an object`);
  const known = ["key", "otherKeys", "subjectKeys"];
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new TypeError(`option ${name} has no ${unknown}`);
  const { key, otherKeys = [], subjectKeys } = options as Partial<Record<keyof EncryptionOptions, unknown>>;
  checkKeySource(key, `${name}.key`);
  if (!Array.isArray(otherKeys)) throw new TypeError(`option ${name}.otherKeys must be an array`);
  if (otherKeys.length >= KEYS_MAX) throw new RangeError(`option ${name}.otherKeys has more than ${KEYS_MAX - 1} keys`);
  for (const [index, other] of otherKeys.entries()) checkKeySource(other, `${name}.otherKeys[${index}]`);
  if (subjectKeys !== undefined && (typeof subjectKeys !== "string" || subjectKeys === "")) {
    throw new TypeError(`option ${name}.subjectKeys must be the name of a file`);
  }
}

export class StoreKeys {
  readonly #memory = new SecretMemory(MEMORY_BYTES);
  /** Of the master keys, by slot: the number that the store's manifest has for it, 0 while it has none. */
  readonly #ids: number[] = [];
  #currentSlot = 0;
  /** So many master keys were compared with the manifest. */
  #learnedCount = 0;
  /** Of the files' keys, by slot. */
  readonly #owners: (FileKey | null)[] = new Array<FileKey | null>(SLOT_COUNT).fill(null);
  #nextSlot = FIRST_DERIVED_SLOT;
  #storeId: Uint8Array | null = null;
  #isVeilReady = false;
  #hasPepper = false;
  #encryption: StoreEncryption | null = null;

  /**
   * Loads the keys; nothing is known of any store yet.
   *
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`
   */
  static async load({ key, otherKeys = [] }: EncryptionOptions): Promise<StoreKeys> {
    const keys = new StoreKeys();
    try {
      for (const source of [key, ...otherKeys]) await keys.add(source);
      warnWhereNotLocked(keys.#memory);
      return keys;
    } catch (error) {
      keys.close();
      throw error;
    }
  }

  /** With these keys a store that is not encrypted is opened to be made so. */
  turnsPlain = false;

  /** The keys of another thread, which keeps them open while this runs. */
  static borrow({ address, keyCount, currentSlot }: KeyHandle): StoreKeys {
    const keys = new StoreKeys();
    keys.#memory.copyFrom(address, keyCount * KEY_BYTES);
    keys.#currentSlot = currentSlot;
    for (let slot = 0; slot < keyCount; slot++) keys.#ids.push(0);
    return keys;
  }

  get handle(): KeyHandle {
    return { address: this.#memory.address, keyCount: this.#ids.length, currentSlot: this.#currentSlot };
  }

  /**
   * Loads one more key, which is not current yet, and returns its slot.
   *
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`
   */
  async add(source: KeySource): Promise<number> {
    const slot = this.#ids.length;
    if (slot === KEYS_MAX) throw new RangeError(`a store holds no more than ${KEYS_MAX} keys at once`);
    this.#ids.push(0);
    try {
      await loadKey(source, () => {
        this.#assertOpen();
        return { target: this.#slot(slot), scratch: this.#scratch() };
      });
    } catch (error) {
      this.#ids.pop();
      throw error;
    }
    return slot;
  }

  /** The first slot with the same key as this one. */
  firstWith(slot: number): number {
    const key = this.#slot(slot);
    return this.#ids.findIndex((_, other) => timingSafeEqual(this.#slot(other), key));
  }

  /** Takes back the key that was added last. */
  removeLast(slot: number): void {
    assert(slot === this.#ids.length - 1 && slot !== this.#currentSlot, "the last key, which is not in use");
    this.#ids.pop();
    this.#learnedCount = Math.min(this.#learnedCount, this.#ids.length);
    if (this.#memory.isOpen) this.#slot(slot).fill(0);
  }

  /** Makes the key in that slot current. */
  use(slot: number): void {
    this.#assertOpen();
    assert((this.#ids[slot] ?? 0) > 0, "the manifest names a key before anything is written with it");
    this.#currentSlot = slot;
  }

  #slot(slot: number): Buffer {
    return this.#memory.bytes.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES);
  }

  #scratch(): Buffer {
    return this.#memory.bytes.subarray(KEYS_MAX * KEY_BYTES, FIRST_DERIVED_SLOT * KEY_BYTES);
  }

  #checkOf(slot: number, storeId: Uint8Array): string {
    const scratch = this.#scratch().subarray(0, KEY_BYTES);
    deriveKey(scratch, this.#slot(slot), storeId, CHECK_INFO);
    const check = scratch.toString("hex", 0, CHECK_BYTES);
    scratch.fill(0);
    return check;
  }

  /**
   * Learns from a manifest which key has which number. A later manifest may name more.
   *
   * @throws StoreError `ERR_KEY_WRONG` when it names none of the keys, `ERR_KEY_MISSING` when it names one that was not given,
   *   `ERR_WAL_TAMPERED` when somebody without the keys has written it
   */
  adopt(storeId: Uint8Array, encryption: StoreEncryption): void {
    this.#assertOpen();
    const known = this.#encryption;
    const isKnown = known !== null && JSON.stringify(known) === JSON.stringify(encryption);
    if (isKnown && this.#learnedCount === this.#ids.length) return;
    // Read before another key was named, and heard of later: numbers rise, and the newer manifest's are what is written with.
    if (known !== null && encryption.lastKeyId < known.lastKeyId) return;
    this.#learn(storeId, encryption);
    this.#storeId = storeId;
    this.#encryption = encryption;
  }

  #learn(storeId: Uint8Array, encryption: StoreEncryption): void {
    const { keys } = encryption;
    const checks = this.#ids.map((_, slot) => this.#checkOf(slot, storeId));
    const ids = checks.map((check) => keys.find((entry) => entry.check === check)?.id ?? 0);
    if (ids.every((id) => id === 0)) {
      throw new StoreError("ERR_KEY_WRONG", "none of the keys that were given is a key of this store");
    }
    const missing = keys.find(({ id }) => !ids.includes(id));
    if (missing !== undefined) throw keyMissing(missing.id);
    if (this.#macOf(storeId, encryption) !== encryption.mac) {
      throw tamperedManifest();
    }
    for (const [slot, id] of ids.entries()) this.#ids[slot] = id;
    if (!this.#hasPepper) this.#unwrapPepper(storeId, keys);
    this.#learnedCount = ids.length;
  }

  /** What the manifest is to say: with the key in that slot, or the current one, which it may not name yet. */
  entered(
    storeId: Uint8Array,
    encryption: StoreEncryption | undefined,
    slot: number = this.#currentSlot,
  ): StoreEncryption {
    this.#assertOpen();
    const check = this.#checkOf(slot, storeId);
    const isNamed = encryption?.keys.some((entry) => entry.check === check) ?? false;
    if (encryption !== undefined && isNamed) return encryption;
    if (encryption === undefined && !this.turnsPlain && !this.#hasPepper) {
      randomFillSync(this.#pepper());
      this.#hasPepper = true;
    }
    const pepper = this.#hasPepper ? this.#wrappedPepper(slot, storeId) : null;
    return this.signed(storeId, withKey(encryption, { check, pepper }));
  }

  /** So many were given. */
  get count(): number {
    return this.#ids.length;
  }

  /** Those of which no manifest says a number. */
  unnamedSlots(): number[] {
    return this.#ids.flatMap((id, slot) => (id === 0 ? [slot] : []));
  }

  /** Takes the key in a slot for the one with that number, where no manifest says it; 0 takes that back. */
  assume(slot: number, keyId: number): void {
    this.#assertOpen();
    this.#ids[slot] = keyId;
  }

  /**
   * What a manifest is to say where there was none, or an older one: what it says, with the keys whose numbers were found out, and the
   * current one.
   */
  recovered(storeId: Uint8Array, encryption: StoreEncryption | undefined): StoreEncryption {
    this.#assertOpen();
    if (encryption === undefined && !this.#hasPepper) {
      randomFillSync(this.#pepper());
      this.#hasPepper = true;
    }
    const entries: StoreKeyEntry[] = [...(encryption?.keys ?? [])];
    const enter = (slot: number, id: number): void => {
      const check = this.#checkOf(slot, storeId);
      if (entries.some((entry) => entry.check === check)) return;
      entries.push({ id, check, pepper: this.#hasPepper ? this.#wrappedPepper(slot, storeId) : null });
    };
    for (const [slot, id] of this.#ids.entries()) if (id > 0) enter(slot, id);
    enter(this.#currentSlot, Math.max(encryption?.lastKeyId ?? 0, ...this.#ids) + 1);
    if (entries.length === encryption?.keys.length) return encryption;
    const keys = entries.sort((a, b) => a.id - b.id);
    const lastKeyId = Math.max(encryption?.lastKeyId ?? 0, ...keys.map(({ id }) => id));
    const plainThrough = encryption?.plainThrough ?? 0;
    return this.signed(storeId, { cipher: STORE_CIPHER, lastKeyId, keys, plainThrough });
  }

  #pepper(): Buffer {
    return this.#memory.bytes.subarray(PEPPER_AT, PEPPER_AT + PEPPER_BYTES);
  }

  /**
   * What leaves of the hash chain begin with, so that nobody without a key can guess what is hashed; null where they begin with nothing. A view of
   * secret memory.
   */
  get chainPepper(): Uint8Array | null {
    this.#assertOpen();
    return this.#hasPepper ? this.#pepper() : null;
  }

  #wrappedPepper(slot: number, storeId: Uint8Array): string {
    return this.#wrapped(slot, this.#pepper(), storeId, PEPPER_INFO).toString("hex");
  }

  #wrapped(slot: number, secret: Buffer, storeId: Uint8Array, info: Uint8Array): Buffer {
    const wrapped = Buffer.alloc(WRAPPED_BYTES);
    const salt = randomFillSync(wrapped.subarray(0, SALT_BYTES));
    const key = this.#scratch().subarray(0, KEY_BYTES);
    const bytes = this.#scratch().subarray(KEY_BYTES, 2 * KEY_BYTES);
    deriveKey(key, this.#slot(slot), salt, info);
    bytes.set(secret);
    encryptInPlace(key, 0, storeId, bytes, wrapped.subarray(SALT_BYTES + KEY_BYTES));
    wrapped.set(bytes, SALT_BYTES);
    this.#scratch().fill(0);
    return wrapped;
  }

  #unwrap(slot: number, wrapped: Uint8Array, storeId: Uint8Array, info: Uint8Array, target: Buffer): boolean {
    const [salt, bytes] = [wrapped.subarray(0, SALT_BYTES), wrapped.subarray(SALT_BYTES, SALT_BYTES + KEY_BYTES)];
    const key = this.#scratch().subarray(0, KEY_BYTES);
    deriveKey(key, this.#slot(slot), salt, info);
    const secret = decrypt(key, 0, storeId, bytes, wrapped.subarray(SALT_BYTES + KEY_BYTES));
    key.fill(0);
    if (secret === null) return false;
    target.set(secret);
    secret.fill(0);
    return true;
  }

  /** Wraps 32 bytes of secret memory by the current key, for a file that says which of its kind it is. */
  wrapSecret(
    secret: Buffer,
    storeId: Uint8Array,
    info: Uint8Array,
  ): { readonly keyId: number; readonly wrapped: Buffer } {
    this.#assertOpen();
    return { keyId: this.currentId, wrapped: this.#wrapped(this.#currentSlot, secret, storeId, info) };
  }

  /**
   * Takes such a secret into secret memory. The number is not gone by: the file and the manifest may be of different days.
   *
   * @returns false when it was wrapped by none of these keys, or changed
   */
  unwrapSecret(wrapped: Uint8Array, storeId: Uint8Array, info: Uint8Array, target: Buffer): boolean {
    this.#assertOpen();
    return this.#ids.some((_, slot) => this.#unwrap(slot, wrapped, storeId, info, target));
  }

  #unwrapPepper(storeId: Uint8Array, keys: readonly StoreKeyEntry[]): void {
    const newest = keys.at(-1);
    if (newest === undefined || newest.pepper === null) return;
    const wrapped = Buffer.from(newest.pepper, "hex");
    if (!this.#unwrap(this.#ids.indexOf(newest.id), wrapped, storeId, PEPPER_INFO, this.#pepper())) {
      throw tamperedManifest();
    }
    this.#hasPepper = true;
  }

  /** With its mac, by the newest key that it names. */
  signed(storeId: Uint8Array, encryption: UnsignedEncryption): StoreEncryption {
    this.#assertOpen();
    return { ...encryption, mac: this.#macOf(storeId, encryption) };
  }

  #macOf(storeId: Uint8Array, encryption: UnsignedEncryption): string {
    const newest = encryption.keys.at(-1)?.check;
    const slot = this.#ids.findIndex((_, candidate) => this.#checkOf(candidate, storeId) === newest);
    assert(slot >= 0, "who signs has the newest key");
    const scratch = this.#scratch().subarray(0, KEY_BYTES);
    deriveKey(scratch, this.#slot(slot), storeId, MAC_INFO);
    const mac = createHmac("sha256", scratch).update(signedBytes(encryption)).digest("hex");
    scratch.fill(0);
    return mac;
  }

  /** What was learned last. */
  get encryption(): StoreEncryption | null {
    return this.#encryption;
  }

  /** The number of the key that is written with. */
  get currentId(): number {
    const id = this.#ids[this.#currentSlot] as number;
    assert(id > 0, "the current key is in the manifest before anything is written with it");
    return id;
  }

  hasKey(keyId: number): boolean {
    return this.#ids.includes(keyId);
  }

  /** The bytes of a file's key, until the next call. */
  bytesOf(file: FileKey): Buffer {
    this.#assertOpen();
    if (this.#owners[file.slot] === file) return this.#slot(file.slot);
    const master = this.#ids.indexOf(file.keyId);
    if (master < 0) throw keyMissing(file.keyId);
    const target = this.#nextSlot;
    this.#nextSlot = target + 1 === SLOT_COUNT ? FIRST_DERIVED_SLOT : target + 1;
    this.#owners[target] = file;
    file.slot = target;
    deriveKey(this.#slot(target), this.#slot(master), file.salt, file.info);
    return this.#slot(target);
  }

  /**
   * A keyed hash of a name, of 32 bytes, for files that all writers have in memory. The key is derived of the oldest that the store has,
   * which all who have it open know.
   */
  veil(name: Uint8Array): Uint8Array {
    this.#assertOpen();
    assert(this.#storeId !== null && this.#encryption !== null, "names are veiled when the keys are known");
    const memory = this.#memory.bytes.subarray(VEIL_AT, PEPPER_AT);
    assert(KEY_BYTES + name.length <= memory.length, "a name fits behind its key");
    if (!this.#isVeilReady) {
      const oldest = this.#ids.indexOf(this.#encryption.keys[0]?.id ?? 0);
      deriveKey(memory.subarray(0, KEY_BYTES), this.#slot(oldest), this.#storeId, VEIL_INFO);
      this.#isVeilReady = true;
    }
    memory.set(name, KEY_BYTES);
    return hash("sha256", memory.subarray(0, KEY_BYTES + name.length), "buffer");
  }

  #assertOpen(): void {
    if (!this.#memory.isOpen) throw new StoreError("ERR_STORE_CLOSED", "the store is closed, and its keys are gone");
  }

  /** Zeroes everything. A second time does nothing. */
  close(): void {
    this.#memory.close();
  }
}

let hasWarned = false;

function warnWhereNotLocked({ isLocked }: SecretMemory): void {
  if (isLocked || hasWarned) return;
  hasWarned = true;
  process.emitWarning("the memory of keys cannot be locked (RLIMIT_MEMLOCK), and may be swapped to disk", {
    code: "VARVE_KEY_MEMORY",
  });
}

function tamperedManifest(): StoreError {
  const message = "what the manifest says of encryption does not hold its mac: it was not written by this store";
  return new StoreError("ERR_WAL_TAMPERED", message);
}

function keyMissing(keyId: number): StoreError {
  return new StoreError("ERR_KEY_MISSING", `key ${keyId} of the store was not given`, { keyId });
}

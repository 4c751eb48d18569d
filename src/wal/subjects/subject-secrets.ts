/**
 * What is secret of a file of subject keys, in secret memory: the keys that are derived of the file's secret, and the subjects' own.
 *
 *     slots of 32 bytes   0  the key of the subjects' tags
 *                         1  the key by which records are sealed
 *                     2 … 3  scratch
 *                   4 … 127  keys of subjects, unsealed again when another one has taken the slot
 *
 * What it gives out is valid until the next call.
 */

import { createHmac, randomFillSync } from "node:crypto";
import { assert } from "../../assert.js";
import { StoreError } from "../../errors.js";
import { BLOCK_BYTES, SecretMemory } from "../../ffi/index.js";
import { decryptWithNonce, encryptWithNonce } from "../crypt/gcm.js";
import { deriveKey, KEY_BYTES } from "../crypt/hkdf.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import {
  encodeSubjectHeader,
  encodeSubjectRecord,
  finishSubjectRecord,
  recordAad,
  SEALED_BYTES,
  SUBJECT_TAG_BYTES,
  type SubjectRecord,
  sealedParts,
} from "./subject-format.js";

const SECRET_INFO = Buffer.from("varve subject keys 1");
const TAGS_INFO = Buffer.from("varve subject tags 1");
const RECORDS_INFO = Buffer.from("varve subject records 1");
const TAGS_SLOT = 0;
const RECORDS_SLOT = 1;
const SCRATCH_SLOT = 2;
const FIRST_KEY_SLOT = 4;
const SLOT_COUNT: number = BLOCK_BYTES / KEY_BYTES;
assert(SEALED_BYTES === (FIRST_KEY_SLOT - SCRATCH_SLOT) * KEY_BYTES, "a hash and a key fill the scratch");

export class SubjectSecrets {
  readonly #storeId: Uint8Array;
  readonly #memory = new SecretMemory(BLOCK_BYTES);
  /** Whose key is in which slot, and the other way round. */
  readonly #owners: string[] = new Array<string>(SLOT_COUNT).fill("");
  readonly #slots = new Map<string, number>();
  #nextSlot = FIRST_KEY_SLOT;

  constructor(storeId: Uint8Array) {
    this.#storeId = storeId;
  }

  /** Draws the secret of a new file, derives what is derived of it, and returns the file's header. */
  draw(masterKeys: StoreKeys): Buffer {
    const secret = randomFillSync(this.#slot(SCRATCH_SLOT));
    const { keyId, wrapped } = masterKeys.wrapSecret(secret, this.#storeId, SECRET_INFO);
    this.#derive(secret);
    return encodeSubjectHeader(this.#storeId, keyId, wrapped);
  }

  /** Takes the secret of a file; false: none of the master keys opens it. */
  take(masterKeys: StoreKeys, wrapped: Uint8Array): boolean {
    const secret = this.#slot(SCRATCH_SLOT);
    if (!masterKeys.unwrapSecret(wrapped, this.#storeId, SECRET_INFO, secret)) return false;
    this.#derive(secret);
    return true;
  }

  #derive(secret: Buffer): void {
    deriveKey(this.#slot(TAGS_SLOT), secret, this.#storeId, TAGS_INFO);
    deriveKey(this.#slot(RECORDS_SLOT), secret, this.#storeId, RECORDS_INFO);
    secret.fill(0);
  }

  /** By which the records of a subject are found. */
  tagOf(nameHash: Uint8Array): Buffer {
    return createHmac("sha256", this.#slot(TAGS_SLOT)).update(nameHash).digest().subarray(0, SUBJECT_TAG_BYTES);
  }

  /** The record of a new key. */
  newRecord(id: Buffer, nameHash: Uint8Array): Buffer {
    this.#scratch().set(nameHash);
    randomFillSync(this.#scratch().subarray(KEY_BYTES));
    return this.#sealScratch(id);
  }

  /** Seals the hash and the key in scratch, and zeroes them. */
  #sealScratch(id: Buffer): Buffer {
    const plain = this.#scratch();
    const subject = this.tagOf(plain.subarray(0, KEY_BYTES));
    const record = encodeSubjectRecord({ id, subject, isLive: true });
    const { nonce, sealed, tag } = sealedParts(record);
    randomFillSync(nonce);
    encryptWithNonce(this.#slot(RECORDS_SLOT), nonce, recordAad(this.#storeId, record), plain, tag);
    sealed.set(plain);
    plain.fill(0);
    finishSubjectRecord(record);
    return record;
  }

  /** Unseals a record into scratch, which the caller zeroes. False: it does not hold its tag. */
  #unseal(record: Buffer): boolean {
    const { nonce, sealed, tag } = sealedParts(record);
    const aad = recordAad(this.#storeId, record);
    const plain = decryptWithNonce(this.#slot(RECORDS_SLOT), nonce, aad, sealed, tag);
    if (plain === null) return false;
    this.#scratch().set(plain);
    plain.fill(0);
    return true;
  }

  /** A record of a file with these secrets, for one that has other ones. Null: it does not hold its tag. */
  resealed(record: Buffer, { id, isLive }: SubjectRecord, others: SubjectSecrets): Buffer | null {
    if (!isLive) {
      // Of a key that is destroyed the hash is gone by which its tag could be made.
      const destroyed = encodeSubjectRecord({ id, isLive, subject: Buffer.alloc(SUBJECT_TAG_BYTES) });
      finishSubjectRecord(destroyed);
      return destroyed;
    }
    if (!this.#unseal(record)) return null;
    others.#scratch().set(this.#scratch());
    this.#scratch().fill(0);
    return others.#sealScratch(id);
  }

  /** The key of a subject that was unsealed before and is still there. */
  cached(id: string): Buffer | null {
    const slot = this.#slots.get(id);
    return slot === undefined ? null : this.#slot(slot);
  }

  /** The key in a record. Null: it does not hold its tag. */
  unsealed(id: string, record: Buffer): Buffer | null {
    if (!this.#unseal(record)) return null;
    const slot = this.#nextSlot;
    this.#nextSlot = slot + 1 === SLOT_COUNT ? FIRST_KEY_SLOT : slot + 1;
    const before = this.#owners[slot] as string;
    if (before !== "") this.#slots.delete(before);
    this.#owners[slot] = id;
    this.#slots.set(id, slot);
    const key = this.#slot(slot);
    key.set(this.#scratch().subarray(KEY_BYTES));
    this.#scratch().fill(0);
    return key;
  }

  /** Zeroes the key of a subject where it is there. */
  drop(id: string): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#slot(slot).fill(0);
    this.#owners[slot] = "";
    this.#slots.delete(id);
  }

  #slot(slot: number): Buffer {
    this.assertOpen();
    return this.#memory.bytes.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES);
  }

  #scratch(): Buffer {
    this.assertOpen();
    return this.#memory.bytes.subarray(SCRATCH_SLOT * KEY_BYTES, FIRST_KEY_SLOT * KEY_BYTES);
  }

  /** @throws StoreError `ERR_STORE_CLOSED` */
  assertOpen(): void {
    if (!this.#memory.isOpen) throw new StoreError("ERR_STORE_CLOSED", "the store is closed, and its keys are gone");
  }

  /** Zeroes everything. A second time does nothing. */
  close(): void {
    this.#memory.close();
  }
}

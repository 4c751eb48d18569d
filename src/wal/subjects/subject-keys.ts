/**
 * The keys of subjects, of one open store: which there are, and what is encrypted by them.
 *
 * What a key's state is the file says, each time that the key is used: so what one process destroys is destroyed for all at once. In memory are
 * two short entries for each key, and nothing by which one could be found without the file's secret.
 */

import { hash, randomBytes, randomFillSync } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { assert } from "../../assert.js";
import { StoreError } from "../../errors.js";
import { decryptWithNonce, encryptWithNonce, NONCE_BYTES, TAG_BYTES } from "../crypt/gcm.js";
import type { StoreKeys } from "../crypt/store-keys.js";
import { RECORDS_PER_BLOCK, subjectBlockOf, subjectRecordOffset } from "./subject-block.js";
import { SubjectFile } from "./subject-file.js";
import { makeSubjectFile, removeTemporary } from "./subject-file-making.js";
import {
  decodeSubjectHeader,
  decodeSubjectRecord,
  encodeSubjectRecord,
  finishSubjectRecord,
  SUBJECT_KEY_ID_BYTES,
  SUBJECT_RECORD_BYTES,
  type SubjectHeader,
  type SubjectRecord,
} from "./subject-format.js";
import { SubjectSecrets } from "./subject-secrets.js";

export interface SubjectKeysPlace {
  readonly path: string;
  /** The store's. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly keys: StoreKeys | null;
  readonly isWriting: boolean;
  /** The log says that there is a file: one that is missing is not made anew. */
  readonly isExpected: boolean;
  readonly busyWaitMs: number;
}

/** What came of opening something that is sealed. */
export type Opened =
  | { readonly kind: "plain"; readonly bytes: Buffer }
  | { readonly kind: "destroyed" }
  | { readonly kind: "refused"; readonly error: StoreError };

interface KnownKey {
  readonly index: number;
  /** Its bytes as latin1. */
  readonly id: string;
}

const DESTROYED: Exclude<Opened, { readonly kind: "plain" | "refused" }> = { kind: "destroyed" };

export class SubjectKeys {
  readonly #place: SubjectKeysPlace;
  /** Null: a reader has found none yet. */
  #file: SubjectFile | null;
  #isLoaded = false;
  readonly #secrets: SubjectSecrets;
  /** By id, and by tag with the newest last: where the records are. */
  readonly #byId = new Map<string, number>();
  readonly #byTag = new Map<string, KnownKey[]>();
  /** Those that were destroyed already when this opener came to know them. */
  readonly #gone = new Set<string>();
  #recordCount = 0;
  /** So many are known to be durable. What was read without the file's lock may be taken back by who is making it. */
  #durableCount = 0;
  #last: { readonly id: string; readonly tag: string } | null = null;

  /**
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, `ERR_WAL_FOREIGN`, `ERR_WAL_VERSION`, `ERR_WAL_CORRUPT`, `ERR_WAL_TAMPERED`,
   *   `ERR_WAL_FULL`, `ERR_IO_FAILED`, each naming the file; TypeError for one inside of the store's directory
   */
  static async open(given: SubjectKeysPlace): Promise<SubjectKeys> {
    const place = { ...given, path: outsideOf(given.path, given.directory) };
    const { path, isWriting, isExpected, busyWaitMs } = place;
    const isThere = existsSync(path);
    if (!isThere && isWriting && !isExpected) await make(place);
    const file = isThere || isWriting || isExpected ? SubjectFile.open(path, isWriting, busyWaitMs) : null;
    const keys = new SubjectKeys(place, file);
    try {
      if (file === null) return keys;
      if (isWriting) await file.locked(() => keys.#begin(file));
      else keys.#load(file);
      return keys;
    } catch (error) {
      await keys.close();
      throw error;
    }
  }

  private constructor(place: SubjectKeysPlace, file: SubjectFile | null) {
    this.#place = place;
    this.#file = file;
    this.#secrets = new SubjectSecrets(place.storeId);
  }

  get path(): string {
    return this.#place.path;
  }

  async #begin(file: SubjectFile): Promise<void> {
    this.#load(file);
    await removeTemporary(this.path);
    // What somebody wrote who died before it was durable.
    await file.flush();
    await file.syncName();
    this.#durableCount = this.#recordCount;
  }

  #load(file: SubjectFile): void {
    const { path, storeId } = this.#place;
    const header = decodeSubjectHeader(file.readHeader());
    if (header.kind !== "header") throw refusedHeader(header, path);
    if (!header.storeId.equals(storeId)) {
      throw new StoreError("ERR_WAL_FOREIGN", `${path} has the subject keys of another store`, { path });
    }
    const { keyNumber, wrapped } = header;
    if (!this.#secrets.take(masterKeysOf(this.#place), wrapped)) {
      const message = `none of the keys that were given opens the subject keys in ${path}, sealed by key ${keyNumber}`;
      throw new StoreError("ERR_KEY_WRONG", message, { path, keyId: keyNumber });
    }
    this.#isLoaded = true;
    this.#readOn(file);
  }

  /** Learns of the records that were added. The last one is looked at again: it may have been taken back, and another be in its place. */
  #readOn(file: SubjectFile): void {
    if (this.#recordCount > this.#durableCount) this.#dropMoved(file);
    let freeAt = -1;
    for (const { number, records } of file.blocksFrom(subjectBlockOf(this.#recordCount))) {
      for (let place = 0; place < RECORDS_PER_BLOCK; place++) {
        const index = number * RECORDS_PER_BLOCK + place;
        if (index < this.#recordCount) continue;
        const bytes = records.subarray(place * SUBJECT_RECORD_BYTES, (place + 1) * SUBJECT_RECORD_BYTES);
        const record = decodeSubjectRecord(bytes);
        if (record !== null && freeAt < 0) this.#enter(record, index);
        else if (record === null && bytes.every((byte) => byte === 0)) freeAt = freeAt < 0 ? index : freeAt;
        else throw damagedRecord(this.path, freeAt < 0 ? index : freeAt);
      }
    }
  }

  #dropMoved(file: SubjectFile): void {
    const index = this.#recordCount - 1;
    const record = decodeSubjectRecord(file.recordAt(index));
    if (this.#last === null || (record !== null && textOf(record.id) === this.#last.id)) return;
    const { id, tag } = this.#last;
    this.#byId.delete(id);
    this.#byTag.set(
      tag,
      (this.#byTag.get(tag) ?? []).filter((known) => known.index !== index),
    );
    this.#last = null;
    this.#recordCount = index;
  }

  #enter({ id, subject, isLive }: SubjectRecord, index: number): void {
    const known = { index, id: textOf(id) };
    this.#byId.set(known.id, index);
    if (!isLive) this.#gone.add(hexOf(id));
    const tag = textOf(subject);
    this.#last = { id: known.id, tag };
    const others = this.#byTag.get(tag);
    if (others === undefined) this.#byTag.set(tag, [known]);
    else others.push(known);
    this.#recordCount = index + 1;
  }

  /** The id of the key by which events of a subject are sealed now; null: none that is known here, or it is destroyed. */
  liveKeyOf(subject: string): Buffer | null {
    const file = this.#writable();
    const known = this.#byTag.get(this.#tagOf(nameHash(subject)))?.at(-1);
    if (known === undefined || known.index >= this.#durableCount) return null;
    return file.isLiveAt(known.index, known.id) === true ? Buffer.from(known.id, "latin1") : null;
  }

  /** The same, and makes the key where there is none: durable when it resolves. */
  async ensureKey(subject: string): Promise<Buffer> {
    const file = this.#writable();
    return file.locked(async () => {
      this.#readOn(file);
      const nameBytes = nameHash(subject);
      const tag = this.#tagOf(nameBytes);
      const known = this.#byTag.get(tag)?.at(-1);
      if (known !== undefined && file.isLiveAt(known.index, known.id) === true) {
        // Whoever made it may have died before it was durable.
        if (known.index >= this.#durableCount) await file.flush();
        this.#durableCount = this.#recordCount;
        return Buffer.from(known.id, "latin1");
      }
      const id = randomBytes(SUBJECT_KEY_ID_BYTES);
      const record = this.#secrets.newRecord(id, nameBytes);
      const index = this.#recordCount;
      await file.addRecord(record, index);
      this.#enter({ id, subject: Buffer.from(tag, "latin1"), isLive: true }, index);
      this.#durableCount = this.#recordCount;
      return id;
    });
  }

  /** Encrypts bytes in place of a copy: nonce, ciphertext and tag. Null: the key was destroyed. */
  seal(id: Buffer, aad: Uint8Array, plain: Buffer): Buffer | null {
    const key = this.#keyOf(textOf(id));
    if (!Buffer.isBuffer(key)) {
      if (key.kind === "refused") throw key.error;
      return null;
    }
    const sealed = Buffer.alloc(NONCE_BYTES + plain.length + TAG_BYTES);
    const nonce = randomFillSync(sealed.subarray(0, NONCE_BYTES));
    encryptWithNonce(key, nonce, aad, plain, sealed.subarray(NONCE_BYTES + plain.length));
    sealed.set(plain, NONCE_BYTES);
    return sealed;
  }

  /** What `seal` made. Throws only where the store is closed. */
  open(id: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Opened {
    const key = this.#keyOf(textOf(id));
    if (!Buffer.isBuffer(key)) return key;
    const end = Math.max(NONCE_BYTES, sealed.length - TAG_BYTES);
    const isWhole = sealed.length >= NONCE_BYTES + TAG_BYTES;
    const bytes = isWhole
      ? decryptWithNonce(
          key,
          sealed.subarray(0, NONCE_BYTES),
          aad,
          sealed.subarray(NONCE_BYTES, end),
          sealed.subarray(end),
        )
      : null;
    if (bytes !== null) return { kind: "plain", bytes };
    const message = `the content of an event of the subject key ${hexOf(id)} does not hold its authentication tag`;
    return { kind: "refused", error: new StoreError("ERR_WAL_TAMPERED", message, { subjectKeyId: hexOf(id) }) };
  }

  /** For a reader, which may have come before the file. */
  #lookAgain(): void {
    const { path, isWriting, busyWaitMs } = this.#place;
    if (this.#file === null && existsSync(path)) this.#file = SubjectFile.open(path, isWriting, busyWaitMs);
    if (this.#file === null) return;
    if (this.#isLoaded) this.#readOn(this.#file);
    else this.#load(this.#file);
  }

  /** A view of secret memory, until the next call. */
  #keyOf(id: string): Buffer | Exclude<Opened, { readonly kind: "plain" }> {
    if (!this.#byId.has(id)) this.#lookAgain();
    const index = this.#byId.get(id);
    if (this.#file === null || index === undefined) return { kind: "refused", error: unknownKey(id, this.path) };
    const isLive = this.#file.isLiveAt(index, id);
    if (isLive === false) {
      this.#secrets.drop(id);
      return DESTROYED;
    }
    if (isLive === null) return { kind: "refused", error: replaced(this.path) };
    const key = this.#secrets.cached(id) ?? this.#secrets.unsealed(id, this.#file.recordAt(index));
    if (key !== null) return key;
    const isDestroyed = this.#file.isLiveAt(index, id) === false; // while it was read
    return isDestroyed ? DESTROYED : { kind: "refused", error: tamperedRecord(this.path, index) };
  }

  /** Destroys every key that a subject has had, durably, and resolves with their ids, those included that were destroyed before. */
  destroySubject(subject: string): Promise<string[]> {
    const file = this.#writable();
    return file.locked(async () => {
      this.#readOn(file);
      const known = this.#byTag.get(this.#tagOf(nameHash(subject))) ?? [];
      return this.#destroy(
        file,
        known.map(({ index }) => index),
      );
    });
  }

  /** The same for ids; those that the file does not have are passed over. */
  destroyKeys(ids: Iterable<string>): Promise<string[]> {
    const file = this.#writable();
    return file.locked(async () => {
      this.#readOn(file);
      const indexes = [...ids].map((id) => this.#byId.get(Buffer.from(id, "hex").toString("latin1")));
      return this.#destroy(
        file,
        indexes.filter((index) => index !== undefined),
      );
    });
  }

  /** Also those that are destroyed: their last overwriting may have failed, and what is written again is flushed again. */
  async #destroy(file: SubjectFile, indexes: readonly number[]): Promise<string[]> {
    const ids: string[] = [];
    const records: [Buffer, number][] = [];
    for (const index of indexes) {
      const known = decodeSubjectRecord(file.recordAt(index));
      if (known === null) throw tamperedRecord(this.path, index);
      const record = encodeSubjectRecord({ ...known, isLive: false });
      finishSubjectRecord(record);
      records.push([record, index]);
      this.#secrets.drop(textOf(known.id));
      ids.push(hexOf(known.id));
    }
    await file.replaceRecords(records);
    return ids;
  }

  /**
   * Seals all of the file anew, with another secret, by the current master key, and closes it: no other key opens what is there. Of destroyed keys
   * the tags of their subjects go: they cannot be made anew. Nobody else has the store open.
   */
  async reseal(): Promise<void> {
    const file = this.#writable();
    await file.locked(async () => {
      this.#readOn(file);
      const others = new SubjectSecrets(this.#place.storeId);
      try {
        await file.replaceBy(others.draw(masterKeysOf(this.#place)), this.#resealed(file, others));
      } finally {
        others.close();
      }
    });
    await this.close();
  }

  *#resealed(file: SubjectFile, others: SubjectSecrets): Generator<Buffer, void, undefined> {
    for (let index = 0; index < this.#recordCount; index++) {
      const before = file.recordAt(index);
      const known = decodeSubjectRecord(before);
      const record = known === null ? null : this.#secrets.resealed(before, known, others);
      if (record === null) throw tamperedRecord(this.path, index);
      yield record;
    }
  }

  /** Which of these ids are live, and which keys are destroyed that are not among them. */
  compare(forgotten: Iterable<string>): { readonly toDestroy: string[]; readonly toLog: string[] } {
    const unlogged = new Set(this.#gone);
    const toDestroy: string[] = [];
    for (const id of forgotten) {
      const isKnown = this.#byId.has(Buffer.from(id, "hex").toString("latin1"));
      if (!unlogged.delete(id) && isKnown && !this.isDestroyed(id)) toDestroy.push(id);
    }
    return { toDestroy, toLog: [...unlogged] };
  }

  /** Whether the file has the key as destroyed. Of one that it does not have nothing is said. */
  isDestroyed(id: string): boolean {
    const text = Buffer.from(id, "hex").toString("latin1");
    const index = this.#byId.get(text);
    return index !== undefined && (this.#file as SubjectFile).isLiveAt(index, text) === false;
  }

  #tagOf(nameBytes: Uint8Array): string {
    return textOf(this.#secrets.tagOf(nameBytes));
  }

  #writable(): SubjectFile {
    assert(this.#file !== null && this.#place.isWriting, "a writer has its file of subject keys");
    this.#secrets.assertOpen();
    return this.#file;
  }

  /** Zeroes everything. A second time does nothing. */
  async close(): Promise<void> {
    await this.#file?.close();
    this.#secrets.close();
  }
}

async function make({ path, storeId, keys, directory, busyWaitMs }: SubjectKeysPlace): Promise<void> {
  const secrets = new SubjectSecrets(storeId);
  try {
    await makeSubjectFile(path, secrets.draw(masterKeysOf({ keys, directory })), busyWaitMs);
  } finally {
    secrets.close();
  }
}

function masterKeysOf({ keys, directory }: Pick<SubjectKeysPlace, "keys" | "directory">): StoreKeys {
  if (keys !== null) return keys;
  const message = `the store in ${directory} is not encrypted, and has no subject keys; 'varve rekey' encrypts it`;
  throw new StoreError("ERR_KEY_WRONG", message, { directory });
}

function refusedHeader(header: Exclude<SubjectHeader, { kind: "header" }>, path: string): StoreError {
  switch (header.kind) {
    case "empty":
      return new StoreError("ERR_KEY_MISSING", `${path} is empty, and has no subject keys`, { path });
    case "other": {
      const { version } = header;
      return new StoreError("ERR_WAL_VERSION", `${path} has format ${version}, which this version does not read`, {
        path,
        version,
      });
    }
    case "damaged":
      return new StoreError("ERR_WAL_CORRUPT", `the header of ${path} does not hold its checksum`, { path, offset: 0 });
    case "foreign":
      return new StoreError("ERR_KEY_WRONG", `${path} is no file of subject keys`, { path });
  }
}

function damagedRecord(path: string, index: number): StoreError {
  const offset = subjectRecordOffset(index, 0);
  const message = `${path} is damaged: the record at ${offset} does not hold its checksum`;
  return new StoreError("ERR_WAL_CORRUPT", message, { path, offset });
}

function replaced(path: string): StoreError {
  return new StoreError("ERR_KEY_MISSING", `${path} was replaced while the store was open`, { path });
}

function unknownKey(id: string, path: string): StoreError {
  const subjectKeyId = Buffer.from(id, "latin1").toString("hex");
  const message = `${path} does not have the subject key ${subjectKeyId}: it is of another store, or an older copy`;
  return new StoreError("ERR_KEY_MISSING", message, { path, subjectKeyId });
}

function tamperedRecord(path: string, index: number): StoreError {
  const offset = subjectRecordOffset(index, 0);
  const message = `the record at ${offset} of ${path} does not hold its authentication tag`;
  return new StoreError("ERR_WAL_TAMPERED", message, { path, offset });
}

/** Names are not kept. */
function nameHash(subject: string): Uint8Array {
  return hash("sha256", Buffer.from(subject), "buffer");
}

/** As a key of a map: half of what hexadecimal digits take. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** A backup of the directory must not have the keys. @throws TypeError */
function outsideOf(path: string, directory: string): string {
  const absolute = resolve(path);
  let folder = dirname(absolute);
  try {
    folder = realpathSync(folder);
  } catch {
    // Opening it says what is wrong.
  }
  const real = join(folder, basename(absolute));
  if (!real.startsWith(`${realpathSync(directory)}${sep}`)) return real;
  throw new TypeError(`option encryption.subjectKeys must lie outside of the store's directory, not at ${path}`);
}

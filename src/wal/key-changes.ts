/**
 * Going over to another key, in a store that is open: for what is written from now on (rotate), or for everything there is (rekey).
 *
 * Whatever is encrypted says by which key, so both can be in a store at once; the manifest names a key before anything is written with it, and
 * for as long as anything may be. A rekeying can be interrupted anywhere: what it has done stays, and the next one goes on.
 */

import { StoreError } from "../errors.js";
import type { AttachLock } from "./attach-lock.js";
import type { Checkpointer } from "./checkpoint.js";
import { adoptKeys, withNamedKey } from "./crypt/adopt-keys.js";
import type { KeySource } from "./crypt/key-source.js";
import { StateCiphers } from "./crypt/state-cipher.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import type { Manifest } from "./manifest.js";
import { changeManifest, currentManifest } from "./manifest-change.js";
import type { SealedChanges } from "./sealed-changes.js";
import { SubjectKeys } from "./subjects/subject-keys.js";
import type { TieredReader } from "./tiered-reader.js";
import { coded } from "./write-failure.js";

/** What a rekeying of the log did. */
export interface RekeyReport {
  /** The number of the key by which everything is encrypted now. */
  readonly keyId: number;
  /** Sealed segments that were written anew. */
  readonly rewrittenSegments: number;
  readonly rewrittenBytes: number;
  /** Keys that nothing is encrypted by any more. */
  readonly droppedKeys: number;
  readonly durationMs: number;
}

export interface KeyChangePlace {
  /** The store's. */
  readonly directory: string;
  readonly storeId: Uint8Array;
  /** Null for a store that is not encrypted. */
  readonly keys: StoreKeys | null;
  readonly reader: TieredReader;
  readonly takeAttachLock: () => Promise<AttachLock | null>;
}

export class KeyChanges {
  readonly #place: KeyChangePlace;
  readonly #changes: SealedChanges;
  readonly #checkpointer: Checkpointer;
  readonly #assertWritable: () => void;
  #last: Promise<unknown> = Promise.resolve();
  /** A manifest is being written that names a new key. */
  #naming: Promise<unknown> | null = null;

  constructor(place: KeyChangePlace, changes: SealedChanges, checkpointer: Checkpointer, assertWritable: () => void) {
    this.#place = place;
    this.#changes = changes;
    this.#checkpointer = checkpointer;
    this.#assertWritable = assertWritable;
  }

  /** For the states of projections; null for a store that is not encrypted. */
  get stateCiphers(): StateCiphers | null {
    const { keys, storeId } = this.#place;
    return keys === null ? null : new StateCiphers(keys, storeId);
  }

  /** Opens the store's file of subject keys. `isExpected`: there must be one; else it is made. */
  openSubjects(path: string, isExpected: boolean, busyWaitMs: number): Promise<SubjectKeys> {
    const { directory, storeId, keys } = this.#place;
    return SubjectKeys.open({ path, directory, storeId, keys, isWriting: true, isExpected, busyWaitMs });
  }

  #keys(): StoreKeys {
    const { keys, directory } = this.#place;
    if (keys !== null) return keys;
    const message = `the store in ${directory} is not encrypted, and takes no key; 'varve rekey' encrypts it`;
    throw new StoreError("ERR_KEY_WRONG", message, { directory });
  }

  /**
   * Encrypts what this writer writes from now on by another key, one change after the other. Resolves with the key's number.
   *
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG`, and what writing the manifest throws: the former key goes on
   */
  rotate(source: KeySource): Promise<number> {
    const rotating = this.#last.then(() => coded(() => this.#rotate(source)));
    this.#last = rotating.catch(() => {}); // its caller is told
    return rotating;
  }

  async #rotate(source: KeySource): Promise<number> {
    this.#assertWritable();
    const keys = this.#keys();
    const added = await keys.add(source);
    const slot = keys.firstWith(added);
    if (slot !== added) keys.removeLast(added); // it is there already
    try {
      this.#assertWritable();
      // Whoever closes the log waits for it: a manifest that names a key which its caller believes refused would ask for it at the next opening.
      this.#naming = this.#name(keys, slot);
      await this.#naming;
    } catch (error) {
      if (slot === added) keys.removeLast(slot);
      throw error;
    } finally {
      this.#naming = null;
    }
    return keys.currentId;
  }

  /** Durably, and then makes it current: nobody may meet a frame of a key that no manifest knows. */
  async #name(keys: StoreKeys, slot: number): Promise<void> {
    const { directory, takeAttachLock } = this.#place;
    const lock = await takeAttachLock();
    try {
      adoptKeys(keys, await changeManifest(directory, (manifest) => withNamedKey(manifest, keys, slot)), directory);
      keys.use(slot);
    } finally {
      lock?.release();
    }
  }

  /** Waits for a change that has begun to be made durable. */
  async stop(): Promise<void> {
    await this.#naming?.catch(() => {}); // its caller is told
  }

  /**
   * Has everything encrypted by the current key: seals the log, writes the sealed segments anew that are encrypted by others or not at all, and
   * takes the others from the manifest. Nobody else may have the store open. `reencrypt` is called when only what is not of the log is left.
   *
   * @throws StoreError `ERR_STORE_BUSY`, `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`; what `reencrypt` throws
   */
  rekey(reencrypt: () => Promise<void>): Promise<RekeyReport> {
    const { directory, reader } = this.#place;
    this.#assertWritable();
    const keys = this.#keys();
    const work = async (): Promise<RekeyReport> => {
      const startedMs = performance.now();
      await this.#checkpointer.make();
      const others = reader.sealed.segments.filter(({ trailer }) => trailer.secret?.keyId !== keys.currentId);
      let rewrittenBytes = 0;
      for (const { trailer } of others) rewrittenBytes += await this.#rewrite(trailer.number);
      await this.#changes.removeUnlisted();
      await reencrypt();
      const before = (await currentManifest(directory)).encryption?.keys.length ?? 0;
      const after = await this.#changes.commit((manifest) => withOnlyKey(manifest, keys));
      return {
        keyId: keys.currentId,
        rewrittenSegments: others.length,
        rewrittenBytes,
        droppedKeys: before - (after.encryption?.keys.length ?? 0),
        durationMs: performance.now() - startedMs,
      };
    };
    return coded(() => this.#changes.inTurn(work));
  }

  /** Resolves with the bytes that were written. */
  async #rewrite(number: number): Promise<number> {
    const { directory } = this.#place;
    const manifest = await currentManifest(directory);
    const at = manifest.sealed.findIndex((entry) => entry.number === number);
    const segments = manifest.sealed.slice(at, at + 1);
    const through = manifest.checkpointLsn;
    const entries = await this.#changes.seal({ work: "compact", manifest, through, segments, removal: null });
    await this.#changes.commit((current) => ({ ...current, sealed: current.sealed.toSpliced(at, 1, ...entries) }));
    await this.#changes.removeUnlisted(); // one at a time: a store may be larger than what is free
    return entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
}

function withOnlyKey(manifest: Manifest, ring: StoreKeys): Manifest {
  const { encryption, storeId } = manifest;
  if (encryption === undefined) return manifest;
  const keys = encryption.keys.filter(({ id }) => id === ring.currentId);
  const only = ring.signed(Buffer.from(storeId, "hex"), { ...encryption, keys, plainThrough: 0 });
  return { ...manifest, encryption: only };
}

/** What keeps a store in order, and safe: checkpoints, anchors, backups and keys. */

import type {
  Anchor,
  AnchorOptions,
  BackupOptions,
  BackupReport,
  CheckpointReport,
  KeySource,
} from "../events/index.js";

/** What `checkpoint` did. */
export interface StoreCheckpoint {
  /** W when it was called. */
  readonly lsn: number;
  /** What was sealed; null when another writer was making a checkpoint, which seals the log as well. */
  readonly log: CheckpointReport | null;
  /** Each running projection with the LSN that its saved state reflects. */
  readonly projections: readonly { readonly name: string; readonly lsn: number }[];
}

/** The part of `Store` that is about its upkeep. */
export interface StoreMaintenance {
  /**
   * Saves the state of every running projection with the LSN it reflects, then seals the log up to the watermark and removes the files of
   * the log that nobody needs any more. Appends and reads go on meanwhile.
   *
   * @throws StoreError `ERR_IO_FAILED`, `ERR_WAL_CORRUPT`, `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: then nothing was removed
   * @throws StoreError `ERR_PROJECTION_CHECKPOINT`
   */
  checkpoint(): Promise<StoreCheckpoint>;

  /**
   * Seals the log up to the watermark and makes one segment of each stretch of small ones, which a checkpoint does only when there are
   * eight of a size; null when another writer is making a checkpoint. Not needed but for a store that will be read only from now on.
   *
   * @throws as `checkpoint`
   */
  compact(): Promise<CheckpointReport | null>;

  /**
   * Seals the log, and resolves with the head of its hash chain: a few strings and numbers, to be kept where who can write the store cannot.
   * `openReader(dir).verifySealed({ anchor })` and `varve verify --anchor` tell later whether the store still has this history.
   *
   * The anchor is of everything that was acknowledged when this was called, and perhaps of more: `lsn` says. Its hash tells nothing of the
   * events of an encrypted store; of another one it lets somebody check a guess at all of them.
   *
   * @throws TypeError for a wrong option, or a key that is no private Ed25519 key
   * @throws StoreError as `checkpoint`
   *
   * @example
   * ```ts
   * const anchor = await store.anchor({ signWith: readFileSync("anchor-key.pem", "utf8") });
   * await writeFile("/elsewhere/shop.anchor.json", JSON.stringify(anchor));
   * ```
   */
  anchor(options?: AnchorOptions): Promise<Anchor>;

  /**
   * Makes a backup of the store in another directory, or brings the one there up to date, while this store and others are written to.
   *
   * The backup holds exactly the events up to one LSN (`report.lsn`), among them all that were acknowledged when this was called: a checkpoint
   * seals them first. Only sealed segments that the backup does not have are copied; each is read back and its hashes are checked. The
   * backup's manifest comes last: whatever interrupts this leaves the former backup as it was. The directory must be absent, empty, or
   * a backup of this store whose log is the beginning of this one.
   *
   * A backup can be read by `openReader` and checked by `varve verify`. Who opens it for writing makes a store of its own of it, and no backup
   * goes into it any more. `restoreStore` makes a store of it.
   *
   * @throws TypeError for a wrong argument or option
   * @throws StoreError `ERR_STORE_EXISTS`, `ERR_WAL_FOREIGN`, `ERR_BACKUP_DIVERGED`: the directory was not touched
   * @throws StoreError `ERR_WAL_CORRUPT` naming the file of this store that is damaged, `ERR_IO_FAILED`, `ERR_STORE_BUSY`, `ERR_WAL_FAILED`,
   *   `ERR_STORE_CLOSED`, `ERR_KEY_MISSING` for a key that another writer went over to; the signal's reason: the former backup is as it was
   *
   * @example
   * ```ts
   * const { lsn, copiedSegments } = await store.backup("/mnt/backup/shop");
   * ```
   */
  backup(directory: string, options?: BackupOptions): Promise<BackupReport>;

  /**
   * Encrypts what this writer writes from now on by another key, and resolves with the number that the store has given it. What is there stays as
   * it is: both keys are needed until `rekeyStore` was done. Give the key to every other writer and reader first, in `otherKeys`: one that
   * meets it and does not have it answers `ERR_KEY_MISSING`.
   *
   * @throws TypeError for what is no source of a key
   * @throws StoreError `ERR_KEY_MISSING`, `ERR_KEY_WRONG` (also where the store is not encrypted), `ERR_STORE_BUSY`, `ERR_IO_FAILED`,
   *   `ERR_WAL_FAILED`, `ERR_STORE_CLOSED`: the former key goes on
   */
  rotateKey(key: KeySource): Promise<number>;
}

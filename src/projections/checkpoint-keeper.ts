/** Keeps the checkpoint of one track: writes it when asked, one write at a time, and removes what it makes obsolete. */

import { randomUUID } from "node:crypto";
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import { isStoreError, StoreError } from "../errors.js";
import type { StateCiphers } from "../events/index.js";
import type { CheckpointDirectory } from "./checkpoint-directory.js";
import { writeCheckpoint } from "./checkpoint-file.js";
import { isOnDisk, mayFollow, type PartChain, partOf } from "./checkpoint-parts.js";
import type { FeedEvent } from "./event-feed.js";
import type { ProjectionReport } from "./runner-options.js";
import type { StatePieces } from "./state-pieces.js";
import { syncDirectory } from "./temporary-file.js";
import type { Track } from "./track.js";

interface KeeperParts<State, Event extends FeedEvent> {
  readonly directory: CheckpointDirectory;
  readonly track: Track<State, Event>;
  /** Where the state goes; another file than the checkpoint's until `promote`. */
  readonly file: string;
  /** Of what lies there already, for changes to follow it; absent or null: the next save is of the whole. */
  readonly chain?: PartChain | null;
  readonly storeId: string | null;
  /** Of a store that is encrypted. */
  readonly ciphers: StateCiphers | null;
  /** The LSN of the checkpoint that the track began at, 0 when it began at zero. */
  readonly savedLsn: number;
  /** Checkpoints of other versions. */
  readonly otherFiles: readonly string[];
  readonly everyEvents: number;
  /** What has to be on disk before a state is. No event is applied meanwhile. */
  readonly beforeSave?: () => Promise<void>;
}

export class CheckpointKeeper<State, Event extends FeedEvent> {
  readonly #parts: KeeperParts<State, Event>;
  #savedLsn: number;
  #triedLsn: number;
  #saving: Promise<number> | null = null;
  #otherFiles: readonly string[];
  #othersObsolete = false;
  #file: string;
  #promoteTo: string | null = null;
  #isDirty = false;
  #chain: PartChain | null;

  constructor(parts: KeeperParts<State, Event>) {
    this.#parts = parts;
    this.#savedLsn = parts.savedLsn;
    this.#triedLsn = parts.savedLsn;
    this.#otherFiles = parts.otherFiles;
    this.#file = parts.file;
    this.#chain = parts.chain ?? null;
  }

  /** Where saves go by now. */
  get file(): string {
    return this.#file;
  }

  /** The LSN that is safe on disk, 0: none. */
  get savedLsn(): number {
    return this.#savedLsn;
  }

  /** Says that what a save writes is not all: the state has changed at the same LSN. */
  touch(): void {
    this.#isDirty = true;
  }

  /** The next save has the file take the checkpoint's place, in one step. Returns whether it has one to take. */
  promote(): boolean {
    const { directory, track } = this.#parts;
    this.moveTo(directory.fileOf(track.projection.version));
    return this.#promoteTo !== null;
  }

  /** The next save has the file take this name, in one step. */
  moveTo(file: string): void {
    this.#promoteTo = this.#file === file ? null : file;
  }

  /** Saves go to another file from now on; nothing is in it. */
  startAt(file: string): void {
    this.#file = file;
    this.#promoteTo = null;
    this.#chain = null;
    this.#savedLsn = 0;
    this.#triedLsn = 0;
  }

  /** The write that is under way, or null. No event may be applied to the track before it has settled. */
  get saving(): Promise<unknown> | null {
    return this.#saving;
  }

  /** Whether the track has passed enough events since the last checkpoint, or the last attempt at one. */
  get due(): boolean {
    return this.#parts.track.lsn - this.#triedLsn >= this.#parts.everyEvents;
  }

  /** What the former keeper of the projection has still to remove, this one does. */
  inherit(former: CheckpointKeeper<State, Event>): void {
    this.#otherFiles = former.#otherFiles;
  }

  /** Says that nobody will go back to another version; returns whether a save has something to remove. */
  retireOtherVersions(): boolean {
    this.#othersObsolete = true;
    return this.#otherFiles.length > 0;
  }

  /** Removes the checkpoints of all versions, durably. Nothing is being saved, and nothing is until the track has started over. */
  async discard(): Promise<void> {
    const { directory } = this.#parts;
    this.#otherFiles = [];
    this.startAt(directory.fileOf(this.#parts.track.projection.version));
    await directory.remove(await directory.all());
  }

  /** Removes what was saved, where that is not the checkpoint: the rebuild is given up, or starts over. Nothing is being saved. */
  async discardOwn(): Promise<void> {
    this.#savedLsn = 0;
    this.#triedLsn = 0;
    await this.#parts.directory.remove([this.#file]);
  }

  /**
   * Writes the track's state if it has moved since the last time, and resolves with its LSN. Joins a write that is under
   * way, for the state stands still meanwhile. Rejects with ERR_PROJECTION_CHECKPOINT; a later call tries again.
   */
  save(): Promise<number> {
    this.#saving ??= this.#write().finally(() => {
      this.#saving = null;
    });
    return this.#saving;
  }

  /** For a checkpoint that no caller waits for: its failure is reported and returned, and the next one is tried when it is due. */
  async saveUnasked(report: (report: ProjectionReport) => void): Promise<StoreError | null> {
    try {
      await this.save();
      return null;
    } catch (error) {
      if (!isStoreError(error, "ERR_PROJECTION_CHECKPOINT")) throw error;
      report({ kind: "checkpoint-failed", error });
      return error;
    }
  }

  async #write(): Promise<number> {
    const { directory, track, storeId, ciphers } = this.#parts;
    const { projection } = track;
    const { pieces } = projection;
    await this.#parts.beforeSave?.();
    const { lsn } = track;
    this.#triedLsn = lsn;
    try {
      // Of an empty log there is a state too, and it is to take a place.
      const isUnsaved = lsn !== this.#savedLsn || (lsn === 0 && this.#promoteTo !== null);
      if (isUnsaved || this.#isDirty) {
        this.#isDirty = true;
        if (pieces !== undefined) await this.#writePieces(pieces);
        else await writeCheckpoint(this.#file, track.facts(storeId), projection.encode(track.state), ciphers);
        this.#savedLsn = lsn;
        this.#isDirty = false;
      }
      if (this.#promoteTo !== null) {
        // One step: a crash leaves the former checkpoint with the rebuild beside it, or the new one alone.
        this.#isDirty = true; // should the file be gone, for a subject that was forgotten, the next save writes it
        await rename(this.#file, this.#promoteTo);
        await syncDirectory(dirname(this.#file));
        this.#file = this.#promoteTo;
        this.#promoteTo = null;
        this.#chain = null;
        this.#isDirty = false;
        await pieces?.afterSave?.(track.state);
      }
      // Last, so that a crash before leaves them, and this version can be rolled back until its own is durable.
      if (this.#othersObsolete) {
        await directory.remove(this.#otherFiles);
        this.#otherFiles = [];
      }
      return lsn;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the checkpoint of projection "${projection.name}" at LSN ${lsn} could not be written: ${reason}`;
      throw new StoreError("ERR_PROJECTION_CHECKPOINT", message, { projection: projection.name, lsn }, { cause });
    }
  }

  /** Writes what has changed behind what lies on disk or, where that is much or not to be relied on, the whole. */
  async #writePieces(pieces: StatePieces<State>): Promise<void> {
    const { directory, track, storeId, ciphers } = this.#parts;
    const { projection, state } = track;
    const file = this.#file;
    const chain = this.#chain;
    // Until it is written: after a failure nobody can tell what lies on disk, and the whole says it anew.
    this.#chain = null;
    const isPlace = file === directory.fileOf(projection.version) && this.#promoteTo === null;
    if (isPlace) await pieces.beforeSave?.(state, track.facts(storeId));
    const changes = chain !== null && isPlace ? pieces.changes(state) : null;
    const follows = chain !== null && changes !== null && mayFollow(chain, changes.byteLength);
    let next: PartChain;
    if (follows && (await isOnDisk(file, chain, ciphers))) {
      const last = { id: randomUUID(), after: chain.last.id, number: chain.last.number + 1 };
      const facts = { ...track.facts(storeId), part: last };
      const bytes = await writeCheckpoint(partOf(file, last.number), facts, changes.pieces, ciphers);
      next = { ...chain, last, changedBytes: chain.changedBytes + bytes };
    } else {
      const last = { id: randomUUID(), after: null, number: 0 };
      const facts = { ...track.facts(storeId), part: last };
      const wholeBytes = await writeCheckpoint(file, facts, projection.encode(state), ciphers);
      // What followed the former whole follows nothing now, and is not believed.
      if (isPlace) await directory.remove(await directory.partsOf(projection.version));
      next = { wholeId: last.id, last, wholeBytes, changedBytes: 0 };
    }
    pieces.saved(state);
    this.#chain = next;
    if (isPlace) await pieces.afterSave?.(state);
  }
}

/**
 * What this process knows of every stream: the LSNs of its events, its newest ids, and what this writer has claimed of its head.
 *
 * The version that appends are judged by is not here but in the head table, which all writers share. What is here is a tail of the log
 * as it was read last: complete up to `indexedThrough`, and no further.
 */

import type { HeadTable } from "../wal/index.js";
import { ByteInterner } from "./byte-interner.js";
import { streamField } from "./envelope.js";
import { LsnList } from "./lsn-list.js";

/** How many of a stream's event ids are remembered for appends that expect any version. */
export const RECENT_IDS_MAX = 1000;

export class StreamHead {
  readonly name: string;
  #field: Uint8Array | null = null;
  /** LSN of the event with version i + 1, for events that are indexed. */
  readonly #lsns = new LsnList();
  /** Its place in the head table; −1: not looked for, or not in it. */
  entry = -1;
  /** The version that this writer last claimed in the head table, and the batch it lies in; epoch 0: no batch of this writer any more. */
  claimedVersion = 0;
  claimedEpoch = 0;
  /** Whether the head table has still to be told of the claim, which became less. */
  isClaimOwed = false;
  /** The newest version known to be visible of those that this writer claimed and went on from. */
  visibleClaim = 0;
  /** Until when this writer leaves the head to another that wants it; 0: nobody is let pass. */
  yieldUntilMs = 0;
  /** Id → version of the newest events that came with an id, oldest first. */
  recentIds: Map<string, number> | null = null;
  /** Above this version, up to `idsKnownThrough`, every id is in `recentIds`. */
  idsForgottenThrough = 0;
  /** Beyond it other writers may have written ids that this process has not read. Never below `indexedVersion`. */
  idsKnownThrough = 0;
  /** Appends that wait with this stream among theirs. */
  waitingCount = 0;
  /** The look through the waiting appends in which one that stays has this stream. */
  heldInScan = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The stream's field of the envelope, encoded once, for a stream that is written to. */
  get field(): Uint8Array {
    this.#field ??= streamField(this.name);
    return this.#field;
  }

  /** The version up to which the events are indexed. */
  get indexedVersion(): number {
    return this.#lsns.length;
  }

  /** Whether nothing is lost when this is made anew. */
  get isBlank(): boolean {
    return this.indexedVersion === 0 && this.claimedVersion === 0 && this.claimedEpoch === 0 && this.waitingCount === 0;
  }

  /** The LSN of an event that is indexed. */
  lsnOf(version: number): number | undefined {
    return this.#lsns.at(version - 1);
  }

  /** The version that the stream had at an LSN that is indexed. */
  versionAt(lsn: number): number {
    return this.#lsns.countThrough(lsn);
  }

  /** Indexes the event with the next version. Its id, if it has one, is known or remembered next. */
  enter(lsn: number): void {
    this.#lsns.push(lsn);
  }

  /** Notes the id, or that there is none, of the event with that version, where all before it are known. */
  noteId(version: number, id: string | null): void {
    if (version !== this.idsKnownThrough + 1) return;
    this.idsKnownThrough = version;
    if (id === null) return;
    this.recentIds ??= new Map();
    this.recentIds.set(id, version);
    if (this.recentIds.size <= RECENT_IDS_MAX) return;
    for (const [oldest, at] of this.recentIds) {
      this.recentIds.delete(oldest);
      this.idsForgottenThrough = at;
      return;
    }
  }

  /** Forgets the ids of versions above `version`, which do not exist any more. */
  forgetIdsAbove(version: number): void {
    this.idsKnownThrough = Math.min(this.idsKnownThrough, version);
    if (this.recentIds === null) return;
    for (const [id, at] of this.recentIds) if (at > version) this.recentIds.delete(id);
  }
}

export class StreamIndex {
  readonly #heads = new Map<string, StreamHead>();
  readonly #byBytes = new ByteInterner<StreamHead>();
  #indexedThrough = 0;

  get(name: string): StreamHead | undefined {
    return this.#heads.get(name);
  }

  /** Every event with an LSN up to this one is indexed. */
  get indexedThrough(): number {
    return this.#indexedThrough;
  }

  /** Streams that have indexed events. */
  get streamCount(): number {
    let count = 0;
    for (const head of this.#heads.values()) if (head.indexedVersion > 0) count++;
    return count;
  }

  /** The head of a stream that is about to be written to. */
  add(name: string): StreamHead {
    const head = new StreamHead(name);
    this.#heads.set(name, head);
    return head;
  }

  /**
   * Enters every stream into the table, with the version that recovery has found. After that a stream that is not in the table has never
   * been written to.
   */
  enterAll(heads: HeadTable): void {
    for (const head of this.#heads.values()) head.entry = heads.insert(Buffer.from(head.name), head.indexedVersion);
  }

  /** Forgets a head that nothing was written to. */
  drop(head: StreamHead): void {
    if (head.isBlank) this.#heads.delete(head.name);
  }

  /** The head for a name given as bytes, made when it is new: for replay. */
  ofBytes(bytes: Buffer, start: number, end: number): StreamHead {
    const known = this.#byBytes.get(bytes, start, end);
    if (known !== undefined) return known;
    const name = bytes.toString("utf8", start, end);
    const head = this.#heads.get(name) ?? this.add(name);
    this.#byBytes.add(bytes, start, end, head);
    return head;
  }

  /**
   * Enters a batch of this writer, given the stream of each of its records: with one writer that is all there is to indexing. Where
   * other writers' events lie before it, or it was read from the log already, nothing is done: it is read, or has been.
   */
  enterBatch(firstLsn: number, heads: readonly StreamHead[]): void {
    if (firstLsn !== this.#indexedThrough + 1) return;
    for (let index = 0; index < heads.length; index++) {
      const head = heads[index] as StreamHead;
      head.enter(firstLsn + index);
      // An event with an id is never written upon ids that are not known.
      if (head.idsKnownThrough < head.indexedVersion) head.idsKnownThrough = head.indexedVersion;
    }
    this.#indexedThrough += heads.length;
  }

  /** All frames up to that LSN were entered. */
  noteIndexed(lsn: number): void {
    if (lsn > this.#indexedThrough) this.#indexedThrough = lsn;
  }
}

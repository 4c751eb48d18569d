/**
 * What this process knows of streams: the LSNs of their events above the checkpoint, their newest ids, and what this writer has claimed of
 * their heads.
 *
 * The version that appends are judged by is not here but in the head table, which all writers share. What is here is a stretch of the log
 * as it was read last: complete between `sealedThrough` and `indexedThrough`. What lies below is in the sealed tier, which knows its
 * streams itself: so memory goes with the tail of the log, and not with the log.
 *
 * A checkpoint moves `sealedThrough` at once, and what is not needed any more is forgotten a little at a time: an LSN that is still here is
 * as true as before. Only where the checkpoint goes beyond what was read of other writers' events, what is known of a stream may lack some of
 * them: then each stream begins anew when it is looked at next.
 */

import type { HeadTable } from "../wal/index.js";
import { ByteInterner } from "./byte-interner.js";
import { streamField } from "./envelope.js";
import { LsnList } from "./lsn-list.js";

/** How many of a stream's event ids are remembered for appends that expect any version. */
export const RECENT_IDS_MAX = 1000;
/** Streams that are looked at in one turn, when what is sealed is forgotten: well below a millisecond. */
const SWEPT_AT_ONCE = 2000;
/** In the place of a version: not looked for yet. */
const UNKNOWN = -1;

export class StreamHead {
  readonly name: string;
  #field: Uint8Array | null = null;
  /** The version that the stream has in the sealed tier, as far as that is not among the LSNs. */
  #base = UNKNOWN;
  /** LSN of the event with version `#base` + i + 1, for events that are indexed. */
  readonly #lsns = new LsnList();
  /** That of the index when this was made or begun anew. */
  generation: number;
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
  /** Beyond it other writers may have written ids that this process has not read. −1: none were read, and there may be some. */
  idsKnownThrough: number = UNKNOWN;
  /** Appends that wait with this stream among theirs. */
  waitingCount = 0;
  /** The look through the waiting appends in which one that stays has this stream. */
  heldInScan = 0;

  constructor(name: string, generation = 0) {
    this.name = name;
    this.generation = generation;
  }

  /** The stream's field of the envelope, encoded once, for a stream that is written to. */
  get field(): Uint8Array {
    this.#field ??= streamField(this.name);
    return this.#field;
  }

  /** Whether the version that the stream has below the indexed events is known. */
  get isBaseKnown(): boolean {
    return this.#base !== UNKNOWN;
  }

  /** The version below the indexed events, when the base is known. */
  get baseVersion(): number {
    return Math.max(0, this.#base);
  }

  /** The version up to which the events are indexed or sealed; 0 while the base is not known. */
  get indexedVersion(): number {
    return this.baseVersion + this.#lsns.length;
  }

  /** Events that are indexed. */
  get tailCount(): number {
    return this.#lsns.length;
  }

  /** Whether nothing is lost when this is made anew. */
  get isBlank(): boolean {
    return this.tailCount === 0 && this.claimedVersion === 0 && this.claimedEpoch === 0 && this.waitingCount === 0;
  }

  /** The LSN of an event that is indexed. */
  lsnOf(version: number): number | undefined {
    return version > this.#base ? this.#lsns.at(version - this.baseVersion - 1) : undefined;
  }

  /** The version that the stream had at an LSN that is indexed. */
  versionAt(lsn: number): number {
    return this.baseVersion + this.#lsns.countThrough(lsn);
  }

  /** Says which version the stream has in the sealed tier; where events are indexed they have said it already. */
  setBase(version: number): void {
    if (this.isBaseKnown) return;
    this.#base = version;
    if (version === 0) this.idsKnownThrough = Math.max(0, this.idsKnownThrough);
  }

  /** Indexes the event with the next version. Its id, if it has one, is known or remembered next. */
  enter(version: number, lsn: number): void {
    if (!this.isBaseKnown) this.setBase(version - 1);
    this.#lsns.push(lsn);
  }

  /** Forgets the events up to that LSN, which are sealed. */
  trim(lsn: number): void {
    const count = this.#lsns.countThrough(lsn);
    if (count === 0) return;
    this.#base += count;
    this.#lsns.dropFirst(count);
  }

  /** Forgets what was read; what this writer has claimed stays. */
  beginAnew(generation: number): void {
    this.generation = generation;
    this.#base = UNKNOWN;
    this.#lsns.dropFirst(this.#lsns.length);
    this.recentIds = null;
    this.idsForgottenThrough = 0;
    this.idsKnownThrough = UNKNOWN;
  }

  /** Remembers the ids of the newest events, oldest first, where none were known. `through` is the version up to which all are indexed. */
  rememberIds(through: number, ids: ReadonlyMap<string, number>): void {
    if (this.idsKnownThrough !== UNKNOWN || through !== this.indexedVersion) return;
    this.recentIds = new Map(ids);
    this.idsForgottenThrough = Math.max(0, through - RECENT_IDS_MAX);
    this.idsKnownThrough = through;
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
  #byBytes = new ByteInterner<StreamHead>();
  #indexedThrough = 0;
  #sealedThrough = 0;
  #generation = 0;
  #isSweeping = false;
  #isInUse: (head: StreamHead) => boolean = () => false;

  /** What is known of the stream; undefined when that is nothing. */
  get(name: string): StreamHead | undefined {
    const head = this.#heads.get(name);
    return head === undefined ? undefined : this.refreshed(head);
  }

  /** The head, begun anew where a checkpoint has gone beyond what was read. For whoever has kept it over a turn. */
  refreshed(head: StreamHead): StreamHead {
    if (head.generation !== this.#generation) head.beginAnew(this.#generation);
    return head;
  }

  /** Every event with an LSN up to this one is indexed, or sealed. */
  get indexedThrough(): number {
    return this.#indexedThrough;
  }

  /** Events up to this LSN are looked for in the sealed tier. */
  get sealedThrough(): number {
    return this.#sealedThrough;
  }

  /** Streams that have indexed events. */
  get tailStreamCount(): number {
    let count = 0;
    for (const head of this.#heads.values()) if (head.tailCount > 0) count++;
    return count;
  }

  /** Streams that take memory. */
  get headCount(): number {
    return this.#heads.size;
  }

  /** The head of a stream that is about to be written to. */
  add(name: string): StreamHead {
    const head = new StreamHead(name, this.#generation);
    this.#heads.set(name, head);
    return head;
  }

  /** Enters every stream that recovery has met into the table, with its version. Others are as they were sealed, or new. */
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
    if (known !== undefined) return this.refreshed(known);
    const name = bytes.toString("utf8", start, end);
    const head = this.get(name) ?? this.add(name);
    this.#byBytes.add(bytes, start, end, head);
    return head;
  }

  /**
   * Enters a batch of this writer of `count` records, given the stream and the version of each of them: with one writer that is all there is to indexing.
   * Where other writers' events lie before it, or it was read from the log already, nothing is done: it is read, or has been.
   */
  enterBatch(firstLsn: number, count: number, heads: readonly StreamHead[], versions: readonly number[]): void {
    if (firstLsn !== this.#indexedThrough + 1) return;
    for (let index = 0; index < count; index++) {
      const head = this.refreshed(heads[index] as StreamHead);
      const version = versions[index] as number;
      head.enter(version, firstLsn + index);
      // An event with an id is never written upon ids that are not known.
      if (head.idsKnownThrough === version - 1) head.idsKnownThrough = version;
    }
    this.#indexedThrough += count;
  }

  /** All frames up to that LSN were entered. */
  noteIndexed(lsn: number): void {
    if (lsn > this.#indexedThrough) this.#indexedThrough = lsn;
  }

  /** Heads that are in use, in ways that they do not tell themselves, are not forgotten. */
  keepWhile(isInUse: (head: StreamHead) => boolean): void {
    this.#isInUse = isInUse;
  }

  /** Everything up to that LSN is sealed: it is not kept in memory any more. */
  trim(lsn: number): void {
    if (lsn <= this.#sealedThrough) return;
    this.#sealedThrough = lsn;
    if (this.#indexedThrough < lsn) {
      this.#indexedThrough = lsn;
      this.#generation++;
    }
    this.#byBytes = new ByteInterner();
    if (this.#isSweeping) return; // it goes on by the new LSN; what it has passed the next one finds
    this.#isSweeping = true;
    this.#sweep(this.#heads.values());
  }

  /** Some in each turn. An entry that is removed or added meanwhile does not disturb the iterator. */
  #sweep(heads: Iterator<StreamHead, undefined>): void {
    for (let count = 0; count < SWEPT_AT_ONCE; count++) {
      const next = heads.next();
      if (next.done === true) {
        this.#isSweeping = false;
        return;
      }
      const head = this.refreshed(next.value);
      head.trim(this.#sealedThrough);
      const isIdle = head.tailCount === 0 && head.waitingCount === 0 && !head.isClaimOwed;
      if (isIdle && !this.#isInUse(head)) this.#heads.delete(head.name);
    }
    setImmediate(() => this.#sweep(heads)).unref();
  }
}

/**
 * Where the events of a stream are, over both tiers: the index of the log's tail, and below it the sealed tier, which is asked for one stream at
 * a time and keeps little in memory.
 *
 * What is sealed never changes but that events at the beginning of streams are removed, so an answer of the sealed tier stays right whatever
 * is sealed meanwhile. Only where the two meet can move
 * while one waits: then the question is asked again.
 */

import type { Frame } from "../wal/index.js";
import type { LogFollower } from "./log-follower.js";
import type { StreamHead, StreamIndex } from "./stream-index.js";

/** Reading of single streams in the sealed tier. Versions count from 1. */
export interface SealedStreams {
  /** False: certainly nothing of the stream is sealed. Reads nothing. */
  mayHold(name: Uint8Array): boolean;
  /** The newest event of a stream that is sealed and has an LSN up to `through`. `isAllWanted`: the whole stream is asked for next. */
  streamHead(
    name: Uint8Array,
    through?: number,
    isAllWanted?: boolean,
  ): Promise<{ readonly version: number; readonly lsn: number } | null>;
  /** The first version whose event is left; where none that is sealed is, the one behind the last of them. */
  streamStart(name: Uint8Array): Promise<number>;
  /** The LSNs of those events of the stream with versions from `from` to `to` that are sealed and left, in order. */
  streamLsns(name: Uint8Array, from: number, to: number): Promise<number[]>;
  /** For each LSN the frame that holds it. */
  framesOf(lsns: readonly number[]): AsyncGenerator<Frame, void, undefined>;
  /** Resolves when everything up to that LSN is read from the sealed tier. */
  whenSealed(lsn: number): Promise<void>;
}

export class StreamHistory {
  readonly sealed: SealedStreams;
  readonly #index: StreamIndex;
  readonly #follower: LogFollower;
  /** One for all who ask for the same stream meanwhile. */
  readonly #searches = new Map<string, Promise<number>>();

  constructor(index: StreamIndex, follower: LogFollower, sealed: SealedStreams) {
    this.#index = index;
    this.#follower = follower;
    this.sealed = sealed;
  }

  mayBeSealed(stream: string): boolean {
    return this.#index.sealedThrough > 0 && this.sealed.mayHold(Buffer.from(stream));
  }

  catchUp(through?: number): Promise<void> {
    return this.#follower.catchUp(through);
  }

  /** The version with which the stream is sealed, by all that is sealed up to an LSN. */
  async #sealedVersion(stream: string, through: number, isAllWanted = false): Promise<number> {
    if (through === 0) return 0;
    await this.sealed.whenSealed(through);
    const name = Buffer.from(stream);
    if (!this.sealed.mayHold(name)) return 0;
    return (await this.sealed.streamHead(name, through, isAllWanted))?.version ?? 0;
  }

  /** The version that the stream has below the index. */
  #baseOf(stream: string, isAllWanted = false): Promise<number> {
    const known = this.#searches.get(stream);
    if (known !== undefined) return known;
    const search = this.#searchBase(stream, isAllWanted).finally(() => this.#searches.delete(stream));
    this.#searches.set(stream, search);
    return search;
  }

  async #searchBase(stream: string, isAllWanted: boolean): Promise<number> {
    for (;;) {
      const { sealedThrough } = this.#index;
      const version = await this.#sealedVersion(stream, sealedThrough, isAllWanted);
      if (this.#index.sealedThrough !== sealedThrough) continue;
      // At once, before the border can move.
      this.#index.get(stream)?.setBase(version);
      return version;
    }
  }

  /** Resolves when the version is known with which the head's stream is sealed. */
  async findBase(head: StreamHead): Promise<void> {
    await this.#baseOf(head.name);
  }

  /** The version that the stream had at a visible LSN; 0: it had no events. `isAllWanted`: all of it is read next, from the beginning. */
  async versionAt(stream: string, lsn: number, isAllWanted = false): Promise<number> {
    for (;;) {
      if (lsn < this.#index.sealedThrough) return this.#sealedVersion(stream, lsn, isAllWanted);
      if (this.#index.indexedThrough < lsn) await this.#follower.catchUp(lsn);
      const { sealedThrough } = this.#index;
      if (lsn < sealedThrough) continue;
      const head = this.#index.get(stream);
      if (head?.isBaseKnown === true) return head.versionAt(lsn);
      const version = await this.#baseOf(stream, isAllWanted);
      if (this.#index.sealedThrough !== sealedThrough) continue;
      const found = this.#index.get(stream);
      return found?.isBaseKnown === true ? found.versionAt(lsn) : version; // no events above what is sealed
    }
  }

  /** The version that a stream has that nobody has written to since the log was recovered. */
  async sealedVersionOf(stream: string): Promise<number> {
    return this.#sealedVersion(stream, this.#index.sealedThrough);
  }

  /** The LSN of an event, where it is in the tail. */
  lsnOf(stream: string, version: number): number | undefined {
    return this.#index.get(stream)?.lsnOf(version);
  }

  /** The first version of a stream whose event was not removed from the disk. */
  startOf(stream: string): Promise<number> {
    return this.sealed.streamStart(Buffer.from(stream));
  }

  /** The LSNs of events that are not in the tail, in order: of those versions that are sealed. */
  async sealedLsns(stream: string, from: number, to: number): Promise<number[]> {
    await this.sealed.whenSealed(this.#index.sealedThrough);
    return this.sealed.streamLsns(Buffer.from(stream), from, to);
  }
}

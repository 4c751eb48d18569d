/**
 * What users ask to be forgotten: each wish becomes an event of `$retention`, and counts for all readers and writers from the moment when that
 * is durable. From the disk it goes when somebody scavenges, or truncates the log.
 */

import { StoreError } from "../errors.js";
import {
  type ArchivedSegment,
  checkOptionNames,
  integerOption,
  type LogRemover,
  type ScavengeReport,
  type TruncationReport,
} from "../wal/index.js";
import { isAsExpected, versionConflict } from "./append-request.js";
import type { ExpectedVersion } from "./event.js";
import { checkStreamName } from "./prepare-event.js";
import { type RetentionEventName, type RetentionEvents, retentionType, SYSTEM_PREFIX } from "./retention-event.js";
import type { RetentionFollower } from "./retention-follower.js";
import { type StreamRetention, tombstoned } from "./retention-state.js";

/** How far a stream is truncated. */
export interface TruncateStreamOptions {
  /** The first version that is kept: 1 to the stream's version + 1. */
  readonly before: number;
}

export interface DeleteStreamOptions {
  /** Refuse unless the stream is at this version, or has events. Default `"exists"`. */
  readonly expectedVersion?: number | "exists";
}

export interface TombstoneStreamOptions {
  /** What the stream must be. Default `"any"`: a name can be tombstoned that nobody has written to. */
  readonly expectedVersion?: ExpectedVersion;
}

/** What of a stream is kept. Both bounds hold; what is not given is not bounded. */
export interface RetainStreamOptions {
  /** Events are gone that were recorded longer ago, in ms. */
  readonly maxAgeMs?: number;
  /** So many of the newest events are kept. */
  readonly maxCount?: number;
}

export interface TruncateBeforeOptions {
  /**
   * Called with each segment that is to be dropped, one after the other; its file stays as it is until all have succeeded. What it throws is
   * thrown on, and nothing is dropped. `"none"`: drop them without an archive.
   */
  readonly archive: ((segment: ArchivedSegment) => Promise<void> | void) | "none";
}

/** Where a wish stands in the log: from that LSN on it counts. */
export interface RetentionChange {
  readonly lsn: number;
}

/** A stream that is looked at together with an append, and not written to. */
export interface StreamGuard {
  readonly stream: string;
  readonly expectedVersion: ExpectedVersion;
}

/** What retention needs of a store. */
export interface RetentionPlace {
  readonly remover: LogRemover;
  readonly follower: RetentionFollower;
  /** W. */
  watermark(): number;
  /** The version of a stream, gone events included. */
  versionOf(stream: string): Promise<number>;
  /** The last sealed LSN that was recorded at or before a time, in µs. */
  lsnAt(timeUs: number): Promise<number>;
  /** Appends to `$retention`; durable when it resolves. */
  append(event: { type: string; data: unknown }, guard: StreamGuard | null): Promise<RetentionChange>;
}

const SYSTEM_CODE = SYSTEM_PREFIX.charCodeAt(0);
const POSITIVE = { min: 1, max: Number.MAX_SAFE_INTEGER };

export class Retention {
  readonly #place: RetentionPlace;

  constructor(place: RetentionPlace) {
    this.#place = place;
  }

  #log<Name extends RetentionEventName>(
    name: Name,
    data: RetentionEvents[Name],
    guard: StreamGuard | null = null,
  ): Promise<RetentionChange> {
    return this.#place.append({ type: retentionType(name), data }, guard);
  }

  /** What was said of a stream so far. */
  async of(stream: string): Promise<StreamRetention> {
    checkStreamName(stream);
    await this.#place.follower.catchUp(this.#place.watermark());
    return this.#place.follower.state.of(stream);
  }

  /** As `of`, for a stream that is to be changed. */
  async #living(stream: string): Promise<StreamRetention> {
    checkUserStream(stream);
    const said = await this.of(stream);
    if (said.isTombstoned) throw tombstoned(stream);
    return said;
  }

  async truncateStream(stream: string, options: TruncateStreamOptions): Promise<RetentionChange> {
    checkOptionNames(options, ["before"], "truncateStream");
    const before = integerOption(options.before, "before", { ...POSITIVE, default: 0 });
    if (before === 0) throw new TypeError("truncateStream needs the option before");
    await this.#living(stream);
    const version = await this.#place.versionOf(stream);
    if (before > version + 1) {
      throw new RangeError(`option before must be at most ${version + 1}: stream ${stream} is at version ${version}`);
    }
    return this.#log("StreamTruncated", { stream, beforeVersion: before });
  }

  async deleteStream(stream: string, options: DeleteStreamOptions = {}): Promise<RetentionChange> {
    checkOptionNames(options, ["expectedVersion"], "deleteStream");
    const { expectedVersion = "exists" } = options;
    if (expectedVersion !== "exists") integerOption(expectedVersion, "expectedVersion", { ...POSITIVE, default: 1 });
    const { deletedThrough } = await this.#living(stream);
    const version = await this.#place.versionOf(stream);
    const isAsWished = version > deletedThrough && isAsExpected(version, expectedVersion, deletedThrough);
    if (!isAsWished) throw versionConflict(stream, version, expectedVersion);
    // Without a version what comes meanwhile is kept: nobody has said that it is to go.
    const guard = expectedVersion === "exists" ? null : { stream, expectedVersion };
    return this.#log("StreamDeleted", { stream, throughVersion: version }, guard);
  }

  async tombstoneStream(stream: string, options: TombstoneStreamOptions = {}): Promise<RetentionChange> {
    checkOptionNames(options, ["expectedVersion"], "tombstoneStream");
    const { expectedVersion = "any" } = options;
    await this.#living(stream);
    return this.#log("StreamTombstoned", { stream }, { stream, expectedVersion });
  }

  async retainStream(stream: string, options: RetainStreamOptions): Promise<RetentionChange> {
    checkOptionNames(options, ["maxAgeMs", "maxCount"], "retainStream");
    const { maxAgeMs, maxCount } = options;
    if (maxAgeMs !== undefined) integerOption(maxAgeMs, "maxAgeMs", { ...POSITIVE, max: 2 ** 43, default: 1 });
    if (maxCount !== undefined) integerOption(maxCount, "maxCount", { ...POSITIVE, default: 1 });
    await this.#living(stream);
    const bounds = { ...(maxAgeMs !== undefined && { maxAgeMs }), ...(maxCount !== undefined && { maxCount }) };
    return this.#log("StreamRetentionSet", { stream, ...bounds });
  }

  async deleteStreams(prefix: string): Promise<RetentionChange> {
    checkPrefix(prefix);
    return this.#log("StreamsDeleted", { prefix, throughLsn: this.#place.watermark() });
  }

  async tombstoneStreams(prefix: string): Promise<RetentionChange> {
    checkPrefix(prefix);
    return this.#log("StreamsTombstoned", { prefix });
  }

  async truncateBefore(lsn: number, options: TruncateBeforeOptions): Promise<TruncationReport> {
    const watermark = this.#place.watermark();
    if (!Number.isSafeInteger(lsn) || lsn < 1 || lsn > watermark + 1) {
      throw new RangeError(`truncateBefore takes an LSN from 1 to the watermark + 1, ${watermark + 1}, not ${lsn}`);
    }
    checkOptionNames(options, ["archive"], "truncateBefore");
    const archive = archiveOf(options);
    return this.#place.remover.truncate({
      beforeLsn: lsn,
      sparedPrefix: SYSTEM_PREFIX,
      archive,
      onArchived: async (horizonLsn) => {
        await this.#log("LogTruncated", { throughLsn: horizonLsn });
      },
    });
  }

  async scavenge(nowUs: number = Date.now() * 1000): Promise<ScavengeReport> {
    const { remover, follower, versionOf, lsnAt } = this.#place;
    const report = await remover.scavenge(async () => {
      await follower.catchUp(this.#place.watermark());
      return follower.state.removal(nowUs, versionOf, lsnAt);
    });
    const { lsn, removedRecords } = report;
    if (removedRecords > 0) await this.#log("LogScavenged", { throughLsn: lsn, removedRecords });
    return report;
  }
}

function archiveOf({ archive }: TruncateBeforeOptions): (segment: ArchivedSegment) => Promise<void> | void {
  if (archive === "none") return () => {};
  if (typeof archive !== "function") throw new TypeError('option archive must be a function or "none"');
  return archive;
}

/** @throws StoreError `ERR_EVENTS_INVALID_STREAM` for a name that users cannot write to */
function checkUserStream(stream: string): void {
  checkStreamName(stream);
  const refusal = refusalOf(stream);
  if (refusal !== null) throw refusal;
}

/** Why nobody but the store appends to a stream, or null. What is no name at all is refused by who appends. */
export function refusalOf(stream: unknown): StoreError | null {
  return typeof stream === "string" && stream.charCodeAt(0) === SYSTEM_CODE ? systemStream(stream) : null;
}

function systemStream(stream: string): StoreError {
  const message = `invalid stream name: names that begin with "${SYSTEM_PREFIX}" are the store's own`;
  return new StoreError("ERR_EVENTS_INVALID_STREAM", message, { stream });
}

/** An empty one would be all streams, which is not what anybody means. */
function checkPrefix(prefix: string): void {
  checkUserStream(prefix);
}

/**
 * What of the log is to be forgotten, as the events of `$retention` say in their order. Pure: nothing here reads a log.
 *
 * Cuts only move forwards, so an event that is gone stays gone; `maxAge` and `maxCount` can be changed, and then what is still on disk is seen
 * again. Memory grows with the streams and prefixes that something was said of.
 */

import { StoreError } from "../errors.js";
import type { Removal } from "../wal/index.js";
import { type RetentionEventName, type RetentionEvents, SYSTEM_PREFIX } from "./retention-event.js";

/** What was said of one stream. */
export interface StreamRetention {
  /** Events with lower versions are gone. 1: none are. */
  readonly firstVersion: number;
  /** The version with which the stream was deleted last; 0: it was not. */
  readonly deletedThrough: number;
  readonly isTombstoned: boolean;
  readonly maxAgeMs: number | null;
  readonly maxCount: number | null;
  /** Events with LSNs up to this one are gone, because all streams with such names were deleted; 0: they were not. */
  readonly deletedLsn: number;
}

/** An event's LSN and time. */
export interface LogPlace {
  readonly lsn: number;
  readonly recordedAt: number;
}

const NOWHERE: LogPlace = { lsn: 0, recordedAt: 0 };

type Entry = Omit<StreamRetention, "deletedLsn">;

const NOTHING_SAID: Entry = {
  firstVersion: 1,
  deletedThrough: 0,
  isTombstoned: false,
  maxAgeMs: null,
  maxCount: null,
};

export class RetentionState {
  readonly #streams = new Map<string, Entry>();
  readonly #deletedPrefixes = new Map<string, number>();
  readonly #tombstonedPrefixes = new Set<string>();
  readonly #forgottenKeys = new Map<string, LogPlace>();
  #hasSubjectKeys = false;

  /** Whether nothing was said of any stream. */
  get isEmpty(): boolean {
    return this.#streams.size === 0 && this.#deletedPrefixes.size === 0 && this.#tombstonedPrefixes.size === 0;
  }

  /** `place`: where the log says it. */
  apply<Name extends RetentionEventName>(name: Name, data: RetentionEvents[Name], place: LogPlace = NOWHERE): void {
    const apply = APPLY[name] as (state: RetentionChanges, data: RetentionEvents[Name], place: LogPlace) => void;
    apply(this.#changes, data, place);
  }

  /** The ids of the keys of subjects that were forgotten, each with the first event that says so. */
  get forgottenKeys(): ReadonlyMap<string, LogPlace> {
    return this.#forgottenKeys;
  }

  /** Whether the store has a file of subject keys. */
  get hasSubjectKeys(): boolean {
    return this.#hasSubjectKeys;
  }

  readonly #changes: RetentionChanges = {
    stream: (stream, change) => {
      const before = this.#streams.get(stream) ?? NOTHING_SAID;
      this.#streams.set(stream, { ...before, ...change(before) });
    },
    deletePrefix: (prefix, throughLsn) => {
      this.#deletedPrefixes.set(prefix, Math.max(throughLsn, this.#deletedPrefixes.get(prefix) ?? 0));
    },
    tombstonePrefix: (prefix) => this.#tombstonedPrefixes.add(prefix),
    forgetKey: (id, place) => {
      if (!this.#forgottenKeys.has(id)) this.#forgottenKeys.set(id, place);
    },
    beginSubjects: () => {
      this.#hasSubjectKeys = true;
    },
  };

  of(stream: string): StreamRetention {
    if (stream.startsWith(SYSTEM_PREFIX)) return { ...NOTHING_SAID, deletedLsn: 0 };
    const entry = this.#streams.get(stream) ?? NOTHING_SAID;
    let deletedLsn = 0;
    for (const [prefix, lsn] of this.#deletedPrefixes) {
      if (lsn > deletedLsn && stream.startsWith(prefix)) deletedLsn = lsn;
    }
    return { ...entry, deletedLsn, isTombstoned: this.isTombstoned(stream) };
  }

  isTombstoned(stream: string): boolean {
    if (stream.startsWith(SYSTEM_PREFIX)) return false;
    if (this.#streams.get(stream)?.isTombstoned === true) return true;
    for (const prefix of this.#tombstonedPrefixes) if (stream.startsWith(prefix)) return true;
    return false;
  }

  isAnythingSaidOf(stream: string): boolean {
    return this.#streams.has(stream) || this.isTombstoned(stream);
  }

  /** The version with which the stream was deleted last; 0: it was not. */
  deletedThrough(stream: string): number {
    return this.#streams.get(stream)?.deletedThrough ?? 0;
  }

  /**
   * What is to be removed from the log at this moment.
   *
   * @param versionOf the version of a stream
   * @param lsnAt the last LSN that was recorded at or before a time in µs
   */
  async removal(
    nowUs: number,
    versionOf: (stream: string) => Promise<number>,
    lsnAt: (timeUs: number) => Promise<number>,
  ): Promise<Removal> {
    const streams = new Map<string, { readonly beforeVersion: number; readonly throughLsn: number }>();
    for (const [stream, { firstVersion, isTombstoned, maxAgeMs, maxCount }] of this.#streams) {
      const countCut = maxCount === null ? 1 : (await versionOf(stream)) - maxCount + 1;
      const beforeVersion = isTombstoned ? Number.MAX_SAFE_INTEGER : Math.max(firstVersion, countCut);
      const throughLsn = maxAgeMs === null ? 0 : await lsnAt(oldestUs(maxAgeMs, nowUs) - 1);
      if (beforeVersion > 1 || throughLsn > 0) streams.set(latin1(stream), { beforeVersion, throughLsn });
    }
    const tombstoned = [...this.#tombstonedPrefixes].map((prefix) => [prefix, Number.MAX_SAFE_INTEGER] as const);
    const prefixes = [...this.#deletedPrefixes, ...tombstoned].map(([prefix, throughLsn]) => ({
      prefix: latin1(prefix),
      throughLsn,
    }));
    return { streams, prefixes, sparedPrefix: SYSTEM_PREFIX };
  }
}

/** The recordedAt that an event has at least that is not too old. */
export function oldestUs(maxAgeMs: number, nowUs: number): number {
  return nowUs - maxAgeMs * 1000;
}

/** As the log compares names. */
function latin1(name: string): string {
  return Buffer.from(name).toString("latin1");
}

interface RetentionChanges {
  readonly stream: (stream: string, change: (before: Entry) => Partial<Entry>) => void;
  readonly deletePrefix: (prefix: string, throughLsn: number) => void;
  readonly tombstonePrefix: (prefix: string) => void;
  readonly forgetKey: (id: string, place: LogPlace) => void;
  readonly beginSubjects: () => void;
}

const APPLY: {
  readonly [Name in RetentionEventName]: (
    state: RetentionChanges,
    data: RetentionEvents[Name],
    place: LogPlace,
  ) => void;
} = {
  StreamTruncated: (state, { stream, beforeVersion }) =>
    state.stream(stream, ({ firstVersion }) => ({ firstVersion: Math.max(firstVersion, beforeVersion) })),
  StreamDeleted: (state, { stream, throughVersion }) =>
    state.stream(stream, ({ firstVersion, deletedThrough }) => ({
      firstVersion: Math.max(firstVersion, throughVersion + 1),
      deletedThrough: Math.max(deletedThrough, throughVersion),
    })),
  StreamTombstoned: (state, { stream }) => state.stream(stream, () => ({ isTombstoned: true })),
  StreamsDeleted: (state, { prefix, throughLsn }) => state.deletePrefix(prefix, throughLsn),
  StreamsTombstoned: (state, { prefix }) => state.tombstonePrefix(prefix),
  StreamRetentionSet: (state, { stream, maxAgeMs = null, maxCount = null }) =>
    state.stream(stream, () => ({ maxAgeMs, maxCount })),
  LogTruncated: () => {}, // the manifest says it
  LogScavenged: () => {},
  SubjectKeysCreated: (state) => state.beginSubjects(),
  SubjectForgotten: (state, { keyIds }, place) => {
    for (const id of keyIds) state.forgetKey(id, place);
  },
};

export function tombstoned(stream: string): StoreError {
  const message = `stream ${stream} is tombstoned: it is neither read nor written any more`;
  return new StoreError("ERR_STREAM_TOMBSTONED", message, { stream });
}

/**
 * Follows `$retention`: keeps what it says at hand, complete up to a version of that stream. Nothing is read before somebody asks, and then
 * only what was written since.
 */

import { RETENTION_STREAM, type RetentionEvents, retentionEventName } from "./retention-event.js";
import { RetentionState } from "./retention-state.js";

/** An event of `$retention`. */
export interface RetentionRecord {
  readonly type: string;
  readonly data: unknown;
  readonly version: number;
  readonly lsn: number;
  readonly recordedAt: number;
}

export interface RetentionLog {
  /** The version that a stream had at a visible LSN. */
  versionAt(stream: string, lsn: number): Promise<number>;
  /** The events of a stream with versions from `first` to `final`, those that are gone included. */
  streamEvents(stream: string, first: number, final: number): AsyncIterable<readonly RetentionRecord[]>;
}

export class RetentionFollower {
  readonly state: RetentionState = new RetentionState();
  readonly #log: RetentionLog;
  #version = 0;
  /** What is said by all events up to this LSN is in `state`. */
  #knownThrough = 0;
  /** One for all who ask meanwhile. */
  #reading: Promise<void> | null = null;

  constructor(log: RetentionLog) {
    this.#log = log;
  }

  /** The version of `$retention` up to which `state` knows it. */
  get version(): number {
    return this.#version;
  }

  isCaughtUp(lsn: number): boolean {
    return lsn <= this.#knownThrough;
  }

  /** Resolves when all is in `state` that was said up to an LSN, which is visible. */
  async catchUp(lsn: number): Promise<void> {
    while (lsn > this.#knownThrough) {
      this.#reading ??= this.#read(lsn).finally(() => {
        this.#reading = null;
      });
      await this.#reading;
    }
  }

  async #read(lsn: number): Promise<void> {
    const final = await this.#log.versionAt(RETENTION_STREAM, lsn);
    if (final > this.#version) {
      for await (const events of this.#log.streamEvents(RETENTION_STREAM, this.#version + 1, final)) {
        for (const { type, data, version, lsn, recordedAt } of events) {
          const name = retentionEventName(type);
          // Decoded first: what cannot be must not be passed over.
          if (name !== null) this.state.apply(name, data as RetentionEvents[typeof name], { lsn, recordedAt });
          this.#version = version;
        }
      }
    }
    this.#knownThrough = lsn;
  }
}

/** Reading: a stream or the whole store, forwards and backwards, up to W or on and on as W moves. */

import { isStoreError, StoreError } from "../errors.js";
import { checkOptionNames, choiceOption, type Frame, integerOption, RECORD_HEADER_BYTES } from "../wal/index.js";
import { EventCursor } from "./event-cursor.js";
import { checkStreamName } from "./prepare-event.js";
import { RecordCursor } from "./record-cursor.js";
import { type EventDecoder, StoredEvent } from "./recorded-event.js";
import { RetentionFollower } from "./retention-follower.js";
import type { StreamHistory } from "./stream-history.js";
import { RECENT_IDS_MAX, type StreamHead } from "./stream-index.js";
import { StreamReader } from "./stream-reader.js";
import { leftOf, restOf, type StreamRest, WHOLE_STREAM } from "./stream-rest.js";
import { heardBatches, type SubjectHearing } from "./subject-hearing.js";

/** What reading needs of a log, whether it is open for writing or not. */
export interface LogView {
  readonly watermark: number;
  /** Frames with LSNs in (`after`, `through`]. */
  frames(after: number, through: number): AsyncGenerator<Frame, void, undefined>;
  /** Newest first. */
  framesBackwards(through: number, after?: number): AsyncGenerator<Frame, void, undefined>;
  frameOf(lsn: number): Promise<Frame>;
  /** Calls `listener` soon after each advance of W, and after the log has closed. Returns how to stop. */
  onAdvance(listener: (watermark: number) => void): () => void;
  /** Why nothing will come any more, of which listeners are told too; absent where each failure has a call that hears of it. */
  readonly failure?: Error | null;
}

/** `"forwards"`: oldest first. */
export type Direction = "forwards" | "backwards";

/** What of a stream is read. The stream's end is where it is when reading is asked for, whoever wrote it. */
export interface ReadStreamOptions {
  /** First version to read, default 1; backwards: default the last. Beyond the end there is nothing to read; backwards it begins there. */
  readonly from?: number;
  /** Last version to read, inclusive; default the end in the direction of reading. */
  readonly to?: number;
  /** Ends after that many events. Default: no limit. */
  readonly limit?: number;
  /** Default `"forwards"`. */
  readonly direction?: Direction;
  /** Ends the reading: the iteration throws the signal's reason, and delivers nothing any more. */
  readonly signal?: AbortSignal;
}

/** What of the whole store is read, up to the watermark of the moment when reading is asked for. */
export interface ReadAllOptions {
  /** Read LSNs above this one; default 0. Backwards it is the lower end. */
  readonly after?: number;
  /** Read LSNs up to this one; default the watermark. Backwards reading begins there. */
  readonly through?: number;
  /** Ends after that many events. Default: no limit. */
  readonly limit?: number;
  /** Default `"forwards"`. */
  readonly direction?: Direction;
  /** Ends the reading: the iteration throws the signal's reason, and delivers nothing any more. */
  readonly signal?: AbortSignal;
}

/** What a record does not say itself. */
export interface RecordPlace {
  readonly lsn: number;
  readonly recordedAt: number;
}

/** Where a log is read without an object for each event. */
export interface RecordFeed<Event = StoredEvent> {
  readRecords(
    after: number,
    options?: { readonly signal?: AbortSignal; readonly through?: number },
  ): AsyncIterable<RecordCursor>;
  eventIn(bytes: Buffer, start: number, end: number, place: RecordPlace): Event;
}

/** What there is of a stream at one moment. */
export interface StreamStanding {
  readonly version: number;
  /** The version with which it was deleted last; 0: it was not. */
  readonly deletedThrough: number;
  readonly rest: StreamRest;
}

/** What is subscribed to. */
export interface SubscribeOptions {
  /** Deliver LSNs above this one; default 0: from the beginning. */
  readonly after?: number;
  /** Only the events of this stream. */
  readonly stream?: string;
  /** Ends the subscription: the iteration throws the signal's reason. */
  readonly signal?: AbortSignal;
}

const DIRECTIONS = ["forwards", "backwards"] as const;
const LSN_RANGE = { min: 0, max: Number.MAX_SAFE_INTEGER };
/** Events made at once of one frame. */
const EVENTS_PER_BATCH_MAX = 256;
const KEEP_ALIVE_MS = 1 << 30;
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** A subscription's waiting, so that it can be ended from outside. */
interface Pause {
  isEnded: boolean;
  /** Set while it waits. */
  end: (() => void) | null;
}

function checkedSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.throwIfAborted !== "function") {
    throw new TypeError("option signal must be an AbortSignal");
  }
  return signal;
}

export class EventSource {
  readonly #log: LogView;
  readonly #history: StreamHistory;
  readonly #decoder: EventDecoder;
  readonly #isClosed: () => boolean;
  readonly #streams: StreamReader;
  /** What was said of streams; it is heard when one is read. */
  readonly retention: RetentionFollower;
  /** Of who has subject keys. */
  hearing: SubjectHearing | null = null;

  constructor(log: LogView, history: StreamHistory, decoder: EventDecoder, isClosed: () => boolean) {
    this.#log = log;
    this.#history = history;
    this.#decoder = decoder;
    this.#isClosed = isClosed;
    this.#streams = new StreamReader(log, history, decoder, () => this.#checkOpen());
    this.retention = new RetentionFollower({
      versionAt: (stream, lsn) => history.versionAt(stream, lsn),
      streamEvents: (stream, first, final) => this.#streams.batches(stream, { first, final, step: 1 }, undefined),
    });
  }

  /** What was read so far must not pass for all there is. */
  #checkOpen(): void {
    if (this.#isClosed()) throw new StoreError("ERR_STORE_CLOSED", "the store was closed while it was being read");
  }

  /** The events of one frame with LSNs in (`after`, `through`], some at a time: a consumer that keeps none leaves young garbage only. */
  *#events(frame: Frame, after: number, through: number): Generator<StoredEvent[], void, undefined> {
    const { body, header } = frame;
    const { firstLsn, recordCount } = header;
    let events: StoredEvent[] = [];
    let at = 0;
    for (let index = 0; index < recordCount; index++) {
      const start = at + RECORD_HEADER_BYTES;
      const end = start + body.readUInt32LE(at);
      at = end;
      const lsn = firstLsn + index;
      if (lsn <= after || lsn > through || start === end) continue; // removed records have no bytes
      events.push(new StoredEvent(this.#decoder, frame, start, end, lsn));
      if (events.length === EVENTS_PER_BATCH_MAX) {
        yield events;
        events = [];
      }
    }
    if (events.length > 0) yield events;
  }

  /** Batches of events in LSN order after `after`, ending at the watermark of the moment it is called. */
  readBatches(
    after: number,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    return this.#batches(after, this.#log.watermark, options.signal, this.hearing);
  }

  /**
   * The same events as records: the cursor stands before those of a frame, again and again. For who has no subject keys: nobody is asked in
   * between whether somebody was forgotten.
   */
  async *readRecords(
    after: number,
    options: { readonly signal?: AbortSignal; readonly through?: number } = {},
  ): AsyncGenerator<RecordCursor, void, undefined> {
    const { signal } = options;
    const through = Math.min(options.through ?? NO_LIMIT, this.#log.watermark);
    const records = new RecordCursor(this.#decoder);
    for await (const frame of this.#log.frames(after, through)) {
      signal?.throwIfAborted();
      this.#checkOpen();
      records.open(frame, after, through);
      yield records;
    }
  }

  /** The event of which the record is `bytes[start, end)`. */
  eventIn(bytes: Buffer, start: number, end: number, place: RecordPlace): StoredEvent {
    return new StoredEvent(this.#decoder, { body: bytes, header: place }, start, end, place.lsn);
  }

  /** Some at a time they are opened, and one by one handed out. */
  #heard(batches: AsyncGenerator<readonly StoredEvent[], void, undefined>): typeof batches {
    return this.hearing === null ? batches : heardBatches(batches, this.hearing);
  }

  async *#batches(
    after: number,
    through: number,
    signal: AbortSignal | undefined,
    hearing: SubjectHearing | null = null,
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    for await (const frame of this.#log.frames(after, through)) {
      // A projection that is rebuilt must not be given again what it was told to forget.
      const hearsMore = hearing?.hear() ?? null;
      if (hearsMore !== null) await hearsMore;
      signal?.throwIfAborted();
      for (const events of this.#events(frame, after, through)) {
        this.#checkOpen();
        yield events;
      }
    }
  }

  async *#batchesBackwards(
    after: number,
    through: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StoredEvent[], void, undefined> {
    for await (const frame of this.#log.framesBackwards(through, after)) {
      signal?.throwIfAborted();
      this.#checkOpen();
      yield [...this.#events(frame, after, through)].flat().reverse();
      if (frame.header.firstLsn <= after + 1) return;
    }
  }

  readAll(options: ReadAllOptions = {}): EventCursor<StoredEvent> {
    checkOptionNames(options, ["after", "through", "limit", "direction", "signal"], "readAll");
    const after = integerOption(options.after, "after", { ...LSN_RANGE, default: 0 });
    const last = integerOption(options.through, "through", { ...LSN_RANGE, default: LSN_RANGE.max });
    const limit = integerOption(options.limit, "limit", { min: 0, max: NO_LIMIT, default: NO_LIMIT });
    const direction = choiceOption(options.direction, "direction", DIRECTIONS, "forwards");
    const signal = checkedSignal(options.signal);
    const through = Math.min(last, this.#log.watermark);
    const batches =
      direction === "forwards" ? this.#batches(after, through, signal) : this.#batchesBackwards(after, through, signal);
    return new EventCursor(this.#heard(batches), limit, { signal });
  }

  readStream(stream: string, options: ReadStreamOptions = {}): EventCursor<StoredEvent> {
    checkStreamName(stream);
    checkOptionNames(options, ["from", "to", "limit", "direction", "signal"], "readStream");
    const direction = choiceOption(options.direction, "direction", DIRECTIONS, "forwards");
    const limit = integerOption(options.limit, "limit", { min: 0, max: NO_LIMIT, default: NO_LIMIT });
    const signal = checkedSignal(options.signal);
    const range = { min: 1, max: Number.MAX_SAFE_INTEGER };
    const forwards = direction === "forwards";
    const from = integerOption(options.from, "from", { ...range, default: forwards ? range.min : range.max });
    const to = integerOption(options.to, "to", { ...range, default: forwards ? range.max : range.min });
    const batches = this.#streamBetween(stream, { from, to, forwards }, this.#log.watermark, signal);
    return new EventCursor(this.#heard(batches), limit, { signal });
  }

  /** The part of the stream that was visible when W was `through`. */
  async *#streamBetween(
    stream: string,
    wanted: { readonly from: number; readonly to: number; readonly forwards: boolean },
    through: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    const { from, to, forwards } = wanted;
    const { last, left } = await this.#streamAt(stream, through, forwards && from === 1);
    const versions = forwards
      ? { first: Math.max(from, left.firstVersion), final: Math.min(to, last), step: 1 }
      : { first: Math.min(from, last), final: Math.max(to, left.firstVersion), step: -1 };
    yield* leftOf(this.#streams.batches(stream, versions, signal), left, forwards);
  }

  /** The version that the stream had at an LSN, which is visible, and what is left of it by what was said of it. */
  async #streamAt(
    stream: string,
    lsn: number,
    isAllWanted = false,
  ): Promise<{ readonly last: number; readonly left: StreamRest }> {
    this.#checkOpen();
    if (!this.retention.isCaughtUp(lsn)) await this.retention.catchUp(lsn);
    const last = await this.#history.versionAt(stream, lsn, isAllWanted);
    const { state } = this.retention;
    return { last, left: state.isEmpty ? WHOLE_STREAM : restOf(stream, state.of(stream), last, Date.now() * 1000) };
  }

  /** @throws StoreError `ERR_STREAM_TOMBSTONED` */
  async standingOf(stream: string): Promise<StreamStanding> {
    checkStreamName(stream);
    const { last, left } = await this.#streamAt(stream, this.#log.watermark);
    return { version: last, deletedThrough: this.retention.state.deletedThrough(stream), rest: left };
  }

  subscribe(options: SubscribeOptions = {}): EventCursor<StoredEvent> {
    checkOptionNames(options, ["after", "stream", "signal"], "subscribe");
    const after = integerOption(options.after, "after", { ...LSN_RANGE, default: 0 });
    if (options.stream !== undefined) checkStreamName(options.stream);
    const signal = checkedSignal(options.signal);
    const pause: Pause = { isEnded: false, end: null };
    const onReturn = (): void => {
      pause.isEnded = true;
      pause.end?.();
    };
    return new EventCursor(this.#subscription(after, options.stream, signal, pause), NO_LIMIT, { signal, onReturn });
  }

  /**
   * Reads up to W, waits until W has moved, and goes on: nothing is buffered, so a slow reader costs nothing. Ends when the store closes,
   * whether it has caught up by then or not; throws when what should come is damaged.
   */
  async *#subscription(
    after: number,
    stream: string | undefined,
    signal: AbortSignal | undefined,
    pause: Pause,
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    let position = after;
    try {
      while (!this.#isClosed() && !pause.isEnded) {
        signal?.throwIfAborted();
        const through = this.#log.watermark;
        if (through > position) {
          if (stream === undefined) yield* this.#heard(this.#batches(position, through, signal));
          else yield* this.#heard(this.#streamAfter(stream, position, through, signal));
          position = through;
        } else {
          await this.#whenAdvanced(position, signal, pause);
        }
      }
    } catch (error) {
      if (!isStoreError(error, "ERR_STORE_CLOSED")) throw error;
    }
  }

  async *#streamAfter(
    stream: string,
    after: number,
    through: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    const { last, left } = await this.#streamAt(stream, through);
    const first = Math.max(left.firstVersion, (await this.#history.versionAt(stream, after)) + 1);
    yield* leftOf(this.#streams.batches(stream, { first, final: last, step: 1 }, signal), left, true);
  }

  /** Resolves when W has moved, the log has closed or the pause is ended; rejects when what should come is damaged. */
  #whenAdvanced(position: number, signal: AbortSignal | undefined, pause: Pause): Promise<void> {
    if (this.#log.watermark > position) return Promise.resolve();
    return new Promise((resolve, reject) => {
      // A subscriber keeps its process alive, as a listening socket does.
      const keepAlive = setInterval(() => {}, KEEP_ALIVE_MS);
      const stop = (): void => {
        clearInterval(keepAlive);
        unsubscribe();
        pause.end = null;
        signal?.removeEventListener("abort", aborted);
      };
      const aborted = (): void => {
        stop();
        reject(signal?.reason);
      };
      pause.end = (): void => {
        stop();
        resolve();
      };
      const unsubscribe = this.#log.onAdvance(() => {
        const { failure = null } = this.#log;
        stop();
        if (failure === null) resolve();
        else reject(failure);
      });
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  /** The ids of a stream's events from `firstVersion` on, and the LSN of the last; they are visible. */
  async readIds(stream: string, firstVersion: number, count: number): Promise<{ ids: string[]; lastLsn: number }> {
    const ids: string[] = [];
    let lastLsn = 0;
    const versions = { first: firstVersion, final: firstVersion + count - 1, step: 1 };
    for await (const events of this.#streams.batches(stream, versions, undefined)) {
      for (const { id, lsn } of events) {
        ids.push(id);
        lastLsn = lsn;
      }
    }
    return { ids, lastLsn };
  }

  /** Has the head remember the newest ids of its stream, where it knows none: when most of its events are sealed. */
  async loadIds(head: StreamHead): Promise<void> {
    if (head.idsKnownThrough >= 0) return;
    await this.#history.findBase(head);
    const { generation } = head;
    const ids = new Map<string, number>();
    let through = Math.max(0, head.indexedVersion - RECENT_IDS_MAX);
    // Events that others write meanwhile are indexed without their ids, for none are known yet: they are read too, until there are no more.
    while (through < head.indexedVersion && head.generation === generation) {
      const versions = { first: through + 1, final: head.indexedVersion, step: 1 };
      for await (const events of this.#streams.batches(head.name, versions, undefined)) {
        for (const { givenId, version } of events) if (givenId !== null) ids.set(givenId, version);
      }
      through = versions.final;
    }
    if (head.generation === generation) head.rememberIds(through, ids);
  }
}

/**
 * Reads the events of one stream by version, wherever they are, hidden ones included.
 *
 * A checkpoint can move events to the sealed tier between any two, and a scavenge can remove those at the beginning of the stream: what is not
 * there is passed over only if the sealed tier says so.
 */

import { StoreError } from "../errors.js";
import { type Frame, RECORD_HEADER_BYTES } from "../wal/index.js";
import { type EventDecoder, StoredEvent } from "./recorded-event.js";
import type { StreamHistory } from "./stream-history.js";

/** Events made at once. */
const EVENTS_PER_BATCH_MAX = 256;
/** Sealed events of one stream that are looked up at once. */
const LOOKED_UP_AT_ONCE = 1024;

/** Of one stream; `step` is 1, or −1 for the newest first. */
export interface Versions {
  readonly first: number;
  readonly final: number;
  readonly step: number;
}

/** Where the bodies of a frame's records begin and end. */
interface RecordRanges {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

function recordRanges({ body, header }: Frame): RecordRanges {
  const starts = new Uint32Array(header.recordCount);
  const ends = new Uint32Array(header.recordCount);
  let at = 0;
  for (let index = 0; index < header.recordCount; index++) {
    starts[index] = at + RECORD_HEADER_BYTES;
    at += RECORD_HEADER_BYTES + body.readUInt32LE(at);
    ends[index] = at;
  }
  return { starts, ends };
}

/** Finds records of one frame after the other. Most often it is one of a hundred: it walks there, and only who goes backwards makes a table. */
class RecordFinder {
  #frame: Frame | null = null;
  #ranges: RecordRanges | null = null;
  #index = 0;
  #at = 0;
  /** Of the record that was found: `body[start, end)`; empty for one that was removed. */
  start = 0;
  end = 0;

  find(frame: Frame, index: number): void {
    const { body } = frame;
    if (frame !== this.#frame) {
      this.#frame = frame;
      this.#ranges = null;
      this.#index = 0;
      this.#at = 0;
    }
    if (index < this.#index) this.#ranges ??= recordRanges(frame);
    if (this.#ranges !== null) {
      this.start = this.#ranges.starts[index] as number;
      this.end = this.#ranges.ends[index] as number;
      return;
    }
    for (; this.#index < index; this.#index++) this.#at += RECORD_HEADER_BYTES + body.readUInt32LE(this.#at);
    this.start = this.#at + RECORD_HEADER_BYTES;
    this.end = this.start + body.readUInt32LE(this.#at);
  }
}

/** Where events that are in the log's tail are read. */
export interface TailFrames {
  frameOf(lsn: number): Promise<Frame>;
}

export class StreamReader {
  readonly #log: TailFrames;
  readonly #history: StreamHistory;
  readonly #decoder: EventDecoder;
  readonly #checkOpen: () => void;

  constructor(log: TailFrames, history: StreamHistory, decoder: EventDecoder, checkOpen: () => void) {
    this.#log = log;
    this.#history = history;
    this.#decoder = decoder;
    this.#checkOpen = checkOpen;
  }

  /** The stream's events from version `first` to `final` that are on the disk, in pieces. */
  async *batches(
    stream: string,
    { first, final, step }: Versions,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly StoredEvent[], void, undefined> {
    let version = first;
    while ((final - version) * step >= 0) {
      signal?.throwIfAborted();
      this.#checkOpen();
      const asked = version;
      const rest = { first: version, final, step };
      const isInTail = this.#history.lsnOf(stream, version) !== undefined;
      for await (const events of isInTail ? this.#tailBatch(stream, rest) : this.#sealedBatches(stream, rest)) {
        signal?.throwIfAborted();
        this.#checkOpen();
        version = (events[0] as StoredEvent).version + events.length * step;
        yield events;
      }
      if (version !== asked || isInTail || this.#history.lsnOf(stream, version) !== undefined) continue;
      const start = await this.#history.startOf(stream);
      if (start <= version) throw lostEvent(stream, version);
      if (step < 0) return;
      version = start;
    }
  }

  /** The first of these events, which is in the tail, and those behind it that share its frame. */
  async *#tailBatch(stream: string, { first, final, step }: Versions): AsyncGenerator<StoredEvent[], void, undefined> {
    const frame = await this.#log.frameOf(this.#history.lsnOf(stream, first) as number);
    const { firstLsn, recordCount } = frame.header;
    const record = new RecordFinder();
    let events: StoredEvent[] = [];
    for (let version = first; (final - version) * step >= 0; version += step) {
      const lsn = this.#history.lsnOf(stream, version);
      if (lsn === undefined) break; // sealed, since the frame was asked for
      const at = lsn - firstLsn;
      if (at < 0 || at >= recordCount) break;
      record.find(frame, at);
      if (record.start === record.end) break;
      if (events.length === EVENTS_PER_BATCH_MAX) {
        yield events;
        events = [];
      }
      events.push(new StoredEvent(this.#decoder, frame, record.start, record.end, lsn));
    }
    if (events.length > 0) yield events;
  }

  /** Those of these events that are sealed and left, some of them. Only the blocks that hold them are read. */
  async *#sealedBatches(
    stream: string,
    { first, final, step }: Versions,
  ): AsyncGenerator<StoredEvent[], void, undefined> {
    const end =
      step > 0 ? Math.min(final, first + LOOKED_UP_AT_ONCE - 1) : Math.max(final, first - LOOKED_UP_AT_ONCE + 1);
    const lsns = await this.#history.sealedLsns(stream, Math.min(first, end), Math.max(first, end));
    if (step < 0) lsns.reverse();
    let version: number | null = null;
    let index = 0;
    const record = new RecordFinder();
    let events: StoredEvent[] = [];
    for await (const frame of this.#history.sealed.framesOf(lsns)) {
      const lsn = lsns[index++] as number;
      record.find(frame, lsn - frame.header.firstLsn);
      if (record.start === record.end) break; // removed, since the LSNs were asked for
      const event = new StoredEvent(this.#decoder, frame, record.start, record.end, lsn);
      version ??= await this.#firstLeft(stream, first, event.version);
      if (event.version !== version) throw lostEvent(stream, version);
      version += step;
      events.push(event);
      if (events.length === EVENTS_PER_BATCH_MAX) {
        yield events;
        events = [];
      }
    }
    if (events.length > 0) yield events;
  }

  /** With which version the sealed events begin: the one that was asked for, or the first that was not removed. */
  async #firstLeft(stream: string, asked: number, found: number): Promise<number> {
    if (found <= asked) return asked;
    return Math.max(asked, await this.#history.startOf(stream));
  }
}

function lostEvent(stream: string, version: number): StoreError {
  const message = `version ${version} of stream ${stream} is neither sealed nor in the log`;
  return new StoreError("ERR_WAL_CORRUPT", message, { stream, version });
}

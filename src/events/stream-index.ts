/**
 * Every stream's head and the LSNs of its events, in memory, rebuilt when the log is opened.
 *
 * A head has two versions: `version` counts what this writer has put into batches, durable or not, and expected versions are judged
 * by it; `lsns` holds only what is durable. An append that fails takes its versions back; whatever was built upon it fails with it.
 */

import { ByteInterner } from "./byte-interner.js";
import { streamField } from "./envelope.js";

/** How many of a stream's event ids are remembered for appends that expect any version. */
export const RECENT_IDS_MAX = 1000;

export class StreamHead {
  readonly name: string;
  /** The stream's field of the envelope, encoded once. */
  readonly field: Uint8Array;
  /** The version of the last event put into a batch; 0 for an absent stream. */
  version = 0;
  /** LSN of the event with version i + 1, for durable events. */
  readonly lsns: number[] = [];
  /** Id → version of the newest events that came with an id, oldest first. */
  recentIds: Map<string, number> | null = null;
  /** Above this version every id is in `recentIds`. */
  idsForgottenThrough = 0;

  constructor(name: string) {
    this.name = name;
    this.field = streamField(name);
  }

  /** The version that readers see. */
  get durableVersion(): number {
    return this.lsns.length;
  }

  rememberId(id: string, version: number): void {
    this.recentIds ??= new Map();
    this.recentIds.set(id, version);
    if (this.recentIds.size > RECENT_IDS_MAX) {
      for (const [oldest, at] of this.recentIds) {
        this.recentIds.delete(oldest);
        this.idsForgottenThrough = at;
        break;
      }
    }
  }

  /** Takes back the versions above `version`, with their ids. */
  revertTo(version: number): void {
    this.version = version;
    if (this.recentIds === null) return;
    for (const [id, at] of this.recentIds) if (at > version) this.recentIds.delete(id);
  }

  /** Position in `lsns` of the first LSN greater than `lsn`. */
  firstAfter(lsn: number): number {
    const { lsns } = this;
    let low = 0;
    let high = lsns.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((lsns[middle] as number) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class StreamIndex {
  readonly #heads = new Map<string, StreamHead>();
  readonly #byBytes = new ByteInterner<StreamHead>();

  get(name: string): StreamHead | undefined {
    return this.#heads.get(name);
  }

  /** Streams that have durable events. */
  get streamCount(): number {
    let count = 0;
    for (const head of this.#heads.values()) if (head.lsns.length > 0) count++;
    return count;
  }

  /** The head of a stream that is about to be written to. */
  add(name: string): StreamHead {
    const head = new StreamHead(name);
    this.#heads.set(name, head);
    return head;
  }

  /** Forgets a head that nothing was written to. */
  drop(head: StreamHead): void {
    if (head.version === 0 && head.lsns.length === 0) this.#heads.delete(head.name);
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
}

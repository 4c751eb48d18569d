/**
 * Goes through the records of frames without making an object for each: for a replay of millions, which looks at a few fields of most of them.
 *
 * Events of one stream and one type follow each other mostly, and their records begin with the same bytes but for the version. So a record that
 * begins as the one before it need not be taken apart field by field.
 */

import type { Frame } from "../wal/index.js";
import { RECORD_HEADER_BYTES } from "../wal/index.js";
import {
  CONTENT_PROTOBUF,
  CONTENT_SEALED,
  EnvelopeView,
  TAG_CONTENT,
  TAG_PAYLOAD,
  TAG_TYPE,
  TAG_VERSION,
} from "./envelope.js";

/** What names of types mean. */
export interface TypeNames {
  /** The same string for the same name. */
  typeAt(bytes: Buffer, start: number, end: number): { readonly type: string };
}

const NO_BYTES = Buffer.alloc(0);
/** A version of one byte, a payload's tag and its length. */
const ROOM_BYTES = 3;
const NO_VIEW = new DataView(NO_BYTES.buffer);

export class RecordCursor {
  /** The body of a frame. The record is `bytes[start, end)`, its payload `bytes[payloadStart, payloadEnd)`. */
  bytes: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  lsn = 0;
  recordedAt = 0;
  type = "";
  payloadStart = 0;
  payloadEnd = 0;
  /** Its content is encrypted under the key of a subject. */
  isSealed = false;
  readonly #names: TypeNames;
  readonly #view = new EnvelopeView();
  #nextLsn = 1;
  #endLsn = 0;
  #next = 0;
  /** Of `bytes`. */
  #words: DataView = NO_VIEW;
  // Of the last record that was taken apart and had nothing but stream, version, type and content: where it begins with how many bytes up to its
  // version, and where with how many its type. −1: there is none in this frame.
  #knownAt = -1;
  #knownBytes = 0;
  #knownTypeAt = 0;
  #knownTypeBytes = 0;

  constructor(names: TypeNames) {
    this.#names = names;
  }

  /** Stands before the records of a frame with LSNs in (`after`, `through`]. */
  open({ body, header }: Frame, after: number, through: number): void {
    const { firstLsn, recordCount, recordedAt } = header;
    this.bytes = body;
    this.#words = new DataView(body.buffer, body.byteOffset, body.length);
    this.#knownAt = -1;
    this.recordedAt = recordedAt;
    this.#nextLsn = firstLsn;
    this.#endLsn = Math.min(through + 1, firstLsn + recordCount);
    this.#next = 0;
    while (this.#nextLsn <= after && this.#nextLsn < this.#endLsn) this.#pass();
    this.#passRemoved();
  }

  /** Where the next record ends; null: there is none. */
  get nextEnd(): number | null {
    if (this.#nextLsn >= this.#endLsn) return null;
    return this.#next + RECORD_HEADER_BYTES + this.#words.getUint32(this.#next, true);
  }

  /** Where the next record's header begins, or where the records ended. */
  get nextStart(): number {
    return this.#next;
  }

  /** Goes to the next record, which there is. */
  advance(): void {
    const { bytes } = this;
    const view = this.#view;
    this.lsn = this.#nextLsn;
    this.start = this.#next + RECORD_HEADER_BYTES;
    this.#pass();
    this.end = this.#next;
    this.#passRemoved();
    if (this.#beginsAsKnown()) return;
    view.decode(bytes, this.start, this.end);
    this.isSealed = view.content === CONTENT_SEALED;
    this.type = this.#names.typeAt(bytes, view.typeStart, view.typeEnd).type;
    this.payloadStart = view.payloadStart;
    this.payloadEnd = view.payloadEnd;
    this.#know(view);
  }

  /** Whether the record is as the known one but for its version and its payload; then its fields are set. */
  #beginsAsKnown(): boolean {
    const { bytes, start, end } = this;
    const known = this.#knownAt;
    if (known < 0 || end - start < this.#knownBytes + this.#knownTypeBytes + ROOM_BYTES) return false;
    if (!this.#isSame(start, known, this.#knownBytes)) return false;
    let at = start + this.#knownBytes;
    while ((bytes[at++] as number) >= 0x80) if (at === end) return false;
    if (end - at < this.#knownTypeBytes + 2 || !this.#isSame(at, this.#knownTypeAt, this.#knownTypeBytes)) return false;
    at += this.#knownTypeBytes;
    if (bytes[at++] !== TAG_PAYLOAD) return false;
    let length = bytes[at++] as number;
    if (length >= 0x80) {
      const high = bytes[at++] as number;
      if (high >= 0x80) return false;
      length = (length & 0x7f) | (high << 7);
    }
    const payloadEnd = at + length;
    if (payloadEnd !== end) {
      const hasContent = bytes[payloadEnd] === TAG_CONTENT && bytes[payloadEnd + 1] === CONTENT_PROTOBUF;
      if (payloadEnd + 2 !== end || !hasContent) return false;
    }
    this.payloadStart = at;
    this.payloadEnd = payloadEnd;
    return true;
  }

  #know({ streamEnd, typeStart, typeEnd, idEnd, metadataEnd }: EnvelopeView): void {
    const { bytes, start } = this;
    this.#knownAt = -1;
    if (this.isSealed || idEnd > 0 || metadataEnd > 0 || bytes[streamEnd] !== TAG_VERSION) return;
    let at = streamEnd + 1;
    while ((bytes[at++] as number) >= 0x80);
    if (bytes[at] !== TAG_TYPE || typeStart < at || typeStart > at + ROOM_BYTES) return;
    this.#knownAt = start;
    this.#knownBytes = streamEnd + 1 - start;
    this.#knownTypeAt = at;
    this.#knownTypeBytes = typeEnd - at;
  }

  #isSame(a: number, b: number, byteLength: number): boolean {
    const words = this.#words;
    let at = 0;
    for (const last = byteLength - 4; at <= last; at += 4)
      if (words.getInt32(a + at, true) !== words.getInt32(b + at, true)) return false;
    for (; at < byteLength; at += 1) if (this.bytes[a + at] !== this.bytes[b + at]) return false;
    return true;
  }

  #pass(): void {
    this.#next += RECORD_HEADER_BYTES + this.#words.getUint32(this.#next, true);
    this.#nextLsn += 1;
  }

  /** Removed records have no bytes. */
  #passRemoved(): void {
    while (this.#nextLsn < this.#endLsn && this.#words.getUint32(this.#next, true) === 0) this.#pass();
  }
}

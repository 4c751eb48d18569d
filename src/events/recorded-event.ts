/** An event read from the log: a view of its record, decoded as far as somebody asks. */

import { inspect } from "node:util";
import { StoreError } from "../errors.js";
import { ByteInterner } from "./byte-interner.js";
import { CONTENT_JSON, CONTENT_PROTOBUF, CONTENT_SEALED, EnvelopeView } from "./envelope.js";
import type { SchemaRegistry } from "./schema-registry.js";
import { openContent, type SubjectContent } from "./subjects.js";

/** Type names remembered as strings; above it they are decoded each time. */
const TYPE_NAMES_MAX = 65_536;

const NOT_DECODED: unique symbol = Symbol("not decoded");

/** What the events of one store share. */
export class EventDecoder {
  readonly registry: SchemaRegistry;
  readonly view: EnvelopeView = new EnvelopeView();
  /** Opens what is sealed under the key of a subject; without it, it stays sealed. */
  openContent: ContentOpener = (view, bytes, start, end) => openContent(null, null, view, bytes, start, end);
  readonly #storeIdHex: string;
  readonly #types = new ByteInterner<string>();

  constructor(registry: SchemaRegistry, storeId: Uint8Array) {
    this.registry = registry;
    this.#storeIdHex = Buffer.from(storeId).toString("hex");
  }

  typeName(bytes: Buffer, start: number, end: number): string {
    const known = this.#types.get(bytes, start, end);
    if (known !== undefined) return known;
    const name = bytes.toString("utf8", start, end);
    if (this.#types.size < TYPE_NAMES_MAX) this.#types.add(bytes, start, end, name);
    return name;
  }

  /** The id of an event that was given none: a UUID of version 8 (RFC 9562) from the store's id and the LSN. */
  derivedId(lsn: number): string {
    const s = this.#storeIdHex;
    const l = lsn.toString(16).padStart(14, "0");
    return `${s.slice(0, 8)}-${s.slice(8, 12)}-8${s.slice(12, 15)}-8${s.slice(15, 16)}${l.slice(0, 2)}-${l.slice(2)}`;
  }
}

export type ContentOpener = (view: EnvelopeView, bytes: Buffer, start: number, end: number) => SubjectContent;

/** A record's place: what the events of one frame share. */
export interface EventFrame {
  readonly body: Buffer;
  readonly header: { readonly recordedAt: number };
}

/**
 * The class behind the public type `RecordedEvent`. Also serves as the raw event of projections, whose replay makes millions of
 * these: so it holds what they look at and finds the rest in the record again when somebody asks.
 */
export class StoredEvent {
  readonly lsn: number;
  readonly version: number;
  readonly type: string;
  payloadStart: number;
  payloadEnd: number;
  readonly #frame: EventFrame;
  readonly #decoder: EventDecoder;
  readonly #start: number;
  #end: number;
  #stream: string | undefined;
  #data: unknown = NOT_DECODED;
  #metadata: Readonly<Record<string, unknown>> | undefined;
  /** Null for an event without a subject. */
  subjectContent: SubjectContent | null;

  /** The record lies in the frame's body at `[start, end)`. */
  constructor(decoder: EventDecoder, frame: EventFrame, start: number, end: number, lsn: number) {
    const { view } = decoder;
    const { body } = frame;
    view.decode(body, start, end);
    const content = view.content === CONTENT_SEALED ? decoder.openContent(view, body, start, end) : null;
    this.subjectContent = content;
    this.lsn = lsn;
    if (content?.status === "open") {
      const { record } = content;
      view.decode(record, 0, record.length);
      this.version = view.version;
      this.type = decoder.typeName(record, view.typeStart, view.typeEnd);
      this.payloadStart = view.payloadStart;
      this.payloadEnd = view.payloadEnd;
      this.#frame = { body: record, header: frame.header };
      this.#decoder = decoder;
      this.#start = 0;
      this.#end = record.length;
      return;
    }
    this.version = view.version;
    this.type = decoder.typeName(body, view.typeStart, view.typeEnd);
    this.payloadStart = view.payloadStart;
    this.payloadEnd = view.payloadEnd;
    this.#frame = frame;
    this.#decoder = decoder;
    this.#start = start;
    this.#end = end;
  }

  /** The fields of the record again; valid until the next event is looked at. */
  #view(): EnvelopeView {
    const { view } = this.#decoder;
    view.decode(this.bytes, this.#start, this.#end);
    return view;
  }

  get recordedAt(): number {
    return this.#frame.header.recordedAt;
  }

  /** The frame's body, of which this event's payload is `bytes[payloadStart, payloadEnd)`. */
  get bytes(): Buffer {
    return this.#frame.body;
  }

  get stream(): string {
    if (this.#stream === undefined) {
      const { streamStart, streamEnd } = this.#view();
      this.#stream = this.bytes.toString("utf8", streamStart, streamEnd);
    }
    return this.#stream;
  }

  get id(): string {
    const { idStart, idEnd } = this.#view();
    return idEnd === idStart ? this.#decoder.derivedId(this.lsn) : this.bytes.toString("utf8", idStart, idEnd);
  }

  /** The id that the event came with; null when it came without. */
  get givenId(): string | null {
    const { idStart, idEnd } = this.#view();
    return idEnd === idStart ? null : this.bytes.toString("utf8", idStart, idEnd);
  }

  /** Takes the content away that was opened, before anybody has looked at it. */
  forgetContent(): void {
    const content = this.subjectContent;
    if (content?.status !== "open") return;
    const { keyId, record, sealedBytes } = content;
    record.fill(0, sealedBytes);
    this.#end = sealedBytes;
    this.payloadStart = sealedBytes;
    this.payloadEnd = sealedBytes;
    this.subjectContent = { status: "forgotten", keyId };
  }

  /** Null: it has no subject. */
  get subjectKeyId(): string | null {
    return this.subjectContent?.keyId ?? null;
  }

  /** Whether the event's subject was forgotten. */
  get forgotten(): boolean {
    return this.subjectContent?.status === "forgotten";
  }

  /** Empty where the subject was forgotten. @throws StoreError `ERR_KEY_MISSING`, `ERR_WAL_TAMPERED` */
  get payload(): Uint8Array {
    this.#assertReadable();
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /** @throws StoreError `ERR_EVENTS_SCHEMA` for a protobuf type that is not registered, or whose schema does not fit the payload. */
  get data(): unknown {
    if (this.#data === NOT_DECODED) this.#data = this.#decodeData();
    return this.#data;
  }

  #assertReadable(): void {
    if (this.subjectContent?.status === "refused") throw this.subjectContent.error;
  }

  #decodeData(): unknown {
    this.#assertReadable();
    if (this.forgotten) return undefined;
    const { payloadStart, payloadEnd } = this;
    const { content } = this.#view();
    if (content === CONTENT_PROTOBUF) return this.#decoder.registry.decode(this.type, this.payload);
    if (content !== CONTENT_JSON) {
      const message = `the data of the event with LSN ${this.lsn} is encoded in a way that only a newer version reads`;
      throw new StoreError("ERR_WAL_VERSION", message, { lsn: this.lsn, content });
    }
    if (payloadEnd === payloadStart) return undefined;
    return JSON.parse(this.bytes.toString("utf8", payloadStart, payloadEnd));
  }

  get metadata(): Readonly<Record<string, unknown>> {
    this.#metadata ??= this.#decodeMetadata();
    return this.#metadata;
  }

  #decodeMetadata(): Readonly<Record<string, unknown>> {
    this.#assertReadable();
    const { metadataStart, metadataEnd } = this.#view();
    if (metadataEnd === metadataStart) return {};
    return JSON.parse(this.bytes.toString("utf8", metadataStart, metadataEnd)) as Record<string, unknown>;
  }

  /**
   * All that can be shown of the event: `payload` stands in the place of data that cannot be decoded, and of content under a subject's key that
   * is not there `sealed: true`.
   */
  describe(): Record<string, unknown> {
    const { id, type, stream, version, lsn, recordedAt } = this;
    return { id, type, ...this.#describeContent(), stream, version, lsn, recordedAt };
  }

  #describeContent(): Record<string, unknown> {
    const { subjectContent } = this;
    const about = subjectContent === null ? {} : { subjectKeyId: subjectContent.keyId };
    if (subjectContent?.status === "refused") return { ...about, sealed: true };
    if (subjectContent?.status === "forgotten") return { ...about, forgotten: true };
    const { metadata } = this;
    try {
      return { data: this.data, metadata, ...about };
    } catch {
      return { payload: this.payload, metadata, ...about };
    }
  }

  /** `describe` for `JSON.stringify`: bigints, bytes and the numbers that JSON lacks as the texts that protobuf's own JSON has for them. */
  toJSON(): Record<string, unknown> {
    return jsonOf(this.describe()) as Record<string, unknown>;
  }
}

function jsonOf(value: unknown): unknown {
  if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value))) return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64");
  if (Array.isArray(value)) return value.map(jsonOf);
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) copy[key] = jsonOf(item);
  return copy;
}

// What `console.log` shows. Outside of the class, because a computed name has no place in a declaration file.
Object.defineProperty(StoredEvent.prototype, inspect.custom, {
  value(this: StoredEvent) {
    return this.describe();
  },
});

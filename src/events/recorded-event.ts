/** An event read from the log: a view of its record, decoded as far as somebody asks. */

import { inspect } from "node:util";
import { ByteInterner } from "./byte-interner.js";
import { CONTENT_JSON, EnvelopeView } from "./envelope.js";
import type { SchemaRegistry } from "./schema-registry.js";

/** Type names remembered as strings; above it they are decoded each time. */
const TYPE_NAMES_MAX = 65_536;

/** What the events of one store share. */
export class EventDecoder {
  readonly registry: SchemaRegistry;
  readonly view: EnvelopeView = new EnvelopeView();
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

/** The class behind the public type `RecordedEvent`. Also serves as the raw event of projections. */
export class StoredEvent {
  readonly lsn: number;
  readonly recordedAt: number;
  readonly version: number;
  readonly type: string;
  /** The frame's body, of which this event's payload is `bytes[payloadStart, payloadEnd)`. */
  readonly bytes: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  readonly #decoder: EventDecoder;
  readonly #content: number;
  readonly #streamStart: number;
  readonly #streamEnd: number;
  readonly #idStart: number;
  readonly #idEnd: number;
  readonly #metadataStart: number;
  readonly #metadataEnd: number;
  #stream: string | undefined;
  #data: unknown;
  #hasData = false;
  #metadata: Readonly<Record<string, unknown>> | undefined;

  constructor(decoder: EventDecoder, bytes: Buffer, start: number, end: number, lsn: number, recordedAt: number) {
    const { view } = decoder;
    view.decode(bytes, start, end);
    this.lsn = lsn;
    this.recordedAt = recordedAt;
    this.version = view.version;
    this.type = decoder.typeName(bytes, view.typeStart, view.typeEnd);
    this.bytes = bytes;
    this.payloadStart = view.payloadStart;
    this.payloadEnd = view.payloadEnd;
    this.#decoder = decoder;
    this.#content = view.content;
    this.#streamStart = view.streamStart;
    this.#streamEnd = view.streamEnd;
    this.#idStart = view.idStart;
    this.#idEnd = view.idEnd;
    this.#metadataStart = view.metadataStart;
    this.#metadataEnd = view.metadataEnd;
  }

  get stream(): string {
    this.#stream ??= this.bytes.toString("utf8", this.#streamStart, this.#streamEnd);
    return this.#stream;
  }

  get id(): string {
    if (this.#idEnd === this.#idStart) return this.#decoder.derivedId(this.lsn);
    return this.bytes.toString("utf8", this.#idStart, this.#idEnd);
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /** The decoded data. @throws StoreError `ERR_EVENTS_SCHEMA` for a protobuf type that is not registered. */
  get data(): unknown {
    if (!this.#hasData) {
      this.#data = this.#decodeData();
      this.#hasData = true;
    }
    return this.#data;
  }

  #decodeData(): unknown {
    if (this.#content !== CONTENT_JSON) return this.#decoder.registry.decode(this.type, this.payload);
    if (this.payloadEnd === this.payloadStart) return undefined;
    return JSON.parse(this.bytes.toString("utf8", this.payloadStart, this.payloadEnd));
  }

  get metadata(): Readonly<Record<string, unknown>> {
    this.#metadata ??= this.#decodeMetadata();
    return this.#metadata;
  }

  #decodeMetadata(): Readonly<Record<string, unknown>> {
    if (this.#metadataEnd === this.#metadataStart) return {};
    return JSON.parse(this.bytes.toString("utf8", this.#metadataStart, this.#metadataEnd)) as Record<string, unknown>;
  }

  toJSON(): Record<string, unknown> {
    const { id, type, data, metadata, stream, version, lsn, recordedAt } = this;
    return { id, type, data, metadata, stream, version, lsn, recordedAt };
  }
}

// What `console.log` shows. Outside of the class, because a computed name has no place in a declaration file.
Object.defineProperty(StoredEvent.prototype, inspect.custom, {
  value(this: StoredEvent) {
    return this.toJSON();
  },
});

/** Checks events as users hand them in and encodes their parts, so that nothing can fail once a batch is touched. */

import { StoreError } from "../errors.js";
import { CONTENT_JSON, CONTENT_PROTOBUF, measure, type PreparedEvent, typeField } from "./envelope.js";
import type { EventInput } from "./event.js";
import type { PayloadCodec, SchemaRegistry } from "./schema-registry.js";
import { UpcasterRegistry } from "./upcasters.js";

export const STREAM_NAME_BYTES_MAX = 1024;
const TYPE_NAME_BYTES_MAX = 512;
const EVENT_ID_BYTES_MAX = 256;
const SUBJECT_BYTES_MAX = 256;
/** Encoded type names kept; above it they are encoded each time. */
const TYPES_CACHED_MAX = 65_536;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Why a name cannot be stored, or null. A lone surrogate has no UTF-8, so it would not come back as it went in. */
function nameProblem(name: string, byteLengthMax: number): string | null {
  if (name.length === 0) return "it is empty";
  if (LONE_SURROGATE.test(name)) return "it has a lone surrogate";
  const byteLength = Buffer.byteLength(name);
  return byteLength > byteLengthMax ? `it takes ${byteLength} bytes of at most ${byteLengthMax}` : null;
}

/** @throws StoreError `ERR_EVENTS_INVALID_STREAM`; TypeError when it is no string. */
export function checkStreamName(stream: unknown): asserts stream is string {
  if (typeof stream !== "string") throw new TypeError(`a stream name must be a string, not ${typeof stream}`);
  const problem = nameProblem(stream, STREAM_NAME_BYTES_MAX);
  if (problem !== null) {
    throw new StoreError("ERR_EVENTS_INVALID_STREAM", `invalid stream name: ${problem}`, {
      stream: stream.slice(0, 100),
    });
  }
}

const EMPTY: PreparedEvent = {
  typeField: new Uint8Array(0),
  payload: "",
  payloadBytes: 0,
  content: CONTENT_JSON,
  id: null,
  metadata: null,
  subject: null,
  sealed: null,
  byteLengthMax: 0,
};

function encodePayload(prepared: PreparedEvent, codec: PayloadCodec, data: unknown, shared: boolean): void {
  if (shared && codec.encodeShared !== undefined) {
    const { buf, pos } = codec.encodeShared(data);
    prepared.payload = buf;
    prepared.payloadBytes = pos;
  } else {
    const bytes = codec.encode(data);
    prepared.payload = bytes;
    prepared.payloadBytes = bytes.length;
  }
}

interface KnownType {
  readonly field: Uint8Array;
  readonly codec: PayloadCodec | null;
}

export class EventPreparer {
  readonly #registry: SchemaRegistry;
  readonly #upcasters: UpcasterRegistry;
  readonly #types = new Map<string, KnownType>();
  readonly #shared: PreparedEvent = { ...EMPTY };

  constructor(registry: SchemaRegistry, upcasters: UpcasterRegistry = new UpcasterRegistry()) {
    this.#registry = registry;
    this.#upcasters = upcasters;
  }

  /** @throws TypeError for a wrong shape; StoreError `ERR_EVENTS_INVALID_EVENT`, `ERR_EVENTS_SCHEMA` */
  prepare(event: EventInput): PreparedEvent {
    return this.#prepare(event, false, { ...EMPTY });
  }

  /** `prepare` into memory that the next call overwrites: for an event that is written at once. */
  prepareShared(event: EventInput): PreparedEvent {
    return this.#prepare(event, true, this.#shared);
  }

  #prepare(event: EventInput, shared: boolean, prepared: PreparedEvent): PreparedEvent {
    if (typeof event !== "object" || event === null) throw new TypeError("an event must be an object");
    for (const key in event) {
      if (key !== "type" && key !== "data" && key !== "metadata" && key !== "id" && key !== "subject") {
        throw new TypeError(`an event has no field "${key}" (known: type, data, metadata, id, subject)`);
      }
    }
    const { field, codec } = this.#types.get(event.type) ?? this.#knownType(event.type);
    // What runs the caller's code (getters, toJSON) comes first, for it may append another event into the shared memory; the payload
    // is the last of it.
    const id = event.id === undefined ? null : checkedId(event.id);
    const subject = event.subject === undefined ? null : checkedSubject(event.subject);
    const metadata = event.metadata === undefined ? null : metadataText(event.type, event.metadata);
    if (codec === null) {
      const text = jsonText(event.type, "data", event.data);
      prepared.payload = text;
      prepared.payloadBytes = Buffer.byteLength(text);
    } else {
      encodePayload(prepared, codec, event.data, shared);
    }
    prepared.content = codec === null ? CONTENT_JSON : CONTENT_PROTOBUF;
    prepared.typeField = field;
    prepared.id = id;
    prepared.metadata = metadata;
    prepared.subject = subject;
    measure(prepared);
    return prepared;
  }

  #knownType(type: unknown): KnownType {
    if (typeof type !== "string") throw new TypeError(`event.type must be a string, not ${typeof type}`);
    const name = this.#upcasters.storedNameOf(type);
    const problem = nameProblem(name, TYPE_NAME_BYTES_MAX);
    if (problem !== null)
      throw new StoreError("ERR_EVENTS_INVALID_EVENT", `invalid event type: ${problem}`, { problem });
    const known = { field: typeField(name), codec: this.#registry.forAppend(type).codec };
    if (this.#types.size < TYPES_CACHED_MAX) this.#types.set(type, known);
    return known;
  }
}

function checkedId(id: unknown): string {
  if (typeof id !== "string") throw new TypeError(`event.id must be a string, not ${typeof id}`);
  const problem = nameProblem(id, EVENT_ID_BYTES_MAX);
  if (problem !== null) throw new StoreError("ERR_EVENTS_INVALID_EVENT", `invalid event id: ${problem}`, { problem });
  return id;
}

/** @throws TypeError when it is no string; StoreError `ERR_EVENTS_INVALID_EVENT` */
export function checkedSubject(subject: unknown): string {
  if (typeof subject !== "string") throw new TypeError(`a subject must be a string, not ${typeof subject}`);
  const problem = nameProblem(subject, SUBJECT_BYTES_MAX);
  if (problem !== null) throw new StoreError("ERR_EVENTS_INVALID_EVENT", `invalid subject: ${problem}`, { problem });
  return subject;
}

/** JSON text; empty for undefined, which reads back as undefined. */
function jsonText(type: string, field: string, value: unknown): string {
  if (value === undefined) return "";
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw notJson(type, field, error);
  }
  if (text === undefined) {
    throw notJson(type, field, new TypeError(`it is a ${typeof value}`));
  }
  return text;
}

/** `cause` is whatever a getter or a `toJSON` has thrown. */
function notJson(type: string, field: string, cause: unknown): StoreError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the ${field} of an event of type ${type} cannot be written as JSON: ${why}`;
  return new StoreError("ERR_EVENTS_INVALID_EVENT", message, { type, field }, { cause });
}

function metadataText(type: string, metadata: unknown): string | null {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw new TypeError("event.metadata must be an object");
  }
  const text = jsonText(type, "metadata", metadata);
  return text === "{}" ? null : text;
}

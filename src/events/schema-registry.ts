/**
 * How the payload of an event type is encoded: registered protobuf types, codecs that come with Varve, and JSON for the rest.
 *
 * protobufjs writes 0 for a bigint given to a 64-bit field, and drops fields that the type does not have, both without a word; so
 * events are checked before they are encoded, and bigints go through `fromObject`, which takes them.
 */

import protobuf from "protobufjs";
import { StoreError } from "../errors.js";

/** Turns the `data` of one event type into payload bytes and back. */
export interface PayloadCodec {
  encode(data: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
  /** `encode` into memory that the next call overwrites: the payload is `buf[0, pos)`. For the hot path, which copies it at once. */
  encodeShared?(data: unknown): SharedPayload;
}

export interface SharedPayload {
  readonly buf: Uint8Array;
  readonly pos: number;
}

/** How one event type is stored. `codec` is null for JSON. */
export interface TypeSchema {
  readonly type: string;
  readonly codec: PayloadCodec | null;
}

const SIXTY_FOUR_BIT = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);

/** The first field of `data`, nested ones included, that the message type does not have. */
function unknownField(type: protobuf.Type, data: object): string | null {
  for (const key of Object.keys(data)) {
    const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
    if (field === undefined) return key;
    const nested = field.resolvedType;
    if (!(nested instanceof protobuf.Type)) continue;
    const value = (data as Record<string, unknown>)[key];
    const items = Array.isArray(value) ? value : field.map && value !== null ? Object.values(value as object) : [value];
    for (const item of items) {
      const inner = typeof item === "object" && item !== null ? unknownField(nested, item) : null;
      if (inner !== null) return `${key}.${inner}`;
    }
  }
  return null;
}

function hasWideField(type: protobuf.Type, seen = new Set<protobuf.Type>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  return type.fieldsArray.some(
    (field) =>
      SIXTY_FOUR_BIT.has(field.type) ||
      (field instanceof protobuf.MapField && SIXTY_FOUR_BIT.has(field.keyType)) ||
      (field.resolvedType instanceof protobuf.Type && hasWideField(field.resolvedType, seen)),
  );
}

/** Safe integers as numbers, only larger ones as bigints: the same rule as everywhere in the API. */
function narrow(value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  for (const [key, item] of Object.entries(value)) {
    const narrowed = narrow(item);
    if (narrowed !== item) (value as Record<string, unknown>)[key] = narrowed;
  }
  return value;
}

/** A writer that keeps its memory from message to message; null while one is being encoded, and after that failed half way. */
let idleWriter: protobuf.Writer | null = null;
/** A large message does not keep its memory. */
const IDLE_WRITER_BYTES_MAX = 1024 * 1024;

class MessageCodec implements PayloadCodec {
  readonly #type: protobuf.Type;
  readonly #wide: boolean;

  constructor(type: protobuf.Type) {
    this.#type = type;
    this.#wide = hasWideField(type);
  }

  encode(data: unknown): Uint8Array {
    return this.#type.encode(this.#checked(data)).finish();
  }

  encodeShared(data: unknown): SharedPayload {
    const message = this.#checked(data);
    const writer = idleWriter ?? protobuf.Writer.create();
    idleWriter = null;
    this.#type.encode(message, writer.reset());
    if (writer.buf.length <= IDLE_WRITER_BYTES_MAX) idleWriter = writer;
    return writer;
  }

  /** The message to encode. @throws StoreError `ERR_EVENTS_SCHEMA` when `data` is none of this type. */
  #checked(data: unknown): object {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw this.#mismatch("data must be an object of its fields");
    }
    const unknown = unknownField(this.#type, data);
    if (unknown !== null) throw this.#mismatch(`it has no field ${unknown}`);
    let message: object = data;
    let problem = this.#type.verify(data);
    if (problem !== null && this.#wide) {
      message = this.#fromObject(data);
      problem = this.#type.verify(message);
    }
    if (problem !== null) throw this.#mismatch(problem);
    return message;
  }

  /** For bigints and long texts of digits, which `verify` does not know. */
  #fromObject(data: object): object {
    try {
      return this.#type.fromObject(data);
    } catch (error) {
      throw this.#mismatch((error as Error).message);
    }
  }

  #mismatch(problem: string): StoreError {
    const type = this.#type.fullName.slice(1);
    return new StoreError("ERR_EVENTS_SCHEMA", `the event does not match ${type}: ${problem}`, { type, problem });
  }

  decode(bytes: Uint8Array): unknown {
    const message = this.#type.decode(bytes);
    const data = this.#type.toObject(message, { defaults: true, arrays: true, objects: true, longs: BigInt });
    return this.#wide ? narrow(data) : data;
  }
}

function unreadableSchema(file: string, cause: Error): StoreError {
  const message = `the schema ${file} cannot be loaded: ${cause.message}`;
  return new StoreError("ERR_EVENTS_SCHEMA", message, { file }, { cause });
}

export class SchemaRegistry {
  readonly #codecs = new Map<string, PayloadCodec>();
  readonly #strict: boolean;

  /** @throws StoreError `ERR_EVENTS_SCHEMA` when a .proto file cannot be read or parsed, naming it. */
  static async load(
    files: readonly string[],
    builtIn: ReadonlyMap<string, PayloadCodec>,
    strict: boolean,
  ): Promise<SchemaRegistry> {
    const registry = new SchemaRegistry(builtIn, strict);
    if (files.length > 0) {
      const root = new protobuf.Root();
      for (const file of files) {
        try {
          await root.load(file);
        } catch (error) {
          throw unreadableSchema(file, error as Error);
        }
      }
      root.resolveAll();
      registry.#addAll(root);
    }
    return registry;
  }

  private constructor(builtIn: ReadonlyMap<string, PayloadCodec>, strict: boolean) {
    this.#strict = strict;
    for (const [type, codec] of builtIn) this.#codecs.set(type, codec);
  }

  /** Every message type under its full name, and under its short name where only one type has it. */
  #addAll(root: protobuf.Root): void {
    const byShortName = new Map<string, PayloadCodec | null>();
    const visit = (parent: protobuf.NamespaceBase): void => {
      for (const nested of parent.nestedArray) {
        if (nested instanceof protobuf.Type) {
          const codec = new MessageCodec(nested);
          this.#codecs.set(nested.fullName.slice(1), codec);
          byShortName.set(nested.name, byShortName.has(nested.name) ? null : codec);
        }
        if (nested instanceof protobuf.Namespace) visit(nested);
      }
    };
    visit(root);
    for (const [name, codec] of byShortName) {
      if (codec !== null && !this.#codecs.has(name)) this.#codecs.set(name, codec);
    }
  }

  /** How events of this type are encoded when they are appended. */
  forAppend(type: string): TypeSchema {
    const codec = this.#codecs.get(type) ?? null;
    if (codec === null && this.#strict) {
      throw new StoreError("ERR_EVENTS_SCHEMA", `no protobuf type is registered for the event type ${type}`, { type });
    }
    return { type, codec };
  }

  /** Decodes a protobuf payload. */
  decode(type: string, payload: Uint8Array): unknown {
    const codec = this.#codecs.get(type);
    if (codec === undefined) {
      const message = `the event's data is of the protobuf type ${type}, which was not registered when the store was opened`;
      throw new StoreError("ERR_EVENTS_SCHEMA", message, { type });
    }
    return codec.decode(payload);
  }
}

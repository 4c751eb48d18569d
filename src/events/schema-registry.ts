/**
 * How the payload of an event type is encoded: registered protobuf types, codecs that come with Varve, and JSON for the rest.
 *
 * What protobufjs would store as something else without a word is refused by message-checker.ts before it is encoded.
 */

import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import protobuf from "protobufjs";
import { StoreError } from "../errors.js";
import { hasFieldLike, MessageChecker, WIDE_TYPES } from "./message-checker.js";

const WELL_KNOWN = "google.protobuf.";

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

/** Whether decoded messages need `settle`. */
function isWideOrBytes(field: protobuf.Field): boolean {
  return field.type === "bytes" || WIDE_TYPES.has(field.type);
}

/**
 * Gives what protobufjs decoded the form that it has everywhere in the API: safe integers as numbers and only larger ones as bigints,
 * bytes as a Uint8Array of their own, because protobufjs's is a view of the frame that other readers see too.
 */
function settle(value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  const record = value as Record<string, unknown>;
  for (const key of Object.keys(record)) {
    const item = record[key];
    if (typeof item === "bigint" || typeof item === "object") record[key] = settle(item);
  }
  return value;
}

/** A writer that keeps its memory from message to message; null while one is being encoded, and after that failed half way. */
let idleWriter: protobuf.Writer | null = null;
/** A large message does not keep its memory. */
const IDLE_WRITER_BYTES_MAX = 1024 * 1024;

class MessageCodec implements PayloadCodec {
  readonly #type: protobuf.Type;
  readonly #checker: MessageChecker;
  readonly #mustSettle: boolean;

  constructor(type: protobuf.Type, checker: MessageChecker) {
    this.#type = type;
    this.#checker = checker;
    this.#mustSettle = hasFieldLike(type, isWideOrBytes);
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
    const message = this.#checker.encodable(data);
    if (typeof message !== "string") return message;
    const type = nameOf(this.#type);
    throw new StoreError("ERR_EVENTS_SCHEMA", `the event does not match ${type}: ${message}`, {
      type,
      problem: message,
    });
  }

  /** @throws StoreError `ERR_EVENTS_SCHEMA` when the bytes are no message of this type: the schema is not the one they were written with. */
  decode(bytes: Uint8Array): unknown {
    try {
      const data = this.#type.toObject(this.#type.decode(bytes), TO_OBJECT);
      return this.#mustSettle ? settle(data) : data;
    } catch (error) {
      const type = nameOf(this.#type);
      const message = `the event's payload is no ${type} as its schema is now: ${(error as Error).message}`;
      throw new StoreError("ERR_EVENTS_SCHEMA", message, { type }, { cause: error });
    }
  }
}

const TO_OBJECT: protobuf.IConversionOptions = { defaults: true, arrays: true, objects: true, longs: BigInt };

function nameOf(type: protobuf.Type): string {
  return type.fullName.slice(1);
}

/** protoc takes imports as relative to an include path: here that is each folder above the importing file, the nearest first. */
function resolveImport(importing: string, imported: string): string {
  if (importing === "") return resolve(imported);
  for (let folder = dirname(importing); ; folder = dirname(folder)) {
    const path = resolve(folder, imported);
    if (existsSync(path)) return path;
    if (folder === dirname(folder)) return resolve(dirname(importing), imported);
  }
}

/** In one go, because protobufjs throws out of a callback, where nobody can catch it, when a type of the file cannot be found. */
function loadFile(root: protobuf.Root, file: string): void {
  try {
    root.loadSync(file);
  } catch (error) {
    const message = `the schema ${file} cannot be loaded: ${(error as Error).message}`;
    throw new StoreError("ERR_EVENTS_SCHEMA", message, { file }, { cause: error });
  }
}

export class SchemaRegistry {
  readonly #codecs = new Map<string, PayloadCodec>();
  readonly #strict: boolean;

  /** @throws StoreError `ERR_EVENTS_SCHEMA` when a .proto file cannot be read or parsed, naming it. */
  static load(files: readonly string[], builtIn: ReadonlyMap<string, PayloadCodec>, strict: boolean): SchemaRegistry {
    const registry = new SchemaRegistry(builtIn, strict);
    if (files.length > 0) {
      const root = new protobuf.Root();
      root.resolvePath = resolveImport;
      for (const file of files) loadFile(root, file);
      registry.#addAll(root);
    }
    return registry;
  }

  private constructor(builtIn: ReadonlyMap<string, PayloadCodec>, strict: boolean) {
    this.#strict = strict;
    for (const [type, codec] of builtIn) this.#codecs.set(type, codec);
  }

  /** Every message type under its full name, and under its short name where only one type has it. What comes with Varve stays as it is. */
  #addAll(root: protobuf.Root): void {
    const checkers = new Map<protobuf.Type, MessageChecker>();
    const byShortName = new Map<string, PayloadCodec | null>();
    const visit = (parent: protobuf.NamespaceBase): void => {
      for (const nested of parent.nestedArray) {
        if (nested instanceof protobuf.Type) {
          const codec = new MessageCodec(nested, checkers.get(nested) ?? new MessageChecker(nested, checkers));
          const name = nameOf(nested);
          if (!this.#codecs.has(name)) this.#codecs.set(name, codec);
          // Who imports google/protobuf/struct.proto does not mean its Value by an event of type "Value".
          if (!name.startsWith(WELL_KNOWN)) {
            byShortName.set(nested.name, byShortName.has(nested.name) ? null : codec);
          }
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

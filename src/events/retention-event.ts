/** The events of the stream `$retention`, as objects. schemas/varve/v1/retention.proto is the contract. */

import protobuf from "protobufjs";
import { StoreError } from "../errors.js";
import type { PayloadCodec } from "./schema-registry.js";

/** Streams whose names begin so are the store's own: users read them and cannot write to them, and nothing of them is ever removed. */
export const SYSTEM_PREFIX = "$";
export const RETENTION_STREAM = "$retention";

/** `data` of the events by their types, each without the package `varve.v1`. */
export interface RetentionEvents {
  StreamTruncated: { readonly stream: string; readonly beforeVersion: number };
  StreamDeleted: { readonly stream: string; readonly throughVersion: number };
  StreamTombstoned: { readonly stream: string };
  StreamsDeleted: { readonly prefix: string; readonly throughLsn: number };
  StreamsTombstoned: { readonly prefix: string };
  StreamRetentionSet: { readonly stream: string; readonly maxAgeMs?: number; readonly maxCount?: number };
  LogTruncated: { readonly throughLsn: number };
  LogScavenged: { readonly throughLsn: number; readonly removedRecords: number };
  SubjectKeysCreated: Readonly<Record<string, never>>;
  /** As hexadecimal digits. */
  SubjectForgotten: { readonly keyIds: readonly string[] };
}

export type RetentionEventName = keyof RetentionEvents;

const PACKAGE = "varve.v1.";
const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

/** Fields in the order of their numbers, which begin with 1. `"count?"` is optional; all others are always there. */
type FieldKind = "text" | "count" | "count?" | "ids";
const FIELDS: {
  readonly [Name in RetentionEventName]: readonly (readonly [keyof RetentionEvents[Name], FieldKind])[];
} = {
  StreamTruncated: [
    ["stream", "text"],
    ["beforeVersion", "count"],
  ],
  StreamDeleted: [
    ["stream", "text"],
    ["throughVersion", "count"],
  ],
  StreamTombstoned: [["stream", "text"]],
  StreamsDeleted: [
    ["prefix", "text"],
    ["throughLsn", "count"],
  ],
  StreamsTombstoned: [["prefix", "text"]],
  StreamRetentionSet: [
    ["stream", "text"],
    ["maxAgeMs", "count?"],
    ["maxCount", "count?"],
  ],
  LogTruncated: [["throughLsn", "count"]],
  LogScavenged: [
    ["throughLsn", "count"],
    ["removedRecords", "count"],
  ],
  SubjectKeysCreated: [],
  SubjectForgotten: [["keyIds", "ids"]],
};

/** The full name of a type. */
export function retentionType(name: RetentionEventName): string {
  return PACKAGE + name;
}

/** The type of the events that say that keys of subjects were destroyed. */
export const SUBJECT_FORGOTTEN: string = retentionType("SubjectForgotten");

/** The short name of a type of these; null for any other. */
export function retentionEventName(type: string): RetentionEventName | null {
  if (!type.startsWith(PACKAGE)) return null;
  const name = type.slice(PACKAGE.length);
  return Object.hasOwn(FIELDS, name) ? (name as RetentionEventName) : null;
}

/** For the event store's registry. */
export const retentionCodecs: ReadonlyMap<string, PayloadCodec> = new Map(
  (Object.keys(FIELDS) as RetentionEventName[]).map((name) => [
    retentionType(name),
    { encode: (data: unknown) => encode(name, data), decode: (bytes: Uint8Array) => decode(name, bytes) },
  ]),
);

function encode(name: RetentionEventName, data: unknown): Uint8Array {
  const values = data as Readonly<Record<string, unknown>>;
  const writer = protobuf.Writer.create();
  for (const [index, [field, kind]] of FIELDS[name].entries()) {
    const value = values[field];
    const number = (index + 1) * 8;
    if (kind === "text") {
      if (typeof value !== "string") throw new TypeError(`${name}.${field} must be a string`);
      writer.uint32(number + WIRE_BYTES).string(value);
    } else if (kind === "ids") {
      if (!Array.isArray(value)) throw new TypeError(`${name}.${field} must be an array`);
      for (const id of value as string[]) writer.uint32(number + WIRE_BYTES).bytes(Buffer.from(id, "hex"));
    } else if (value !== undefined || kind === "count") {
      if (!Number.isSafeInteger(value) || (value as number) < 0) {
        throw new TypeError(`${name}.${field} must be a whole number`);
      }
      writer.uint32(number + WIRE_VARINT).uint64(value as number);
    }
  }
  return writer.finish();
}

/** What a missing field means in proto3 is its zero, but for those that are optional. */
function decode<Name extends RetentionEventName>(name: Name, bytes: Uint8Array): RetentionEvents[Name] {
  const fields = FIELDS[name] as readonly (readonly [string, FieldKind])[];
  const values: Record<string, string | number | string[]> = {};
  for (const [field, kind] of fields)
    if (kind !== "count?") values[field] = kind === "text" ? "" : kind === "ids" ? [] : 0;
  try {
    const reader = protobuf.Reader.create(bytes);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const [field, kind] = fields[(tag >>> 3) - 1] ?? [];
      const wire = tag & 7;
      if (field === undefined || wire !== (kind === "text" || kind === "ids" ? WIRE_BYTES : WIRE_VARINT)) {
        reader.skipType(wire);
      } else if (kind === "ids") {
        (values[field] as string[]).push(Buffer.from(reader.bytes()).toString("hex"));
      } else values[field] = kind === "text" ? reader.string() : Number(reader.uint64());
    }
  } catch (cause) {
    throw new StoreError("ERR_EVENTS_SCHEMA", `no event of type ${retentionType(name)}`, { type: name }, { cause });
  }
  return values as unknown as RetentionEvents[Name];
}

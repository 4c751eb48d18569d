/** What users hand in and get back: events before and after they are recorded. */

/** The user's catalogue of events: one entry per type, its value the type of `data`. */
export type EventMap = Record<string, unknown>;

/**
 * An event to be appended.
 *
 * - `type`: 1 to 512 bytes of UTF-8. Where a registered protobuf type has that name, or alone that short name, `data` is checked and
 *   stored as a message of it; else as JSON, unless the store is opened with `strictSchemas`.
 * - `data` as JSON is what `JSON.stringify` makes of it: NaN becomes null, a Date a text, a field that is undefined is left out. `undefined`
 *   itself is kept. What `JSON.stringify` throws for, and a function or symbol, is refused.
 * - `data` as a message is an object of the type's fields in camelCase. Nothing is converted: a value of another type, an integer out of
 *   its range, a number beyond ±(2^53 − 1), a lone surrogate and a field that the type does not have are refused. 64-bit fields take
 *   safe integers and bigints, enums numbers; null and undefined mean absent. The texts that protobuf's own JSON has for bytes, 64-bit
 *   integers, enum values and NaN are taken too.
 * - `metadata`: a JSON object.
 * - `id`: 1 to 256 bytes. Makes a repeated append recognisable; without one, the id is derived from the LSN and costs no space.
 *
 * - `subject`: whom the event is about, 1 to 256 bytes. Its data and metadata are encrypted under a key of that subject alone, until
 *   `store.forget(subject)` destroys it. Needs `encryption.subjectKeys`. Stream, type and id stay readable.
 *
 * All of it is encoded before the append returns: what is changed afterwards is not what is stored.
 *
 * @example
 * ```ts
 * const event: EventInput = { type: "Deposited", data: { cents: 500 }, metadata: { correlationId: "c-1" }, id: "d-1" };
 * ```
 */
export type EventInput<Events extends EventMap = EventMap> = {
  [Type in keyof Events & string]: {
    readonly type: Type;
    readonly data: Events[Type];
    readonly metadata?: Readonly<Record<string, unknown>>;
    readonly id?: string;
    readonly subject?: string;
  };
}[keyof Events & string];

/**
 * An event as the log holds it, valid for as long as anybody keeps it, also after the store was closed. `data` and `metadata` are decoded
 * when they are first read.
 */
export type RecordedEvent<Events extends EventMap = EventMap> = {
  [Type in keyof Events & string]: {
    /** The id that was given, else a UUID of version 8 made of the store's id and the LSN: the same whenever it is read. */
    readonly id: string;
    /** Without the version that upcasters have given it. */
    readonly type: Type;
    /**
     * What was appended, or what upcasters have made of it. Of a protobuf type: absent fields with their defaults, but not those of a oneof and optional ones; 64-bit integers
     * as numbers where they are safe, else as bigints; bytes as a Uint8Array that belongs to the reader. Undefined where the event's subject is
     * forgotten.
     *
     * @throws StoreError `ERR_EVENTS_SCHEMA` for a protobuf type that is not registered, or whose schema does not fit the payload
     * @throws StoreError `ERR_EVENTS_UPCAST`, `ERR_EVENTS_UNKNOWN_VERSION` for an event of another version than its type has now
     * @throws StoreError `ERR_KEY_MISSING`, `ERR_WAL_TAMPERED` for an event of a subject: as `metadata` and `payload` do
     */
    readonly data: Events[Type];
    readonly metadata: Readonly<Record<string, unknown>>;
    readonly stream: string;
    /** The event's place in its stream, from 1. */
    readonly version: number;
    /** The event's place in the whole store, from 1. Rising; the only gaps are LSNs that a writer took and died with, which no event ever has. */
    readonly lsn: number;
    /** Transaction time in µs since 1970: never decreasing along the LSNs, whatever the clock did. */
    readonly recordedAt: number;
    /** The stored bytes of `data`: JSON text or a protobuf message. A view that others share: to be read, not to be written. */
    readonly payload: Uint8Array;
    /**
     * The id of the key of the event's subject, 32 hexadecimal digits, and null where it has none. The events of `$retention` of the type
     * `varve.v1.SubjectForgotten` name such ids (`data.keyIds`): who keeps something elsewhere that was made of an event can go by them.
     */
    readonly subjectKeyId: string | null;
    /** Whether its subject was forgotten: then there is no data, no payload and no metadata any more. */
    readonly forgotten: boolean;
  };
}[keyof Events & string];

/** `number`: exactly this version (0: the stream must be absent) · `"exists"` · `"absent"` · `"any"`: no check. */
export type ExpectedVersion = number | "any" | "exists" | "absent";

/**
 * When an append resolves.
 *
 * - `"sync"`: durable, in a batch of its own that is submitted at once.
 * - `"group"`: durable, in a batch shared with the appends of the same event-loop turn or of the write in flight.
 * - `"async"`: when it is buffered. It is written within `flushIntervalMs`, or with what else is written; a crash loses what was not.
 * - `"asyncBatched"`: when it is buffered, too, but it is written as soon as a `"group"` append would be; `whenDurable(epoch)` tells when it is
 *   durable.
 */
export type Durability = "sync" | "group" | "async" | "asyncBatched";

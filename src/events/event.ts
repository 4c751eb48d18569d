/** What users hand in and get back: events before and after they are recorded. */

/** The user's catalogue of events: one entry per type, its value the type of `data`. */
export type EventMap = Record<string, unknown>;

/**
 * An event to be appended.
 *
 * `data` is any JSON value, or, for a registered protobuf type, an object of that type's fields. `metadata` is a JSON
 * object. `id` makes a repeated append recognisable; without one, the id is derived from the LSN and costs no space.
 */
export type EventInput<Events extends EventMap = EventMap> = {
  [Type in keyof Events & string]: {
    readonly type: Type;
    readonly data: Events[Type];
    readonly metadata?: Readonly<Record<string, unknown>>;
    readonly id?: string;
  };
}[keyof Events & string];

/** An event as the log holds it. `data` and `metadata` are decoded when they are first read. */
export type RecordedEvent<Events extends EventMap = EventMap> = {
  [Type in keyof Events & string]: {
    readonly id: string;
    readonly type: Type;
    readonly data: Events[Type];
    readonly metadata: Readonly<Record<string, unknown>>;
    readonly stream: string;
    /** The event's place in its stream, from 1. */
    readonly version: number;
    /** The event's place in the whole store, from 1, without gaps. */
    readonly lsn: number;
    /** Transaction time in µs since 1970: never decreasing along the LSNs, whatever the clock did. */
    readonly recordedAt: number;
    /** The stored payload bytes of `data`, undecoded; valid for as long as the event. */
    readonly payload: Uint8Array;
  };
}[keyof Events & string];

/** `number`: exactly this version (0: the stream must be absent) · `"exists"` · `"absent"` · `"any"`: no check. */
export type ExpectedVersion = number | "any" | "exists" | "absent";

/**
 * When an append resolves.
 *
 * - `"sync"`: durable, in a batch of its own that is submitted at once.
 * - `"group"`: durable, in a batch shared with the appends of the same event-loop turn or of the write in flight.
 * - `"async"`: buffered; written within `flushIntervalMs`. A crash loses what was not yet written.
 * - `"asyncBatched"`: as `"async"`, and resolves with the batch's epoch for a later `whenDurable(epoch)`.
 */
export type Durability = "sync" | "group" | "async" | "asyncBatched";

/** Events that are said to have happened, as a store would give them back. */

import type { EventInput, EventMap, RecordedEvent } from "../events/index.js";

/** An event that has happened: in a stream, and at a time in µs, where that matters. */
export type GivenEvent<Events extends EventMap = EventMap> = EventInput<Events> & {
  /** Default `"specified"`. */
  readonly stream?: string;
  /** Default: 1 µs after the event before. */
  readonly recordedAt?: number;
};

const STREAM = "specified";
/** 2020-01-01; the same in every run. */
const FIRST_RECORDED_US = 1_577_836_800_000_000;

/** The events with LSNs from 1 and versions by stream. Their data are copies, so that nobody's changes are seen by the next reader. */
export function recordedEvents<Events extends EventMap>(given: readonly GivenEvent<Events>[]): RecordedEvent<Events>[] {
  const versions = new Map<string, number>();
  let recordedAt = FIRST_RECORDED_US;
  return given.map((input, index) => {
    const event = input as GivenEvent;
    if (typeof event !== "object" || event === null || typeof event.type !== "string") {
      throw new TypeError(`given event ${index + 1} must be an object with a type`);
    }
    const { type, data, metadata = {}, stream = STREAM } = event;
    const version = (versions.get(stream) ?? 0) + 1;
    versions.set(stream, version);
    recordedAt = event.recordedAt ?? recordedAt + 1;
    const lsn = index + 1;
    const recorded: RecordedEvent = {
      id: event.id ?? `specified-${lsn}`,
      type,
      data: structuredClone(data),
      metadata: structuredClone(metadata),
      stream,
      version,
      lsn,
      recordedAt,
      get payload() {
        return Buffer.from(JSON.stringify(data) ?? "");
      },
      subjectKeyId: null,
      forgotten: false,
    };
    return recorded as unknown as RecordedEvent<Events>;
  });
}

/** A list of what was given alone or as a list. */
export function listOf<Item>(items: Item | readonly Item[]): readonly Item[] {
  return Array.isArray(items) ? (items as readonly Item[]) : [items as Item];
}

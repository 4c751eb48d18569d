/** What the compiler accepts of a catalogue of events, and what it refuses. Compiled with everything else, never run. */

import type {
  AppendOptions,
  AppendResult,
  BufferedResult,
  EventInput,
  ExpectedVersion,
  RecordedEvent,
  StreamAppend,
} from "../../src/index.js";

/** A user's catalogue. An interface has no index signature, so it is a type. */
type BankEvents = {
  Deposited: { cents: number };
  Withdrawn: { cents: number; by: string };
  Closed: undefined;
};

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<_Proof extends true>(): void {}

export function inputs(): EventInput<BankEvents>[] {
  const good: EventInput<BankEvents>[] = [
    { type: "Deposited", data: { cents: 500 } },
    { type: "Withdrawn", data: { cents: 500, by: "alice" }, metadata: { correlationId: "c-1" }, id: "w-1" },
    { type: "Closed", data: undefined },
  ];
  const frozen: readonly EventInput<BankEvents>[] = Object.freeze([...good]);

  // @ts-expect-error: a type that is not in the catalogue
  good.push({ type: "Depositted", data: { cents: 500 } });
  // @ts-expect-error: the data of another type
  good.push({ type: "Withdrawn", data: { cents: 500 } });
  // @ts-expect-error: a field of another type
  good.push({ type: "Deposited", data: { cents: "500" } });
  // @ts-expect-error: a field that the data does not have
  good.push({ type: "Deposited", data: { cents: 500, euros: 5 } });
  // @ts-expect-error: no data
  good.push({ type: "Deposited" });
  // @ts-expect-error: a field that events do not have
  good.push({ type: "Deposited", data: { cents: 500 }, version: 1 });
  // @ts-expect-error: metadata is an object
  good.push({ type: "Deposited", data: { cents: 500 }, metadata: "c-1" });
  // @ts-expect-error: ids are strings
  good.push({ type: "Deposited", data: { cents: 500 }, id: 1 });
  return [...frozen];
}

export function withoutCatalogue(): EventInput[] {
  // @ts-expect-error: a type is a string
  const bad: EventInput = { type: 5, data: 1 };
  return [{ type: "Anything", data: { at: "all" } }, { type: "Else", data: undefined }, bad];
}

export function recorded(event: RecordedEvent<BankEvents>): string {
  same<Same<typeof event.type, "Deposited" | "Withdrawn" | "Closed">>();
  same<Same<typeof event.id, string>>();
  same<Same<typeof event.lsn, number>>();
  same<Same<typeof event.payload, Uint8Array>>();
  // @ts-expect-error: without looking at the type nobody knows the data
  const early = event.data.by;
  // @ts-expect-error: what is recorded stays
  event.version = 2;
  switch (event.type) {
    case "Deposited":
      same<Same<typeof event.data, { cents: number }>>();
      // @ts-expect-error: a field of another type's data
      return event.data.by;
    case "Withdrawn":
      return event.data.by;
    case "Closed":
      same<Same<typeof event.data, undefined>>();
      return early;
    default: {
      const none: never = event;
      return none;
    }
  }
}

export function recordedWithoutCatalogue(event: RecordedEvent): unknown {
  same<Same<typeof event.type, string>>();
  same<Same<typeof event.data, unknown>>();
  // @ts-expect-error: unknown must be looked at first
  return event.data.cents;
}

export function options(): [AppendOptions, ExpectedVersion[], StreamAppend<EventInput<BankEvents>>] {
  const versions: ExpectedVersion[] = [0, 42, "any", "exists", "absent"];
  // @ts-expect-error: not an expected version
  versions.push("latest");
  // @ts-expect-error: versions are numbers
  versions.push(1n);
  // @ts-expect-error: no such durability
  const fast: AppendOptions = { durability: "fast" };
  // @ts-expect-error: no such option
  const unknown: AppendOptions = { expectVersion: 1 };
  // @ts-expect-error: the events are of the catalogue
  const stray: StreamAppend<EventInput<BankEvents>> = { stream: "s", events: { type: "Opened", data: 1 } };
  return [{ ...fast, ...unknown, durability: "sync" }, versions, stray];
}

export function results(durable: AppendResult, buffered: BufferedResult): number {
  // @ts-expect-error: no LSN is taken yet
  const none = buffered.lsn;
  // @ts-expect-error: only the async modes have an epoch
  const epoch = durable.epoch;
  return durable.lsn + buffered.epoch + Number(none) + Number(epoch);
}

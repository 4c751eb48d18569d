/** What a decider is: a fold over one stream, and what is decided by it. */

import type { EventInput, EventMap, ExpectedVersion, RecordedEvent } from "../events/index.js";
import { checkOptionNames, choiceOption, integerOption } from "../events/index.js";
import { type Aggregate, checkAggregate } from "./aggregate.js";

/**
 * An aggregate that also decides: which events a command makes of a state. `store.handle` runs it, `varve/specification` specifies it.
 *
 * @example
 * ```ts
 * const account: Decider<{ cents: number }, { withdraw: number }, Bank> = {
 *   initial: () => ({ cents: 0 }),
 *   evolve: (state, event) => ({ cents: state.cents + event.data.cents }),
 *   decide: ({ withdraw }, { cents }) => {
 *     if (withdraw > cents) throw new Error("not enough");
 *     return { type: "Withdrawn", data: { cents: -withdraw } };
 *   },
 * };
 * ```
 */
export interface Decider<State, Command, Events extends EventMap = EventMap>
  extends Aggregate<State, RecordedEvent<Events>> {
  /**
   * The events that the command makes: one, several or `[]` for none. What it throws, the command is refused with. Synchronous, and without
   * effects: it runs once more, with the newer state, when somebody else was faster.
   */
  decide(command: Command, state: State): EventInput<Events> | readonly EventInput<Events>[];
}

/** How a command is handled. */
export interface HandleOptions {
  /** Refuse with `ERR_EVENTS_VERSION_CONFLICT`, without another attempt, when the stream is not as expected. Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
  /** How often the command is decided at most, when others write to the stream in between: 1 to 100, default 5. */
  readonly attempts?: number;
  /** As of `append`; always durable when it resolves. Default `"group"`. */
  readonly durability?: "sync" | "group";
  /** Ends the waiting and reading, with the signal's reason. Events that are being appended are appended all the same. */
  readonly signal?: AbortSignal;
}

/** What a command has done. */
export interface HandleResult<Events extends EventMap = EventMap> {
  /** What was decided and appended. */
  readonly events: readonly EventInput<Events>[];
  /** The stream's version after it. */
  readonly version: number;
  /** The LSN of the last event, for `whenProcessed`; null: nothing was decided. */
  readonly lsn: number | null;
}

export const HANDLE_ATTEMPTS = { min: 1, max: 100, default: 5 } as const;
const OPTION_NAMES = ["expectedVersion", "attempts", "durability", "signal"];

/** @throws TypeError naming the field */
export function checkDecider(decider: Decider<never, never, never>): void {
  checkAggregate(decider as unknown as Parameters<typeof checkAggregate>[0]);
  if (typeof decider.decide !== "function") throw new TypeError("decider.decide must be a function");
}

/** The options with their defaults. @throws TypeError, RangeError naming the option */
export function checkedHandleOptions(
  options: HandleOptions,
): HandleOptions & Required<Pick<HandleOptions, "attempts" | "durability">> {
  checkOptionNames(options, OPTION_NAMES, "handle");
  return {
    ...options,
    attempts: integerOption(options.attempts, "attempts", HANDLE_ATTEMPTS),
    durability: choiceOption(options.durability, "durability", ["sync", "group"] as const, "group"),
  };
}

/** What `decide` returned, as a list. @throws TypeError where it is none */
export function decidedEvents<Events extends EventMap>(
  decided: EventInput<Events> | readonly EventInput<Events>[],
): readonly EventInput<Events>[] {
  if ((decided as unknown) instanceof Promise) {
    (decided as unknown as Promise<unknown>).catch(() => undefined); // its own failure has no one else to go to
    throw new TypeError("decide returned a promise; it must be synchronous");
  }
  if (typeof decided !== "object" || decided === null) {
    throw new TypeError(`decide must return an event, an array of them or [], not ${String(decided)}`);
  }
  return Array.isArray(decided) ? decided : [decided as EventInput<Events>];
}

/** Given what has happened, when a command comes, then these events are decided, or it is refused. */

import { inspect } from "node:util";
import type { EventInput, EventMap } from "../events/index.js";
import { type Decider, decidedEvents } from "../projections/index.js";
import { type GivenEvent, listOf, recordedEvents } from "./given-events.js";
import { assertSame, assertThrown, type ErrorMatcher, type Outcome, outcomeOf, unexpectedError } from "./thrown.js";

/** Begins a specification. */
export interface DeciderSpecification<Command, Events extends EventMap> {
  /** What has happened in the stream; `[]`: nothing. */
  given(events: GivenEvent<Events> | readonly GivenEvent<Events>[]): GivenSpecification<Command, Events>;
}

export interface GivenSpecification<Command, Events extends EventMap> {
  /** The command; it is decided at once. */
  when(command: Command): DecisionSpecification<Events>;
}

export interface DecisionSpecification<Events extends EventMap> {
  /**
   * Requires that exactly these events were decided, in this order; `[]`: none. Types and data are compared, and of `metadata`, `id` and `subject` what is
   * expected.
   *
   * @throws AssertionError (of node:assert) with the difference
   */
  then(events: EventInput<Events> | readonly EventInput<Events>[]): void;
  /**
   * Requires that the command was refused, by `decide`.
   *
   * @throws AssertionError (of node:assert) when it was not, or with another error
   */
  thenThrows(error?: ErrorMatcher): void;
}

/**
 * A specification of a decider, in any test framework.
 *
 * @example
 * ```ts
 * specifyDecider(account)
 *   .given([{ type: "Deposited", data: { cents: 500 } }])
 *   .when({ withdraw: 200 })
 *   .then({ type: "Withdrawn", data: { cents: -200 } });
 * specifyDecider(account).given([]).when({ withdraw: 1 }).thenThrows(/not enough/);
 * ```
 */
export function specifyDecider<State, Command, Events extends EventMap>(
  decider: Decider<State, Command, Events>,
): DeciderSpecification<Command, Events> {
  return {
    given: (events) => {
      const given = listOf(events) as readonly GivenEvent<Events>[];
      return { when: (command) => decisionOf(decider, given, command) };
    },
  };
}

function decisionOf<State, Command, Events extends EventMap>(
  decider: Decider<State, Command, Events>,
  given: readonly GivenEvent<Events>[],
  command: Command,
): DecisionSpecification<Events> {
  // What `evolve` throws is no refusal of the command, and is not caught.
  let state = decider.initial();
  for (const event of recordedEvents(given)) state = decider.evolve(state, event);
  const outcome: Outcome<readonly EventInput<Events>[]> = outcomeOf(() =>
    decidedEvents(decider.decide(command, state)),
  );
  const situation = `given ${given.map(({ type }) => type).join(", ") || "nothing"}, when ${shown(command)}:`;
  return {
    // biome-ignore lint/suspicious/noThenProperty: given, when, then is what everybody calls it; awaiting it is refused.
    then: (events) => {
      if (typeof events === "function") {
        throw new TypeError("a specification is no promise: call then with the expected events, and do not await it");
      }
      if ("thrown" in outcome) throw unexpectedError(outcome.thrown, events, situation);
      const expected = listOf(events) as readonly EventInput[];
      const actual = (outcome.value as readonly EventInput[]).map((event, index) => comparable(event, expected[index]));
      assertSame(
        actual,
        expected.map((event) => ({ ...event })),
        situation,
      );
    },
    thenThrows: (error) => assertThrown(outcome, error, situation, shown),
  };
}

/** The event without what is not asked for. */
function comparable(event: EventInput, expected: EventInput | undefined): Record<string, unknown> {
  const fields: Record<string, unknown> = { type: event.type, data: event.data };
  for (const field of ["metadata", "id", "subject"] as const) {
    if (expected !== undefined && field in expected) fields[field] = event[field];
  }
  return fields;
}

function shown(value: unknown): string {
  return inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY });
}

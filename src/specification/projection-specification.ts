/** Given what has happened, then the state of a projection is this; and it is the same from every checkpoint on. */

import type { EventMap, RecordedEvent } from "../events/index.js";
import type { Projection } from "../projections/index.js";
import { type GivenEvent, listOf, recordedEvents } from "./given-events.js";
import { assertSame, assertThrown, type ErrorMatcher, outcomeOf, unexpectedError } from "./thrown.js";

/** After how many of the events a checkpoint is tried at most, from the first on; and after all of them. */
const CHECKPOINTS_MAX = 50;

/** Begins a specification. */
export interface ProjectionSpecification<State, Events extends EventMap> {
  /** What has happened in the log, in its order; each event in the stream that it says. `[]`: nothing. */
  given(events: GivenEvent<Events> | readonly GivenEvent<Events>[]): StateSpecification<State>;
}

export interface StateSpecification<State> {
  /**
   * Requires this state after the events, or one that the given function does not throw for. Then goes over the events again, with a checkpoint
   * after none, one, two and so on up to fifty and after all of them: what `decode` makes of what `encode` gave, and the events behind it, must come
   * to the same state.
   *
   * @throws AssertionError (of node:assert) with the difference; what the given function throws
   */
  expectState(expected: State | ((state: State) => void)): Promise<void>;
  /**
   * Requires that `apply` throws for one of the events.
   *
   * @throws AssertionError (of node:assert) when it does not, or another error
   */
  expectThrows(error?: ErrorMatcher): void;
}

/**
 * A specification of a projection, in any test framework.
 *
 * @example
 * ```ts
 * await specifyProjection(customers)
 *   .given([{ type: "OrderPlaced", data: { customer: "ann" }, stream: "order-7" }])
 *   .expectState(new Map([["ann", { orders: 1 }]]));
 * ```
 */
export function specifyProjection<State, Events extends EventMap>(
  projection: Projection<State, RecordedEvent<Events>>,
): ProjectionSpecification<State, Events> {
  return {
    given: (events) => {
      const given = listOf(events) as readonly GivenEvent<Events>[];
      return {
        expectState: (expected) => expectState(projection, given, expected),
        expectThrows: (error) => {
          const outcome = outcomeOf(() => fold(projection, projection.init(), recordedEvents(given)));
          assertThrown(outcome, error, situationOf(given), () => "a state");
        },
      };
    },
  };
}

async function expectState<State, Events extends EventMap>(
  projection: Projection<State, RecordedEvent<Events>>,
  given: readonly GivenEvent<Events>[],
  expected: State | ((state: State) => void),
): Promise<void> {
  const situation = situationOf(given);
  const outcome = outcomeOf(() => fold(projection, projection.init(), recordedEvents(given)));
  if ("thrown" in outcome) throw unexpectedError(outcome.thrown, expected, situation);
  if (typeof expected === "function") (expected as (state: State) => void)(outcome.value);
  else assertSame(outcome.value, expected, situation);
  for (let count = 0; count <= given.length; count++) {
    if (count > CHECKPOINTS_MAX && count < given.length) continue;
    const events = recordedEvents(given);
    const before = fold(projection, projection.init(), events.slice(0, count));
    const restored = await projection.decode(piecewise(copiesOf(projection.encode(before))));
    const state = fold(projection, restored, events.slice(count));
    assertSame(
      state,
      outcome.value,
      `${situation}\nwith a checkpoint after ${count} of ${given.length} events the state is another:`,
    );
  }
}

function fold<State, Events extends EventMap>(
  projection: Projection<State, RecordedEvent<Events>>,
  start: State,
  events: readonly RecordedEvent<Events>[],
): State {
  const { handles } = projection;
  let state = start;
  for (const event of events) {
    if (handles === "all" || handles.includes(event.type)) state = projection.apply(state, event);
  }
  return state;
}

/** A piece may be reused once the next one is asked for. */
function copiesOf(encoded: Uint8Array | Iterable<Uint8Array>): Uint8Array[] {
  return Array.from(encoded instanceof Uint8Array ? [encoded] : encoded, (piece) => Uint8Array.from(piece));
}

async function* piecewise(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* pieces;
}

function situationOf(given: readonly { readonly type: string }[]): string {
  return `given ${given.map(({ type }) => type).join(", ") || "nothing"}:`;
}

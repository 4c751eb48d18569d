/**
 * Handling commands: load the stream, decide, append at the version that was decided by; once more when somebody else was faster.
 *
 * Commands of one stream take turns within a process: they would only make each other's attempts fail. Each waits for the one before, so there are
 * as many as callers wait. Between processes the expected version decides.
 */

import { setTimeout as delay } from "node:timers/promises";
import { isStoreError, type StoreError } from "../errors.js";
import type { AppendOptions, AppendResult, EventInput, EventMap, RecordedEvent } from "../events/index.js";
import type { Aggregate, AggregateOptions, AggregateResult } from "./aggregate.js";
import {
  checkDecider,
  checkedHandleOptions,
  type Decider,
  decidedEvents,
  type HandleOptions,
  type HandleResult,
} from "./decider.js";

/** What was faster may not be visible for a while: it is durable first. Then another attempt is made all the same. */
const CONFLICT_WAIT_MS_MAX = 1000;
const CONFLICT_LOOK_MS = 1;

/** What handling needs of a store. */
export interface CommandPlace<Events extends EventMap> {
  aggregate<State>(
    stream: string,
    aggregate: Aggregate<State, RecordedEvent<Events>>,
    options: AggregateOptions,
  ): Promise<AggregateResult<State>>;
  append(
    stream: string,
    events: readonly EventInput<Events>[],
    options: AppendOptions & { readonly durability: "sync" | "group" },
  ): Promise<AppendResult>;
  streamVersion(stream: string): Promise<number>;
}

export class CommandHandler<Events extends EventMap> {
  readonly #place: CommandPlace<Events>;
  /** The last command of each stream that has one. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(place: CommandPlace<Events>) {
    this.#place = place;
  }

  /** Documented at `Store.handle`. */
  async handle<State, Command>(
    stream: string,
    decider: Decider<State, Command, Events>,
    command: Command,
    options: HandleOptions = {},
  ): Promise<HandleResult<Events>> {
    checkDecider(decider as unknown as Decider<never, never, never>);
    const checked = checkedHandleOptions(options);
    const before = this.#turns.get(stream);
    const turn = this.#turn(before, () => this.#handle(stream, decider, command, checked));
    this.#turns.set(stream, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(stream) === turn) this.#turns.delete(stream);
    }
  }

  async #turn<Result>(before: Promise<unknown> | undefined, work: () => Promise<Result>): Promise<Result> {
    await before?.catch(() => {}); // whoever asked for it has heard
    return work();
  }

  async #handle<State, Command>(
    stream: string,
    decider: Decider<State, Command, Events>,
    command: Command,
    { expectedVersion = "any", attempts, durability, signal }: ReturnType<typeof checkedHandleOptions>,
  ): Promise<HandleResult<Events>> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const loading = { expectedVersion, ...(signal !== undefined && { signal }) };
      const { state, version } = await this.#place.aggregate(stream, decider, loading);
      const events = decidedEvents(decider.decide(command, state));
      if (events.length === 0) return { events, version, lsn: null };
      try {
        const appended = await this.#place.append(stream, events, { expectedVersion: version, durability });
        return { events, version: appended.version, lsn: appended.lsn };
      } catch (error) {
        if (!isStoreError(error, "ERR_EVENTS_VERSION_CONFLICT") || attempt >= attempts) throw error;
        await this.#whenVisible(stream, error, signal);
      }
    }
  }

  /** Resolves when what was in the way can be read, or after a while. */
  async #whenVisible(stream: string, { details }: StoreError, signal: AbortSignal | undefined): Promise<void> {
    const endMs = performance.now() + CONFLICT_WAIT_MS_MAX;
    const actual = Number(details["actual"]);
    while ((await this.#place.streamVersion(stream)) < actual && performance.now() < endMs) {
      await delay(CONFLICT_LOOK_MS, undefined, signal === undefined ? {} : { signal });
    }
  }
}

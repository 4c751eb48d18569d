/** What an aggregate is: a fold over one stream, made when somebody asks for it, and perhaps kept as a snapshot. */

import type { StoreError } from "../errors.js";
import { checkOptionNames, type ExpectedVersion, integerOption, type RecordedEvent } from "../events/index.js";
import { codecOf, type StateCodec } from "./state-codec.js";

/**
 * A state that is folded from the events of one stream. The same definition serves `aggregateStream`, `handle` and the specification of deciders.
 *
 * @example
 * ```ts
 * const account: Aggregate<{ cents: number }, RecordedEvent<Bank>> = {
 *   initial: () => ({ cents: 0 }),
 *   evolve: (state, event) => ({ cents: state.cents + event.data.cents }),
 *   snapshot: { name: "account", version: 1, every: 500 },
 * };
 * ```
 */
export interface Aggregate<State, Event = RecordedEvent> {
  /** The state of a stream without events: a new one each time. */
  initial(): State;
  /**
   * Returns the state after the event: a new one, or the given one after changing it in place. Synchronous. It is not shown events whose subject
   * was forgotten.
   */
  evolve(state: State, event: Event): State;
  /** Keeps the state on disk, so that the next fold begins there. Without it, every fold begins at the stream's first event. */
  readonly snapshot?: SnapshotPolicy<State>;
}

/** When and how the state of a stream is kept. */
export interface SnapshotPolicy<State> {
  /** 1 to 64 of `a-z`, `0-9` and `-`; it names the folder of the snapshots of all streams of this kind. */
  readonly name: string;
  /** A positive integer. Raise it whenever `evolve` would fold the same events into another state: older snapshots are not used then. */
  readonly version: number;
  /** A snapshot is written when so many events were folded since the last one: 1 or more. */
  readonly every: number;
  /** The state as bytes; JSON by default, which refuses what it cannot hold. Give both or none. */
  encode?(state: State): Uint8Array;
  /** The state that `encode` was given. */
  decode?(bytes: Uint8Array): State;
  /** Told that a snapshot could not be written (`ERR_PROJECTION_CHECKPOINT`); the next fold tries again. Default: a process warning. */
  onError?(error: StoreError): void;
}

/** What of a stream is folded. */
export interface AggregateOptions {
  /** Fold up to this version, inclusive; default the last. */
  readonly to?: number;
  /** Refuse with `ERR_EVENTS_VERSION_CONFLICT` when the stream is not at this version, `"absent"` or `"exists"`. Default `"any"`. */
  readonly expectedVersion?: ExpectedVersion;
  /** Ends the reading, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A stream, folded. */
export interface AggregateResult<State> {
  readonly state: State;
  /** The stream's version that `state` reflects: what to pass as `expectedVersion` to an append that is decided by it. */
  readonly version: number;
  /** The version of the snapshot that the fold began at; 0: at the stream's first event. */
  readonly snapshotVersion: number;
}

/** A snapshot policy, checked and complete. */
export interface CheckedSnapshotPolicy<State> {
  readonly name: string;
  readonly version: number;
  readonly every: number;
  readonly codec: StateCodec<State>;
  readonly onError: (error: StoreError) => void;
}

const NAME_PATTERN = /^[a-z0-9-]{1,64}$/;
const POLICY_NAMES = ["name", "version", "every", "encode", "decode", "onError"];
const OPTION_NAMES = ["to", "expectedVersion", "signal"];

/** @throws TypeError naming the field */
export function checkAggregate(aggregate: Pick<Aggregate<unknown, never>, "initial" | "evolve">): void {
  if (typeof aggregate !== "object" || aggregate === null) throw new TypeError("an aggregate must be an object");
  for (const method of ["initial", "evolve"] as const) {
    if (typeof aggregate[method] !== "function") throw new TypeError(`aggregate.${method} must be a function`);
  }
}

/** @throws TypeError, RangeError naming the field */
export function checkedPolicy<State>(policy: SnapshotPolicy<State>): CheckedSnapshotPolicy<State> {
  if (typeof policy !== "object" || policy === null) throw new TypeError("aggregate.snapshot must be an object");
  checkOptionNames(policy, POLICY_NAMES, "aggregate.snapshot");
  const { name, version, every, onError } = policy;
  if (typeof name !== "string" || !NAME_PATTERN.test(name)) {
    throw new TypeError("aggregate.snapshot.name must be 1 to 64 characters of a-z, 0-9 and -");
  }
  for (const [field, value] of Object.entries({ version, every })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new TypeError(`aggregate.snapshot.${field} must be a positive integer`);
    }
  }
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError("aggregate.snapshot.onError must be a function");
  }
  const isCodecGiven = policy.encode !== undefined || policy.decode !== undefined;
  return {
    name,
    version,
    every,
    codec: codecOf(isCodecGiven ? (policy as StateCodec<State>) : undefined, "aggregate.snapshot"),
    // Outside of the write, so that a listener that throws is not taken for part of it.
    onError: onError === undefined ? warn : (error) => queueMicrotask(() => policy.onError?.(error)),
  };
}

/** The last version to fold. @throws TypeError, RangeError */
export function checkedTo(options: AggregateOptions): number {
  checkOptionNames(options, OPTION_NAMES, "aggregateStream");
  const range = { min: 0, max: Number.MAX_SAFE_INTEGER, default: Number.MAX_SAFE_INTEGER };
  return integerOption(options.to, "to", range);
}

/** Requires what `evolve` returned to be a state: a forgotten return or an async function would lose it. */
export function requireState<State>(state: State): State {
  if (state === undefined) throw new TypeError("evolve returned undefined instead of the state");
  if (state instanceof Promise) {
    state.catch(() => undefined); // its own failure has no one else to go to, and is not the point
    throw new TypeError("evolve returned a promise; it must be synchronous");
  }
  return state;
}

function warn(error: StoreError): void {
  process.emitWarning(error.message, { type: "VarveWarning", code: error.code });
}

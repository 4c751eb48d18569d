/**
 * How a large state comes to a file and back without lying in memory twice, and how what has changed of it is saved alone.
 *
 * A state that is folded into plain objects has no use for this: `encode` and `decode` of its projection do. One that lies in large arrays reads
 * faster into those arrays than into pieces that are copied then (measured for the graph: half of the time), and knows what was written to.
 */

import type { CheckpointFacts } from "./checkpoint-format.js";

/**
 * Yields memory, to be filled with the next piece of the state, all of it; pieces come in the order in which they were given to be saved, and have
 * the same lengths. Null: what was yielded before has to be filled before it goes on. At the end all has to be.
 */
export type Filling = Generator<Uint8Array | null, void, undefined>;

/** At most this much can still come: what claims more is not believed, before memory is taken for it. */
export type BytesLeft = () => number;

/** A state on its way into memory. */
export interface StateLoad<State> {
  /** First: all of it, as `encode` gave it. */
  whole(bytesLeft: BytesLeft): Filling;
  /** Then any number of changes, from the oldest to the newest. One that is not filled to its end leaves this load unusable. */
  changes(bytesLeft: BytesLeft): Filling;
  finish(): State;
}

/** What was written to since the last save. The pieces may be reused once the next one is asked for. */
export interface StateChanges {
  readonly byteLength: number;
  readonly pieces: Iterable<Uint8Array>;
}

export interface StatePieces<State> {
  load(): StateLoad<State>;
  /** What was written to since the last `saved`; null: so much that only the whole can be saved. */
  changes(state: State): StateChanges | null;
  /**
   * Before a save to the checkpoint's place, with what the save will say beside the state, to which no event is applied until the end: a part of it can
   * be put elsewhere. Where this rejects, nothing is saved.
   */
  beforeSave?(state: State, facts: CheckpointFacts): Promise<void>;
  /** Behind it, when it is durable: what it does not need any more can go. */
  afterSave?(state: State): Promise<void>;
  /** The state as it is lies on disk now, whole or as changes that follow those before. */
  saved(state: State): void;
}

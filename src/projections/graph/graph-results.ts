/**
 * What a question with many answers gives: nothing is looked for before it is asked for, and no more than is taken.
 *
 * The answers are those of the instant of the question, however long it takes to read them and whatever is written meanwhile. So a result can be left
 * lying, read in part, or read twice; what leaves a loop early leaves nothing behind.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { checkKnownKeys, checkRecord } from "./graph-input.js";

/** Who reads in turns has the event loop for so long at once: below what a server's other requests notice. */
const SLICE_MS = 5;

/** Whose answers they are. */
interface Answering {
  readonly truncatedBefore: number | null;
}

/**
 * Many answers, one at a time: `for (const each of results)`, or `[...results]`. A loop with `await` (`for await`) lets the event loop do other work in
 * between, and `Readable.from(results)` makes a stream with back-pressure of them. Each loop begins anew, with the same answers.
 *
 * @example
 * ```ts
 * for (const person of view.find({ label: "Person" })) if (isEnough(person)) break; // no further is looked
 * for await (const person of view.find({ label: "Person" })) await send(person); // others are served meanwhile
 * ```
 */
export class GraphResults<Item> implements Iterable<Item>, AsyncIterable<Item> {
  readonly #answering: Answering;
  readonly #start: () => Generator<Item, void, undefined>;

  /** @internal */
  constructor(answering: Answering, start: () => Generator<Item, void, undefined>) {
    this.#answering = answering;
    this.#start = start;
  }

  /**
   * The horizon of the last purge, µs since 1970, where the question reaches behind it: what was superseded by then may be missing. Null: nothing is.
   * A purge can come while one reads: look here afterwards.
   */
  get truncatedBefore(): number | null {
    return this.#answering.truncatedBefore;
  }

  [Symbol.iterator](): Generator<Item, void, undefined> {
    return this.#start();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    return this.inTurns();
  }

  /**
   * What `for await` reads: every few milliseconds the event loop has its turn. Between two answers, that is: where few of many are found, the
   * search from one to the next is one turn.
   *
   * @throws what the signal says, as soon as the next answer is asked for; TypeError for unknown options
   */
  inTurns(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Item, void, undefined> {
    checkKnownKeys("inTurns", checkRecord("inTurns", options), ["signal"]);
    return this.#inTurns(options.signal);
  }

  async *#inTurns(signal: AbortSignal | undefined): AsyncGenerator<Item, void, undefined> {
    signal?.throwIfAborted();
    let endMs = performance.now() + SLICE_MS;
    for (const item of this) {
      yield item;
      signal?.throwIfAborted();
      if (performance.now() < endMs) continue;
      await nextTurn();
      signal?.throwIfAborted();
      endMs = performance.now() + SLICE_MS;
    }
  }

  /** The first one, or undefined where there is none. No other is looked for. */
  first(): Item | undefined {
    for (const item of this) return item;
    return undefined;
  }

  /** How many there are. It goes over all of them and keeps none. */
  count(): number {
    let count = 0;
    for (const _ of this) count += 1;
    return count;
  }

  /** All of them at once. */
  toArray(): Item[] {
    return [...this];
  }
}

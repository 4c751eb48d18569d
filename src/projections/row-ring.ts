/**
 * Rows on their way from the thread that fills them to the one that applies them: places in shared memory, used in turn.
 *
 *     0   int32 × 8   words: filled, freed, stop, end, isAwaited, and three that are not used
 *     32  int32 × 8   how many rows each place has
 *     64  places of `byteLength` bytes each
 *
 * `filled` and `freed` only count up, one by each side. Who fills waits for a free place by sleeping, who applies by a message.
 */

import type { EventRows, RowMemory, RowsFactory } from "./event-rows.js";

/** Few enough for the processor's last cache, and enough for the one side not to wait for every turn of the other's event loop. */
const PLACES = 8;
const WORDS = { filled: 0, freed: 1, stop: 2, end: 3, isAwaited: 4 } as const;
const LENGTHS_AT = 8;
const HEADER_BYTES = 64;
/** A wake-up can come between looking and sleeping: so long it can be missed. */
const SLEEP_MS = 20;

/** `"given-up"`: what follows the last rows is to be read by the other side. */
export type RingEnd = "none" | "complete" | "given-up";
const ENDS: readonly RingEnd[] = ["none", "complete", "given-up"];

export class RowRing {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #rows: readonly EventRows[];

  constructor(
    factory: RowsFactory,
    memory: SharedArrayBuffer = new SharedArrayBuffer(HEADER_BYTES + PLACES * factory.byteLength),
  ) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, HEADER_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.#rows = Array.from({ length: PLACES }, (_, place) => {
      const at: RowMemory = { buffer: memory, byteOffset: HEADER_BYTES + place * factory.byteLength };
      return factory.rows(at);
    });
  }

  /** The rows to be filled next, empty. For a thread of its own, which it blocks: sleeps until there are some; null: nobody wants them any more. */
  toFill(): EventRows | null {
    const words = this.#words;
    const filled = Atomics.load(words, WORDS.filled);
    while (Atomics.load(words, WORDS.stop) === 0) {
      const freed = Atomics.load(words, WORDS.freed);
      if (filled - freed < PLACES) {
        const rows = this.#rows[filled % PLACES] as EventRows;
        rows.clear();
        return rows;
      }
      Atomics.wait(words, WORDS.freed, freed, SLEEP_MS);
    }
    return null;
  }

  /** Hands the rows of the last `toFill` over. True: the other side waits, and is to be told. */
  publish(): boolean {
    const filled = Atomics.load(this.#words, WORDS.filled);
    const place = filled % PLACES;
    this.#words[LENGTHS_AT + place] = (this.#rows[place] as EventRows).length;
    Atomics.store(this.#words, WORDS.filled, filled + 1);
    return Atomics.exchange(this.#words, WORDS.isAwaited, 0) === 1;
  }

  end(end: RingEnd): void {
    Atomics.store(this.#words, WORDS.end, ENDS.indexOf(end));
  }

  /** The rows to be applied next; null: there are none by now. */
  toApply(): EventRows | null {
    const freed = Atomics.load(this.#words, WORDS.freed);
    if (Atomics.load(this.#words, WORDS.filled) === freed) return null;
    const place = freed % PLACES;
    const rows = this.#rows[place] as EventRows;
    rows.resume(this.#words[LENGTHS_AT + place] as number);
    return rows;
  }

  /** Gives the rows of the last `toApply` back. */
  free(): void {
    Atomics.add(this.#words, WORDS.freed, 1);
    Atomics.notify(this.#words, WORDS.freed);
  }

  /** Whoever applies wants a message; to be asked for before the last look. */
  await(): void {
    Atomics.store(this.#words, WORDS.isAwaited, 1);
  }

  stop(): void {
    Atomics.store(this.#words, WORDS.stop, 1);
    Atomics.notify(this.#words, WORDS.freed);
  }

  /** How the filling has ended; what was filled by then is still to be applied. */
  get ended(): RingEnd {
    return ENDS[Atomics.load(this.#words, WORDS.end)] as RingEnd;
  }
}

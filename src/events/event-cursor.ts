/** Hands out the events of batches one by one. Written by hand because an async generator costs three promises an event. */

export interface CursorOptions {
  /** Looked at before each event, so that nothing is delivered after an abort. */
  readonly signal?: AbortSignal | undefined;
  /** Called once by `return`, to end a `next` that waits for an event that may never come. */
  readonly onReturn?: () => void;
}

/** What `next` may be called for before it has answered, and then answers in the order of the calls, as an async generator does. */
export class EventCursor<Event> implements AsyncIterableIterator<Event> {
  readonly #batches: AsyncIterator<readonly Event[], void, undefined>;
  readonly #signal: AbortSignal | undefined;
  readonly #onReturn: (() => void) | undefined;
  #batch: readonly Event[] = [];
  #position = 0;
  #remaining: number;
  #status: "open" | "done";
  /** Calls of `next` that have not answered; while there is one, later calls wait behind it. */
  #waitingCount = 0;
  #lastTurn: Promise<unknown> = Promise.resolve();
  /** Resolves when the batches have given everything back. */
  #ending: Promise<unknown> = Promise.resolve();

  /** Ends after `limit` events. */
  constructor(
    batches: AsyncIterator<readonly Event[], void, undefined>,
    limit: number,
    { signal, onReturn }: CursorOptions = {},
  ) {
    this.#batches = batches;
    this.#remaining = limit;
    this.#status = limit > 0 ? "open" : "done";
    this.#signal = signal;
    this.#onReturn = onReturn;
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    if (this.#waitingCount === 0 && this.#position < this.#batch.length && this.#signal?.aborted !== true) {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    const turn = this.#waitingCount++ === 0 ? this.#advance() : this.#lastTurn.then(this.#advance);
    this.#lastTurn = turn.catch(ignore);
    return turn;
  }

  /** The next event of the batch at hand. Whoever stops at the limit need not call `next` once more to give everything back. */
  #take(): Event {
    const event = this.#batch[this.#position++] as Event;
    if (--this.#remaining === 0) this.#end();
    return event;
  }

  readonly #advance = async (): Promise<IteratorResult<Event, undefined>> => {
    try {
      while (this.#status === "open") {
        this.#signal?.throwIfAborted();
        if (this.#position < this.#batch.length) return { done: false, value: this.#take() };
        const step = await this.#batches.next();
        if (this.#status !== "open") break;
        if (step.done === true) this.#end();
        else this.#batch = step.value;
        this.#position = 0;
      }
      await this.#ending;
      return { done: true, value: undefined };
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#waitingCount--;
    }
  };

  #end(): void {
    if (this.#status === "done") return;
    this.#status = "done";
    this.#batch = [];
    this.#ending = this.#batches.return?.() ?? Promise.resolve();
    this.#ending.catch(ignore); // whoever awaits it hears of it
  }

  /** Ends the reading and gives its memory back, also when a `next` still waits: that one answers with the end. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    if (this.#status === "open") {
      this.#end();
      this.#onReturn?.();
    }
    await this.#ending;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function ignore(): void {}

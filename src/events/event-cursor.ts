/** Hands out the events of batches one by one. Written by hand because an async generator costs three promises an event. */

export class EventCursor<Event> implements AsyncIterableIterator<Event> {
  readonly #batches: AsyncIterator<readonly Event[], void, undefined>;
  #batch: readonly Event[] = [];
  #position = 0;
  #remaining: number;
  #status: "open" | "done" = "open";

  /** Ends after `limit` events. */
  constructor(batches: AsyncIterator<readonly Event[], void, undefined>, limit: number) {
    this.#batches = batches;
    this.#remaining = limit;
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    if (this.#position < this.#batch.length && this.#remaining > 0) {
      this.#remaining--;
      return Promise.resolve({ done: false, value: this.#batch[this.#position++] as Event });
    }
    return this.#nextBatch();
  }

  async #nextBatch(): Promise<IteratorResult<Event, undefined>> {
    while (this.#status === "open" && this.#remaining > 0) {
      const step = await this.#batches.next();
      if (step.done === true) break;
      if (step.value.length === 0) continue;
      this.#batch = step.value;
      this.#position = 1;
      this.#remaining--;
      return { done: false, value: step.value[0] as Event };
    }
    return this.return();
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    if (this.#status === "open") {
      this.#status = "done";
      this.#batch = [];
      await this.#batches.return?.();
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

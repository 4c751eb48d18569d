/**
 * Those who want to hear that W has moved, or that the log closes.
 *
 * They are told in a microtask of their own: W moves while completions are taken in, which can be in the middle of an append, and a
 * listener may append. One that throws ends up as an uncaught exception and stops neither the log nor the others.
 */

interface Entry {
  readonly listener: (watermark: number) => void;
}

export class AdvanceListeners {
  readonly #entries = new Set<Entry>();

  /** Returns how to stop. Who is added twice is told twice, and has two ways to stop. */
  add(listener: (watermark: number) => void): () => void {
    const entry = { listener };
    this.#entries.add(entry);
    return () => {
      this.#entries.delete(entry);
    };
  }

  get size(): number {
    return this.#entries.size;
  }

  tell(watermark: number): void {
    for (const entry of this.#entries) {
      queueMicrotask(() => {
        if (this.#entries.has(entry)) entry.listener(watermark);
      });
    }
  }
}

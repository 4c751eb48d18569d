/** Those who want to hear that W has moved, or that the log closes. */

export class AdvanceListeners {
  readonly #listeners = new Set<{ readonly listener: (watermark: number) => void }>();

  /** Returns how to stop. */
  add(listener: (watermark: number) => void): () => void {
    // An entry of its own, so that who is added twice is told twice and removed once.
    const entry = { listener };
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  /** A listener that throws ends up as an uncaught exception, as elsewhere, but it stops neither the log nor the other listeners. */
  tell(watermark: number): void {
    for (const { listener } of this.#listeners) {
      try {
        listener(watermark);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

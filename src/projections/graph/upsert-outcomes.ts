/** Which node was found in the place of the one that an upsert would have created, of the last upserts: for the commands that wait for them. */

/** More than any batch of events holds. */
const OUTCOMES_KEPT_MAX = 16_384;

export class UpsertOutcomes {
  readonly #found = new Map<number, number>();

  note(id: number, found: number): void {
    if (id === found) return;
    this.#found.set(id, found);
    if (this.#found.size <= OUTCOMES_KEPT_MAX) return;
    const [oldest] = this.#found.keys();
    if (oldest !== undefined) this.#found.delete(oldest);
  }

  /** The node that has taken the place of this id; the id itself where it was created. */
  of(id: number): number {
    return this.#found.get(id) ?? id;
  }
}

/** Events that turned out wrong at their own LSN: they changed nothing, and their commands fail with the same code. */

import type { StoreErrorCode } from "../../errors.js";
import type { EntityKind } from "./graph-event-kind.js";

export interface Rejection {
  readonly lsn: number;
  readonly code: StoreErrorCode;
  /** What the event was about; a purge is about the whole graph. */
  readonly kind: EntityKind | "graph";
  /** The id the event gave, or 0 when it has none. */
  readonly id: number;
  /** With ERR_GRAPH_HAS_EDGES: how many edges; otherwise 0. */
  readonly edges: number;
  /** Facts by name, where the code has some: `expected` and `actual` versions, the `label` and `property` of a constraint, the `item` of a batch. */
  readonly details?: RejectionDetails;
}

export type RejectionDetails = Readonly<Record<string, string | number>>;

/** More than any batch of events holds, so that a command that waits for its LSN still finds its own. */
const REJECTIONS_KEPT_MAX = 16_384;

/** The most recent rejections, by LSN. */
export class RejectionList {
  readonly #kept = new Map<number, Rejection>();
  #count = 0;

  /** How many there ever were. */
  get count(): number {
    return this.#count;
  }

  add(rejection: Rejection): void {
    this.#count += 1;
    this.#kept.set(rejection.lsn, rejection);
    if (this.#kept.size <= REJECTIONS_KEPT_MAX) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }

  at(lsn: number): Rejection | undefined {
    return this.#kept.get(lsn);
  }

  /** From the oldest that is kept to the newest. */
  list(): Rejection[] {
    return [...this.#kept.values()];
  }

  restore(kept: readonly Rejection[], count: number): void {
    for (const rejection of kept) this.#kept.set(rejection.lsn, rejection);
    this.#count = count;
  }
}

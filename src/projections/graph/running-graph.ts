/** The graph as a store runs it: the projection, and the indexes of vectors beside it. */

import { isStoreError, type StoreError } from "../../errors.js";
import type { ProjectionRunner } from "../runner.js";
import type { GraphState } from "./graph-state.js";
import type { HistoryKeeper } from "./history-keeper.js";
import type { RawEvent } from "./raw-event.js";
import type { VectorKeeper } from "./vector-keeper.js";

export class RunningGraph {
  readonly #runner: ProjectionRunner<GraphState, RawEvent>;
  readonly #vectors: VectorKeeper;
  readonly #history: HistoryKeeper;

  constructor(
    runner: ProjectionRunner<GraphState, RawEvent>,
    vectors: VectorKeeper,
    history: HistoryKeeper,
    readOnly: boolean,
  ) {
    this.#runner = runner;
    this.#vectors = vectors;
    this.#history = history;
    history.onDamage = (error) => this.#rebuild(error, readOnly);
  }

  /** The log is the truth: what history cannot be read is made from it again, while the state that is there serves on. */
  #rebuild(error: StoreError, readOnly: boolean): void {
    const then = readOnly ? "whoever writes the store next rebuilds the graph" : "the graph is rebuilt from the log";
    process.emitWarning(`${error.message}; ${then}`, { type: "VarveWarning" });
    if (readOnly) return;
    this.#runner.rebuild({ fresh: true }).catch((cause: unknown) => {
      // Another process is at it, or the store is closing: the next one who comes to the damage tries again.
      const isLeft = isStoreError(cause, "ERR_PROJECTION_REBUILDING") || isStoreError(cause, "ERR_PROJECTION_CLOSED");
      if (!isLeft) process.emitWarning(`the graph could not be rebuilt: ${String(cause)}`, { type: "VarveWarning" });
    });
  }

  get status(): ProjectionRunner<GraphState, RawEvent>["status"] {
    return this.#runner.status;
  }

  /** Saves the graph, then the vectors that are open. */
  async checkpoint(): Promise<number> {
    const lsn = await this.#runner.checkpoint();
    await this.#vectors.save();
    return lsn;
  }

  async whenForgotten(lsn: number, keyIds: readonly string[]): Promise<void> {
    await this.#runner.whenForgotten(lsn, keyIds);
    await this.#vectors.whenDiscarded();
  }

  async close(): Promise<void> {
    try {
      await this.#vectors.close();
    } finally {
      try {
        await this.#runner.close();
      } finally {
        this.#history.close();
      }
    }
  }
}

/** The graph as a store runs it: the projection, and the indexes of vectors beside it. */

import type { ProjectionRunner } from "../runner.js";
import type { GraphState } from "./graph-state.js";
import type { RawEvent } from "./raw-event.js";
import type { VectorKeeper } from "./vector-keeper.js";

export class RunningGraph {
  readonly #runner: ProjectionRunner<GraphState, RawEvent>;
  readonly #vectors: VectorKeeper;

  constructor(runner: ProjectionRunner<GraphState, RawEvent>, vectors: VectorKeeper) {
    this.#runner = runner;
    this.#vectors = vectors;
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
      await this.#runner.close();
    }
  }
}

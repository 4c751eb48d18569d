/**
 * The database of a sink, on another machine: what it has committed stays, whatever becomes of the store. A store only shows what is durable,
 * so after any crash its log has everything that the database has, and nothing of it twice.
 */

import type { RecordedEvent, Sink } from "../../src/index.js";
import { type SeenEvent, Violation } from "./history.js";

export class SinkDatabase {
  readonly #lsns: number[] = [];
  #position = 0;
  commits = 0;

  /** As one process sees it, which can also be told of a commit that was made that it was not. */
  sink(fails: () => boolean): Sink {
    return {
      name: "database",
      handles: "all",
      position: () => this.#position,
      commit: (events: readonly RecordedEvent[], position: number, after: number) => {
        if (fails()) throw new Error("the connection was lost before the commit");
        // Another process feeds it too, and was quicker.
        if (after !== this.#position) throw new Error(`the position is ${this.#position}`);
        this.#lsns.push(...events.map(({ lsn }) => lsn));
        this.#position = position;
        this.commits += 1;
        if (fails()) throw new Error("the connection was lost behind the commit");
      },
    };
  }

  /** @throws Violation */
  check(events: readonly SeenEvent[], watermark: number): void {
    if (this.#position > watermark) {
      throw new Violation(`a sink was given LSN ${this.#position}, and the log ends at ${watermark}`);
    }
    const expected = events.filter(({ lsn }) => lsn <= this.#position).map(({ lsn }) => lsn);
    if (JSON.stringify(expected) !== JSON.stringify(this.#lsns)) {
      throw new Violation(
        `a sink has ${this.#lsns.length} events up to ${this.#position}, and the log ${expected.length}`,
      );
    }
  }
}

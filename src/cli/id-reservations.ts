/**
 * Reservations of graph ids, read from and written to the stream that the graph keeps them in.
 *
 * The graph's own commands do the same, but need the whole graph in memory, which an import has no other use for.
 */

import { isStoreError } from "../errors.js";
import type { AppendResult, EventInput } from "../events/index.js";
import type { IdReservations } from "./id-blocks.js";

/** What reserving needs of a store. */
export interface ReservationStore {
  append(
    stream: string,
    event: EventInput,
    options: { readonly expectedVersion: number; readonly durability: "group" },
  ): Promise<AppendResult>;
  flush(): Promise<void>;
  readStream(
    stream: string,
    options: { readonly from: number },
  ): AsyncIterable<{ readonly version: number; readonly data: unknown }>;
}

type IdKind = "node" | "edge";

const IDS_STREAM = "$graph-ids";

export class StreamReservations implements IdReservations {
  readonly #store: ReservationStore;
  readonly #through: Record<IdKind, number> = { node: 0, edge: 0 };
  #version = 0;

  constructor(store: ReservationStore) {
    this.#store = store;
  }

  reserveNodeIds(count: number): Promise<number> {
    return this.#reserve("node", count);
  }

  reserveEdgeIds(count: number): Promise<number> {
    return this.#reserve("edge", count);
  }

  async #reserve(kind: IdKind, count: number): Promise<number> {
    for (;;) {
      await this.#catchUp();
      const first = this.#through[kind] + 1;
      const event = { type: "varve.v1.GraphIdsReserved", data: { kind, through: first + count - 1 } };
      try {
        await this.#store.append(IDS_STREAM, event, { expectedVersion: this.#version, durability: "group" });
        return first;
      } catch (error) {
        if (!isStoreError(error, "ERR_EVENTS_VERSION_CONFLICT")) throw error;
        // Somebody else was faster. What they took counts already, but can be read only when it is durable.
        await this.#store.flush();
      }
    }
  }

  async #catchUp(): Promise<void> {
    for await (const { version, data } of this.#store.readStream(IDS_STREAM, { from: this.#version + 1 })) {
      const { kind, through } = data as { readonly kind: IdKind; readonly through: number };
      this.#through[kind] = Math.max(this.#through[kind], through);
      this.#version = version;
    }
  }
}

/**
 * Node and edge ids in blocks that are reserved durably before any of them is used, so that no id is ever used twice, not even when the
 * creation that used it was lost.
 *
 * A reservation is an event in the stream `$graph-ids`, appended at the version that was read, so that two writers cannot reserve the
 * same ids. What is left of a block when the store closes is lost, which costs nothing.
 */

import { assert } from "../../assert.js";
import { isStoreError } from "../../errors.js";
import type { EventStore } from "../../events/index.js";
import type { IdsReservedData } from "./graph-event-codec.js";
import { type EntityKind, IDS_RESERVED_TYPE } from "./graph-event-kind.js";

export const IDS_STREAM = "$graph-ids";
/** A block for single creations; for a writer that goes on taking them, each is twice as large as the one before. */
const BLOCK_IDS_MIN = 256;
const BLOCK_IDS_MAX = 65_536;

/** What leases need of a store. */
export type LeaseStore = Pick<EventStore, "append" | "flush" | "readStream" | "streamVersion">;

interface Block {
  next: number;
  left: number;
  size: number;
  /** The last id that any block so far reserved. */
  through: number;
}

export class IdLeases {
  readonly #store: LeaseStore;
  readonly #blocks: Record<EntityKind, Block> = { node: emptyBlock(), edge: emptyBlock() };
  #readVersion = 0;
  /** Reservations one after another: each needs to know what the one before it took. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: LeaseStore) {
    this.#store = store;
  }

  /** One id that nothing has ever had. */
  async take(kind: EntityKind): Promise<number> {
    const block = this.#blocks[kind];
    while (block.left === 0) {
      await this.#inTurn(async () => {
        if (block.left > 0) return;
        const size = Math.min(BLOCK_IDS_MAX, Math.max(BLOCK_IDS_MIN, block.size * 2));
        block.next = await this.#reserve(kind, size);
        block.left = size;
        block.size = size;
      });
    }
    block.left--;
    return block.next++;
  }

  /** Reserves `count` ids in a row for the caller alone and resolves with the first. */
  reserve(kind: EntityKind, count: number): Promise<number> {
    if (!Number.isSafeInteger(count) || count < 1)
      return Promise.reject(new TypeError("the count of ids must be at least 1"));
    return this.#inTurn(() => this.#reserve(kind, count));
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {}); // the next one's turn comes whatever became of this one
    return turn;
  }

  async #reserve(kind: EntityKind, count: number): Promise<number> {
    for (;;) {
      await this.#readReservations();
      const block = this.#blocks[kind];
      const first = block.through + 1;
      const through = block.through + count;
      assert(Number.isSafeInteger(through), "ids end at 2^53 − 1");
      const data: IdsReservedData = { kind, through };
      try {
        const expectedVersion = this.#readVersion;
        await this.#store.append(
          IDS_STREAM,
          { type: IDS_RESERVED_TYPE, data },
          { expectedVersion, durability: "sync" },
        );
        this.#readVersion++;
        block.through = through;
        return first;
      } catch (error) {
        if (!isStoreError(error, "ERR_EVENTS_VERSION_CONFLICT")) throw error;
        // Somebody else was faster. What they took counts already, but can be read only when it is durable.
        await this.#store.flush();
      }
    }
  }

  async #readReservations(): Promise<void> {
    if ((await this.#store.streamVersion(IDS_STREAM)) === this.#readVersion) return;
    for await (const event of this.#store.readStream(IDS_STREAM, { from: this.#readVersion + 1 })) {
      this.#readVersion = event.version;
      if (event.type !== IDS_RESERVED_TYPE) continue;
      const { kind, through } = event.data as IdsReservedData;
      const block = this.#blocks[kind];
      block.through = Math.max(block.through, through);
    }
  }
}

function emptyBlock(): Block {
  return { next: 0, left: 0, size: 0, through: 0 };
}

/** Node and edge ids out of blocks that the store has reserved, so that no id is used twice, whatever crashes. */

import { assert } from "../assert.js";
import type { GitGraphIds } from "./git-graph.js";

/** Reserves ids in the store and resolves, once that is durable, to the first of them. */
export interface IdReservations {
  reserveNodeIds(count: number): Promise<number>;
  reserveEdgeIds(count: number): Promise<number>;
}

// A reservation is one durable append. The ids left over at the end are lost, which costs nothing.
const BLOCK_IDS = 65_536;

interface Block {
  next: number;
  left: number;
}

export class IdBlocks implements GitGraphIds {
  readonly #reservations: IdReservations;
  #nodes: Block = { next: 0, left: 0 };
  #edges: Block = { next: 0, left: 0 };

  constructor(reservations: IdReservations) {
    this.#reservations = reservations;
  }

  /** Resolves when so many ids of each kind can be taken; at once, without a promise, when they can already. */
  ensure({ nodes, edges }: { readonly nodes: number; readonly edges: number }): Promise<void> | undefined {
    if (this.#nodes.left >= nodes && this.#edges.left >= edges) return undefined;
    return this.#reserve(nodes, edges);
  }

  nextNodeId(): number {
    return take(this.#nodes);
  }

  nextEdgeId(): number {
    return take(this.#edges);
  }

  async #reserve(nodes: number, edges: number): Promise<void> {
    if (this.#nodes.left < nodes) {
      const count = Math.max(nodes, BLOCK_IDS);
      this.#nodes = { next: await this.#reservations.reserveNodeIds(count), left: count };
    }
    if (this.#edges.left < edges) {
      const count = Math.max(edges, BLOCK_IDS);
      this.#edges = { next: await this.#reservations.reserveEdgeIds(count), left: count };
    }
  }
}

function take(block: Block): number {
  assert(block.left > 0, "ids are reserved before they are taken");
  block.left -= 1;
  block.next += 1;
  return block.next - 1;
}

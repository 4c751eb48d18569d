/** Looks for the hash chain's value at one LSN while the sealed segments are walked. */

import type { HashChain } from "../sealed/hash-chain.js";
import type { SealedRun } from "../sealed/sealed-format.js";

/**
 * What the chain has at an LSN: its value; or nothing known, because a truncation dropped what was there and around it; or nothing, because
 * the LSN is in the middle of a frame.
 */
export type ChainFinding =
  | { readonly kind: "value"; readonly hash: string }
  | { readonly kind: "dropped" }
  | { readonly kind: "inside" };

export class ChainMark {
  readonly #lsn: number;
  #found: ChainFinding = { kind: "inside" };

  constructor(lsn: number) {
    this.#lsn = lsn;
  }

  get found(): ChainFinding {
    return this.#found;
  }

  /** Told of each run in turn, with the chain behind it. */
  note({ kind, header }: SealedRun, chain: HashChain): void {
    const lastLsn = header.firstLsn + header.recordCount - 1;
    if (lastLsn < this.#lsn || header.firstLsn > this.#lsn) return;
    if (lastLsn === this.#lsn && !chain.isOpen) this.#found = { kind: "value", hash: chain.value.toString("hex") };
    // Of many frames one run states only the value behind the last.
    else if (kind === "dropped") this.#found = { kind: "dropped" };
  }
}

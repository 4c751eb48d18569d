/**
 * Which labels nodes bore in versions that were moved to files, where none in force bears them: whether a node is in a label's posting list must
 * not hang on a file.
 *
 * Records of 16 bytes, one for a node and a label: int 0 the node's slot, int 1 the label.
 */

import { Records } from "./records.js";

const ENTRY_BYTES = 16;
const SLOT = 0;
const LABEL = 1;
/** More labels than a graph can have. */
const LABELS_MAX = 2 ** 22;

export class MovedLabels {
  records: Records = new Records(ENTRY_BYTES);
  /** Behind `records` when those were restored. */
  readonly #known = new Set<number>();

  has(slot: number, label: number): boolean {
    if (this.records.length === 1) return false;
    for (let row = this.#known.size + 1; row < this.records.length; row += 1)
      this.#known.add(this.records.int(row, SLOT) * LABELS_MAX + this.records.int(row, LABEL));
    return this.#known.has(slot * LABELS_MAX + label);
  }

  add(slot: number, label: number): void {
    if (this.has(slot, label)) return;
    const row = this.records.add();
    this.records.setInt(row, SLOT, slot);
    this.records.setInt(row, LABEL, label);
  }

  clear(): void {
    this.records = new Records(ENTRY_BYTES);
    this.#known.clear();
  }
}

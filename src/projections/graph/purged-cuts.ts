/**
 * When entities were last cut, of those whose last change was a cut that a purge has dropped: a purge must not change an entity's version.
 *
 * Records of 16 bytes, one for such an entity: double 0 its slot, double 1 the LSN.
 */

import { Records } from "./records.js";

const ENTRY_BYTES = 16;
const SLOT = 0;
const LSN = 1;

export class PurgedCuts {
  readonly records: Records = new Records(ENTRY_BYTES);
  /** Rows by slot; behind `records` when those were restored. */
  readonly #rows = new Map<number, number>();

  /** 0: not known. */
  get(slot: number): number {
    return this.records.length === 1 ? 0 : this.records.double(this.#rowOf(slot), LSN);
  }

  set(slot: number, lsn: number): void {
    let row = this.#rowOf(slot);
    if (row === 0) {
      row = this.records.add();
      this.records.setDouble(row, SLOT, slot);
      this.#rows.set(slot, row);
    }
    this.records.setDouble(row, LSN, lsn);
  }

  #rowOf(slot: number): number {
    for (let row = this.#rows.size + 1; row < this.records.length; row += 1)
      this.#rows.set(this.records.double(row, SLOT), row);
    return this.#rows.get(slot) ?? 0;
  }
}

/** History that is moved out of a state as into files, whose pages lie in memory: as bytes, so that nothing of the state is shared. */

import type { GraphState } from "../../src/projections/graph/graph-state.js";
import type { HistorySource } from "../../src/projections/graph/history-files.js";
import { giveUpMoved, pagesToMove, planMove } from "../../src/projections/graph/history-move.js";
import type { PageFacts } from "../../src/projections/graph/history-page.js";

export class HistoryInMemory {
  readonly #sources: (readonly { readonly bytes: Uint8Array; readonly facts: PageFacts }[])[] = [];

  /** Moves what was over at an LSN, if that is enough. */
  move(state: GraphState, throughLsn: number): boolean {
    const { tables } = state;
    const move = planMove(tables, throughLsn);
    if (move === null) return false;
    const pages = [...pagesToMove(tables, move)].map(({ bytes, facts }) => ({ bytes: bytes.slice(), facts }));
    const id = String(this.#sources.push(pages) - 1);
    giveUpMoved(tables, move, this.open(id, pages.length));
    return true;
  }

  readonly open = (id: string, count: number): HistorySource => {
    const pages = this.#sources[Number(id)];
    if (pages?.length !== count) throw new Error("there is no such file");
    return {
      id,
      pages: pages.map(({ facts }) => facts),
      byteLength: pages.reduce((sum, { bytes }) => sum + bytes.length, 0),
      read: (page) => (pages[page] as { readonly bytes: Uint8Array }).bytes.slice(),
      close: () => undefined,
    };
  };
}

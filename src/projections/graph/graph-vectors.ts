/** What a graph's tables have of vectors: their definitions, which are state, and the indexes that are open, which are not. */

import type { GraphTables } from "./graph-tables.js";
import type { DefinedVectors, VectorsReference } from "./vector-definition.js";
import type { VectorDefinitions } from "./vector-definitions.js";
import type { VectorIndex } from "./vector-index.js";

export class GraphVectors {
  readonly definitions: VectorDefinitions;
  readonly #open: VectorIndex[] = [];

  constructor(definitions: VectorDefinitions) {
    this.definitions = definitions;
  }

  get isEmpty(): boolean {
    return this.#open.length === 0 && this.definitions.list().length === 0;
  }

  /** The index of vectors, which may not be complete yet. */
  indexOf(definition: DefinedVectors): VectorIndex | undefined {
    return this.#open.find((index) => index.definition.definedBy === definition.definedBy);
  }

  open(index: VectorIndex): void {
    this.#open.push(index);
  }

  /** Must be told of every content that a node gets. */
  note(slot: number, content: number, tables: GraphTables): void {
    for (const index of this.#open) {
      if (slot <= index.builtThrough || index.isComplete) this.#guarded(index, () => index.note(slot, content, tables));
    }
  }

  /** Enters some more nodes, until the time; true when that was the last of them. What the peer throws passes. */
  build(index: VectorIndex, tables: GraphTables, untilMs: number): boolean {
    const { records, timelines } = tables.nodes;
    while (index.builtThrough + 1 < records.length && performance.now() < untilMs) {
      const end = Math.min(records.length, index.builtThrough + 1 + SLOTS_PER_LOOK_AT_CLOCK);
      for (let slot = index.builtThrough + 1; slot < end; slot += 1) {
        for (const row of timelines.rows(slot)) index.note(slot, timelines.content(slot, row), tables);
      }
      index.builtThrough = end - 1;
    }
    index.isComplete = index.builtThrough + 1 === records.length;
    return index.isComplete;
  }

  /** A purge took versions away. */
  dropStale(tables: GraphTables): void {
    for (const index of [...this.#open]) this.#guarded(index, () => index.dropStale(tables));
  }

  /** Takes a definition away, and its index. */
  remove(reference: VectorsReference): void {
    const definition = this.definitions.get(reference);
    this.definitions.remove(reference);
    if (definition !== undefined) this.close(definition);
  }

  close({ definedBy }: DefinedVectors): void {
    const at = this.#open.findIndex((index) => index.definition.definedBy === definedBy);
    if (at >= 0) this.#open.splice(at, 1);
  }

  /** The graph must not stop because an index fails, which it can do without: the index goes. */
  #guarded(index: VectorIndex, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.close(index.definition);
      const { label, property } = index.definition;
      const reason = error instanceof Error ? error.message : String(error);
      process.emitWarning(`the index of the vectors ${label}.${property} is closed, because it failed: ${reason}`, {
        type: "VarveWarning",
      });
    }
  }
}

const SLOTS_PER_LOOK_AT_CLOCK = 8;

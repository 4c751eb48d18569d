/**
 * Applies rows to the graph's tables: what is created for the first time at once, everything else as the event that it was.
 *
 * Of an entity that never was, nothing is to be cut, no version to be compared: what `GraphWriter` would find out in several steps is known. That is what
 * most of a long log is. Whatever is not as simple as that goes to `GraphWriter`, so that there are no rules here.
 */

import { assert } from "../../assert.js";
import {
  EDGE_CREATED,
  FLAG_VALID_FROM,
  FLAG_VALID_TO,
  type GraphRows,
  NODE_CREATED,
  ROW_DOUBLES,
  ROW_FLAGS,
  ROW_ID,
  ROW_INTS,
  ROW_KIND,
  ROW_LABEL_END,
  ROW_LABEL_START,
  ROW_LSN,
  ROW_PROPERTIES_END,
  ROW_PROPERTIES_START,
  ROW_SOURCE,
  ROW_TARGET,
  ROW_VALID_FROM,
  ROW_VALID_TO,
} from "./graph-rows.js";
import type { GraphTables } from "./graph-tables.js";
import { Period } from "./period.js";

/** As many as a processor can usefully fetch for; their lines fit its first-level cache. */
export const ROWS_AHEAD_MAX = 64;

export class RowWriter {
  readonly #tables: GraphTables;
  readonly #period = new Period();
  /** The slots of the edges' ends, by row within those that were looked at. */
  readonly #sources = new Int32Array(ROWS_AHEAD_MAX);
  readonly #targets = new Int32Array(ROWS_AHEAD_MAX);
  #first = 0;

  constructor(tables: GraphTables) {
    this.#tables = tables;
  }

  /** Fetches what rows touch from memory, all of it at once instead of one wait after another; they are at most `ROWS_AHEAD_MAX`. */
  lookAhead({ doubles, ints }: GraphRows, from: number, end: number): void {
    const { nodes } = this.#tables;
    const sources = this.#sources;
    const targets = this.#targets;
    this.#first = from;
    for (let row = from; row < end; row += 1) {
      const isEdge = ints[row * ROW_INTS + ROW_KIND] === EDGE_CREATED;
      sources[row - from] = isEdge ? nodes.ids.slotOf(doubles[row * ROW_DOUBLES + ROW_SOURCE] as number) : 0;
      targets[row - from] = isEdge ? nodes.ids.slotOf(doubles[row * ROW_DOUBLES + ROW_TARGET] as number) : 0;
    }
    let sum = 0;
    for (let at = 0; at < end - from; at += 1)
      sum += nodes.lastOut(sources[at] as number) + nodes.lastIn(targets[at] as number);
    // Says what is true, and keeps the compiler from leaving out reads that nothing needs.
    assert(sum >= 0, "links are rows");
  }

  /** Writes a row that creates what never was. False: it is not as simple as that, and nothing has changed. */
  create(rows: GraphRows, row: number): boolean {
    const kind = rows.ints[row * ROW_INTS + ROW_KIND];
    if (kind === EDGE_CREATED) return this.#createEdge(rows, row);
    return kind === NODE_CREATED && this.#createNode(rows, row);
  }

  #createNode(rows: GraphRows, row: number): boolean {
    const { nodes, contents } = this.#tables;
    const { bytes, doubles, ints } = rows;
    const id = doubles[row * ROW_DOUBLES + ROW_ID] as number;
    if (nodes.ids.slotOf(id) !== 0 || !this.#settle(rows, row)) return false;
    const at = row * ROW_INTS;
    const label = this.#label(rows, row);
    const content = contents.store(
      label,
      bytes,
      ints[at + ROW_PROPERTIES_START] as number,
      ints[at + ROW_PROPERTIES_END] as number,
    );
    const slot = nodes.insert(id);
    this.#tables.postingsOf(label).push(slot);
    nodes.timelines.begin(slot, this.#period, doubles[row * ROW_DOUBLES + ROW_LSN] as number, content);
    return true;
  }

  #createEdge(rows: GraphRows, row: number): boolean {
    const { nodes, edges, contents } = this.#tables;
    const { bytes, doubles, ints } = rows;
    const id = doubles[row * ROW_DOUBLES + ROW_ID] as number;
    if (edges.ids.slotOf(id) !== 0 || !this.#settle(rows, row)) return false;
    const ahead = row - this.#first;
    const source = this.#sources[ahead] || nodes.ids.slotOf(doubles[row * ROW_DOUBLES + ROW_SOURCE] as number);
    const target = this.#targets[ahead] || nodes.ids.slotOf(doubles[row * ROW_DOUBLES + ROW_TARGET] as number);
    if (source === 0 || target === 0) return false;
    if (!nodes.timelines.overlaps(source, this.#period) || !nodes.timelines.overlaps(target, this.#period))
      return false;
    const at = row * ROW_INTS;
    const label = this.#label(rows, row);
    const content = contents.store(
      label,
      bytes,
      ints[at + ROW_PROPERTIES_START] as number,
      ints[at + ROW_PROPERTIES_END] as number,
    );
    const slot = edges.insert(nodes, id, label, source, target);
    edges.timelines.begin(slot, this.#period, doubles[row * ROW_DOUBLES + ROW_LSN] as number, content);
    return true;
  }

  /** The period of the row; false: it is reversed or empty. */
  #settle({ doubles, ints }: GraphRows, row: number): boolean {
    const flags = ints[row * ROW_INTS + ROW_FLAGS] as number;
    const at = row * ROW_DOUBLES;
    const { bounds } = this.#period;
    const from = (flags & FLAG_VALID_FROM) === 0 ? this.#tables.clock.time : (doubles[at + ROW_VALID_FROM] as number);
    const to = (flags & FLAG_VALID_TO) === 0 ? Number.POSITIVE_INFINITY : (doubles[at + ROW_VALID_TO] as number);
    bounds[0] = from;
    bounds[1] = to;
    return from < to;
  }

  #label({ bytes, ints }: GraphRows, row: number): number {
    const at = row * ROW_INTS;
    return this.#tables.labels.intern(bytes, ints[at + ROW_LABEL_START] as number, ints[at + ROW_LABEL_END] as number);
  }
}

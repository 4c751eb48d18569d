/**
 * Moving superseded versions from memory into a file: which, what is written, and letting go of them. The graph stands still from the first to the last.
 *
 * - Those go whose end was recorded at or before a time, which are the first rows of each kind; but only when they are many for what is in
 *   memory, for giving memory back goes over all of it, as a purge does.
 * - A new file takes up those before it that have no more rows than itself: so there are few, and each row is written a few times at most.
 * - After a purge there is one file, without what was purged.
 */

import type { ContentArena } from "./content-arena.js";
import type { GraphTables } from "./graph-tables.js";
import { type HistorySource, MOVED_ROWS_MAX } from "./history-files.js";
import { PageBuilder, type PageFacts } from "./history-page.js";
import type { MovedRows } from "./moved-rows.js";
import { CONTENT, type Timelines } from "./timelines.js";

/** Of the entities and superseded versions in memory: so many have to go, or none does. */
const MOVED_SHARE_MIN = 1 / 16;

/** What a new file is to have. */
export interface HistoryMove {
  /** It takes the place of the files from here on. */
  readonly from: number;
  /** The last row of each kind that lies in files then. */
  readonly through: readonly [node: number, edge: number];
}

/** What is to be written where versions go that were over at an LSN; null: nothing. Throws ERR_GRAPH_HISTORY. */
export function planMove(tables: GraphTables, throughLsn: number | null): HistoryMove | null {
  const { nodes, edges, history } = tables;
  const kept = [history.nodes.count, history.edges.count] as const;
  const last = (timelines: Timelines, moved: MovedRows): number =>
    throughLsn === null || throughLsn <= moved.throughLsn
      ? moved.count
      : Math.min(timelines.lastClosedAtMost(throughLsn), MOVED_ROWS_MAX);
  const wanted = [last(nodes.timelines, history.nodes), last(edges.timelines, history.edges)] as const;
  const moved = wanted[0] - kept[0] + wanted[1] - kept[1];
  const inMemory = [nodes, edges].reduce(
    (sum, { records, timelines }) => sum + records.length + timelines.closedInMemory,
    0,
  );
  const isWorthIt = moved > 0 && moved >= inMemory * MOVED_SHARE_MIN;
  const through = isWorthIt ? wanted : kept;
  if (history.hasPurgedRows) return { from: 0, through };
  if (!isWorthIt) return null;
  const { rowCounts } = history;
  let from = rowCounts.length;
  for (let rows = moved; from > 0 && (rowCounts[from - 1] as number) <= rows; from -= 1)
    rows += rowCounts[from - 1] as number;
  return { from, through };
}

/** The pages of the new file, one at a time. */
export function* pagesToMove(
  tables: GraphTables,
  { from, through }: HistoryMove,
): Generator<{ readonly bytes: Uint8Array; readonly facts: PageFacts }, void, undefined> {
  const { nodes, edges, history, contents } = tables;
  const first = history.firstRowsFrom(from);
  yield* pagesOf(nodes.timelines, history.nodes, contents, first.node, through[0]);
  yield* pagesOf(edges.timelines, history.edges, contents, first.edge, through[1]);
}

/** Lets go of what lies in the new file. */
export function giveUpMoved(tables: GraphTables, { from, through }: HistoryMove, source: HistorySource): void {
  const { nodes, edges, history, contents } = tables;
  const [node, edge] = through;
  for (const [at, slot] of nodes.timelines.slotsOfClosed(node).entries()) {
    contents.open(nodes.timelines.closed.int(at + 1, CONTENT));
    noteLabel(tables, slot, contents.label);
  }
  nodes.timelines.giveUpClosed(node);
  edges.timelines.giveUpClosed(edge);
  history.replace(from, source, through);
  tables.compactContents();
}

/** Finds out anew which labels only versions in files bear: a purge took some of those. Throws ERR_GRAPH_HISTORY. */
export function noteMovedLabels(tables: GraphTables): void {
  const { movedLabels, history, contents } = tables;
  if (movedLabels.records.length > 1) movedLabels.clear();
  const { nodes } = history;
  if (nodes.count === 0) return;
  nodes.eachAfter(0, (table, at, slot, row) => {
    const content = table.int(at, CONTENT);
    contents.open(content < 0 ? content : nodes.contentOf(row));
    noteLabel(tables, slot, contents.label);
  });
}

function noteLabel({ nodes, contents, movedLabels }: GraphTables, slot: number, label: number): void {
  const { timelines } = nodes;
  for (const row of timelines.liveRows(slot)) {
    contents.open(timelines.content(slot, row));
    if (contents.label === label) return;
  }
  movedLabels.add(slot, label);
}

function* pagesOf(
  timelines: Timelines,
  moved: MovedRows,
  contents: ContentArena,
  first: number,
  through: number,
): Generator<{ readonly bytes: Uint8Array; readonly facts: PageFacts }, void, undefined> {
  const slots = timelines.slotsOfClosed(through);
  const { count } = moved;
  let page: PageBuilder | null = null;
  for (let row = first; row <= through; row += 1) {
    page ??= new PageBuilder(moved.kind, row);
    const isThere = row <= count;
    const table = isThere ? moved.tableOf(row) : timelines.closed;
    const index = isThere ? moved.indexOf(row) : row - count;
    const slot = isThere ? moved.slotOf(row) : (slots[row - count - 1] as number);
    page.add(table, index, slot, contents, timelines.content(slot, -row));
    if (!page.isFull) continue;
    yield page.finish();
    page = null;
  }
  if (page !== null) yield page.finish();
}

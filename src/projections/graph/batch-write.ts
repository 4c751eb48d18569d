/**
 * Carries out a batch that was rehearsed, at one LSN.
 *
 * Not item by item: at one LSN, what an item asserts and a later one takes away again was never in force, and must leave no rectangle that no
 * point lies in. So each entity is changed once, by the difference between what is in force and what the rehearsal left. Where that touches
 * several parts of the valid axis, each is cut and filled as by any other event. What came and went within the batch was never there.
 */

import { Buffer } from "node:buffer";
import { BATCH_LSN, type BatchRehearsal } from "./batch-rehearsal.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { Period } from "./period.js";
import type { Timelines } from "./timelines.js";

/** What is in force over a period. */
interface LivePart {
  readonly from: number;
  to: number;
  readonly content: number;
  readonly isNew: boolean;
}

export function writeRehearsed(tables: GraphTables, { tables: left, found }: BatchRehearsal, lsn: number): void {
  const writer = new BatchWriter(tables, left, lsn);
  const { nodes, edges } = left;
  const isEnd = new Set<number>();
  for (let slot = 1; slot < edges.records.length; slot += 1) {
    if (isInForce(edges.timelines, slot)) isEnd.add(edges.source(slot)).add(edges.target(slot));
  }
  for (let slot = 1; slot < nodes.records.length; slot += 1)
    writer.node(slot, isInForce(nodes.timelines, slot) || isEnd.has(slot));
  for (let slot = 1; slot < edges.records.length; slot += 1) writer.edge(slot, isInForce(edges.timelines, slot));
  for (const [id, other] of found) tables.upserts.note(id, other);
}

function isInForce(timelines: Timelines, slot: number): boolean {
  return timelines.liveRows(slot).next().done !== true;
}

class BatchWriter {
  readonly #tables: GraphTables;
  readonly #left: GraphTables;
  readonly #lsn: number;
  readonly #period = new Period();
  /** Contents and labels here, by what they are in the rehearsal. Shared ones stay shared. */
  readonly #contents = new Map<number, number>();
  readonly #labels = new Map<number, number>();

  constructor(tables: GraphTables, left: GraphTables, lsn: number) {
    this.#tables = tables;
    this.#left = left;
    this.#lsn = lsn;
  }

  /** `isNeeded`: there is something to be kept of it, if it is new. */
  node(from: number, isNeeded: boolean): void {
    const { nodes } = this.#tables;
    const id = this.#left.nodes.id(from);
    const slot = nodes.ids.slotOf(id);
    if (slot !== 0 || isNeeded) this.#change("node", slot === 0 ? nodes.insert(id) : slot, from);
  }

  edge(from: number, isNeeded: boolean): void {
    const { nodes, edges } = this.#tables;
    const { edges: left, nodes: leftNodes } = this.#left;
    const id = left.id(from);
    let slot = edges.ids.slotOf(id);
    if (slot === 0 && !isNeeded) return;
    if (slot === 0) {
      const source = nodes.ids.slotOf(leftNodes.id(left.source(from)));
      const target = nodes.ids.slotOf(leftNodes.id(left.target(from)));
      slot = edges.insert(nodes, id, this.#labelOf(left.label(from)), source, target);
    }
    this.#change("edge", slot, from);
  }

  #change(kind: EntityKind, slot: number, from: number): void {
    const { timelines } = this.#tables.of(kind);
    const before = partsOf(timelines, slot, null);
    const after = partsOf(this.#left.of(kind).timelines, from, BATCH_LSN);
    const fresh = this.#joined(after.filter(({ isNew }) => isNew));
    const period = this.#period;
    for (const changed of changedPeriods(before, after)) {
      period.from = changed.from;
      period.to = changed.to;
      timelines.cut(slot, period, this.#lsn);
      const inside = fresh.filter((part) => changed.from <= part.from && part.to <= changed.to);
      // What is filled must come from the latest to the earliest.
      for (const part of inside.reverse()) {
        const content = this.#contentOf(part.content);
        if (kind === "node") this.#enterNode(slot, part.content);
        period.from = part.from;
        period.to = part.to;
        timelines.fill(slot, period, this.#lsn, content);
        this.#tables.keyIndexes.note(kind, slot, content, this.#tables);
        if (kind !== "node") continue;
        this.#tables.indexes.note(slot, content, this.#tables);
        this.#tables.vectors.note(slot, content, this.#tables);
      }
    }
  }

  /** Before what the node holds is filled in. */
  #enterNode(slot: number, content: number): void {
    this.#left.contents.open(content);
    const label = this.#labelOf(this.#left.contents.label);
    if (!this.#tables.bore(slot, label)) this.#tables.postingsOf(label).push(slot);
  }

  /** Parts that touch and hold the same are one. */
  #joined(parts: readonly LivePart[]): LivePart[] {
    const joined: LivePart[] = [];
    for (const part of parts) {
      const last = joined.at(-1);
      if (last?.to === part.from && this.#left.contents.same(last.content, part.content)) last.to = part.to;
      else joined.push({ ...part });
    }
    return joined;
  }

  #contentOf(reference: number): number {
    const known = this.#contents.get(reference);
    if (known !== undefined) return known;
    const { contents } = this.#left;
    contents.open(reference);
    const { bytes, start, end } = contents;
    const stored = this.#tables.contents.store(this.#labelOf(contents.label), bytes, start, end);
    this.#contents.set(reference, stored);
    return stored;
  }

  #labelOf(label: number): number {
    const known = this.#labels.get(label);
    if (known !== undefined) return known;
    const name = Buffer.from(this.#left.labels.name(label));
    const here = this.#tables.labels.intern(name, 0, name.length);
    this.#labels.set(label, here);
    return here;
  }
}

/** What is in force of an entity, from the earliest to the latest. */
function partsOf(timelines: Timelines, slot: number, newLsn: number | null): LivePart[] {
  const parts = Array.from(timelines.liveRows(slot), (row) => ({
    from: timelines.validFrom(slot, row),
    to: timelines.validTo(slot, row),
    content: timelines.content(slot, row),
    isNew: timelines.lsn(slot, row) === newLsn,
  }));
  return parts.reverse();
}

/** The longest periods at whose every point something else is in force than before, or nothing any more. */
function changedPeriods(before: readonly LivePart[], after: readonly LivePart[]): { from: number; to: number }[] {
  const bounds = [...new Set([...before, ...after].flatMap(({ from, to }) => [from, to]))].sort((a, b) =>
    a < b ? -1 : 1,
  );
  const changed: { from: number; to: number }[] = [];
  let [old, now] = [0, 0];
  for (const [index, from] of bounds.entries()) {
    const to = bounds[index + 1];
    if (to === undefined) break;
    while ((before[old]?.to ?? Number.POSITIVE_INFINITY) <= from) old += 1;
    while ((after[now]?.to ?? Number.POSITIVE_INFINITY) <= from) now += 1;
    const wasThere = (before[old]?.from ?? Number.POSITIVE_INFINITY) <= from;
    const isThere = (after[now]?.from ?? Number.POSITIVE_INFINITY) <= from;
    // What was not asserted by the batch is what was there before it.
    if (isThere ? after[now]?.isNew !== true : !wasThere) continue;
    const last = changed.at(-1);
    if (last?.to === from) last.to = to;
    else changed.push({ from, to });
  }
  return changed;
}

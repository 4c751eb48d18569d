/** Random events of the kinds that commands write besides single changes: constraints, upserts, batches, and expected versions. */

import type { TestEvent } from "../projections/graph/raw-events.js";
import type { Choices } from "./model-history.js";

type Draft = Pick<TestEvent, "type" | "data">;

const BATCH_ITEMS_MAX = 5;

/** Where single changes come from. */
export interface ChangeSource {
  readonly nodeIds: readonly number[];
  readonly labels: readonly string[];
  readonly edgeLabels: readonly string[];
  readonly keys: readonly string[];
  value(): unknown;
  properties(): Record<string, unknown>;
  period(): Record<string, unknown>;
  /** Of a node or an edge. */
  change(): Draft;
  /** Of a node or an edge that may be there or not. */
  put(): Draft;
}

/** Mostly the first, so that events about the same meet. */
function mostly<Item>(random: Choices, items: readonly Item[]): Item {
  return random.integer(5) === 0 ? random.pick(items) : (items[0] as Item);
}

export function constraintEvent(random: Choices, { labels, edgeLabels, keys }: ChangeSource): Draft {
  const kind = random.pick(["unique", "unique", "required"]);
  const type = random.integer(4) === 0 ? "GraphConstraintRemoved" : "GraphConstraintAdded";
  const isEdge = random.integer(4) === 0;
  // Several properties together now and then, in any order.
  const several = kind === "unique" && keys.length > 1 && random.integer(3) === 0;
  const at = random.integer(keys.length);
  const property = several ? [keys[at], keys[(at + 1) % keys.length]] : mostly(random, keys);
  const label = mostly(random, isEdge ? edgeLabels : labels);
  return { type, data: { kind, ...(isEdge && { entity: "edge" }), label, property } };
}

export function upsertEvent(random: Choices, source: ChangeSource): Draft {
  const key = mostly(random, source.keys);
  const properties = source.properties();
  properties[key] = source.value();
  const data = { id: random.pick(source.nodeIds), label: mostly(random, source.labels), key, properties };
  return { type: "NodeUpserted", data: { ...data, ...source.period() } };
}

export function batchEvent(random: Choices, source: ChangeSource): Draft {
  const items = Array.from({ length: 1 + random.integer(BATCH_ITEMS_MAX) }, () => {
    const shape = random.integer(8);
    const { type, data } = shape === 0 ? upsertEvent(random, source) : shape < 5 ? source.put() : source.change();
    return { type: `varve.v1.${type}`, data };
  });
  return { type: "GraphBatch", data: { items } };
}

/** The event, now and then with the version that it expects: of those near `lsn`. */
export function expecting(random: Choices, { type, data }: Draft, lsn: number): Draft {
  const canExpect = /^(Node|Edge)(Put|Replaced|Patched|Deleted|Retracted)$/.test(type);
  if (type === "GraphBatch") {
    const items = data["items"] as readonly Draft[];
    const expected = items.map((item) => {
      const given = { ...item, type: item.type.slice("varve.v1.".length) };
      return { ...item, data: expecting(random, given, lsn).data };
    });
    return { type, data: { items: expected } };
  }
  if (!canExpect || random.integer(12) > 0) return { type, data };
  return { type, data: { ...data, expectedVersion: Math.max(0, lsn - random.integer(6)) } };
}

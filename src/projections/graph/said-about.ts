/** Whether an event, by itself, decides what a property of an entity is at a valid time, or leaves it as it was before. */

import type { RecordedEvent } from "../../events/index.js";
import type { GraphBatchData, GraphBatchItem } from "./batch-events.js";
import type { GraphNode } from "./entity.js";
import type { GraphEventData } from "./graph-event-codec.js";
import { BATCH_TYPE, type EntityKind, GRAPH_EVENT_KINDS } from "./graph-event-kind.js";
import type { PropertyValue } from "./property.js";

export interface PropertyQuestion {
  readonly kind: EntityKind;
  readonly id: number;
  readonly property: string;
  readonly validAt: number;
  /** What the entity held there as of the event, and before it. */
  readonly held: readonly (GraphNode | null)[];
}

/** The event made what is held at that point. */
export function saysSomething({ type, data, recordedAt }: RecordedEvent, question: PropertyQuestion): boolean {
  // `as`: the graph's own events are decoded by its codec.
  if (type !== BATCH_TYPE) return decides(type, data as GraphEventData, question.property);
  return itemsAbout(data as GraphBatchData, question, recordedAt).some((item) =>
    decides(item.type, item.data, question.property),
  );
}

/** Patches and upserts leave what they do not name. */
function decides(type: string, { properties = {} }: GraphEventData, property: string): boolean {
  const operation = GRAPH_EVENT_KINDS.get(type)?.operation;
  return (operation !== "patch" && operation !== "upsert") || Object.hasOwn(properties, property);
}

/** The items that say something about the entity at that valid time. */
function itemsAbout(
  { items }: GraphBatchData,
  { kind, id, validAt, held }: PropertyQuestion,
  recordedAt: number,
): GraphBatchItem[] {
  const ids = new Set([id]);
  return items.filter((item) => {
    const { entity, operation } = GRAPH_EVENT_KINDS.get(item.type) ?? {};
    const { validFrom = recordedAt, validTo = Number.POSITIVE_INFINITY, key, properties = {} } = item.data;
    const covers = operation === "retract" || (validFrom <= validAt && validAt < validTo);
    if (entity !== kind) return false;
    // The key is unique: who holds its value where the upsert holds is the node that it found, whose place its id has taken.
    const value = properties[key ?? ""];
    const isFound = operation === "upsert" && covers && held.some((each) => isSame(each?.properties[key ?? ""], value));
    if (isFound) ids.add(item.data.id);
    return covers && ids.has(item.data.id);
  });
}

function isSame(a: PropertyValue | undefined, b: PropertyValue | undefined): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Object.is(a, b);
}

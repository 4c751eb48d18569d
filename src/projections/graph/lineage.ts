/**
 * Which event made a value.
 *
 * A rectangle keeps the LSN of the event that asserted it, but a patch asserts again what it does not name. So for one property the way leads
 * back from patch to patch, at the same valid time, until an event says something about it: each step reads one event by its LSN.
 */

import type { ReadAllOptions, RecordedEvent } from "../../events/index.js";
import type { Chronicle } from "./chronicle.js";
import type { EntityOf } from "./entity.js";
import type { GraphEventData } from "./graph-event-codec.js";
import { type EntityKind, GRAPH_EVENT_KINDS } from "./graph-event-kind.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import type { AsOf } from "./graph-point.js";

/** What is asked: a point, and a property; without one, about the version as a whole. */
export interface LineageQuery extends AsOf {
  readonly property?: string;
}

export interface GraphLineage<Entity> {
  /** What held at the point; null: nothing. */
  readonly version: Entity | null;
  /**
   * The LSN of the event that made it: of the property, the one that set or removed it, or made the entity without it. Null where nothing held, and
   * where the way back is cut: by a purge (`truncatedBefore`), or because the log has an event on it no more.
   */
  readonly lsn: number | null;
  /** That event; null where `lsn` is, and where the log has it no more. */
  readonly event: RecordedEvent | null;
  /** As `GraphView.truncatedBefore`, of the last place that was looked at. */
  readonly truncatedBefore: number | null;
}

/** Where events are read by their LSN. */
export interface EventLog {
  /** The last LSN that was dropped. */
  readonly horizon: number;
  readAll(options: ReadAllOptions): AsyncIterable<RecordedEvent>;
}

export async function lineageOf<Kind extends EntityKind>(
  chronicle: Chronicle,
  log: EventLog,
  kind: Kind,
  id: number,
  query: LineageQuery,
): Promise<GraphLineage<EntityOf[Kind]>> {
  checkKnownKeys("lineage", checkRecord("lineage", query), ["property", "validAt", "recordedAt"]);
  const { property, ...point } = query;
  if (property !== undefined && typeof property !== "string") throw new TypeError("property must be a string");
  // The same valid time all the way, also where "now" was meant.
  const { validAt } = chronicle.settle("lineage", point);
  const { version, truncatedBefore } = chronicle.versionAt(kind, id, { ...point, validAt });
  if (version === null) return { version, lsn: null, event: null, truncatedBefore };
  let { lsn } = version;
  for (;;) {
    const event = await eventAt(log, lsn);
    if (property === undefined) return { version, lsn, event, truncatedBefore };
    if (event === null) return { version, lsn: null, event, truncatedBefore };
    if (saysSomethingAbout(property, event)) return { version, lsn, event, truncatedBefore };
    const before = chronicle.versionAt(kind, id, { validAt, recordedAt: { lsn: lsn - 1 } });
    if (before.version === null) {
      return { version, lsn: null, event: null, truncatedBefore: before.truncatedBefore };
    }
    lsn = before.version.lsn;
  }
}

async function eventAt(log: EventLog, lsn: number): Promise<RecordedEvent | null> {
  if (lsn <= log.horizon) return null;
  for await (const event of log.readAll({ after: lsn - 1, through: lsn })) return event;
  return null;
}

function saysSomethingAbout(property: string, { type, data }: RecordedEvent): boolean {
  if (GRAPH_EVENT_KINDS.get(type)?.operation !== "patch") return true;
  // `as`: the graph's own events are decoded by its codec.
  return Object.hasOwn((data as GraphEventData).properties ?? {}, property);
}

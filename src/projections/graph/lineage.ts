/**
 * Which event made a value.
 *
 * A rectangle keeps the LSN of the event that asserted it, but a patch asserts again what it does not name. So for one property the way leads
 * back from patch to patch, at the same valid time, until an event says something about it: each step reads one event by its LSN.
 */

import type { RecordedEvent } from "../../events/index.js";
import type { Chronicle } from "./chronicle.js";
import type { EntityOf } from "./entity.js";
import { type EventLog, eventAt } from "./event-log.js";
import type { EntityKind } from "./graph-event-kind.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import type { AsOf } from "./graph-point.js";
import { type GraphProvenance, provenanceOf } from "./provenance.js";
import { saysSomething } from "./said-about.js";

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
  /** What that event says about where it comes from; null where it says nothing, and where `event` is null. */
  readonly provenance: GraphProvenance | null;
  /** As `GraphView.truncatedBefore`, of the last place that was looked at. */
  readonly truncatedBefore: number | null;
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
  if (version === null) return { version, lsn: null, event: null, provenance: null, truncatedBefore };
  let { lsn } = version;
  for (let held = version; ; ) {
    const event = await eventAt(log, lsn);
    const provenance = event === null ? null : provenanceOf(event);
    if (property === undefined) return { version, lsn, event, provenance, truncatedBefore };
    if (event === null) return { version, lsn: null, event, provenance, truncatedBefore };
    const before = chronicle.versionAt(kind, id, { validAt, recordedAt: { lsn: lsn - 1 } });
    if (saysSomething(event, { kind, id, property, validAt, held: [held, before.version] }))
      return { version, lsn, event, provenance, truncatedBefore };
    if (before.version === null) {
      // An upsert makes a node where it was not, too, and without what it does not name.
      if (before.truncatedBefore === null) return { version, lsn, event, provenance, truncatedBefore };
      return { version, lsn: null, event: null, provenance: null, truncatedBefore: before.truncatedBefore };
    }
    held = before.version;
    lsn = held.lsn;
  }
}

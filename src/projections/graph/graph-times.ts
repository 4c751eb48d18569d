/** What the graph says along its two axes of time, and where what it says comes from. */

import type {
  ChangesPage,
  ChangesQuery,
  EntityReference,
  GraphOverlap,
  GraphVersion,
  HistoryWindow,
} from "./chronicle.js";
import type { EntityOf } from "./entity.js";
import type { EntityKind } from "./graph-event-kind.js";
import type { GraphChange, HistoryOptions } from "./graph-history.js";
import type { AsOf, RecordedAt } from "./graph-point.js";
import type { GraphResults } from "./graph-results.js";
import type { GraphView } from "./graph-view.js";
import type { GraphLineage, LineageQuery } from "./lineage.js";
import type { GraphProvenance } from "./provenance.js";

export interface GraphTimes {
  /**
   * All versions of a node or an edge: everything the graph knows or knew about it, as rectangles in the order (recordedFrom, validFrom). Of
   * an edge its own, whether its ends existed there or not.
   */
  history<Kind extends EntityKind>(kind: Kind, id: number, options?: HistoryOptions): GraphResults<EntityOf[Kind]>;

  /**
   * The version that held at a point: the one rectangle of `history` that contains it, or null. Unlike `view.edge`, it does not ask whether an
   * edge's ends exist there.
   *
   * @throws as `asOf`
   */
  versionAt<Kind extends EntityKind>(kind: Kind, id: number, point?: AsOf): GraphVersion<EntityOf[Kind]>;

  /**
   * The versions that held somewhere in a window of valid time, of recorded time, or of both: those rectangles of `history` that overlap it,
   * also those that were replaced within their own microsecond.
   *
   * @throws TypeError without a window; StoreError `ERR_GRAPH_INVALID_PERIOD` for an empty or reversed one, or a time outside ±(2^53 − 1) µs;
   *   RangeError for an LSN that was not applied yet
   *
   * @example
   * ```ts
   * graph.between("node", ann.id, { valid: { from: Date.UTC(2020, 0) * 1000, to: Date.UTC(2021, 0) * 1000 } });
   * graph.between("node", ann.id, { recorded: { from: { lsn: 17 }, to: null } });
   * ```
   */
  between<Kind extends EntityKind>(kind: Kind, id: number, window: HistoryWindow): GraphResults<EntityOf[Kind]>;

  /**
   * The periods of valid time in which two entities both held, as the store knew it at one recorded point (default: now), the earliest first: a
   * temporal join. A new one begins where either changes. An edge holds where it and both its ends exist.
   *
   * @throws TypeError, RangeError and StoreError as `asOf`
   *
   * @example
   * ```ts
   * for (const { validFrom, validTo, a } of graph.overlaps({ kind: "edge", id: job }, { kind: "edge", id: lease })) …
   * ```
   */
  overlaps<A extends EntityKind, B extends EntityKind>(
    a: EntityReference<A>,
    b: EntityReference<B>,
    options?: { readonly recordedAt?: RecordedAt },
  ): GraphResults<GraphOverlap<EntityOf[A], EntityOf[B]>>;

  /**
   * Which nodes and edges changed in a stretch of recorded time, in the order of LSNs, as pages: up to now, and at least one. A page's `next` is an LSN,
   * so it can be kept anywhere and used by any process. Edges that went with a node (`detach`) are among them; what the graph's rules refused is not.
   *
   * The first page, the third, the seventh and so on look at every entity of the graph once, in one turn of the event loop: who follows all changes as they
   * come subscribes to the log instead.
   *
   * @throws TypeError; RangeError for an `after` that was not applied yet; StoreError `ERR_GRAPH_INVALID_PERIOD`
   *
   * @example
   * ```ts
   * for (const { changes, next } of graph.changes({ after: await cursor.load() })) {
   *   await handle(changes);
   *   await cursor.save(next); // goes on from here, perhaps after a restart
   * }
   * ```
   */
  changes(query?: ChangesQuery): GraphResults<ChangesPage>;

  /**
   * The LSN at which the graph stood at a recorded time (µs since 1970), which is how `asOf({ recordedAt })` takes it. Events that are none of the
   * graph's do not count: between two of its own it stood still, so the store's last LSN by then can be another one.
   */
  lsnAt(recordedAt: number): number;

  /**
   * When an LSN was recorded (µs since 1970, the running maximum of `recordedAt`); of an event that is none of the graph's, when the last one of
   * the graph before it was. Null before the first. @throws RangeError for an LSN that was not applied yet
   */
  recordedAtOf(lsn: number): number | null;

  /**
   * Which event made what a node or an edge held at a point, or one property of it: the event is read from the log. For a property this leads
   * back over patches that do not name it, one read each.
   *
   * @throws as `asOf`, and what reading throws
   *
   * @example
   * ```ts
   * const { lsn, event } = await graph.lineage("node", ann.id, { property: "salary", validAt: Date.UTC(2022, 0) * 1000 });
   * console.log(lsn, event?.metadata);
   * ```
   */
  lineage<Kind extends EntityKind>(kind: Kind, id: number, query?: LineageQuery): Promise<GraphLineage<EntityOf[Kind]>>;

  /**
   * What the event at an LSN (`lsn` of what `history` gives) says about where it comes from; null where it says nothing, and where the log has no event
   * there (any more). One read of the log. @throws TypeError for what is no LSN, and what reading throws
   */
  provenance(lsn: number): Promise<GraphProvenance | null>;

  /** The version of a node or an edge, as `expectedVersion` has it: the LSN of the last event that changed it, whenever it is valid; 0: none ever did. */
  versionOf(kind: EntityKind, id: number): number;

  /** What is different in the second view: entities that exist in one only, or hold something else. One at a time. */
  diff(before: GraphView, after: GraphView): GraphResults<GraphChange>;
}

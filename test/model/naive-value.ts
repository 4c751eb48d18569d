/** What the naive model says of an entity at a point, and why it refuses. */

import type { StoreErrorCode } from "../../src/errors.js";
import type { EntityKind } from "../../src/projections/graph/graph-event-kind.js";
import type { PropertyValue } from "../../src/projections/graph/property.js";

export interface NaiveValue {
  readonly label: string;
  readonly properties: ReadonlyMap<string, PropertyValue>;
  /** Of the event that asserted it. */
  readonly lsn: number;
}

export interface Refusal {
  readonly code: StoreErrorCode;
  /** Of a batch, whose item is to blame. */
  readonly kind?: EntityKind | "graph";
  readonly id?: number;
  /** With ERR_GRAPH_HAS_EDGES: how many. */
  readonly edges: number;
  readonly details?: Readonly<Record<string, string | number>>;
}

export function samePropertyValue(a: PropertyValue | undefined, b: PropertyValue | undefined): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? Buffer.compare(a, b) === 0 : Object.is(a, b);
}

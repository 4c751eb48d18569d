/** The vectors that a graph has definitions of, by events; and what its nodes may not hold because of them. */

import type { StoreErrorCode } from "../../errors.js";
import type { GraphEventFields } from "./graph-event-fields.js";
import type { GraphEventKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import type { Period } from "./period.js";
import { sameBytesAt } from "./property-cursor.js";
import { comparisonFault, type DefinedVectors, type VectorsReference } from "./vector-definition.js";
import { VectorProperty } from "./vector-property.js";

/** Each is looked for in what every event about a node says. */
const DEFINITIONS_MAX = 100;

interface Kept {
  readonly definition: DefinedVectors;
  readonly labelBytes: Uint8Array;
  readonly property: VectorProperty;
}

export class VectorDefinitions {
  readonly #all: Kept[] = [];

  /** In the order in which they were defined. */
  list(): DefinedVectors[] {
    return this.#all.map(({ definition }) => definition);
  }

  get({ label, property }: VectorsReference): DefinedVectors | undefined {
    return this.#all.find(({ definition }) => definition.label === label && definition.property === property)
      ?.definition;
  }

  judgeAdding(reference: VectorsReference): StoreErrorCode | null {
    if (this.get(reference) !== undefined) return "ERR_GRAPH_VECTORS_EXISTS";
    return this.#all.length >= DEFINITIONS_MAX ? "ERR_GRAPH_FULL" : null;
  }

  judgeRemoval(reference: VectorsReference): StoreErrorCode | null {
    return this.get(reference) === undefined ? "ERR_GRAPH_VECTORS_NOT_FOUND" : null;
  }

  add(definition: DefinedVectors): void {
    this.#all.push({
      definition,
      labelBytes: Buffer.from(definition.label),
      property: new VectorProperty(definition.property, definition.dimensions),
    });
  }

  remove(reference: VectorsReference): void {
    const definition = this.get(reference);
    this.#all.splice(
      this.#all.findIndex((kept) => kept.definition === definition),
      1,
    );
  }

  /**
   * Why an event that is about the node in `slot` (0: a new one) cannot say what it says, or null. Of a change it is asked whether the node bears the
   * label anywhere in the event's period.
   */
  judge(kind: GraphEventKind, fields: GraphEventFields, slot: number, tables: GraphTables): StoreErrorCode | null {
    if (kind.entity === "edge" || fields.propertiesStart === fields.propertiesEnd) return null;
    const { properties, propertiesStart, propertiesEnd } = fields;
    for (const { definition, labelBytes, property } of this.#all) {
      const finding = property.look(properties, propertiesStart, propertiesEnd);
      if (finding === "nothing") continue;
      if (finding === "vector" && comparisonFault(definition, property.vector) === null) continue;
      const names = fields.labelEnd - fields.labelStart;
      const bears =
        names > 0
          ? names === labelBytes.length && sameBytesAt(fields.bytes, fields.labelStart, labelBytes, 0, names)
          : bearsIn(tables, slot, fields.period, definition.label);
      if (bears) return "ERR_GRAPH_INVALID_VECTOR";
    }
    return null;
  }
}

/** Whether a node bears a label somewhere in a period as of the last LSN. */
function bearsIn({ nodes, contents, labels }: GraphTables, slot: number, period: Period, label: string): boolean {
  const { timelines } = nodes;
  for (const row of timelines.liveRows(slot)) {
    if (timelines.validFrom(slot, row) >= period.to || timelines.validTo(slot, row) <= period.from) continue;
    contents.open(timelines.content(slot, row));
    if (labels.name(contents.label) === label) return true;
  }
  return false;
}

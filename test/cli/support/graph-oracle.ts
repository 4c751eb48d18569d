/**
 * The graph's semantics as one list of assertions per entity, for events whose periods all have an open end.
 *
 * It refuses what the graph's rules refuse, so that a plan which passes here is one that the graph accepts.
 */

import type { GitGraphEvent } from "../../../src/cli/git-graph.js";

interface Assertion {
  readonly from: number;
  /** Null asserts absence. */
  readonly properties: Readonly<Record<string, string>> | null;
}

export interface OracleEntity {
  readonly id: number;
  readonly label: string;
  readonly source: number;
  readonly target: number;
  readonly assertions: Assertion[];
}

export class GraphOracle {
  readonly nodes = new Map<number, OracleEntity>();
  readonly edges = new Map<number, OracleEntity>();

  apply(event: GitGraphEvent): void {
    const { id, validFrom: from, label = "", source = 0, target = 0, properties = {} } = event.data;
    const kind = event.type.startsWith("varve.v1.Node") ? this.nodes : this.edges;
    const known = kind.get(id);
    if (event.type.endsWith("Created")) {
      if (known !== undefined && existsFrom(known, from)) throw new Error(`${event.type} ${id} exists`);
      if (kind === this.edges) {
        for (const end of [source, target]) {
          const node = this.nodes.get(end);
          if (node === undefined || !existsFrom(node, from)) throw new Error(`edge ${id} has no end ${end}`);
        }
      }
      const entity = known ?? { id, label, source, target, assertions: [] };
      entity.assertions.push({ from, properties });
      kind.set(id, entity);
      return;
    }
    if (known === undefined || !existsFrom(known, from)) throw new Error(`${event.type} ${id} finds nothing`);
    if (event.type.endsWith("Patched")) {
      patch(known, from, properties);
      return;
    }
    known.assertions.push({ from, properties: null });
    if (kind === this.nodes) this.#detach(id, from, event.data.detach === true);
  }

  /** Nodes or edges with this label that are visible then, with their properties. */
  find(
    kind: "nodes" | "edges",
    label: string,
    at: number,
  ): { entity: OracleEntity; properties: Record<string, string> }[] {
    const found = [];
    for (const entity of this[kind].values()) {
      if (entity.label !== label) continue;
      const properties = valueAt(entity, at);
      const ends = kind === "nodes" ? [] : [entity.source, entity.target];
      const visible = ends.every((end) => valueAt(this.nodes.get(end), at) !== null);
      if (properties !== null && visible) found.push({ entity, properties: { ...properties } });
    }
    return found;
  }

  #detach(id: number, from: number, detach: boolean): void {
    for (const edge of this.edges.values()) {
      if ((edge.source !== id && edge.target !== id) || !existsFrom(edge, from)) continue;
      if (!detach) throw new Error(`node ${id} still has edge ${edge.id}`);
      edge.assertions.push({ from, properties: null });
    }
  }
}

export function valueAt(entity: OracleEntity | undefined, at: number): Readonly<Record<string, string>> | null {
  return entity?.assertions.findLast((assertion) => assertion.from <= at)?.properties ?? null;
}

function existsFrom(entity: OracleEntity, from: number): boolean {
  const starts = entity.assertions.map((assertion) => assertion.from).filter((start) => start > from);
  return [from, ...starts].some((at) => valueAt(entity, at) !== null);
}

// Each segment in the period keeps its own other keys.
function patch(entity: OracleEntity, from: number, properties: Readonly<Record<string, string>>): void {
  const starts = entity.assertions.map((assertion) => assertion.from).filter((start) => start > from);
  const segments = [...new Set([from, ...starts])]
    .sort((a, b) => a - b)
    .map((start) => ({ from: start, value: valueAt(entity, start) }));
  for (const { from: start, value } of segments) {
    entity.assertions.push({ from: start, properties: value === null ? null : { ...value, ...properties } });
  }
}

/** CSV as RFC 4180 has it, with line feeds: nodes and edges in one table, properties as JSON, times in µs, an open end empty. */

import type { GraphEdge, GraphNode } from "../index.js";
import type { GraphFormat } from "./graph-format.js";
import { stringify } from "./output.js";

const COLUMNS = "kind,id,label,source,target,validFrom,validTo,recordedFrom,recordedTo,properties";

export const CSV_FORMAT: GraphFormat = {
  before: [COLUMNS],
  after: [],
  node: (node) => row("node", node, ["", ""]),
  edge: (edge) => row("edge", edge, [edge.source, edge.target]),
};

function row(kind: string, entity: GraphNode | GraphEdge, ends: readonly [number | "", number | ""]): string {
  const { id, label, validFrom, validTo, recordedFrom, recordedTo, properties } = entity;
  const times = [validFrom, validTo, recordedFrom, recordedTo].map((time) => time ?? "");
  return [kind, id, label, ...ends, ...times, stringify(properties)].map((cell) => quoted(String(cell))).join(",");
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

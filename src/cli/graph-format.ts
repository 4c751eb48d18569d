/** How a view is written as a file of another tool: lines before, one for each node, then one for each edge, lines after. */

import type { GraphEdge, GraphNode } from "../index.js";

export interface GraphFormat {
  readonly before: readonly string[];
  readonly after: readonly string[];
  node(node: GraphNode): string;
  edge(edge: GraphEdge): string;
}

type PropertyValue = GraphNode["properties"][string];

/** A property's value as text: bytes are base64, a vector is a JSON array. */
export function propertyText(value: PropertyValue): string {
  if (value instanceof Float32Array) return JSON.stringify([...value]);
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")
    : String(value);
}

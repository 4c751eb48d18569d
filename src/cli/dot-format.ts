/**
 * DOT, the language of Graphviz. Label and properties are shown as the text of a node or an edge and not as attributes, because Graphviz gives
 * names such as `shape` and `pos` a meaning.
 */

import type { GraphEdge, GraphNode } from "../index.js";
import { type GraphFormat, propertyText } from "./graph-format.js";

export const DOT_FORMAT: GraphFormat = {
  before: ["digraph varve {"],
  after: ["}"],
  node: (node) => `  n${node.id} [label=${quoted(textOf(node))}];`,
  edge: (edge) => `  n${edge.source} -> n${edge.target} [label=${quoted(textOf(edge))}];`,
};

function textOf({ label, id, properties }: GraphNode | GraphEdge): string {
  const lines = Object.entries(properties).map(([key, value]) => `${key}: ${propertyText(value)}`);
  return [`${label} ${id}`, ...lines].join("\n");
}

/**
 * A string of DOT that is shown as it is: a backslash begins an escape there, `&` begins an entity of HTML, and a line break is a backslash and
 * an n.
 */
function quoted(text: string): string {
  const escaped = text
    .replaceAll("\0", "\ufffd")
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("&", "&amp;")
    .replaceAll(/\r\n|\r|\n/g, "\\n");
  return `"${escaped}"`;
}
